"""An image as the catalogue knows it: content, origin, what the camera said, where its bytes are."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from darkroom.records.record import Fact, FrozenMap, Record

__all__ = ["CameraFacts", "Image", "Location", "Quarantined", "Source"]


class CameraFacts(Fact):
    """What the camera wrote into the picture."""

    taken_at: AwareDatetime | None = None
    """When the picture was taken; a camera without a time zone is read as UTC."""
    device: str | None = None
    """Make and model of the camera."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    place: tuple[float, float] | None = None
    """Latitude and longitude in degrees; only kept on request."""


class Image(Record):
    """One picture, known by the hash of its encoded bytes."""

    id: str
    """sha256 of the encoded bytes, in hex."""
    width_px: int
    """Width as stored, before orientation."""
    height_px: int
    """Height as stored, before orientation."""
    mode: str
    """Pixel layout as stored: "L", "RGB", "RGBA", "P", "CMYK", "I;16", …"""
    format: str
    """Container: "JPEG", "PNG", "WEBP", …"""
    size_bytes: int
    """Length of the encoded bytes."""
    group: str | None = None
    """Scene, patient, device or session: pictures of one group never lie in two splits."""
    origin: str = ""
    """Where it came from, as a person would say it: a folder, a site, a data set."""
    licence: str = ""
    """Licence of the picture, in the source's words."""
    collector: str = ""
    """Who or what collected it."""
    collected_at: AwareDatetime | None = None
    """When it came into the project."""
    camera: CameraFacts = CameraFacts()
    """What the camera said."""
    metadata: FrozenMap[str, str] = {}
    """Further facts for slices: city, store, lighting, …"""


class Source(Record):
    """A place that pictures come from."""

    id: str
    """Short id, for example "s-1"."""
    kind: str
    """"folder", later "archive", "http", …"""
    path: str
    """Folder, relative to the project where it lies inside it or beside it."""
    format: str
    """Name in the table of formats that reads its annotations."""
    mode: Literal["reference", "copy"] = "reference"
    """Pictures stay where they are, or are copied into the project's blobs."""
    added_at: AwareDatetime
    """When the source was first added."""


class Location(Fact):
    """One place where the bytes of an image lie."""

    image_id: str
    """The image."""
    source_id: str
    """The source it belongs to."""
    path: str
    """Path relative to the source's folder, with forward slashes."""
    size_bytes: int
    """Size when last read."""
    mtime_ns: int
    """Time of the last change when last read, in nanoseconds."""


class Quarantined(Fact):
    """A file that was set aside, and why."""

    source_id: str
    """The source it belongs to."""
    path: str
    """Path relative to the source's folder."""
    reason: str
    """Id of the message."""
    message: str
    """The message a person reads."""
    size_bytes: int = 0
    """Size when it was set aside."""
    mtime_ns: int = 0
    """Time of the last change when it was set aside, in nanoseconds."""
