"""Do two samples come from one distribution? The kernel test, with a p-value by permutation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["KernelTest", "kernel_test"]

PERMUTATIONS = 999
"""How often the samples are shuffled: the least p-value is 1 / 1000."""

AT_ONCE = 250
"""Shuffles whose sums are made together."""

BLOCK_ROWS = 256
"""Pictures whose distances to all others are in memory at a time."""

DRAWN_PAIRS = 200_000
"""Pairs that show about where the median distance lies; of fewer pairs all are kept."""


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
    shuffled together. The kernel of all pairs is never in memory at once.

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
    sizes = (len(first), len(second))
    codes, of_first = _units(sizes, groups)
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(of_first)[codes] for _ in range(permutations)]
    inside = np.stack([np.arange(len(pooled)) < sizes[0], *shuffled], axis=1)
    found = _estimates(pooled, _median_square(pooled) or 1.0, inside)
    reached = int((found[1:] >= found[0] - 1e-12).sum())
    return KernelTest(float(found[0]), (1 + reached) / (1 + permutations), len(of_first))


def _estimates(rows: np.ndarray, usual: float, inside: np.ndarray) -> np.ndarray:
    """Returns the estimate (P,) for arrangements (N, P) of bool; pairs of a picture with itself are out.

    Args:
        rows: (N, D) float64, both samples.
        usual: the squared length that the kernel is scaled by.
        inside: whether each picture lies in the first sample.
    """
    of_picture, within = np.zeros(len(rows)), np.zeros(inside.shape[1])
    parts = [slice(start, start + AT_ONCE) for start in range(0, inside.shape[1], AT_ONCE)]
    for start, squares in _squared_distances(rows):
        kernel = np.exp(np.divide(squares, -2 * usual, out=squares), out=squares)
        own = kernel[:, : len(kernel)]
        own[...] = np.triu(own, 1)  # each pair once
        of_picture[start : start + len(kernel)] += kernel.sum(1)
        of_picture[start:] += kernel.sum(0)
        for part in parts:
            ours = inside[start:, part].astype(np.float64)
            within[part] += 2 * (ours[: len(kernel)] * (kernel @ ours)).sum(0)
    count = inside.sum(0, dtype=np.float64)
    others = len(rows) - count
    across = np.concatenate([of_picture @ inside[:, part] for part in parts]) - within
    rest = of_picture.sum() - within - 2 * across
    first = within / np.maximum(count * (count - 1), 1)
    second = rest / np.maximum(others * (others - 1), 1)
    return first + second - 2 * across / np.maximum(count * others, 1)


def _squared_distances(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields where some rows begin, and their distances (n, N - begin) to themselves and all later ones."""
    lengths = (rows**2).sum(1)
    for start in range(0, len(rows), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        found = lengths[some, None] + lengths[None, start:]
        found -= 2 * rows[some] @ rows[start:].T
        yield start, np.maximum(found, 0, out=found)


def _median_square(rows: np.ndarray) -> float:
    """Returns the median squared distance of all pairs, with few of the distances in memory at a time."""
    pairs = len(rows) * (len(rows) - 1) // 2
    for low, high in (_around_median(rows, pairs), (0.0, np.inf)):
        below, kept = 0, []
        for _, squares in _squared_distances(rows):
            values = squares[np.triu(np.ones(squares.shape, bool), 1)]
            below += int((values < low).sum())
            kept.append(values[(values >= low) & (values <= high)])
        found, middle = np.concatenate(kept), np.array([(pairs - 1) // 2, pairs // 2]) - below
        if middle[0] >= 0 and middle[1] < len(found):
            found.partition(middle)
            return float(found[middle].mean())
    raise AssertionError("between 0 and infinity lie all distances")


def _around_median(rows: np.ndarray, pairs: int) -> tuple[float, float]:
    """Returns bounds between which the median distance lies, as pairs drawn at random show."""
    if pairs <= DRAWN_PAIRS:
        return 0.0, np.inf
    first, second = np.random.default_rng(0).integers(0, len(rows), (2, DRAWN_PAIRS))
    squares = np.empty(DRAWN_PAIRS)
    for start in range(0, DRAWN_PAIRS, 10_000):
        part = slice(start, start + 10_000)
        squares[part] = ((rows[first[part]] - rows[second[part]]) ** 2).sum(1)
    low, high = np.quantile(squares[first != second], [0.48, 0.52])
    return float(low), float(high)


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
