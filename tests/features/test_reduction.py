"""Features made short: the axes of largest variance, in memory that does not grow with the pictures."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from darkroom.features.pixels import PixelVectors
from darkroom.features.reduction import LARGE_BYTES, reduced


class Made:
    """Vectors that are made when they are asked for, so that they fill no memory."""

    def __init__(self, count: int, size: int, classes: int = 4) -> None:
        self._count, self.size = count, size
        self._middles = np.random.default_rng(0).normal(size=(classes, size)).astype(np.float32)

    def __len__(self) -> int:
        return self._count

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        noise = np.random.default_rng(int(indices[0])).normal(size=(len(indices), self.size))
        return (self._middles[indices % len(self._middles)] + 0.5 * noise).astype(np.float32)


class Fixed:
    """Vectors in memory."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self.size = rows.astype(np.float32), rows.shape[1]

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._rows[indices]


def test_kept_axes_hold_the_largest_variance_of_unit_vectors(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 12)) @ np.diag(np.linspace(3, 0.1, 12))
    found = reduced(Fixed(rows), tmp_path, axes=5)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    _, lengths, directions = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    expected = (unit - unit.mean(0)) @ directions[:5].T
    expected /= np.sqrt((lengths[:5] ** 2).sum() / len(rows))
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-4)
    assert (found**2).sum(1).mean() == pytest.approx(1)


def test_few_vectors_of_many_numbers_give_the_same_distances(tmp_path: Path) -> None:
    rows = np.random.default_rng(4).normal(size=(30, 40)).astype(np.float32)
    found = reduced(Fixed(rows), tmp_path, axes=64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scale = np.sqrt(((unit - unit.mean(0)) ** 2).sum(1).mean())
    expected = np.linalg.norm(unit[:, None] - unit[None], axis=2) / scale
    assert np.linalg.norm(found[:, None] - found[None], axis=2) == pytest.approx(expected, abs=1e-4)


def test_fewer_numbers_than_axes_are_all_kept(tmp_path: Path) -> None:
    assert reduced(Fixed(np.eye(6)[:, :3] + 1), tmp_path).shape == (6, 3)


def test_a_hundred_thousand_vectors_fill_no_more_memory_than_twenty_thousand(tmp_path: Path) -> None:
    peaks = []
    for count in (20_000, 100_000):
        assert LARGE_BYTES < 4 * 100_000 * 96
        tracemalloc.start()
        found = reduced(Made(count, 96), tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.shape == (count, 96)
    in_memory = 4 * 20_000 * 96  # the smaller array is kept in memory, the larger one in a file
    assert peaks[1] < peaks[0] + 1_000_000
    assert peaks[1] < 30_000_000 + in_memory


class Pictures:
    def __init__(self, tensors: np.ndarray) -> None:
        self._tensors = tensors
        self.image_ids = tuple(map(str, range(len(tensors))))

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._tensors[indices]


def test_pixels_are_averaged_to_28_px_or_less() -> None:
    tensors = np.random.default_rng(2).integers(0, 256, (3, 57, 40, 3), dtype=np.uint8)
    vectors = PixelVectors(Pictures(tensors))
    assert vectors.size == 19 * 14 * 3
    first = vectors.gather(np.array([1]))[0].reshape(19, 14, 3)
    assert first[0, 0] == pytest.approx(tensors[1, :3, :3].mean((0, 1)) / 255, abs=1e-5)


def test_small_pictures_stay_as_they_are() -> None:
    tensors = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    assert np.allclose(PixelVectors(Pictures(tensors)).gather(np.arange(2)), tensors.reshape(2, -1) / 255)
