"""Measure a picture: a row of numbers from the contract's tensor and from the size that the photo had.

Each number is made such that it answers to one kind of change and hardly to others: what stands on the
picture is measured relative to its own background and contrast, so that a lighter or inverted picture has
strokes as thick, and as far from the middle, as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.domain.properties import PROPERTIES
from darkroom.images import Transform

__all__ = ["measure", "measure_all"]

Grey = NDArray[np.float32]

FLAT = 2.0
"""Below this contrast, in levels of 255, nothing stands on a picture."""

RING_SHARE = 1 / 16
"""The outermost part of the sides that is taken for background."""

EDGE_OF_MASK = (0.25, 0.75)
"""Share of the contrast at which a pixel begins to belong to what stands on the background, and does."""

OUTERMOST = 0.01
"""Share of what stands on a picture that its size leaves out at each end: specks do not make it larger."""


def measure(tensor: NDArray[np.uint8], photo: Transform | None = None) -> NDArray[np.float64]:
    """Returns one number per property, in the order of PROPERTIES; NaN for what cannot be measured.

    Args:
        tensor: (H, W, C) uint8, as the contract makes it.
        photo: the geometry of the contract for the photo; None where only the tensor is known.
    """
    grey = _grey_of(tensor)
    counts = np.bincount(grey.ravel(), minlength=256)
    dark, middle, light = (_quantile(counts, share) for share in (0.01, 0.5, 0.99))
    found = {"brightness": middle, "contrast": light - dark, "noise": _noise(grey)}
    if light - dark >= FLAT:
        values = grey.astype(np.float32)
        found["sharpness"] = _steepness(values) / (light - dark)
        found |= _standing(values, dark, light)
    if tensor.shape[2] == 3:
        found |= _colours(tensor)
    if photo is not None:
        found |= _of_photo(photo)
    return np.array([found.get(one.name, math.nan) for one in PROPERTIES], np.float64)


def measure_all(
    tensors: NDArray[np.uint8], photos: Sequence[Transform | None] | None = None
) -> NDArray[np.float64]:
    """Returns (N, properties) for (N, H, W, C) uint8."""
    places = photos or [None] * len(tensors)
    rows = [measure(tensor, photo) for tensor, photo in zip(tensors, places, strict=True)]
    return np.stack(rows) if rows else np.empty((0, len(PROPERTIES)))


def _grey_of(tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns (H, W) uint8. Source: ITU-R BT.601, with the contract's integers."""
    if tensor.shape[2] == 1:
        return tensor[:, :, 0]
    weighted = tensor.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((weighted + 32768) >> 16).astype(np.uint8)


def _quantile(counts: NDArray[np.int64], share: float) -> float:
    """Returns the grey level below or at which a share of the pixels lies."""
    upto = np.cumsum(counts)
    return float(np.searchsorted(upto, share * upto[-1]))


def _noise(grey: NDArray[np.uint8]) -> float:
    """Returns the standard deviation of noise, in levels.

    The median takes no notice of lines and edges where these cover less than half of the picture.

    Source: the mask of Immerkær, Fast noise variance estimation, 1996; 0.6745 is the median of the absolute
        value of a standard normal number.
    """
    if min(grey.shape) < 3:
        return 0.0
    wide = grey.astype(np.int16)
    rows = wide[:-2] - 2 * wide[1:-1] + wide[2:]
    answers = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.median(np.abs(answers))) / (6 * 0.6745)


def _steepness(values: Grey) -> float:
    """Returns how steep the steepest hundredth of a picture is, in levels per pixel."""
    if min(values.shape) < 2:
        return 1.0
    down, across = np.diff(values, axis=0)[:, :-1], np.diff(values, axis=1)[:-1]
    return max(float(np.quantile(np.hypot(down, across), 0.99)), 1e-3)


def _standing(values: Grey, dark: float, light: float) -> dict[str, float]:
    """Measures background and foreground; the background is what the outermost pixels are."""
    background = min(max(float(np.median(_ring(values))), dark), light)
    polarity = (2 * background - dark - light) / (light - dark)
    below, above = background - dark, light - background
    distance = values - background if above >= below else background - values
    begins, ends = EDGE_OF_MASK
    mask = np.clip((distance / max(above, below) - begins) / (ends - begins), 0, 1)
    area = float(mask.sum())
    found = {"polarity": polarity}
    if area <= 0:
        return found
    height, width = mask.shape
    by_row, by_column = mask.sum(1), mask.sum(0)
    found["centre_x"] = float(by_column @ (np.arange(width) + 0.5)) / area / width - 0.5
    found["centre_y"] = float(by_row @ (np.arange(height) + 0.5)) / area / height - 0.5
    found["size"] = max(_extent(by_row), _extent(by_column))
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    down, across = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    edge = float(np.hypot(down, across).sum())
    if edge > 0:
        # A line of width w and length l covers w · l, and its two sides are 2 · l long. On pixels, a line
        # thinner than one of them is a fainter one; so the width is that of a line in full contrast.
        found["stroke"] = 2 * area / edge * (light - dark) / 255
    return found


def _ring(values: Grey) -> Grey:
    height, width = values.shape
    rim = max(1, round(min(height, width) * RING_SHARE))
    parts = (values[:rim], values[-rim:], values[rim:-rim, :rim], values[rim:-rim, -rim:])
    return np.concatenate([part.ravel() for part in parts])


def _extent(masses: Grey) -> float:
    """Returns the share of a side that all but the outermost parts of a mass take."""
    upto = np.cumsum(masses) / masses.sum()
    first, last = (int(np.searchsorted(upto, share)) for share in (OUTERMOST, 1 - OUTERMOST))
    return (last - first + 1) / len(masses)


def _colours(tensor: NDArray[np.uint8]) -> dict[str, float]:
    red, green, blue = tensor.reshape(-1, 3).mean(0, dtype=np.float64)
    channels = [tensor[:, :, place] for place in range(3)]
    strongest, weakest = (
        np.maximum(np.maximum(*channels[:2]), channels[2]),
        np.minimum(np.minimum(*channels[:2]), channels[2]),
    )
    return {
        "saturation": float((strongest - weakest).mean()),
        "red_green": float(red - green),
        "yellow_blue": float((red + green) / 2 - blue),
    }


def _of_photo(photo: Transform) -> dict[str, float]:
    kept = photo.crop_width_px * photo.crop_height_px
    becomes = photo.resized_width_px * photo.resized_height_px
    return {"pixels": math.sqrt(kept / becomes), "aspect": photo.width_px / photo.height_px}
