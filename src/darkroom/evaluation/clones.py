"""Compare models on the same images: how much clones differ, and whether one is better than another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Protocol, TypeVar

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.label_set_record import LabelSetEvaluation
from darkroom.evaluation.mask_record import MaskEvaluation
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import ClassSpread, ClonesSummary, Comparison, Evaluation, Verdict
from darkroom.records import Interval, Spread
from darkroom.statistics import paired_difference, spread
from darkroom.tasks.classification import log_losses
from darkroom.tasks.figures import ClassFigures

__all__ = [
    "ClonesSummary",
    "Comparison",
    "compare",
    "check_alike",
    "figure_spread",
    "mean_over_pairs",
    "places_in_all",
    "share_spread",
    "shared_places",
    "summarise",
    "taken",
    "verdict",
]


class _Asked(Protocol):
    """What knows which images it was asked about."""

    @property
    def image_ids(self) -> tuple[str, ...]: ...


M = TypeVar("M", bound=_Asked)


def summarise(
    evaluations: Sequence[Evaluation], predictions: Sequence[Predictions] = (), *, level: float = 0.95
) -> ClonesSummary:
    """Returns the spread of each figure over clones.

    Args:
        evaluations: one per clone, on the same images.
        predictions: their answers in the same order; without them churn is unknown.
        level: share of the t intervals that hold the true mean over seeds.

    Raises:
        Invalid: there are no evaluations, or they are not of the same classes and images.
    """
    check_alike(evaluations)
    rows = zip(*(evaluation.figures.classes for evaluation in evaluations), strict=True)
    return ClonesSummary(
        runs=tuple(evaluation.source.run for evaluation in evaluations),
        count=evaluations[0].figures.count,
        accuracy=share_spread([one.figures.accuracy.value for one in evaluations], level),
        macro_f1=share_spread([one.figures.macro_f1.value for one in evaluations], level),
        log_loss=spread([one.figures.log_loss.value for one in evaluations], level=level),
        classes=tuple(_class_spread(row, level) for row in rows),
        churn=mean_over_pairs(predictions, _churn),
    )


def compare(
    first: Predictions, second: Predictions, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Comparison:
    """Compares two models on the images that both were asked about, image by image.

    Args:
        first: answers of one model.
        second: answers of the other.
        level: share of the intervals that hold the true difference.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    first, second = _shared(first, second)
    labels, groups = first.labels, first.groups
    right = first.answers == labels, second.answers == labels
    losses = log_losses(labels, first.probabilities), log_losses(labels, second.probabilities)
    difference = paired_difference(*right, groups, level=level, draws=draws, seed=seed)
    return Comparison(
        difference=difference,
        verdict=verdict(difference),
        only_first_right=int((right[0] & ~right[1]).sum()),
        only_second_right=int((right[1] & ~right[0]).sum()),
        churn=float((first.answers != second.answers).mean()),
        same_images=len(labels),
        metrics={"log_loss": paired_difference(*losses, groups, level=level, draws=draws, seed=seed)},
    )


def verdict(difference: Interval) -> Verdict:
    """Returns what a paired difference, where larger is better, shows about the first of the two."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"


def _class_spread(rows: Sequence[ClassFigures], level: float) -> ClassSpread:
    return ClassSpread(
        label=rows[0].label,
        support=rows[0].support,
        precision=figure_spread([row.precision for row in rows], level),
        recall=figure_spread([row.recall for row in rows], level),
        f1=figure_spread([row.f1 for row in rows], level),
    )


def figure_spread(figures: Sequence[Interval | None], level: float) -> Spread | None:
    """Returns the spread of a share over clones; None where one of them has no such figure."""
    values = [figure.value for figure in figures if figure is not None]
    return share_spread(values, level) if len(values) == len(figures) else None


def share_spread(values: Sequence[float], level: float) -> Spread:
    """Returns the spread of shares; the t interval knows of no end at 0 and 1, and is cut there."""
    found = spread(values, level=level)
    if found.interval is None:
        return found
    ends = {"low": max(0.0, found.interval.low), "high": min(1.0, found.interval.high)}
    return found.model_copy(update={"interval": found.interval.model_copy(update=ends)})


def mean_over_pairs(models: Sequence[M], churn: Callable[[M, M], float]) -> float | None:
    """Returns the mean churn over pairs of models; pairs that share no image are left out."""
    found: list[float] = []
    for pair in combinations(models, 2):
        if set(pair[0].image_ids) & set(pair[1].image_ids):
            found.append(churn(*pair))
    return math.fsum(found) / len(found) if found else None


def shared_places(models: Sequence[Predictions]) -> list[np.ndarray]:
    """Returns where the images lie that all models were asked about, (n,) for each, in one order.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    places = places_in_all(models)
    right = [one.labels[at] for one, at in zip(models, places, strict=True)]
    for one in right[1:]:
        _check_labels(right[0], one)
    return places


def places_in_all(models: Sequence[_Asked]) -> list[np.ndarray]:
    """Returns where the images lie that all models were asked about, in the order of the first model.

    Raises:
        Invalid: they share no image.
    """
    shared = set(models[0].image_ids).intersection(*(one.image_ids for one in models[1:]))
    if not shared:
        raise Invalid(
            "evaluation.no-shared-images",
            "The evaluations share no image.",
            do="Evaluate them on the same pictures: darkroom model evaluate --runs RUN,RUN",
        )
    order = [image_id for image_id in models[0].image_ids if image_id in shared]
    found = []
    for one in models:
        at = {image_id: place for place, image_id in enumerate(one.image_ids)}
        found.append(np.array([at[image_id] for image_id in order], np.int64))
    return found


def _churn(first: Predictions, second: Predictions) -> float:
    a, b = _shared(first, second)
    return float((a.answers != b.answers).mean())


def _shared(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Returns both, cut down to the images they share, in the first one's order."""
    if first.image_ids != second.image_ids:
        mine, theirs = places_in_all((first, second))
        first, second = taken(first, mine), taken(second, theirs)
    _check_labels(first.labels, second.labels)
    return first, second


def _check_labels(first: np.ndarray, second: np.ndarray) -> None:
    if not np.array_equal(first, second):
        raise Invalid(
            "evaluation.other-labels",
            "The two evaluations do not agree on what is right for {count} images.",
            do="Evaluate both runs on the same dataset version.",
            count=int((first != second).sum()),
        )


def taken(predictions: Predictions, places: np.ndarray) -> Predictions:
    """Returns the answers to some of the images, (n,) of their places, in that order."""
    groups = predictions.groups
    return Predictions(
        tuple(predictions.image_ids[place] for place in places),
        predictions.labels[places],
        None if groups is None else tuple(groups[place] for place in places),
        predictions.probabilities[places],
    )


def check_alike(evaluations: Sequence[Evaluation | LabelSetEvaluation | MaskEvaluation]) -> None:
    """Refuses to summarise nothing, or evaluations on other images.

    Raises:
        Invalid: there are none, or they are of different images or classes.
    """
    if not evaluations:
        raise Invalid("evaluation.no-clones", "A summary needs at least one evaluation. Received: none.")
    kinds = {(one.labels, one.figures.count, one.source.dataset_id) for one in evaluations}
    if len(kinds) > 1:
        raise Invalid(
            "evaluation.other-images",
            "Clones can only be summarised on the same images and classes. Received: {kinds} different "
            "sets.",
            do="Evaluate all clones on the same dataset version.",
            kinds=len(kinds),
        )
