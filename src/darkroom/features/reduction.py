"""Make features short: the directions of largest variance, found and applied block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

__all__ = ["BLOCK_ROWS", "LARGE_BYTES", "MOST_AXES", "Vectors", "blocks", "reduced", "room_for"]

MOST_AXES = 128
"""Numbers that are kept of a vector."""

BLOCK_ROWS = 4096
"""Vectors in memory at a time."""

LARGE_BYTES = 32_000_000
"""A larger array lies in a file and is read as it is needed."""


class Vectors(Protocol):
    """One vector per picture; `FeatureTable` is one, `PixelVectors` another."""

    @property
    def size(self) -> int:
        """Numbers in one vector."""
        ...

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, size) float32 for the indices (n,)."""
        ...


def blocks(count: int, rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Yields slices that cover so many rows, some at a time."""
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def room_for(shape: tuple[int, int], scratch: Path, name: str) -> np.ndarray:
    """Returns an array float32 to be filled; a large one lies in a file of the scratch folder."""
    if 4 * shape[0] * shape[1] <= LARGE_BYTES:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", np.float32, shape)


def reduced(
    vectors: Vectors,
    scratch: Path,
    *,
    axes: int = MOST_AXES,
    on_done: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Returns vectors (N, A) float32 along the axes of largest variance, of mean squared length 1.

    Vectors are brought to length 1 and centred first. However many there are, the memory stays the same.

    Args:
        vectors: N vectors of E numbers.
        scratch: a folder for an array that is large.
        axes: how many numbers to keep at most.
        on_done: told how many vectors were read, of twice as many as there are.

    Source: Jolliffe, Principal component analysis, 2002, ch. 2; vectors of length 1 as in Sun et al.,
        Out-of-distribution detection with deep nearest neighbors, 2022.
    """
    count, size = len(vectors), vectors.size
    tell = on_done or (lambda done, total: None)
    if count <= size:
        return _few_reduced(vectors, axes)
    total, products = np.zeros(size), np.zeros((size, size))
    for part in blocks(count):
        rows = _unit(vectors, part)
        total += rows.sum(0, dtype=np.float64)
        products += rows.T @ rows
        tell(part.stop, 2 * count)
    centre = total / count
    lengths, directions = np.linalg.eigh(products / count - np.outer(centre, centre))
    order = np.argsort(-lengths)[: min(axes, size)]
    kept = float(np.maximum(lengths[order], 0).sum())
    along = (directions[:, order] / np.sqrt(max(kept, 1e-24))).astype(np.float32)
    middle = (centre @ along).astype(np.float32)
    out = room_for((count, along.shape[1]), scratch, "reduced")
    for part in blocks(count):
        out[part] = _unit(vectors, part) @ along - middle
        tell(count + part.stop, 2 * count)
    return out


def _few_reduced(vectors: Vectors, axes: int) -> np.ndarray:
    """Returns the same for fewer vectors than they have numbers, without products of all numbers."""
    rows = _unit(vectors, slice(0, len(vectors))).astype(np.float64)
    rows -= rows.mean(0)
    sides, lengths, _ = np.linalg.svd(rows, full_matrices=False)
    kept = sides[:, :axes] * lengths[:axes]
    return (kept / np.sqrt(max(float((kept**2).sum(1).mean()), 1e-24))).astype(np.float32)


def _unit(vectors: Vectors, part: slice) -> np.ndarray:
    rows = vectors.gather(np.arange(part.start, part.stop))
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
