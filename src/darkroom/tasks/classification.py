"""Measure the answers of a classifier: accuracy, precision, recall, F1, confusion, log loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval
from darkroom.statistics import (
    bootstrap_interval,
    drawn_share_interval,
    group_codes,
    percentile_interval,
    resampled_counts,
    wilson,
)
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.figures import ClassFigures, ClassificationFigures
from darkroom.tasks.ranking import place_of_truth

__all__ = ["confusion_matrix", "log_losses", "measure"]

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""A probability of exactly 0 would cost infinitely much. Source: scikit-learn, `log_loss`, for float32."""


def measure(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> ClassificationFigures:
    """Returns all figures with their bootstrap intervals.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float, rows sum to 1; the first of equally probable classes is the answer.
        classes: names of the C classes.
        groups: images of one group are drawn together.
        level: share of such intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: shapes do not fit, there are no images, a label is no class, or a probability is not a
            number between 0 and 1.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check(labels, probabilities, classes)
    answers = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, answers, len(classes))
    codes, method = group_codes(groups, len(labels))
    groups_drawn = None if codes is None else int(codes.max()) + 1
    kinds = _kinds(labels, answers, codes)
    interval = _Intervals(
        drawn=_drawn(kinds, codes is None, len(classes), draws, seed),
        units=_units(kinds, codes is None, len(classes)),
        groups=groups_drawn,
        level=level,
        method=method,
    )
    return ClassificationFigures(
        count=len(labels),
        groups=groups_drawn,
        accuracy=bootstrap_interval(labels == answers, groups, level=level, draws=draws, seed=seed),
        macro_f1=_macro_f1(confusion, interval),
        balanced_accuracy=_balanced_accuracy(confusion, interval),
        top_k=_top_k(labels, probabilities, groups, level, draws, seed),
        log_loss=bootstrap_interval(
            log_losses(labels, probabilities), groups, level=level, draws=draws, seed=seed, yes_or_no=False
        ),
        classes=tuple(
            _class_figures(place, name, confusion, interval) for place, name in enumerate(classes)
        ),
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
    )


def confusion_matrix(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each class (row) was answered with each class (column), (C, C) int64."""
    places = labels.astype(np.int64) * classes + answers
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns −ln(probability of the right class) per image, (N,) float64."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1.0))


TOP = (3, 5)
"""The k of top-k accuracy; k = 1 is the accuracy."""

ROWS = 8192
"""Rows of probabilities that are checked together."""


class _Kinds(NamedTuple):
    """The kinds of answers that were given, each (K,): images of one kind look alike to every figure."""

    group: np.ndarray
    truth: np.ndarray
    answer: np.ndarray
    size: np.ndarray
    """Images of this kind."""


class _Counts(NamedTuple):
    """Counts of each class, (C,), or (draws, C)."""

    hits: np.ndarray
    support: np.ndarray
    answered: np.ndarray


class _Units(NamedTuple):
    """How many images, or groups, a figure of each class rests on, (C,)."""

    support: np.ndarray
    answered: np.ndarray
    either: np.ndarray


class _Intervals(NamedTuple):
    drawn: _Counts
    units: _Units
    groups: int | None
    level: float
    method: str

    def of(self, value: float, drawn: np.ndarray, count: int) -> Interval:
        return percentile_interval(value, drawn, level=self.level, count=count, method=self.method)

    def of_share(self, hits: int, count: int, units: int, drawn: np.ndarray) -> Interval | None:
        """Returns the interval of hits / count; see `drawn_share_interval`."""
        return drawn_share_interval(hits, count, units, drawn, level=self.level, method=self.method)


def _kinds(labels: np.ndarray, answers: np.ndarray, codes: np.ndarray | None) -> _Kinds:
    group = np.zeros(len(labels), np.int64) if codes is None else codes
    kinds, size = np.unique(np.stack([group, labels, answers]), axis=1, return_counts=True)
    return _Kinds(kinds[0], kinds[1], kinds[2], size)


def _drawn(kinds: _Kinds, alone: bool, classes: int, draws: int, seed: int) -> _Counts:
    """Draws images, or groups, and counts hits, truths and answers of each class, (draws, C)."""
    units = kinds.size if alone else np.ones(int(kinds.group.max()) + 1, np.int64)
    drawn = resampled_counts(units, draws=draws, seed=seed)
    if alone:
        rows = [_per_class(counts, kinds, classes) for counts in drawn]
    elif len(units) * classes <= 8 * len(
        kinds.size
    ):  # measured: a product of matrices is faster up to there
        table = _group_table(kinds, classes)
        rows = [tuple(np.split(np.rint(counts @ table), 3, axis=1)) for counts in drawn]
    else:
        rows = [_per_class(counts[:, kinds.group] * kinds.size, kinds, classes) for counts in drawn]
    return _Counts(*(np.concatenate(part) for part in zip(*rows, strict=True)))


def _group_table(kinds: _Kinds, classes: int) -> np.ndarray:
    """Returns hits, truths and answers of each class in each group, side by side, (G, 3C) float64."""
    groups, right = int(kinds.group.max()) + 1, kinds.truth == kinds.answer
    parts = ((kinds.truth, kinds.size * right), (kinds.truth, kinds.size), (kinds.answer, kinds.size))
    return np.concatenate(
        [
            np.bincount(kinds.group * classes + key, weights=size, minlength=groups * classes).reshape(
                groups, classes
            )
            for key, size in parts
        ],
        axis=1,
    )


def _units(kinds: _Kinds, alone: bool, classes: int) -> _Units:
    def count(of_class: np.ndarray) -> int:
        return int(kinds.size[of_class].sum()) if alone else len(np.unique(kinds.group[of_class]))

    rows = [
        (count(shown), count(answered), count(shown | answered))
        for shown, answered in ((kinds.truth == place, kinds.answer == place) for place in range(classes))
    ]
    return _Units(*np.array(rows).T)


def _per_class(
    counts: np.ndarray, kinds: _Kinds, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns hits, truths and answers of each class, each (draws, C), from counts (draws, K)."""
    right = kinds.truth == kinds.answer
    return (
        _sum_by(counts[:, right], kinds.truth[right], classes),
        _sum_by(counts, kinds.truth, classes),
        _sum_by(counts, kinds.answer, classes),
    )


def _sum_by(counts: np.ndarray, key: np.ndarray, classes: int) -> np.ndarray:
    """Returns the sums of columns that share a key, (draws, classes)."""
    sums = np.zeros((len(counts), classes), np.int64)
    if key.size:
        order = np.argsort(key, kind="stable")
        found, starts = np.unique(key[order], return_index=True)
        sums[:, found] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def _class_figures(place: int, name: str, confusion: np.ndarray, interval: _Intervals) -> ClassFigures:
    hits, support = int(confusion[place, place]), int(confusion[place].sum())
    answered = int(confusion[:, place].sum())
    drawn = _Counts(*(counts[:, place] for counts in interval.drawn))
    units = [int(count[place]) for count in interval.units]
    return ClassFigures(
        label=name,
        support=support,
        answered=answered,
        hits=hits,
        precision=interval.of_share(hits, answered, units[1], _ratio(drawn.hits, drawn.answered)),
        recall=interval.of_share(hits, support, units[0], _ratio(drawn.hits, drawn.support)),
        f1=_f1(_Counts(*map(np.asarray, (hits, support, answered))), units[2], drawn, interval),
    )


def _f1(counts: _Counts, units: int, drawn: _Counts, interval: _Intervals) -> Interval | None:
    """Returns F1 = 2j / (1 + j) with j = hits / (hits + misses + false alarms); it grows with j."""
    if counts.support == 0:
        return None
    hits, either = int(counts.hits), int(counts.support + counts.answered - counts.hits)
    if hits in (0, either) or units == 1:
        share = wilson(hits / either * units, units, level=interval.level)
        ends = {end: _dice(getattr(share, end)) for end in ("value", "low", "high")}
        return share.model_copy(update=ends | {"count": either})
    return interval.of(float(_f1_of(counts)), _f1_of(drawn), either)


def _macro_f1(confusion: np.ndarray, interval: _Intervals) -> Interval:
    """Returns the mean F1 of the classes that have images; a draw without a class leaves it out.

    F1 is a ratio, and draws of small classes come out lower than the whole on average (with ten images a
    class, by more than the interval is wide): the draws are shifted so that their mean is the figure.
    Source: the bootstrap estimate of bias, Efron and Tibshirani, 1993, ch. 10.

    Where all answers are right, or all wrong, the interval is that of a share among C² / Σ 1/nᶜ images:
    as many as would leave a mean over classes of equal size just as uncertain.
    """
    counts = _Counts(np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0))
    value = float(np.nanmean(_f1_of(counts)))
    count, present = int(counts.support.sum()), counts.support > 0
    if counts.hits.sum() in (0, count):
        units = float(present.sum() ** 2 / (1 / interval.units.support[present]).sum())
        units = min(units, interval.groups or count)
        share = wilson(value * units, units, level=interval.level)
        return share.model_copy(update={"low": _dice(share.low), "high": _dice(share.high), "count": count})
    drawn = np.nanmean(_f1_of(interval.drawn), axis=1)
    return interval.of(value, np.clip(drawn + value - drawn.mean(), 0, 1), count)


def _balanced_accuracy(confusion: np.ndarray, interval: _Intervals) -> Interval:
    """Returns the mean recall of the classes that have images; draws are shifted as for macro F1.

    Source: Brodersen and others, The balanced accuracy and its posterior distribution, 2010; scikit-learn,
        `balanced_accuracy_score`.
    """
    hits, support = np.diag(confusion), confusion.sum(axis=1)
    value = float(np.nanmean(_ratio(hits, support)))
    count, present = int(support.sum()), support > 0
    if hits.sum() in (0, count):
        units = float(present.sum() ** 2 / (1 / interval.units.support[present]).sum())
        units = min(units, interval.groups or count)
        return wilson(value * units, units, level=interval.level).model_copy(update={"count": count})
    drawn = np.nanmean(_ratio(interval.drawn.hits, interval.drawn.support), axis=1)
    return interval.of(value, np.clip(drawn + value - drawn.mean(), 0, 1), count)


def _top_k(
    labels: np.ndarray, probabilities: np.ndarray, groups: Groups, level: float, draws: int, seed: int
) -> dict[int, Interval]:
    """Returns for each k how often the right class is among the k most probable.

    Source: scikit-learn, `top_k_accuracy_score`; of equal probabilities the first class counts as before.
    """
    wanted = [k for k in TOP if k < probabilities.shape[1]]
    places = place_of_truth(labels, probabilities) if wanted else None
    return {
        k: bootstrap_interval(places < k, groups, level=level, draws=draws, seed=seed)
        for k in wanted
        if places is not None
    }


def _f1_of(counts: _Counts) -> np.ndarray:
    """Returns 2·hits / (support + answered), NaN for a class without images."""
    return np.where(counts.support > 0, _ratio(2 * counts.hits, counts.support + counts.answered), np.nan)


def _dice(share: float) -> float:
    return 2 * share / (1 + share)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns above / below, NaN where below is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)


def _check(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    if probabilities.shape != (len(labels), len(classes)):
        raise Invalid(
            "evaluation.shapes-do-not-fit",
            "Expected probabilities of shape {expected}: a row per label, a column per class. "
            "Received: {shape}.",
            expected=(len(labels), len(classes)),
            shape=probabilities.shape,
        )
    if len(labels) == 0:
        raise Invalid(
            "evaluation.no-images",
            "There are no images to evaluate.",
            do="Give the split some images: a larger share in [dataset.freeze], or more pictures.",
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise Invalid(
            "evaluation.label-unknown",
            "Expected labels from 0 to {largest}, one per class. Received: {low} to {high}.",
            largest=len(classes) - 1,
            low=int(labels.min()),
            high=int(labels.max()),
        )
    bad = sum(_bad_rows(probabilities[start : start + ROWS]) for start in range(0, len(labels), ROWS))
    if bad:
        raise Invalid(
            "evaluation.not-probabilities",
            "For {bad} of {count} images the model did not answer with probabilities (NaN, or outside 0 to "
            "1).",
            do="The training may have diverged: look at its curves, lower the learning rate, train again.",
            bad=bad,
            count=len(labels),
        )


def _bad_rows(rows: np.ndarray) -> int:
    good = (rows >= 0) & (rows <= 1 + 1e-3)  # NaN is neither
    return len(rows) - int(np.count_nonzero(good.all(axis=1)))
