"""Precision against recall and ROC of each class and their means, with intervals and bands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from darkroom.evaluation.findings import Band, ClassCurves, Curves
from darkroom.records import Interval
from darkroom.statistics import group_codes, percentile_interval, resampled_counts, wilson
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.ranking import (
    Steps,
    average_precision,
    precision_at,
    roc_area,
    steps_of,
    true_positive_rate_at,
)

__all__ = ["CURVE_DRAWS", "measure_curves"]

CURVE_DRAWS = 500
"""Draws of these intervals: an end then moves by about 6 % of the half-width (one standard deviation)."""

BAND_DRAWS = 100
"""Draws that a band is made of; it is looked at, not read off."""

GRID = np.linspace(0, 1, 41)

DRAWN_CURVES = 24
"""With more classes only the curves of the weakest are kept; the figures of all are."""

WEAKEST = 12

BINS = 60
"""Steps of a drawn ranking, for images of the class and for others."""

CELLS = 4_000_000
"""Places of images, over the classes of a block, that are held at a time: 32 MB."""


class _Ranked(NamedTuple):
    """One class's ranking, cut into bins so that thousands of draws can be measured."""

    order: np.ndarray
    """(N,) images, sorted by bin, and in a bin those of the class behind the others."""
    keys: np.ndarray
    """Which (bin, class or not) there are."""
    starts: np.ndarray
    """Where in `order` each begins."""
    bins: int

    def drawn(self, weights: np.ndarray) -> Steps:
        """Returns the steps of each draw, (rows, B), of weights (rows, N)."""
        sums = np.zeros((len(weights), 2 * self.bins), np.float32)
        sums[:, self.keys] = np.add.reduceat(np.take(weights, self.order, axis=1), self.starts, axis=1)
        return Steps(sums[:, 1::2], sums[:, ::2])


class _Measured(NamedTuple):
    """One class: its figures, and what the draws say of them."""

    support: int
    units: int
    """Images, or groups, that show the class."""
    exact: Steps
    figures: tuple[float, float]
    """Average precision and area below ROC, NaN where not defined."""
    drawn: np.ndarray
    """(draws, 2), shifted so that what the bins change is taken away."""
    bands: np.ndarray
    """(draws, 2, K) precision and share found, on the grid."""


def measure_curves(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = CURVE_DRAWS,
    seed: int = 0,
) -> Curves:
    """Returns the curves of each class against the others, their areas, and the means over classes.

    The figures and curves are exact. For the intervals the rankings are cut into bins, finer where images
    of the class stand; what that changes of a figure is taken away from its draws again.

    Args:
        labels: (N,) int, index of the right class; or (N, C) of 0 and 1, where an image may have several.
        probabilities: (N, C) float.
        classes: names of the C classes.
        groups: images of one group are drawn together.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Source: Efron and Tibshirani, 1993, ch. 13; bands are pointwise, by vertical averaging: Fawcett, 2006.
    """
    codes, method = group_codes(groups, len(labels))
    measured = [
        one
        for block in _blocks(len(labels), len(classes))
        for one in _measured(labels, probabilities, block, codes, draws, seed)
    ]
    kept = _kept(measured)
    rows = []
    for place, (label, one) in enumerate(zip(classes, measured, strict=True)):
        precision, area = (
            _interval(value, one.drawn[:, column], one.units, one.support, level, method)
            for column, value in enumerate(one.figures)
        )
        bands = _bands(one.exact, one.bands, level) if place in kept else (None, None)
        rows.append(ClassCurves(
            label=label, support=one.support, average_precision=precision, roc_area=area,
            precision_recall=bands[0], roc=bands[1],
        ))  # fmt: skip
    return _with_means(rows, measured, len(labels), level, method, draws)


