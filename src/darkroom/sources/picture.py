"""Read one file of a source: prove that it is a picture, take its facts, and read its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from darkroom.errors import Conflict, DarkroomError, Invalid, InvalidImage
from darkroom.formats import encode_mask, load_mask
from darkroom.images import describe
from darkroom.records import Image, Tombstone

__all__ = [
    "FORGOTTEN",
    "PictureFile",
    "ReadLimits",
    "ReadPicture",
    "forgotten_again",
    "read_picture",
    "refusal_of",
]

FORGOTTEN = "image.forgotten"
"""Why a file is set aside whose picture was forgotten."""


class ReadLimits(NamedTuple):
    """What a picture file may be."""

    max_pixels: int
    max_file_bytes: int
    keep_place: bool


class PictureFile(NamedTuple):
    """A file to be read, and what is known of it."""

    path: str
    """Relative to the source's folder."""
    file: str
    """Absolute path."""
    known: str | None
    """Id of the picture that it held when it was last read."""
    mask: str | None
    """Absolute path of its mask."""
    size_bytes: int


class ReadPicture(NamedTuple):
    """What was read."""

    image: Image
    mask: bytes | None
    """8-bit grey PNG of class indices."""
    mask_error: DarkroomError | None
    """Why the mask cannot be taken; the picture can."""


def read_picture(
    file: PictureFile,
    *,
    limits: ReadLimits,
    mask_values: Mapping[int, int],
    mask_colours: Mapping[tuple[int, int, int], int] | None = None,
) -> ReadPicture | str:
    """Reads one file; gives the picture's id alone when it is the one that was known and has no mask.

    Raises:
        InvalidImage: it is no picture, is broken, or is out of the limits.
        OSError: it cannot be read.
    """
    if file.size_bytes > limits.max_file_bytes:
        raise InvalidImage(
            "image.file-too-large",
            "The file has {size_bytes:,} bytes; the limit is {limit:,}.",
            do="Scale the picture down, or raise the limit: DARKROOM_MAX_FILE_BYTES={size_bytes}",
            size_bytes=file.size_bytes,
            limit=limits.max_file_bytes,
        )
    data = Path(file.file).read_bytes()
    if file.mask is None and file.known and hashlib.sha256(data).hexdigest() == file.known:
        return file.known
    image = describe(data, keep_place=limits.keep_place, max_pixels=limits.max_pixels)
    if file.mask is None:
        return ReadPicture(image, None, None)
    try:
        indices = load_mask(
            Path(file.mask), mask_values, colours=mask_colours, size_px=_upright_size(image)
        )
    except DarkroomError as error:
        return ReadPicture(image, None, error)
    return ReadPicture(image, encode_mask(indices), None)


def refusal_of(error: Exception, path: str) -> DarkroomError:
    """Returns why a file is set aside, in a person's words."""
    if isinstance(error, DarkroomError):
        return error
    why = error.strerror if isinstance(error, OSError) else None
    return Invalid(
        "file.unreadable",
        "{path} cannot be read: {why}.",
        do="Check the rights on it, or delete it.",
        path=path,
        why=why or f"{type(error).__name__}: {error}",
    )


def forgotten_again(tombstone: Tombstone) -> DarkroomError:
    """Returns why a file is set aside whose picture was forgotten; it says nothing of the picture."""
    return Conflict(
        "image.forgotten",
        "This picture was forgotten on {on} and is not taken in again.",
        do="Delete the file; or, if it may come back: darkroom image remember {id}",
        on=f"{tombstone.at:%Y-%m-%d}",
        id=tombstone.image_id[:12],
    )


def _upright_size(image: Image) -> tuple[int, int]:
    turned = image.camera.orientation >= 5
    return (image.height_px, image.width_px) if turned else (image.width_px, image.height_px)
