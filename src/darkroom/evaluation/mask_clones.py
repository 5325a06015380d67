"""Compare models that answer masks on the same images: spread over clones, paired difference, churn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.clones import (
    check_alike,
    figure_spread,
    mean_over_pairs,
    places_in_all,
    share_spread,
    verdict,
)
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.mask_record import MaskClassSpread, MaskClonesSummary, MaskEvaluation
from darkroom.evaluation.record import Comparison
from darkroom.tasks.figures import MaskClassFigures
from darkroom.tasks.segmentation import EDGE, SHOWN, image_miou, paired_miou

__all__ = ["compare_masks", "pixel_churn", "shared_masks", "summarise_masks"]


def summarise_masks(
    evaluations: Sequence[MaskEvaluation], answers: Sequence[MaskAnswers] = (), *, level: float = 0.95
) -> MaskClonesSummary:
    """Returns the spread of each figure over clones.

    Args:
        evaluations: one per clone, on the same images.
        answers: their masks in the same order; without them churn is unknown.
        level: share of the t intervals that hold the true mean over seeds.

    Raises:
        Invalid: there are no evaluations, or they are not of the same classes and images.
    """
    check_alike(evaluations)
    figures = [one.figures for one in evaluations]
    rows = zip(*(one.classes for one in figures), strict=True)
    return MaskClonesSummary(
        runs=tuple(one.source.run for one in evaluations),
        count=figures[0].count,
        miou=share_spread([one.miou.value for one in figures], level),
        pixel_accuracy=share_spread([one.pixel_accuracy.value for one in figures], level),
        boundary_f1=figure_spread([one.boundary_f1 for one in figures], level),
        classes=tuple(_class_spread(row, level) for row in rows),
        churn=mean_over_pairs(answers, pixel_churn),
    )


def compare_masks(
    first: MaskAnswers, second: MaskAnswers, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Comparison:
    """Compares two models on the images that both were asked about, image by image.

    The difference is that of their mean IoU. "Better" on an image is a larger mean IoU within it.

    Args:
        first: masks of one model.
        second: masks of the other.
        level: share of the intervals that hold the true difference.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    mine, theirs = _shared(first, second)
    counts = first.counts[mine], second.counts[theirs]
    groups = None if first.groups is None else [first.groups[place] for place in mine.tolist()]
    drawn = {"level": level, "draws": draws, "seed": seed}
    difference = paired_miou(*counts, groups, **drawn)  # type: ignore[arg-type]
    of_image = image_miou(counts[0]) - image_miou(counts[1])
    return Comparison(
        difference=difference,
        figure="mean IoU",
        verdict=verdict(difference),
        only_first_right=int((of_image > 0).sum()),
        only_second_right=int((of_image < 0).sum()),
        churn=pixel_churn(first, second),
        same_images=len(mine),
    )


def pixel_churn(first: MaskAnswers, second: MaskAnswers) -> float:
    """Returns the share of pixels on which two models answer differently, over the images that both saw.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    mine, theirs = _shared(first, second)
    pairs = zip(mine.tolist(), theirs.tolist(), strict=True)
    apart = sum(int(np.count_nonzero(first.mask(a) != second.mask(b))) for a, b in pairs)
    return apart / (len(mine) * first.size_px[0] * first.size_px[1])


def _class_spread(rows: Sequence[MaskClassFigures], level: float) -> MaskClassSpread:
    return MaskClassSpread(
        label=rows[0].label,
        support=rows[0].support,
        iou=figure_spread([row.iou for row in rows], level),
        boundary_f1=figure_spread([row.boundary_f1 for row in rows], level),
    )


def _shared(first: MaskAnswers, second: MaskAnswers) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of the images that both saw, in the first one's order."""
    mine, theirs = shared_masks((first, second))
    return mine, theirs


def shared_masks(answers: Sequence[MaskAnswers]) -> list[np.ndarray]:
    """Returns where the images lie that all models saw, (n,) for each, in one order.

    Raises:
        Invalid: they share no image, or say different things about what is right.
    """
    places = places_in_all(answers)
    for one, at in zip(answers[1:], places[1:], strict=True):
        _check_pair(answers[0], one, places[0], at)
    return places


def _check_pair(first: MaskAnswers, second: MaskAnswers, mine: np.ndarray, theirs: np.ndarray) -> None:
    if first.size_px != second.size_px or first.counts.shape[1:] != second.counts.shape[1:]:
        raise Invalid(
            "evaluation.other-masks",
            "The two runs answer masks of different sizes or classes: {first} and {second} pixels, "
            "{classes} and {others} classes.",
            do="Compare runs that were trained on one dataset version.",
            first="×".join(map(str, first.size_px)),
            second="×".join(map(str, second.size_px)),
            classes=first.counts.shape[2],
            others=second.counts.shape[2],
        )
    right = first.counts[mine][:, (SHOWN, EDGE)], second.counts[theirs][:, (SHOWN, EDGE)]
    differing = int((right[0] != right[1]).any(axis=(1, 2)).sum())
    if differing:
        raise Invalid(
            "evaluation.other-labels",
            "The two evaluations do not agree on what is right for {count} images.",
            do="Evaluate both runs on the same dataset version.",
            count=differing,
        )
