"""What the catalogue keeps of a picture: size, layout, content hash, and what the camera said."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from PIL import ExifTags
from PIL import Image as Pictures

from darkroom.images.colour import in_srgb
from darkroom.images.layout import in_8_bits
from darkroom.images.opening import MAX_PIXELS, opened
from darkroom.images.orientation import exif_of, orientation_of
from darkroom.records import CameraFacts, Image

__all__ = ["describe"]

_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def describe(data: bytes, *, keep_place: bool = False, max_pixels: int = MAX_PIXELS) -> Image:
    """Returns the facts of a picture, once it has shown that it decodes to its end.

    Args:
        data: the encoded bytes.
        keep_place: keep the place that the camera wrote into the picture.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        InvalidImage: the bytes are no picture, are broken or cut short, or hold too many pixels.
        Unsupported: a picture of a kind that is known and not read here.
    """
    with opened(data, max_pixels=max_pixels) as image:
        width_px, height_px, mode, format = *image.size, image.mode, image.format or ""
        _prove(image, data)
        return Image(
            id=hashlib.sha256(data).hexdigest(),
            width_px=width_px,
            height_px=height_px,
            mode=mode,
            format=format,
            size_bytes=len(data),
            camera=_camera(image, keep_place=keep_place),
        )


def _prove(image: Pictures.Image, data: bytes) -> None:
    """Decodes the whole file; a JPEG at an eighth of its size, which reads every byte as well."""
    if image.format in {"JPEG", "MPO"}:
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()
    if image.mode not in {"L", "RGB"}:
        in_srgb(in_8_bits(image, data)[0])


def _camera(image: Pictures.Image, *, keep_place: bool) -> CameraFacts:
    exif = exif_of(image)
    details = _folder(exif, ExifTags.IFD.Exif)
    make, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
    device = model if model.startswith(make) else f"{make} {model}".strip()
    return CameraFacts(
        taken_at=_moment(details.get(ExifTags.Base.DateTimeOriginal), details)
        or _moment(exif.get(ExifTags.Base.DateTime), details),
        device=device or None,
        orientation=orientation_of(image),
        place=_place(_folder(exif, ExifTags.IFD.GPSInfo)) if keep_place else None,
    )


def _folder(exif: Pictures.Exif, tag: int) -> dict[int, Any]:
    # What a broken block raises inside Pillow has no bound; the picture is good all the same.
    try:
        return dict(exif.get_ifd(tag))
    except Exception:
        return {}


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def _moment(value: object, details: dict[int, Any]) -> datetime | None:
    found = _TIME.match(_text(value))
    if not found:
        return None
    offset = _OFFSET.match(_text(details.get(ExifTags.Base.OffsetTimeOriginal)))
    zone: Any = UTC
    try:
        if offset:
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            zone = timezone(ahead if offset[1] == "+" else -ahead)
        year, month, day, hour, minute, second = (int(part) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:  # 0000:00:00, a camera whose clock was never set
        return None


def _place(gps: dict[int, Any]) -> tuple[float, float] | None:
    try:
        latitude = _degrees(gps[ExifTags.GPS.GPSLatitude])
        longitude = _degrees(gps[ExifTags.GPS.GPSLongitude])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    south = _text(gps.get(ExifTags.GPS.GPSLatitudeRef)).upper() == "S"
    west = _text(gps.get(ExifTags.GPS.GPSLongitudeRef)).upper() == "W"
    place = (-latitude if south else latitude, -longitude if west else longitude)
    return place if all(map(math.isfinite, place)) else None


def _degrees(parts: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return round(degrees + minutes / 60 + seconds / 3600, 7)
