"""Pixel layouts: every mode that a file can have becomes L, LA, RGB, RGBA or CMYK with 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from darkroom.errors import Unsupported

__all__ = ["in_8_bits"]

_PLAIN = {"L", "LA", "RGB", "RGBA", "CMYK"}
_BY_PILLOW = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA", "YCbCr": "RGB"}
"""Layouts whose conversion loses nothing but what cannot be seen."""

_PNG_DEPTH_AT = 24
"""Place of the bit depth in a PNG: signature, length, "IHDR", width, height."""

SRGB_GAMMA = 0.45455


def in_8_bits(image: Image.Image, data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Returns a loaded picture as L, LA, RGB, RGBA or CMYK, and notes on what was left out.

    Args:
        image: the loaded picture.
        data: the bytes it was opened from.

    Raises:
        Unsupported: values that are no picture for the eye: floating point, 32 bits, Lab.
    """
    notes = _gamma_note(image)
    if "transparency" in image.info and not _colour_key_counts(image, data):
        image.info.pop("transparency")
        notes = (*notes, "transparent colour ignored")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _high_byte(image), (*notes, "16 bits: the high byte of each value")
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB"), notes
    if "transparency" in image.info and image.mode in {"L", "RGB"}:
        return image.convert("RGBA" if image.mode == "RGB" else "LA"), notes
    return _plain(image), notes


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in _PLAIN:
        return image
    if image.mode not in _BY_PILLOW:
        raise Unsupported(
            "image.layout",
            "Pictures with pixels of layout {mode!r} are not read here.",
            do="Convert it to 8 bits per channel, grey or RGB.",
            mode=image.mode,
        )
    return image.convert(_BY_PILLOW[image.mode])


def _high_byte(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    return Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))


def _colour_key_counts(image: Image.Image, data: bytes) -> bool:
    """Tells whether a transparent colour is given in the units of the decoded pixels."""
    return image.format != "PNG" or image.mode == "P" or data[_PNG_DEPTH_AT] == 8


def _gamma_note(image: Image.Image) -> tuple[str, ...]:
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or abs(gamma - SRGB_GAMMA) < 0.001:
        return ()
    return (f"gamma {gamma:.5f} ignored",)
