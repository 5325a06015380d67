"""Features made small, and the training pictures nearest to a picture in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAREST", "FeatureSpace", "learn_space", "nearest_rows"]

NEAREST = 5
"""How many of the nearest training pictures count, and are named."""

MOST_AXES = 64
KEPT_VARIANCE = 0.95
"""Axes are kept until they hold this share of the variance, or until there are so many."""

AT_ONCE = 2048
"""Queries whose distances are held at a time: 16 MB for the rows of a sketch."""

Rows = NDArray[np.float32]


class FeatureSpace(NamedTuple):
    """How features become short: what is kept of them, and one number for what is left out."""

    centre: Rows
    """(E,) mean of the normalised features."""
    axes: Rows
    """(E, A) orthonormal."""

    def reduced(self, features: NDArray[np.floating]) -> Rows:
        """Returns (n, A + 1) for features (n, E): the axes, and the length of what they leave out.

        Features are brought to length 1 first: the nearest neighbours tell strange pictures apart best so.

        Source: Sun et al., Out-of-distribution detection with deep nearest neighbors, 2022.
        """
        unit = _normalised(features) - self.centre
        along = unit @ self.axes
        rest = np.maximum((unit**2).sum(1) - (along**2).sum(1), 0)
        return np.concatenate([along, np.sqrt(rest)[:, None]], 1).astype(np.float32)


def learn_space(features: NDArray[np.floating]) -> FeatureSpace:
    """Returns the space of training features (n, E): its axes are those of largest variance.

    The numbers are rounded to what a file keeps, so that a space that was read gives the same distances.
    """
    unit = _normalised(features)
    centre = _rounded(unit.mean(0))
    _, lengths, directions = np.linalg.svd(unit - centre, full_matrices=False)
    shares = np.cumsum(lengths.astype(np.float64) ** 2)
    count = int(np.searchsorted(shares, KEPT_VARIANCE * shares[-1])) + 1
    return FeatureSpace(centre, _rounded(directions[: min(count, MOST_AXES)].T))


def nearest_rows(
    rows: Rows, queries: Rows, *, without: NDArray[np.int64] | None = None, count: int = NEAREST
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns the nearest rows to each query, and their distances: (n, count) each, or fewer columns.

    Args:
        rows: (R, D).
        queries: (n, D).
        without: (n,) a row that does not count for each query, or −1: the query itself.
        count: how many.
    """
    count = min(count, len(rows) - (without is not None))
    without = np.full(len(queries), -1, np.int64) if without is None else without
    places, distances = np.empty((len(queries), count), np.int64), np.empty((len(queries), count))
    plain = rows.astype(np.float64)
    for start in range(0, len(queries), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        squares = _squares(plain, queries[part].astype(np.float64))
        own = np.flatnonzero(without[part] >= 0)
        squares[own, without[part][own]] = np.inf
        places[part] = np.argsort(squares, axis=1, kind="stable")[:, :count]
        distances[part] = np.sqrt(np.take_along_axis(squares, places[part], 1))
    return places, distances


def _squares(rows: NDArray[np.float64], queries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the squared distances of queries (n, D) from rows (R, D): (n, R)."""
    lengths = (queries**2).sum(1)[:, None] + (rows**2).sum(1)
    return np.maximum(lengths - 2.0 * (queries @ rows.T), 0)


def _normalised(features: NDArray[np.floating]) -> Rows:
    plain = np.asarray(features, np.float32)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    return plain / np.maximum(lengths, 1e-12)


def _rounded(values: NDArray[np.floating]) -> Rows:
    return values.astype(np.float16).astype(np.float32)
