"""The enhancement steps of the contract, in integers, on a tensor (h, w, c) uint8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENHANCEMENTS"]

Pixels = NDArray[np.uint8]


def invert(pixels: Pixels) -> Pixels:
    """Returns 255 − p."""
    return np.invert(pixels)


def autocontrast(pixels: Pixels) -> Pixels:
    """Stretches each channel from its own smallest and largest value to 0..255, rounded half up.

    A channel of one value stays as it is. Padding counts as pixels.
    """
    table = np.empty(256, np.uint8)
    stretched = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        low, high = int(pixels[:, :, channel].min()), int(pixels[:, :, channel].max())
        if low == high:
            stretched[:, :, channel] = pixels[:, :, channel]
            continue
        span = high - low
        table[low : high + 1] = (np.arange(span + 1) * 510 + span) // (2 * span)
        stretched[:, :, channel] = table[pixels[:, :, channel]]
    return stretched


def median3(pixels: Pixels) -> Pixels:
    """Returns each channel's median of 3×3 pixels; beyond the edge the edge pixels repeat.

    Source: the median of nine is the median of three: the largest of the columns' smallest, the median
    of their medians, the smallest of their largest. J. L. Smith, "Implementing median filters in
    XC4000E FPGAs", 1996.
    """
    around = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    low, middle, high = _sorted_three(around[:-2], around[1:-1], around[2:])
    return _sorted_three(
        np.maximum(np.maximum(low[:, :-2], low[:, 1:-1]), low[:, 2:]),
        _sorted_three(middle[:, :-2], middle[:, 1:-1], middle[:, 2:])[1],
        np.minimum(np.minimum(high[:, :-2], high[:, 1:-1]), high[:, 2:]),
    )[1]


def dark_background(pixels: Pixels) -> Pixels:
    """Returns 255 − p where the outermost pixels are light: their mean over all channels is above 127.5."""
    rim = (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1])
    if pixels.shape[0] == 1 or pixels.shape[1] == 1:
        rim = (pixels,)
    total = sum(int(part.sum(dtype=np.int64)) for part in rim)
    return invert(pixels) if 2 * total > 255 * sum(part.size for part in rim) else pixels


def _sorted_three(a: Pixels, b: Pixels, c: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    small, large = np.minimum(a, b), np.maximum(a, b)
    return np.minimum(small, c), np.maximum(small, np.minimum(large, c)), np.maximum(large, c)


ENHANCEMENTS: dict[str, Callable[[Pixels], Pixels]] = {
    "invert": invert,
    "autocontrast": autocontrast,
    "median3": median3,
    "dark_background": dark_background,
}
