"""How far out a value lies: the tail of a distribution, beyond what was seen of it.

Ranks alone cannot tell a value just beyond the training pictures from one far beyond them. So the outermost
part of each side is described by a generalised Pareto distribution, which goes on where the pictures end.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from darkroom.records import Fact

__all__ = ["Tail", "fit_tails"]

MASS = 0.05
"""Share of the pictures that make one tail."""

LEAST = 20
"""A tail is made of at least so many pictures, and of half of them at most."""

HEAVIEST = 0.5
"""Largest shape: beyond it the variance is infinite, and no value would ever be far out. The smallest is 0:
a tail with an end would call everything beyond it impossible."""


class Tail(Fact):
    """One side of a property's distribution over the training pictures."""

    start: float
    """Where the tail begins."""
    scale: float
    """How fast it falls off."""
    shape: float
    """0 for an exponential tail; larger for heavier ones."""
    mass: float
    """Share of the pictures that lie in the tail."""

    def score(self, excess: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns −ln of the share of pictures as far out as `excess` beyond the start; 0 before it.

        Source: Pickands, Statistical inference using extreme order statistics, 1975.
        """
        beyond = np.maximum(excess, 0) / self.scale
        further = beyond if self.shape < 1e-6 else np.log1p(self.shape * beyond) / self.shape
        return np.where(excess > 0, further - math.log(self.mass), 0.0)


def fit_tails(values: NDArray[np.float64], *, floor: float) -> tuple[Tail, Tail]:
    """Returns the lower and the upper tail of some values.

    Args:
        values: (n,) finite, n from 1 on.
        floor: the smallest difference that matters; no tail falls off faster.
    """
    ordered = np.sort(values)
    mass = min(0.5, max(MASS, LEAST / len(ordered)))
    low, high = (float(np.quantile(ordered, share)) for share in (mass, 1 - mass))
    return _fitted(low - ordered, low, mass, floor), _fitted(ordered - high, high, mass, floor)


def _fitted(excess: NDArray[np.float64], start: float, mass: float, floor: float) -> Tail:
    """Fits by probability-weighted moments.

    Source: Hosking and Wallis, Parameter and quantile estimation for the generalized Pareto distribution,
        1987; with k = −shape.
    """
    beyond = np.sort(excess[excess > 0])
    if len(beyond) < 5:
        return Tail(start=start, scale=floor, shape=0.0, mass=mass)
    mean = float(beyond.mean())
    weights = 1 - (np.arange(1, len(beyond) + 1) - 0.35) / len(beyond)
    weighted = float((weights * beyond).mean())
    shape = min(max(2 - mean / max(mean - 2 * weighted, 1e-12), 0.0), HEAVIEST)
    scale = mean * (1 - shape)  # the mean of the distribution is scale / (1 − shape)
    return Tail(start=start, scale=max(scale, floor), shape=shape, mass=mass)
