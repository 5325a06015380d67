"""What several clones together are worth: the mean of their probabilities against the mean clone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darkroom.evaluation.clones import shared_places, verdict
from darkroom.evaluation.label_set_clones import LabelSetsJudged
from darkroom.evaluation.label_set_ranking import RANKING_DRAWS, apart, draw_images, drawn_mean_ap
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.mask_clones import shared_masks
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import EnsembleGain
from darkroom.records import Interval
from darkroom.statistics import group_codes, paired_difference, percentile_interval, undivided
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.classification import log_losses
from darkroom.tasks.segmentation import miou_of, resample

__all__ = ["ensemble_gain", "label_set_ensemble_gain", "mask_ensemble_gain"]

ROWS = 8192
"""Rows of probabilities that are averaged together."""


def ensemble_gain(
    clones: Sequence[Predictions], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> EnsembleGain:
    """Returns what the mean of the probabilities of some clones gains over the mean clone, image by image.

    Args:
        clones: answers of at least two clones.
        level: share of the intervals that hold the true gain.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they share no image, or say different things about what is right.

    Source: Lakshminarayanan, Pritzel and Blundell, Simple and scalable predictive uncertainty estimation
        using deep ensembles, 2017 (trainings that differ by chance alone, probabilities averaged).
    """
    places = shared_places(clones)
    first, at = clones[0], places[0]
    labels, groups = first.labels[at], _named(first.groups, at)
    together = _mean_probabilities(clones, places)
    right = (together.argmax(axis=1) == labels).astype(np.float64)
    alone = [(one.answers == one.labels)[here] for one, here in zip(clones, places, strict=True)]
    losses = [
        log_losses(labels, np.asarray(one.probabilities)[here])
        for one, here in zip(clones, places, strict=True)
    ]
    mean = np.mean(alone, axis=0)
    drawn = {"level": level, "draws": draws, "seed": seed}
    gain = _between(right, mean, groups, level, draws, seed)
    return EnsembleGain(
        figure="accuracy",
        value=float(right.mean()),
        mean=float(mean.mean()),
        gain=gain,
        verdict=verdict(gain),
        log_loss=paired_difference(log_losses(labels, together), np.mean(losses, axis=0), groups, **drawn),
    )


def mask_ensemble_gain(
    together: MaskAnswers,
    clones: Sequence[MaskAnswers],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> EnsembleGain:
    """Returns what an ensemble gains in mean IoU over the mean clone; see `ensemble_gain`.

    Args:
        together: the masks of the mean of the probabilities.
        clones: the masks of each clone.
        level: share of the intervals that hold the true gain.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    every = (together, *clones)
    places = shared_masks(every)
    groups = _named(together.groups, places[0])
    sums = [
        resample(np.asarray(one.counts)[at], groups, draws=draws, seed=seed)
        for one, at in zip(every, places, strict=True)
    ]
    whole, *parts = (float(miou_of(one.whole)) for one in sums)
    mean = float(np.mean(parts))
    drawn = miou_of(sums[0].drawn) - np.mean([miou_of(one.drawn) for one in sums[1:]], axis=0)
    gain = percentile_interval(
        whole - mean, drawn, level=level, count=len(places[0]), method=sums[0].method
    )
    if np.all(drawn == drawn[0]):
        gain = undivided(whole - mean, sums[0].groups or sums[0].images, len(places[0]), level)
    return EnsembleGain(figure="mean IoU", value=whole, mean=mean, gain=gain, verdict=verdict(gain))


def label_set_ensemble_gain(
    clones: Sequence[LabelSetsJudged], *, level: float = 0.95, draws: int = RANKING_DRAWS, seed: int = 0
) -> EnsembleGain:
    """Returns what the mean of the probabilities gains in mean average precision; see `ensemble_gain`.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    predictions = [one.predictions for one in clones]
    places = shared_places(predictions)
    truth, groups = clones[0].truth[places[0]], _named(predictions[0].groups, places[0])
    weights = draw_images(len(truth), groups, draws=draws, seed=seed)
    rows = [np.asarray(one.probabilities)[at] for one, at in zip(predictions, places, strict=True)]
    together = drawn_mean_ap(truth, _mean_probabilities(predictions, places), groups, weights)
    alone = [drawn_mean_ap(truth, one, groups, weights) for one in rows]
    mean = float(np.mean([value for value, _ in alone]))
    gain = apart(together, (mean, np.mean([one for _, one in alone], axis=0)), groups, len(truth), level)
    return EnsembleGain(figure="mean AP", value=together[0], mean=mean, gain=gain, verdict=verdict(gain))


def _mean_probabilities(clones: Sequence[Predictions], places: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean of the probabilities, (n, C) float64, a part of the rows at a time."""
    count = len(places[0])
    found = np.empty((count, clones[0].probabilities.shape[1]))
    for start in range(0, count, ROWS):
        rows = slice(start, start + ROWS)
        parts = [one.probabilities[at[rows]] for one, at in zip(clones, places, strict=True)]
        found[rows] = np.mean(parts, axis=0, dtype=np.float64)
    return found


def _between(
    right: np.ndarray, mean: np.ndarray, groups: Groups, level: float, draws: int, seed: int
) -> Interval:
    if np.array_equal(right, mean):  # every clone answers every image as the ensemble does
        codes, _ = group_codes(groups, len(right))
        units = len(right) if codes is None else int(codes.max()) + 1
        return undivided(0.0, units, len(right), level)
    return paired_difference(right, mean, groups, level=level, draws=draws, seed=seed)


def _named(groups: Sequence[str | None] | None, places: np.ndarray) -> list[str | None] | None:
    return None if groups is None else [groups[place] for place in places.tolist()]
