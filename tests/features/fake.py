"""Pictures in memory and an embedder in plain numpy, for tests of the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darkroom.features import FeatureKey
from darkroom.records import Contract

CONTRACT = Contract(width_px=4, height_px=3)


def key(**changes: object) -> FeatureKey:
    """Returns a key of five numbers, changed as said."""
    facts = {
        "network": "sums",
        "weights_sha256": "a" * 64,
        "contract": CONTRACT,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "size": 5,
        "arithmetic": "numpy",
    }
    return FeatureKey.model_validate({**facts, **changes})


class Shots:
    """Pictures whose values follow from their number."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = np.asarray(numbers, np.int64)
        self.image_ids = [f"image-{number}" for number in numbers]

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        chosen = self.numbers[indices]
        images = np.empty((len(chosen), *CONTRACT.shape), np.uint8) if out is None else out
        images[:] = (chosen[:, None, None, None] * 7 + np.arange(36).reshape(CONTRACT.shape)) % 256
        return images


class Sums:
    """Features that anybody can check; counts the pictures that it was asked for."""

    def __init__(self, batch_size: int = 8, **changes: object) -> None:
        self.key = key(**changes)
        self.batch_size = batch_size
        self.asked: list[str] = []

    def embed(self, images: np.ndarray, image_ids: Sequence[str]) -> np.ndarray:
        self.asked += image_ids
        return expected(images)


def expected(images: np.ndarray) -> np.ndarray:
    """Returns what `Sums` gives: (n, 5) float32."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    columns = [flat.sum(1), flat.min(1), flat.max(1), flat[:, 0], np.sqrt(flat[:, 1])]
    return np.stack(columns, 1)
