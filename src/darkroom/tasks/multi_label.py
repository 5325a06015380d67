"""Measure answers that are sets of labels: precision, recall, F1, exact match, Hamming loss, log loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval, OperatingPoint
from darkroom.statistics import (
    bootstrap_interval,
    drawn_share_interval,
    group_codes,
    percentile_interval,
    resampled_counts,
    wilson,
)
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.figures import LabelFigures, MultiLabelFigures
from darkroom.tasks.label_sets import AT_HALF, given, holds_from

__all__ = ["binary_losses", "measure"]

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""A probability of exactly 0, or 1, would cost infinitely much. Source: scikit-learn, `log_loss`."""

MOST_DRAWN = 100_000_000
"""Images, or groups, that are drawn in all: with 100,000 of them a thousand draws, some seconds."""

FEWEST_DRAWS = 1000


def measure(
    truth: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: Groups = None,
    *,
    point: OperatingPoint = AT_HALF,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> MultiLabelFigures:
    """Returns the figures of what is given at an operating point, with their bootstrap intervals.

    Average precisions are left open: they rest on rankings and not on what is given.

    Args:
        truth: (N, C) of 0 and 1: which labels each image has.
        probabilities: (N, C) float, each between 0 and 1 by itself.
        classes: names of the C labels.
        groups: images of one group are drawn together.
        point: its thresholds decide what is given.
        level: share of such intervals that hold the true figure.
        draws: how many times the images are drawn; fewer where there are very many.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: shapes do not fit, there are no images, or a probability is not a number between 0 and 1.

    Source: Zhang and Zhou, A review on multi-label learning algorithms, 2014, sec. 2.3 (exact match is
        called subset accuracy there).
    """
    truth, probabilities = np.asarray(truth).astype(bool), np.asarray(probabilities)
    _check(truth, probabilities, classes)
    answers, thresholds = given(probabilities, classes, point), holds_from(classes, point).tolist()
    codes, method = group_codes(groups, len(truth))
    units = len(truth) if codes is None else int(codes.max()) + 1
    draws = min(draws, max(FEWEST_DRAWS, MOST_DRAWN // units))
    counts = np.stack([truth & answers, truth, answers]).sum(axis=1)
    resampled = _resampled(truth, answers, codes, draws, seed)
    drawn = _Drawn(resampled, _units(truth, answers, codes), level, method)
    hits, support, given_in_all = (int(count.sum()) for count in counts)
    sums, any_label, wrong = drawn.counts.sum(axis=2), drawn.units[:, -1], truth != answers
    how = {"level": level, "draws": draws, "seed": seed}
    return MultiLabelFigures(
        count=len(truth),
        empty=int((~truth.any(axis=1)).sum()),
        groups=None if codes is None else units,
        exact_match=bootstrap_interval(~wrong.any(axis=1), groups, **how),
        hamming_loss=bootstrap_interval(wrong.mean(axis=1), groups, **how),
        log_loss=bootstrap_interval(binary_losses(truth, probabilities), groups, **how, yes_or_no=False),
        macro_f1=_macro_f1(counts, drawn),
        micro_precision=drawn.of_share(hits, given_in_all, int(any_label[1]), _ratio(sums[0], sums[2])),
        micro_recall=drawn.of_share(hits, support, int(any_label[0]), _ratio(sums[0], sums[1])),
        micro_f1=drawn.of_f1(counts.sum(axis=1), int(any_label[2]), sums),
        classes=tuple(
            _of_label(name, counts[:, place], drawn, place, thresholds[place])
            for place, name in enumerate(classes)
        ),
        draws=draws,
    )


def binary_losses(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the mean over labels of −ln(probability of what is right), (N,) float64."""
    of_truth = np.where(truth, probabilities, 1 - np.asarray(probabilities, np.float64))
    return -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1.0)).mean(axis=1)


class _Drawn(NamedTuple):
    """Hits, images with a label, and answers of each draw, (3, draws, C), and how intervals are made."""

    counts: np.ndarray
    units: np.ndarray
    """(3, C + 1) images, or groups, that have a label, were given it, or either; last: any label."""
    level: float
    method: str

    def of(self, value: float, drawn: np.ndarray, count: int) -> Interval:
        return percentile_interval(value, drawn, level=self.level, count=count, method=self.method)

    def of_share(self, hits: int, count: int, units: int, drawn: np.ndarray) -> Interval | None:
        """Returns the interval of hits / count; see `drawn_share_interval`."""
        return drawn_share_interval(hits, count, units, drawn, level=self.level, method=self.method)

    def of_f1(self, counts: np.ndarray, units: int, drawn: np.ndarray) -> Interval:
        """Returns F1 of counts (3,); where all is right, or nothing, 2j / (1 + j) of Wilson's share j."""
        hits, either = int(counts[0]), int(counts[1] + counts[2] - counts[0])
        if hits in (0, either) or units == 1:
            units = max(1, units)
            share = wilson(hits / max(1, either) * units, units, level=self.level)
            ends = {end: _dice(getattr(share, end)) for end in ("value", "low", "high")}
            return share.model_copy(update=ends | {"count": either})
        value = 2 * hits / int(counts[1] + counts[2])
        return self.of(value, _ratio(2 * drawn[0], drawn[1] + drawn[2]), either)


def _units(truth: np.ndarray, answers: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    """Returns how many images, or groups, figures rest on; see `_Drawn.units`."""
    found = []
    for rows in (truth, answers, truth | answers):
        rows = np.column_stack([rows, rows.any(axis=1)])
        if codes is not None:
            table = np.zeros((int(codes.max()) + 1, rows.shape[1]), np.int64)
            np.add.at(table, codes, rows)
            rows = table > 0
        found.append(rows.sum(axis=0))
    return np.stack(found)


def _resampled(
    truth: np.ndarray, answers: np.ndarray, codes: np.ndarray | None, draws: int, seed: int
) -> np.ndarray:
    """Draws images, or groups, and counts hits, images with a label and answers of each, (3, draws, C)."""
    rows = np.concatenate([truth & answers, truth, answers], axis=1)
    if codes is None:
        kinds, sizes = np.unique(rows, axis=0, return_counts=True)
        table = kinds.astype(np.float64)
    else:
        sizes = np.ones(int(codes.max()) + 1, np.int64)
        table = np.zeros((len(sizes), rows.shape[1]))
        np.add.at(table, codes, rows)
    drawn = [counts @ table for counts in resampled_counts(sizes, draws=draws, seed=seed)]
    return np.stack(np.split(np.rint(np.concatenate(drawn)), 3, axis=1))


def _of_label(name: str, counts: np.ndarray, drawn: _Drawn, place: int, threshold: float) -> LabelFigures:
    hits, support, answered = (int(count) for count in counts)
    own = drawn.counts[:, :, place]
    return LabelFigures(
        label=name,
        support=support,
        answered=answered,
        hits=hits,
        threshold=threshold,
        precision=drawn.of_share(hits, answered, int(drawn.units[1, place]), _ratio(own[0], own[2])),
        recall=drawn.of_share(hits, support, int(drawn.units[0, place]), _ratio(own[0], own[1])),
        f1=drawn.of_f1(counts, int(drawn.units[2, place]), own) if support else None,
    )


def _macro_f1(counts: np.ndarray, drawn: _Drawn) -> Interval:
    """Returns the mean F1 of the labels that have images; a draw without a label leaves it out.

    The draws are shifted so that their mean is the figure: F1 is a ratio, and draws of rare labels come out
    lower than the whole on average. Source: the bootstrap estimate of bias, Efron and Tibshirani, 1993,
    ch. 10.
    """
    support = int(counts[1].sum())
    value = float(_mean(_f1_of(counts))) if support else 0.0  # without labels there is nothing to find
    if value in (0.0, 1.0):
        images = max(1, int(drawn.units[0, -1]))
        return wilson(value * images, images, level=drawn.level)
    of_draws = _mean(_f1_of(drawn.counts))
    return drawn.of(value, np.clip(of_draws + value - float(_mean(of_draws)), 0, 1), support)


def _f1_of(counts: np.ndarray) -> np.ndarray:
    """Returns 2·hits / (support + answered) of counts (3, …, C), NaN for a label without images."""
    hits, support, answered = counts
    return np.where(support > 0, _ratio(2 * hits, support + answered), np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the last axis of what is defined; NaN where nothing is."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def _dice(share: float) -> float:
    return 2 * share / (1 + share)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns above / below, NaN where below is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)


def _check(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    expected = (len(truth), len(classes))
    if truth.shape != expected or probabilities.shape != expected:
        raise Invalid(
            "evaluation.sets-do-not-fit",
            "Expected yes or no and a probability for each image and label, {expected}. Received: {truth} "
            "and {probabilities}.",
            expected=expected,
            truth=truth.shape,
            probabilities=probabilities.shape,
        )
    if len(truth) == 0:
        raise Invalid(
            "evaluation.no-images",
            "There are no images to evaluate.",
            do="Give the split some images: a larger share in [dataset.freeze], or more pictures.",
        )
    good = (probabilities >= 0) & (probabilities <= 1 + 1e-3)  # NaN is neither
    bad = len(good) - int(np.count_nonzero(good.all(axis=1)))
    if bad:
        raise Invalid(
            "evaluation.not-probabilities",
            "For {bad} of {count} images the model did not answer with probabilities (NaN, or outside 0 to "
            "1).",
            do="The training may have diverged: look at its curves, lower the learning rate, train again.",
            bad=bad,
            count=len(truth),
        )
