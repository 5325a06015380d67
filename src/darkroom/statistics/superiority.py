"""How often one thing comes out ahead of another: on an image, and clone against clone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from darkroom.records import Interval
from darkroom.statistics.bootstrap import Groups, group_codes, percentile_interval, resampled_counts
from darkroom.statistics.interval import wilson
from darkroom.statistics.quantile import t_quantile
from darkroom.statistics.spread import spread

__all__ = ["around_both", "clones_ahead", "drawn_means", "undivided", "welch_reach"]


def clones_ahead(
    first: np.ndarray,
    second: np.ndarray,
    first_drawn: np.ndarray,
    second_drawn: np.ndarray,
    *,
    count: int,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the chance that a clone of the first recipe has the larger figure than one of the second.

    Every clone of one is held against every clone of the other; equal figures count half. For the interval
    two things are drawn together: the images, the same for all clones, and the clones of each side. Where
    no draw differs, Wilson's interval of the pairs that few clones make stands in.

    Args:
        first: (K,) figure of each clone on all images.
        second: (L,) of the other side.
        first_drawn: (K, draws) figure of each clone in each draw of the images.
        second_drawn: (L, draws), in the same draws.
        count: images.
        level: share of such intervals that hold the true chance.
        seed: the same seed draws the same clones.

    Source: Mann and Whitney, On a test of whether one of two random variables is stochastically larger,
        1947 (the share of pairs); Bouthillier et al., Accounting for variance in machine learning
        benchmarks, 2021 (P(A > B) of trainings, with a percentile bootstrap).
    """
    value = float(_ahead(first[:, None], second[None]).mean())
    generator, draws = np.random.default_rng(seed), first_drawn.shape[1]
    mine = generator.integers(0, len(first), (draws, len(first)))
    theirs = generator.integers(0, len(second), (draws, len(second)))
    places = np.arange(draws)
    drawn = np.empty(draws)
    for start in range(0, draws, CHUNK):
        rows = slice(start, start + CHUNK)
        a = first_drawn.T[places[rows, None], mine[rows]]
        b = second_drawn.T[places[rows, None], theirs[rows]]
        drawn[rows] = _ahead(a[:, :, None], b[:, None, :]).mean(axis=(1, 2))
    if np.all(drawn == drawn[0]):
        pairs = min(len(first), len(second))
        return wilson(value * pairs, pairs, level=level).model_copy(update={"count": count})
    return percentile_interval(
        value, drawn, level=level, count=count, method="bootstrap of images and clones"
    )


CHUNK = 500
"""Draws that are compared together."""


def drawn_means(
    values: np.ndarray, groups: Groups = None, *, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """Returns the mean of each of K rows in draws of the images, (K, draws); each draw is one for all rows.

    Args:
        values: (K, N) one value per model and image.
        groups: images of one group are drawn together.
        draws: how many times to draw.
        seed: the same seed draws the same images.

    Source: as `bootstrap_interval`; images that look alike to all models are drawn as one kind.
    """
    values = np.asarray(values, np.float64)
    codes, _ = group_codes(groups, values.shape[1])
    if codes is None:
        kinds, sizes = np.unique(values, axis=1, return_counts=True)
        parts = [
            counts @ kinds.T / sizes.sum() for counts in resampled_counts(sizes, draws=draws, seed=seed)
        ]
        return np.concatenate(parts).T
    images = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, weights=row) for row in values])
    ones = np.ones(len(images), np.int64)
    parts = [
        (counts @ sums.T) / (counts @ images)[:, None]
        for counts in resampled_counts(ones, draws=draws, seed=seed)
    ]
    return np.concatenate(parts).T


def welch_reach(first: Sequence[float], second: Sequence[float], level: float) -> float:
    """Returns how far other seeds move the difference of two means; infinite without two clones each.

    Source: Welch, The generalization of Student's problem when several different population variances are
        involved, 1947.
    """
    if min(len(first), len(second)) < 2:
        return math.inf
    parts = [(spread(list(one)).sd or 0.0) ** 2 / len(one) for one in (first, second)]
    total = sum(parts)
    if total == 0:
        return 0.0
    free = total**2 / sum(
        part**2 / (len(one) - 1) for part, one in zip(parts, (first, second), strict=True) if part
    )
    return t_quantile(level, max(1, int(free))) * math.sqrt(total)


def around_both(images: Interval, beside: float) -> Interval:
    """Returns the interval of a difference that other images and other seeds move.

    Args:
        images: the difference with the interval that other images give it.
        beside: how far other seeds move it either way.

    Source: variances of independent causes add.
    """
    low = images.value - math.hypot(images.value - images.low, beside)
    high = images.value + math.hypot(images.high - images.value, beside)
    ends = {"low": max(-1.0, low), "high": min(1.0, high)}
    return images.model_copy(update=ends | {"method": f"{images.method}, and t over seeds"})


def undivided(value: float, units: int, count: int, level: float) -> Interval:
    """Returns the interval of a difference where no draw can differ: as far as Wilson's of "0 of so many".

    Args:
        value: the difference.
        units: images, or groups of them, that are drawn.
        count: images.
        level: share of such intervals that hold the true difference.
    """
    reach = wilson(0, units, level=level).high
    ends = {"low": max(-1.0, value - reach), "high": min(1.0, value + reach)}
    return Interval(value=value, level=level, count=count, method="wilson", **ends)


def _ahead(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first > second) + 0.5 * (first == second)
