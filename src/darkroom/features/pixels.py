"""The pixels themselves as features, made small: for pictures that no pretrained network knows."""

from __future__ import annotations

import numpy as np

from darkroom.features.embedder import Pictures

__all__ = ["PIXELS", "PixelVectors"]

PIXELS = "pixels"
"""Stands where a network is named."""

SIDE_PX = 28
"""Longest side to which a picture is averaged down."""


class PixelVectors:
    """The pixels of pictures, averaged down to 28 px or less; enough for drawn digits, not for photos.

    Args:
        pictures: the pictures; at least one.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        height, width, channels = pictures.gather(np.zeros(1, np.int64)).shape[1:]
        self._factor = max(1, -(-max(height, width) // SIDE_PX))
        self.size = -(-height // self._factor) * -(-width // self._factor) * channels

    def __len__(self) -> int:
        return len(self._pictures.image_ids)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, size) float32, 0..1."""
        out = np.empty((len(indices), self.size), np.float32) if out is None else out
        most = max(1, 16_000_000 // max(1, self.size * self._factor**2))
        for start in range(0, len(indices), most):
            part = slice(start, start + most)
            out[part] = self._small(self._pictures.gather(np.asarray(indices[part], np.int64)))
        return out

    def _small(self, tensors: np.ndarray) -> np.ndarray:
        count, height, width, channels = tensors.shape
        side = self._factor
        edge = ((0, 0), (0, -height % side), (0, -width % side), (0, 0))
        even = np.pad(tensors, edge, "edge") if (height % side or width % side) else tensors
        cells = even.reshape(count, even.shape[1] // side, side, even.shape[2] // side, side, channels)
        return cells.mean((2, 4), dtype=np.float32).reshape(count, -1) / 255
