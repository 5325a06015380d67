"""From encoded bytes to 8-bit pixels in sRGB; docs/contract.md states one outcome for each kind of file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.images.colour import in_srgb
from darkroom.images.layout import in_8_bits
from darkroom.images.opening import MAX_PIXELS, opened
from darkroom.images.orientation import orientation_of

__all__ = ["Decoded", "decode"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture in sRGB, as it lies in the file: its orientation is not yet applied."""

    image: Image.Image
    """Mode "L", "RGB" or "RGBA" (alpha not premultiplied)."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    notes: tuple[str, ...] = ()
    """What decoding left out or changed: a colour profile applied, a gamma ignored, …"""

    @classmethod
    def from_pixels(cls, pixels: NDArray[np.uint8], *, orientation: int = 1) -> Decoded:
        """Takes pixels that were decoded elsewhere.

        Args:
            pixels: (H, W), or (H, W, C) with C of 1, 3 or 4; uint8, sRGB, alpha not premultiplied.
            orientation: EXIF orientation that is still to be applied.
        """
        flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        return cls(Image.fromarray(np.ascontiguousarray(flat)), orientation)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels, (H, W, C) uint8: C is 1 for grey, 3 for RGB, 4 for RGBA."""
        return pixels_of(self.image)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decodes a picture.

    Args:
        data: the encoded bytes.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        InvalidImage: the bytes are no picture, are broken or cut short, or hold too many pixels.
        Unsupported: a picture of a kind that is known and not read here.
    """
    with opened(data, max_pixels=max_pixels) as image:
        return decoded(image, data)


def decoded(image: Image.Image, data: bytes) -> Decoded:
    """Decodes a picture that is open; call it inside `opened`.

    Args:
        image: the open picture.
        data: the bytes it was opened from.
    """
    image.load()
    orientation = orientation_of(image)
    info: dict[Any, Any] = image.info
    eight, notes = in_8_bits(image, data)
    profile = info.get("icc_profile")
    result, note = in_srgb(eight, profile if isinstance(profile, bytes) else b"")
    return Decoded(result, orientation, notes + note)


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Returns a picture's pixels as a writable array, (H, W, C) uint8."""
    pixels = np.array(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
