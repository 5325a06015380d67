"""Do two samples come from one distribution? The kernel test, with a p-value by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["KernelTest", "kernel_test"]

PERMUTATIONS = 999
"""How often the samples are shuffled: the least p-value is 1 / 1000."""

AT_ONCE = 250
"""Shuffles whose sums are made together."""


class KernelTest(NamedTuple):
    """How far two samples lie apart."""

    squared: float
    """Estimate of the squared maximum mean discrepancy; about 0, or below, where nothing differs."""
    p_value: float
    """How likely a distance as large would be, if it were chance which picture lies in which sample."""
    units: int
    """What was shuffled: pictures, or whole groups of them."""


def kernel_test(
    first: np.ndarray,
    second: np.ndarray,
    groups: tuple[Sequence[str | None], Sequence[str | None]] | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> KernelTest:
    """Compares two samples of vectors.

    The kernel is exp(−d² / (2 s²)), s the median distance of the pooled sample. Pictures of one group are
    shuffled together.

    Args:
        first: (n, D) float, n at least 2.
        second: (m, D) float, m at least 2.
        groups: a name per picture of each sample, or none.
        permutations: how often to shuffle.
        seed: of shuffling.

    Source: Gretton, Borgwardt, Rasch, Schölkopf and Smola, A kernel two-sample test, 2012: eq. 3 (unbiased
        estimate) and sec. 8 (median distance, permutation); the p-value counts the observed arrangement:
        Phipson and Smyth, Permutation p-values should never be zero, 2010.
    """
    pooled = np.concatenate([first, second]).astype(np.float64)
    squares = _squared_distances(pooled)
    usual = float(np.median(squares[np.triu(np.ones(squares.shape, bool), 1)])) or 1.0
    kernel = np.exp(np.divide(squares, -2 * usual, out=squares), out=squares)
    np.fill_diagonal(kernel, 0.0)
    sizes = (len(first), len(second))
    inside = np.arange(len(pooled)) < sizes[0]
    observed = float(_estimates(kernel, inside[:, None])[0])
    codes, of_first = _units(sizes, groups)
    generator = np.random.default_rng(seed)
    reached = 0
    for start in range(0, permutations, AT_ONCE):
        count = min(AT_ONCE, permutations - start)
        drawn = np.stack([generator.permutation(of_first) for _ in range(count)], axis=1)
        reached += int((_estimates(kernel, drawn[codes]) >= observed - 1e-12).sum())
    return KernelTest(observed, (1 + reached) / (1 + permutations), len(of_first))


def _estimates(kernel: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns the estimate (P,) for arrangements (N, P) of bool; pairs of a picture with itself are out."""
    ours = inside.astype(np.float64)
    count = ours.sum(0)
    others = len(kernel) - count
    sums = kernel @ ours
    within = (ours * sums).sum(0)
    across = sums.sum(0) - within
    rest = kernel.sum() - within - 2 * across
    first = within / np.maximum(count * (count - 1), 1)
    second = rest / np.maximum(others * (others - 1), 1)
    return first + second - 2 * across / np.maximum(count * others, 1)


def _squared_distances(rows: np.ndarray) -> np.ndarray:
    lengths = (rows**2).sum(1)
    found = lengths[:, None] + lengths[None, :]
    found -= 2 * rows @ rows.T
    return np.maximum(found, 0, out=found)


def _units(
    sizes: tuple[int, int], groups: tuple[Sequence[str | None], Sequence[str | None]] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the unit (N,) of each picture, and for each unit whether it lies in the first sample."""
    names: list[str] = []
    for side, size in enumerate(sizes):
        own = groups[side] if groups is not None else [None] * size
        names += [f"{side}g{name}" if name else f"{side}i{place}" for place, name in enumerate(own)]
    found, codes = np.unique(np.array(names), return_inverse=True)
    return codes.reshape(-1), np.array([name.startswith("0") for name in found])
