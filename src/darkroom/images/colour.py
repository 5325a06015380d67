"""Colour: an embedded profile to sRGB, transparent pixels onto a colour, grey, and RGB from grey."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, cast

import numpy as np
from PIL import Image

__all__ = ["flatten", "grey_of", "in_colour", "in_srgb"]

_IS_SRGB = re.compile(r"\bs\s?RGB\b", re.IGNORECASE)
_SPACES = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}

APPLIED = "colour profile applied: {name}"
UNUSABLE = "colour profile ignored: {why}"


def in_srgb(image: Image.Image, profile: bytes = b"") -> tuple[Image.Image, tuple[str, ...]]:
    """Returns an 8-bit picture as L, RGB or RGBA in sRGB, and notes.

    Args:
        image: mode L, LA, RGB, RGBA or CMYK.
        profile: its embedded ICC profile; empty where it has none.
    """
    notes: tuple[str, ...] = ()
    if profile:
        converter, note = _converter(profile, image.mode)
        notes = (note,) if note else ()
        if converter is not None:
            image = _convert(image, converter)
    if image.mode == "CMYK":
        return image.convert("RGB"), notes
    return (image.convert("RGBA") if image.mode == "LA" else image), notes


def flatten(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Lays a picture on a colour: per channel, p·a + b·(255 − a) over 255, rounded to the nearest.

    Pillow's paste computes exactly that in integers: t = p·a + b·(255 − a) + 128; (t + (t >> 8)) >> 8.
    """
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, colour)
    ground.paste(image, mask=image)
    return ground


def in_colour(image: Image.Image, colour: str) -> Image.Image:
    """Returns a flat picture as "rgb" or "grey".

    Source: ITU-R BT.601 luma in 16-bit fixed point, (19595·R + 38470·G + 7471·B + 32768) >> 16.
    """
    mode = "L" if colour == "grey" else "RGB"
    return image if image.mode == mode else image.convert(mode)


def grey_of(colour: tuple[int, int, int]) -> int:
    """Returns the grey of one colour, as `in_colour` does for pixels."""
    red, green, blue = colour
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


@lru_cache(maxsize=16)
def _converter(profile: bytes, mode: str) -> tuple[Any, str]:
    """Returns what turns pixels of a mode into sRGB (None: they stay), and a note."""
    from PIL import ImageCms

    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        name = ImageCms.getProfileDescription(own).strip()
        space = cast(Any, own.profile).xcolor_space
        if space != _SPACES[mode]:
            return None, UNUSABLE.format(why=f"it is for {space.strip()}, the pixels are {mode}")
        if _IS_SRGB.search(name):
            return None, ""
        pixels = mode.removesuffix("A")
        # For 256 greys the exact way is affordable; the usual one interpolates, ten levels off in shadows.
        flags = ImageCms.Flags.NOOPTIMIZE if pixels == "L" else ImageCms.Flags.NONE
        intent = ImageCms.Intent.PERCEPTUAL
        transform = ImageCms.buildTransform(own, _srgb(), pixels, "RGB", intent, flags)
        found = _grey_table(transform) if pixels == "L" else transform
        return found, APPLIED.format(name=name or "unnamed")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        return None, UNUSABLE.format(why=error)


@cache
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def _grey_table(transform: Any) -> list[int]:
    """Returns the sRGB grey of each of the 256 greys of a profile."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return list(transform.apply(ramp).convert("L").tobytes())


def _convert(image: Image.Image, converter: Any) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    if isinstance(converter, list):
        return image.point(converter + list(range(256)) * (alpha is not None))
    result = converter.apply(image.convert("RGB") if alpha is not None else image)
    if alpha is not None:
        result.putalpha(alpha)
    return result
