"""How well the outlines of masks are met: pixels of each outline with the other one near."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from darkroom.tasks.overlap import IGNORE

__all__ = ["outline_counts", "outlines", "tolerance_for"]

SHARE_OF_DIAGONAL = 0.0075
"""Source: Csurka, Larlus and Perronnin, What is a good evaluation measure for semantic segmentation?,
2013."""


def tolerance_for(height_px: int, width_px: int) -> int:
    """Returns how far an outline may lie off: 0.75 % of the diagonal, at least one pixel."""
    return max(1, round(SHARE_OF_DIAGONAL * math.hypot(height_px, width_px)))


def outlines(mask: np.ndarray) -> np.ndarray:
    """Returns the class of each pixel that touches another class above, below or beside, 255 elsewhere.

    The picture's edge is no outline, and neither is the edge of what is not said.

    Args:
        mask: (H, W) uint8 of class indices, 255 where nothing is said.
    """
    edge = np.zeros(mask.shape, bool)
    whole = slice(None)
    down = ((slice(-1), whole), (slice(1, None), whole))
    across = ((whole, slice(-1)), (whole, slice(1, None)))
    for first, second in (down, across):
        a, b = mask[first], mask[second]
        apart = (a != b) & (a != IGNORE) & (b != IGNORE)
        edge[first] |= apart
        edge[second] |= apart
    return np.where(edge, mask, np.uint8(IGNORE))


def outline_counts(mask: np.ndarray, answer: np.ndarray, classes: int, tolerance_px: int) -> np.ndarray:
    """Counts the pixels of outlines, (4, C) int64.

    The rows: outline of the class that is right, and of it what has the answer's outline near; outline that
    was answered, and of it what has the right outline near. Near: at most so many pixels away, straight.

    Args:
        mask: (H, W) uint8, what is right; 255 counts for nothing.
        answer: (H, W) uint8 of class indices.
        classes: how many classes there are.
        tolerance_px: how far two outlines may lie apart.
    """
    right = outlines(mask)
    given = outlines(np.where(mask == IGNORE, np.uint8(IGNORE), answer.astype(np.uint8)))
    rows = (right, _near(right, given, tolerance_px), given, _near(given, right, tolerance_px))
    return np.stack([np.bincount(row[row != IGNORE], minlength=classes)[:classes] for row in rows])


def _near(codes: np.ndarray, others: np.ndarray, tolerance_px: int) -> np.ndarray:
    """Returns the codes of the pixels that have their own class near among the others', (n,) uint8."""
    padded = np.pad(others, tolerance_px, constant_values=IGNORE)
    width = padded.shape[1]
    flat = padded.ravel()
    y, x = np.nonzero(codes != IGNORE)
    own = codes[y, x]
    places = (y + tolerance_px) * width + x + tolerance_px
    found = []
    for down, across in _offsets(tolerance_px):  # the nearest first: most are met at once
        if not len(places):
            break
        met = flat[places + down * width + across] == own
        found.append(own[met])
        places, own = places[~met], own[~met]
    return np.concatenate(found) if found else own[:0]


@cache
def _offsets(tolerance_px: int) -> tuple[tuple[int, int], ...]:
    reach = range(-tolerance_px, tolerance_px + 1)
    inside = [(y, x) for y in reach for x in reach if y * y + x * x <= tolerance_px**2]
    return tuple(sorted(inside, key=lambda place: place[0] ** 2 + place[1] ** 2))
