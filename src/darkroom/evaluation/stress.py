"""Pictures as they might come in use: moved, blurred, light and dark swapped, recoloured.

The changes are made to the tensors that the contract gives, and each is the same for every picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from darkroom.tasks.overlap import IGNORE

__all__ = [
    "STRESSES",
    "Stress",
    "Stressed",
    "blurred",
    "inverted",
    "recoloured",
    "shifted",
    "spoken_stress",
]

Stress = Literal["shift", "blur", "inverted", "recoloured"]
"""A way in which pictures are changed."""

SHIFT = 8
"""Pictures are moved by one of so many parts of each side."""

BLUR = 28
"""The blur's standard deviation is one of so many parts of the shorter side, at least `LEAST_BLUR_PX`."""

LEAST_BLUR_PX = 0.7

ROWS = 64
"""Pictures that are blurred together."""


def shifted(images: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, C) moved right and down by an eighth; what comes in is the edge, again."""
    down, right = _shift_of(images)
    around = ((0, 0), (down, 0), (right, 0), (0, 0))
    return np.pad(images, around, mode="edge")[:, : images.shape[1], : images.shape[2]]


def blurred(images: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, C) uint8 blurred by a Gaussian; the edge is repeated around them."""
    sigma = max(LEAST_BLUR_PX, min(images.shape[1:3]) / BLUR)
    reach = math.ceil(3 * sigma)
    weights = np.exp(-np.square(np.arange(-reach, reach + 1) / sigma) / 2).astype(np.float32)
    weights /= weights.sum()
    found = np.empty_like(images)
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS].astype(np.float32)
        for axis in (1, 2):
            part = _smoothed(part, weights, axis)
        found[start : start + ROWS] = np.rint(part).clip(0, 255).astype(np.uint8)
    return found


def inverted(images: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, C) uint8 with light and dark swapped."""
    return 255 - images


def recoloured(images: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, C) uint8 in other colours: each channel takes the next one's place.

    Grey pictures become paler: black and white move half of the way to middle grey.
    """
    if images.shape[3] == 3:
        return np.ascontiguousarray(np.roll(images, -1, axis=3))
    return (64 + images // 2).astype(np.uint8)


STRESSES: dict[Stress, Callable[[np.ndarray], np.ndarray]] = {
    "shift": shifted,
    "blur": blurred,
    "inverted": inverted,
    "recoloured": recoloured,
}


def spoken_stress(name: Stress, channels: int = 3) -> str:
    """Returns in words what a change does."""
    if name == "recoloured" and channels != 3:
        return "paler: black and white half of the way to middle grey"
    return {
        "shift": f"moved right and down by 1/{SHIFT} of each side",
        "blur": f"Gaussian blur, standard deviation 1/{BLUR} of the shorter side",
        "inverted": "light and dark swapped",
        "recoloured": "red, green and blue exchanged in a ring",
    }[name]


class Stressed:
    """Images of a split, changed as they are read.

    Args:
        images: what `datasets` renders of the split.
        name: how they are changed.
    """

    def __init__(self, images: Any, name: Stress) -> None:
        self._images = images
        self._name: Stress = name
        self.image_ids: Sequence[str] = images.image_ids
        self.labels: np.ndarray = images.labels
        self.groups: Sequence[str | None] | None = images.groups

    def __len__(self) -> int:
        return len(self.image_ids)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns changed tensors (n, H, W, C) uint8."""
        plain = self._images.gather(indices, out=out)
        changed = STRESSES[self._name](plain)
        if out is None:
            return changed
        out[...] = changed
        return out

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns masks (n, H, W) uint8 that go with them; of what came in from outside nothing is said."""
        masks = self._images.gather_masks(indices, out=out)
        if self._name != "shift":
            return masks
        down, right = _shift_of(masks)
        moved = np.full_like(masks, IGNORE)
        moved[:, down:, right:] = masks[:, : masks.shape[1] - down, : masks.shape[2] - right]
        if out is None:
            return moved
        out[...] = moved
        return out


def _shift_of(images: np.ndarray) -> tuple[int, int]:
    return max(1, images.shape[1] // SHIFT), max(1, images.shape[2] // SHIFT)


def _smoothed(images: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Returns images (N, H, W, C) float32 smoothed along one axis."""
    reach = len(weights) // 2
    around = [(reach, reach) if at == axis else (0, 0) for at in range(4)]
    padded = np.pad(images, around, mode="edge")
    found = np.zeros_like(images)
    for step, weight in enumerate(weights.tolist()):
        part = [slice(None)] * 4
        part[axis] = slice(step, step + images.shape[axis])
        found += weight * padded[tuple(part)]
    return found
