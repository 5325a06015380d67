"""Draw maps of numbers as pictures: warm where large, over a photo or side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["heat_colours", "heat_over", "tiles"]

ANCHORS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
"""Dark to light through violet, red and orange: told by brightness alone. Source: Matplotlib, "inferno", by
van der Walt and Smith, CC0; at 0, 1/4, 1/2, 3/4 and 1."""

OPACITY = 0.65
GAP_PX = 2
GAP = 255


def heat_colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns colours (..., 3) uint8 for values (...) from 0 to 1."""
    places = np.clip(values, 0, 1) * (len(ANCHORS) - 1)
    low = np.minimum(places.astype(np.int64), len(ANCHORS) - 2)
    share = (places - low)[..., None]
    return np.rint(ANCHORS[low] * (1 - share) + ANCHORS[low + 1] * share).astype(np.uint8)


def heat_over(picture: NDArray[np.uint8], values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns a picture with heat over it, (H, W, 3) uint8; where the heat is 0 the picture stays.

    Args:
        picture: (H, W, C) uint8, grey or RGB.
        values: (H, W), 0 to 1.
    """
    share = (OPACITY * np.clip(values, 0, 1))[..., None]
    return np.rint(picture * (1 - share) + heat_colours(values) * share).astype(np.uint8)


def tiles(
    maps: Sequence[NDArray[np.floating]], *, columns: int = 8, least_px: int = 48
) -> NDArray[np.uint8]:
    """Returns maps side by side, each from its own least to its own largest value, (H, W, 3) uint8.

    Args:
        maps: of one size (h, w).
        columns: how many in a row.
        least_px: small maps are enlarged, each value to a square, to about this side.
    """
    height, width = maps[0].shape
    times = max(1, least_px // max(height, width))
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    cell = (height * times + GAP_PX, width * times + GAP_PX)
    sheet = np.full((rows * cell[0] - GAP_PX, columns * cell[1] - GAP_PX, 3), GAP, np.uint8)
    for place, one in enumerate(maps):
        low, high = float(one.min()), float(one.max())
        even = (one - low) / (high - low) if high > low else np.zeros_like(one)
        drawn = heat_colours(even).repeat(times, 0).repeat(times, 1)
        top, left = place // columns * cell[0], place % columns * cell[1]
        sheet[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return sheet
