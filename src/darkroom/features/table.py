"""Features of some images in the order in which they were asked for, read from the store's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from darkroom import atomic
from darkroom.features.part import Part

__all__ = ["FeatureTable"]

OPEN_PARTS = 64
"""Files that one table keeps mapped at a time; a process may have a few hundred open."""


class FeatureTable:
    """Vectors of N images; nothing is in memory but what is asked for.

    Args:
        image_ids: the N images.
        parts: the files that hold them.
        places: number of the file and of the row, by image.
        size: numbers in one vector.
        computed: how many of the N had to be computed for this table.
        hold: keeps the folder of the files from being cleaned away.
    """

    def __init__(
        self,
        image_ids: Sequence[str],
        parts: Sequence[Part],
        places: Mapping[str, tuple[int, int]],
        *,
        size: int,
        computed: int = 0,
        hold: atomic.Hold | None = None,
    ) -> None:
        self.image_ids = tuple(image_ids)
        self.size = size
        self.computed = computed
        self._parts, self._hold = parts, hold
        found = [places[image_id] for image_id in self.image_ids]
        self._places = np.array(found, np.int64).reshape(-1, 2)
        self._mapped = lru_cache(maxsize=OPEN_PARTS)(lambda number: parts[number].rows())

    def __len__(self) -> int:
        return len(self.image_ids)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copies vectors out of the files.

        Args:
            indices: (n,) of the images, each 0 … N − 1, in any order, repeated or not.
            out: (n, size) float32 to write into; a new array when not given.

        Returns:
            (n, size) float32: `out`.
        """
        places = self._places[np.asarray(indices, np.int64)]
        out = np.empty((len(places), self.size), np.float32) if out is None else out
        for number in np.unique(places[:, 0]).tolist():
            here = np.flatnonzero(places[:, 0] == number)
            out[here] = self._mapped(number)[places[here, 1]]
        return out

    @property
    def array(self) -> np.ndarray:
        """All vectors (N, size) float32, in memory."""
        return self.gather(np.arange(len(self)))
