"""Where the pixels of a tensor lie on the upright photo: the geometry of the contract, forth and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.records import Contract

__all__ = ["Transform", "transform_of"]


@dataclass(frozen=True, slots=True)
class Transform:
    """The box cut from the upright photo, the size it is brought to, and its place in the tensor.

    A pixel i covers [i, i + 1), so that its middle is i + 0.5.
    """

    width_px: int
    """Width of the upright photo."""
    height_px: int
    """Height of the upright photo."""
    crop_left_px: int
    crop_top_px: int
    crop_width_px: int
    crop_height_px: int
    """The box that is kept, on the upright photo."""
    resized_width_px: int
    resized_height_px: int
    """What the two passes make of the box."""
    pad_left_px: int
    pad_top_px: int
    """Where that lies in the tensor."""
    tensor_width_px: int
    tensor_height_px: int
    orientation: int = 1
    """EXIF orientation that was applied to make the photo upright."""

    @property
    def crop_box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the box that is kept, on the upright photo."""
        left, top = self.crop_left_px, self.crop_top_px
        return (left, top, left + self.crop_width_px, top + self.crop_height_px)

    @property
    def tensor_box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is not padding, in the tensor."""
        left, top = self.pad_left_px, self.pad_top_px
        return (left, top, left + self.resized_width_px, top + self.resized_height_px)

    def to_original(self, x: float, y: float) -> tuple[float, float]:
        """Maps a point of the tensor onto the upright photo; padding lies outside of `crop_box`."""
        return (
            self.crop_left_px + (x - self.pad_left_px) * self.crop_width_px / self.resized_width_px,
            self.crop_top_px + (y - self.pad_top_px) * self.crop_height_px / self.resized_height_px,
        )

    def to_tensor(self, x: float, y: float) -> tuple[float, float]:
        """Maps a point of the upright photo into the tensor; it may lie outside."""
        return (
            self.pad_left_px + (x - self.crop_left_px) * self.resized_width_px / self.crop_width_px,
            self.pad_top_px + (y - self.crop_top_px) * self.resized_height_px / self.crop_height_px,
        )

    def mask_to_original(self, mask: NDArray[np.integer], *, outside: int = 0) -> NDArray[np.integer]:
        """Lays a mask of the tensor's size on the upright photo, each pixel from its nearest.

        Args:
            mask: class per pixel, (h, w).
            outside: class of the pixels that the contract cut off.

        Returns:
            Class per pixel of the upright photo, (H, W), of the mask's type.
        """
        rows = _nearest(self.crop_height_px, self.resized_height_px) + self.pad_top_px
        columns = _nearest(self.crop_width_px, self.resized_width_px) + self.pad_left_px
        left, top, right, bottom = self.crop_box
        whole = np.full((self.height_px, self.width_px), outside, mask.dtype)
        whole[top:bottom, left:right] = mask[rows[:, None], columns]
        return whole

    def mask_to_tensor(self, mask: NDArray[np.integer], *, outside: int = 0) -> NDArray[np.integer]:
        """Brings a mask of the upright photo's size to the tensor, each pixel from its nearest.

        Args:
            mask: class per pixel, (H, W).
            outside: class of the padding.

        Returns:
            Class per pixel of the tensor, (h, w), of the mask's type.
        """
        rows = _nearest(self.resized_height_px, self.crop_height_px) + self.crop_top_px
        columns = _nearest(self.resized_width_px, self.crop_width_px) + self.crop_left_px
        left, top, right, bottom = self.tensor_box
        whole = np.full((self.tensor_height_px, self.tensor_width_px), outside, mask.dtype)
        whole[top:bottom, left:right] = mask[rows[:, None], columns]
        return whole


def transform_of(width_px: int, height_px: int, contract: Contract, *, orientation: int = 1) -> Transform:
    """Lays out the contract's geometry for a photo.

    Args:
        width_px: width of the upright photo.
        height_px: height of the upright photo.
        contract: what is asked for.
        orientation: EXIF orientation that made the photo upright; only kept.
    """
    across, down = contract.width_px, contract.height_px
    if width_px * down > height_px * across:
        kept_width, resized_height = _long_side(contract.resize, width_px, height_px, across, down)
        kept_height, resized_width = height_px, across
    else:
        kept_height, resized_width = _long_side(contract.resize, height_px, width_px, down, across)
        kept_width, resized_height = width_px, down
    return Transform(
        width_px=width_px,
        height_px=height_px,
        crop_left_px=(width_px - kept_width) // 2,
        crop_top_px=(height_px - kept_height) // 2,
        crop_width_px=kept_width,
        crop_height_px=kept_height,
        resized_width_px=resized_width,
        resized_height_px=resized_height,
        pad_left_px=(across - resized_width) // 2,
        pad_top_px=(down - resized_height) // 2,
        tensor_width_px=across,
        tensor_height_px=down,
        orientation=orientation,
    )


def _long_side(mode: str, long: int, short: int, to_long: int, to_short: int) -> tuple[int, int]:
    """Returns how much of the side that is too long is kept, and what the other side becomes.

    Source: crop, fill and half_crop as in NVIDIA DIGITS, whose half_crop divides both sides by the mean
    of long / to_long and short / to_short; here rounded once, half up, in integers.
    """
    if mode == "crop":
        return max(1, _ratio(short * to_long, to_short)), to_short
    if mode == "fill":
        return long, max(1, _ratio(short * to_long, long))
    if mode == "half_crop":
        both = long * to_short + short * to_long
        kept, becomes = _ratio(both, 2 * to_short), _ratio(2 * to_long * to_short * short, both)
        return max(1, kept), max(1, becomes)
    return long, to_short


def _ratio(dividend: int, divisor: int) -> int:
    """Returns dividend / divisor, rounded to the nearest, halves up."""
    return (2 * dividend + divisor) // (2 * divisor)


def _nearest(count: int, of: int) -> NDArray[np.int64]:
    """Returns for each of `count` pixels the pixel, of `of`, that its middle lies in."""
    return (2 * np.arange(count) + 1) * of // (2 * count)
