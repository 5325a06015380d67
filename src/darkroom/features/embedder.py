"""What the store asks for: something that computes features, and the pictures to compute them from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from darkroom.features.key import FeatureKey

__all__ = ["Embedder", "Pictures"]


class Embedder(Protocol):
    """Computes features; `darkroom.networks.embedder` holds the one that uses torch."""

    @property
    def key(self) -> FeatureKey:
        """What decides its vectors."""
        ...

    @property
    def batch_size(self) -> int:
        """Pictures that it wants at a time."""
        ...

    def embed(self, images: np.ndarray, image_ids: Sequence[str]) -> np.ndarray:
        """Returns features (n, size) float32.

        Args:
            images: (n, H, W, C) uint8, as the contract makes them; they are done with when it returns.
            image_ids: ids of the n pictures, for views that differ from picture to picture.
        """
        ...


class Pictures(Protocol):
    """Pictures as tensors; a rendered split is one."""

    @property
    def image_ids(self) -> Sequence[str]:
        """Ids of the N pictures: the sha256 of each file."""
        ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8 for the indices (n,), in `out` when it is given."""
        ...