def _blocks(count: int, classes: int) -> Iterator[range]:
    at_a_time = max(1, CELLS // max(1, count))
    for start in range(0, classes, at_a_time):
        yield range(start, min(start + at_a_time, classes))


def _measured(
    labels: np.ndarray,
    probabilities: np.ndarray,
    block: range,
    codes: np.ndarray | None,
    draws: int,
    seed: int,
) -> Iterator[_Measured]:
    columns = np.ascontiguousarray(probabilities[:, block.start : block.stop].T)
    shows = [labels == place if labels.ndim == 1 else labels[:, place] > 0 for place in block]
    ranked = [_ranked(column, mine) for column, mine in zip(columns, shows, strict=True)]
    figures = np.full((len(block), draws, 2), np.nan)
    bands: list[list[np.ndarray]] = [[] for _ in block]
    done = 0
    for weights in _weights(len(labels), codes, draws, seed):
        rows = slice(done, done + len(weights))
        for place, one in enumerate(ranked):
            steps = one.drawn(weights)
            figures[place, rows] = np.stack([average_precision(steps), roc_area(steps)], axis=-1)
            wanted = max(0, BAND_DRAWS - done)
            drawn = zip(steps.hits[:wanted], steps.false_alarms[:wanted], strict=True)
            bands[place] += [_on_grid(Steps(*pair)) for pair in drawn]
        done += len(weights)
    for place, (column, mine) in enumerate(zip(columns, shows, strict=True)):
        exact = steps_of(column, mine)
        values = float(average_precision(exact)), float(roc_area(exact))
        whole = ranked[place].drawn(np.ones((1, len(labels)), np.float32))
        shift = np.array(values) - [float(average_precision(whole)[0]), float(roc_area(whole)[0])]
        units = int(mine.sum()) if codes is None else len(np.unique(codes[mine]))
        yield _Measured(
            int(mine.sum()),
            units,
            exact,
            values,
            np.clip(figures[place] + shift, 0, 1),
            np.array(bands[place]),
        )


def _weights(count: int, codes: np.ndarray | None, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yields how often each image is drawn, (some draws, N) float32."""
    units = np.ones(count if codes is None else int(codes.max()) + 1, np.int64)
    for counts in resampled_counts(units, draws=draws, seed=seed):
        small = counts.astype(np.float32)
        yield small if codes is None else small[:, codes]


def _ranked(scores: np.ndarray, shows: np.ndarray) -> _Ranked:
    edges = np.unique(np.concatenate([_quantiles(scores[shows]), _quantiles(scores[~shows])]))
    rank = np.searchsorted(-edges[::-1], -scores)  # 0 for the highest; equal scores share a bin
    key = rank * 2 + shows
    order = np.argsort(key, kind="stable")
    keys, starts = np.unique(key[order], return_index=True)
    return _Ranked(order, keys, starts, len(edges) + 1)


def _quantiles(scores: np.ndarray) -> np.ndarray:
    if not scores.size:
        return scores
    ranked = np.sort(scores)
    return ranked[np.linspace(0, len(ranked) - 1, min(BINS, len(ranked))).astype(int)]


def _on_grid(steps: Steps) -> np.ndarray:
    if not steps.hits.sum() or not steps.false_alarms.sum():
        return np.full((2, len(GRID)), np.nan)
    return np.stack([precision_at(steps, GRID), true_positive_rate_at(steps, GRID)])


def _kept(measured: Sequence[_Measured]) -> frozenset[int]:
    """Returns the classes whose curves are kept: all, or the weakest of many."""
    defined = [place for place, one in enumerate(measured) if np.isfinite(one.figures).all()]
    if len(measured) <= DRAWN_CURVES:
        return frozenset(defined)
    return frozenset(sorted(defined, key=lambda place: measured[place].figures[0])[:WEAKEST])


def _interval(
    value: float, drawn: np.ndarray, units: int, count: int, level: float, method: str
) -> Interval | None:
    """Returns a figure's interval; Wilson's "u of u" where the ranking is perfect: no draw can differ."""
    if not np.isfinite(value):
        return None
    if value in (0.0, 1.0) or units == 1:
        return wilson(value * units, units, level=level).model_copy(update={"count": count})
    return percentile_interval(value, drawn, level=level, count=count, method=method)


def _bands(exact: Steps, drawn: np.ndarray, level: float) -> tuple[Band, Band]:
    first, second = (_band(value, drawn[:, at], level) for at, value in enumerate(_on_grid(exact)))
    return first, second


def _band(value: np.ndarray, drawn: np.ndarray, level: float) -> Band:
    defined = drawn[np.isfinite(drawn).all(axis=1)]
    ends = (
        np.quantile(defined, [(1 - level) / 2, (1 + level) / 2], axis=0) if len(defined) else (value,) * 2
    )
    low, high = np.minimum(ends[0], value), np.maximum(ends[1], value)
    return Band(value=_short(value), low=_short(low), high=_short(high))


def _mean(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of what is defined; NaN where nothing is."""
    rows = np.asarray(values)
    defined = np.isfinite(rows)
    count = defined.sum(axis=0)
    total = np.where(defined, rows, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _short(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _with_means(
    rows: Sequence[ClassCurves],
    measured: Sequence[_Measured],
    count: int,
    level: float,
    method: str,
    draws: int,
) -> Curves:
    """Returns the curves with the means over the classes that are defined."""
    defined = [one for one in measured if np.isfinite(one.figures).all()]
    if not defined:
        return Curves(grid=_short(GRID), classes=tuple(rows), draws=draws)
    values = np.mean([one.figures for one in defined], axis=0)
    # A draw without images of a class leaves the class out.
    drawn = _mean([one.drawn for one in defined])
    drawn += values - _mean(drawn)
    units = min(sum(one.units for one in defined), count)
    precision, area = (
        _interval(float(value), np.clip(drawn[:, column], 0, 1), units, count, level, method)
        for column, value in enumerate(values)
    )
    curves = np.mean([_on_grid(one.exact) for one in defined], axis=0)
    over = _mean([one.bands for one in defined])
    return Curves(
        grid=_short(GRID),
        macro_average_precision=precision,
        macro_roc_area=area,
        precision_recall=_band(curves[0], over[:, 0], level),
        roc=_band(curves[1], over[:, 1], level),
        classes=tuple(rows),
        draws=draws,
    )
