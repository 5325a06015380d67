"""Open encoded pictures within limits; whatever goes wrong becomes one clear error, never a warning."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import AvifImagePlugin, Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from darkroom.errors import DarkroomError, InvalidImage, Unsupported

__all__ = ["FORMATS", "MAX_PIXELS", "MAX_SIDE_PX", "opened"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""Containers that are read; a second picture inside a JPEG (MPO) is left out. Others never reach Pillow."""

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded. Pillow itself refuses from 178,956,970 on."""

MAX_SIDE_PX = 65_535
"""Longest side, as in JPEG: a picture one pixel wide must not grow into gigabytes between two passes."""

# Registered by being imported: otherwise Pillow loads every plugin it has, on the first file.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

# Pillow logs some defects; without any handler Python would print them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_OTHER_KINDS = {
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"<svg": "SVG",
    b"\x00\x00\x01\x00": "Windows icon",
}
_OURS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")


@contextmanager
def opened(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Gives the picture, opened and not yet decoded.

    Raises:
        InvalidImage: the bytes are no picture, are broken or cut short, or hold too many pixels; also
            when that shows only inside the block.
        Unsupported: a picture of a kind that is known and not read here.
    """
    _refuse_unread(data)
    with _quiet():
        try:
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                _check_size(image, max_pixels)
                yield image
        except DarkroomError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(_first_number(error), max_pixels) from None
        except UnidentifiedImageError:
            raise _unidentified(data) from None
        # A broken file can raise nearly anything inside Pillow's plugins: struct.error, IndexError, …
        except Exception as error:
            raise _broken(error) from error


def _refuse_unread(data: bytes) -> None:
    if not data:
        raise InvalidImage(
            "image.empty",
            "The picture file is empty (0 bytes).",
            do="Fetch it again, or delete it.",
        )
    if data[4:8] == b"ftyp":
        _refuse_heic(_brands(data))
    head = data[:256].lstrip()
    for magic, kind in _OTHER_KINDS.items():
        if data.startswith(magic) or (magic.startswith(b"<") and magic in head[:200]):
            raise Unsupported(
                "image.kind-not-read",
                "{kind} pictures are not read here.",
                do="Convert it to PNG or JPEG first.",
                kind=kind,
            )


def _brands(data: bytes) -> set[bytes]:
    """Returns the brands of an ISO media file: the major one and those it is compatible with."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[8:12]} | {data[at : at + 4] for at in range(16, end - 3, 4)}


def _refuse_heic(brands: set[bytes]) -> None:
    if brands & _AVIF_BRANDS:
        if not AvifImagePlugin.SUPPORTED:
            raise Unsupported(
                "image.avif-not-built-in",
                "This installation of Pillow cannot read AVIF pictures.",
                do="Install Pillow's own wheel: pip install --upgrade pillow",
            )
    elif brands & _HEIC_BRANDS:
        raise Unsupported(
            "image.heic",
            "HEIC pictures (an iPhone's default) are not read here.",
            do="Convert it to JPEG first, or set the camera to its most compatible format.",
        )


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width_px, height_px = image.size
    if width_px < 1 or height_px < 1:
        raise ValueError(f"a picture of {width_px}×{height_px} pixels")
    if width_px * height_px > max_pixels:
        raise _too_large(width_px * height_px, max_pixels)
    if max(width_px, height_px) > MAX_SIDE_PX:
        raise InvalidImage(
            "image.too-long",
            "The picture has {width_px}×{height_px} pixels; a side may have {limit} at most.",
            do="Cut it into pieces, or scale it down first.",
            width_px=width_px,
            height_px=height_px,
            limit=MAX_SIDE_PX,
        )


def _too_large(pixels: int, max_pixels: int) -> InvalidImage:
    return InvalidImage(
        "image.too-large",
        "The picture has {pixels:,} pixels; the limit is {limit:,}. It was not decoded.",
        do="Scale it down first, or raise the limit: DARKROOM_MAX_PIXELS={pixels} (178956970 at most).",
        pixels=pixels,
        limit=max_pixels,
    )


def _first_number(error: Exception) -> int:
    found = re.search(r"\d+", str(error))
    return int(found[0]) if found else 0


def _unidentified(data: bytes) -> InvalidImage:
    if data.startswith(_OURS):
        return _broken("its header makes no sense")
    return InvalidImage(
        "image.not-a-picture",
        "This is no picture: it begins with {begin!r}. Read: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF.",
        do="Delete it from the folder, or convert it to PNG or JPEG.",
        begin=data[:12],
    )


def _broken(reason: object) -> InvalidImage:
    return InvalidImage(
        "image.broken",
        "The picture is broken or cut short: {reason}.",
        do="Fetch it again, or delete it.",
        reason=str(reason).rstrip(".") or type(reason).__name__,
    )


class _Quiet:
    """Silences Pillow's warnings while any thread is inside; `warnings` alone is not safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|darkroom\.images)(\.|$)")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._kept.__exit__(None, None, None)


_SILENCE = _Quiet()


@contextmanager
def _quiet() -> Iterator[None]:
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()
