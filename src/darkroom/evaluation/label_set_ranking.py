"""Average precision over drawn images: of each label, of all together, and of two models in pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval
from darkroom.statistics import (
    group_codes,
    percentile_interval,
    resampled_counts,
    undivided,
    wilson,
)
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.ranking import Steps, average_precision, steps_of

__all__ = ["RANKING_DRAWS", "apart", "draw_images", "drawn_mean_ap", "micro_ap"]

RANKING_DRAWS = 500
"""As `CURVE_DRAWS`: an end then moves by about 6 % of the half-width (one standard deviation)."""

UNITS = 4096
"""Images, or groups, whose pairs are added up at a time: some 10 MB."""

BINS = 60
"""Steps of a drawn ranking, for pairs that are right and for others."""


def draw_images(count: int, groups: Groups, *, draws: int = RANKING_DRAWS, seed: int = 0) -> np.ndarray:
    """Returns how often each unit is drawn, (draws, U) uint16: a unit is a group, or an image alone.

    Two models that answered the same images get the same draws by the same seed.
    """
    codes, _ = group_codes(groups, count)
    units = np.ones(count if codes is None else int(codes.max()) + 1, np.int64)
    parts = [counts.astype(np.uint16) for counts in resampled_counts(units, draws=draws, seed=seed)]
    return np.concatenate(parts)


def micro_ap(
    truth: np.ndarray,
    probabilities: np.ndarray,
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = RANKING_DRAWS,
    seed: int = 0,
) -> Interval | None:
    """Returns the average precision of all pairs of image and label ranked together; None without labels.

    Args:
        truth: (N, C) bool.
        probabilities: (N, C).
        groups: images of one group are drawn together.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same interval.

    Draws hold pairs twice, which rank each other's like well: they come out higher than the whole on
    average. So they are shifted until their mean is the figure.

    Source: the micro average of scikit-learn's `average_precision_score`; Efron and Tibshirani, 1993,
        ch. 10 and 13.
    """
    if not truth.any():
        return None
    codes, method = group_codes(groups, len(truth))
    units = np.arange(len(truth)) if codes is None else codes
    weights = draw_images(len(truth), groups, draws=draws, seed=seed)
    value, drawn = _drawn(probabilities.ravel(), truth.ravel(), np.repeat(units, truth.shape[1]), weights)
    count = int(truth.sum())
    if value in (0.0, 1.0):
        having = int(truth.any(axis=1).sum())
        return wilson(value * having, having, level=level).model_copy(update={"count": count})
    shifted = np.clip(drawn + value - float(np.nanmean(drawn)), 0, 1)
    return percentile_interval(value, shifted, level=level, count=count, method=method)


def drawn_mean_ap(
    truth: np.ndarray, probabilities: np.ndarray, groups: Groups, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Returns the mean average precision of the labels that images have, and that of each draw, (draws,).

    A draw without images of a label leaves the label out; the draws are shifted so that their mean is the
    figure, as for macro F1.

    Args:
        truth: (N, C) bool.
        probabilities: (N, C).
        groups: images of one group are drawn together.
        weights: what `draw_images` gave for these images.

    Raises:
        Invalid: no image has a label.
    """
    if not truth.any():
        raise Invalid(
            "evaluation.no-labels-to-rank",
            "None of the {count} images has a label; nothing can be compared.",
            do="Ask about a split whose pictures have labels: --split val",
            count=len(truth),
        )
    codes, _ = group_codes(groups, len(truth))
    units = np.arange(len(truth)) if codes is None else codes
    shown = np.flatnonzero(truth.any(axis=0)).tolist()
    found = [_drawn(probabilities[:, place], truth[:, place], units, weights) for place in shown]
    value = float(np.mean([exact for exact, _ in found]))
    rows = np.array([drawn for _, drawn in found])
    known = np.isfinite(rows)
    drawn = np.where(known, rows, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return value, np.clip(drawn + value - drawn.mean(), 0, 1)


def apart(
    first: tuple[float, np.ndarray],
    second: tuple[float, np.ndarray],
    groups: Groups,
    count: int,
    level: float,
) -> Interval:
    """Returns the difference of two figures, each with its draws, (draws,), of the same images.

    Where no draw differs the interval reaches as far as Wilson's for "0 of N images".

    Args:
        first: one figure and its draws.
        second: what it is held against.
        groups: images of one group were drawn together.
        count: images.
        level: share of such intervals that hold the true difference.
    """
    codes, method = group_codes(groups, count)
    value, drawn = first[0] - second[0], first[1] - second[1]
    if np.ptp(drawn) == 0:
        return undivided(value, count if codes is None else int(codes.max()) + 1, count, level)
    return percentile_interval(value, drawn, level=level, count=count, method=method)


def _drawn(
    scores: np.ndarray, shows: np.ndarray, units: Sequence[int] | np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Returns the exact average precision of pairs (P,), and that of each draw of units, (draws,).

    For the draws the ranking is cut into bins, finer where pairs that are right stand; what that changes of
    the figure is taken away from the draws again, as in `measure_curves`.
    """
    edges = np.unique(np.concatenate([_spread_out(scores[shows]), _spread_out(scores[~shows])]))
    bins = len(edges) + 1
    ranks = np.searchsorted(-edges[::-1], -scores)  # 0 for the highest; equal scores share a bin
    cells = ranks * 2 + shows
    value = float(average_precision(steps_of(scores, shows)))
    whole = np.bincount(cells, minlength=2 * bins)
    shift = value - float(average_precision(Steps(whole[1::2], whole[::2])))
    drawn = _added(np.asarray(units), cells, 2 * bins, weights)
    return value, np.clip(average_precision(Steps(drawn[:, 1::2], drawn[:, ::2])) + shift, 0, 1)


def _added(units: np.ndarray, cells: np.ndarray, width: int, weights: np.ndarray) -> np.ndarray:
    """Returns how many pairs each draw has in each cell, (draws, width) float32, some units at a time."""
    order = np.argsort(units, kind="stable")
    units, cells = units[order], cells[order]
    found = np.zeros((len(weights), width), np.float32)
    for start in range(0, weights.shape[1], UNITS):
        part = weights[:, start : start + UNITS].astype(np.float32)
        here = slice(*np.searchsorted(units, (start, start + UNITS)).tolist())
        places = (units[here] - start) * width + cells[here]
        table = np.bincount(places, minlength=part.shape[1] * width).reshape(-1, width)
        found += part @ table.astype(np.float32)
    return found


def _spread_out(scores: np.ndarray) -> np.ndarray:
    ranked = np.sort(scores)
    return (
        ranked[np.linspace(0, len(ranked) - 1, min(BINS, len(ranked))).astype(int)]
        if len(ranked)
        else ranked
    )
