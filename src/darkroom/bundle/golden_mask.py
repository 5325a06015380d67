"""What a model for masks answers to a golden vector: the whole mask, and the probabilities of some pixels.

All probabilities of all pixels would make a bundle many times as large as its model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GoldenMask"]

SIDE = 8
"""Pixels along each side whose probabilities are kept, spread evenly."""


@dataclass(frozen=True)
class GoldenMask:
    """The mask that a model answers, and the probabilities of some of its pixels."""

    mask: NDArray[np.uint8]
    """(h, w) uint8: the class of each pixel."""
    places: NDArray[np.int64]
    """(P, 2) row and column of some pixels."""
    probabilities: NDArray[np.float32]
    """(P, classes) of these pixels."""

    @classmethod
    def of(cls, probabilities: NDArray[np.floating[Any]]) -> GoldenMask:
        """Makes it of all probabilities, (h, w, classes)."""
        height, width, _ = probabilities.shape
        rows, columns = (
            np.unique((2 * np.arange(SIDE) + 1) * side // (2 * SIDE)) for side in (height, width)
        )
        places = np.array([(row, column) for row in rows for column in columns], np.int64)
        chosen = probabilities[places[:, 0], places[:, 1]].astype(np.float32)
        return cls(probabilities.argmax(axis=-1).astype(np.uint8), places, chosen)

    def apart(self, probabilities: NDArray[np.floating[Any]]) -> tuple[int, float]:
        """Holds other probabilities (h, w, classes) against it.

        Returns:
            How many pixels they answer otherwise, and the largest difference of a probability that is kept;
            not a number where there is one among them.
        """
        found = probabilities[self.places[:, 0], self.places[:, 1]]
        differing = int(np.count_nonzero(probabilities.argmax(axis=-1) != self.mask))
        return differing, float(np.abs(found - self.probabilities).max())

    def write(self, folder: Path, name: str) -> dict[str, Any]:
        """Writes `<name>.mask`, a byte per pixel; returns what the index says of it."""
        (folder / f"{name}.mask").write_bytes(self.mask.tobytes())
        pixels = [
            [int(row), int(column), *map(float, values)]
            for (row, column), values in zip(self.places, self.probabilities, strict=True)
        ]
        return {"mask": f"{name}.mask", "pixels": pixels}

    @classmethod
    def read(cls, folder: Path, entry: dict[str, Any], size_px: tuple[int, int]) -> GoldenMask:
        """Reads what `write` wrote.

        Args:
            folder: where it lies.
            entry: what the index says.
            size_px: height and width of the mask.

        Raises:
            ValueError: the mask is of another size, or the pixels do not lie in it.
        """
        mask = np.frombuffer((folder / Path(entry["mask"]).name).read_bytes(), np.uint8)
        if mask.size != size_px[0] * size_px[1]:
            raise ValueError(f"{entry['mask']} has {mask.size} bytes for {size_px[1]}×{size_px[0]} pixels")
        rows = np.array(entry["pixels"], np.float64)
        places = rows[:, :2].astype(np.int64)
        if (places < 0).any() or (places >= np.array(size_px)).any():
            raise ValueError(f"a pixel of {entry['mask']} lies outside of it")
        return cls(mask.reshape(size_px), places, rows[:, 2:].astype(np.float32))
