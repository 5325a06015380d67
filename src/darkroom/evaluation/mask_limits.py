"""Hold the limits on quality (mean IoU, IoU per class, accuracy and recall of pixels) against masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from darkroom.evaluation.gates import wanted_of
from darkroom.evaluation.held import Wanted, blank, held, over_clones
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.mask_record import MaskEvaluation
from darkroom.records import Brief, Gate, Interval
from darkroom.tasks.segmentation import Resampled, interval_of, resample, shared_figure

__all__ = ["MaskJudged", "mask_gates"]

FIGURES = {"miou": "miou", "iou": "iou", "recall": "recall", "accuracy": "pixel_accuracy"}
"""A limit, and the figure that it is held against."""

NOTES = {
    "expected_cost": "the brief's costs are about whole pictures, not about masks",
    "mean_ap": "for several labels per picture; this model answers masks",
}


class MaskJudged(NamedTuple):
    """One run that answers masks, on one split."""

    evaluation: MaskEvaluation
    answers: MaskAnswers


def mask_gates(brief: Brief, judged: Sequence[MaskJudged], *, alike: bool) -> tuple[Gate, ...]:
    """Returns a gate per limit and run, and one per limit over clones; see `quality_gates`.

    Args:
        brief: the limits.
        judged: the runs, on the same images.
        alike: whether they are clones: of one recipe.
    """
    gates: list[Gate] = []

    @cache
    def drawn() -> tuple[Resampled, ...]:
        return tuple(_drawn(one) for one in judged)

    for wanted in wanted_of(brief):
        rows = [_gate(wanted, one) for one in judged]
        if len(rows) > 1:
            clones = alike and all(row.value is not None for row in rows)
            mean = _over_clones(wanted, judged, drawn()) if clones else None
            decides = mean is None and all(row.verdict == "fail" for row in rows)
            rows = [row.model_copy(update={"decides": decides}) for row in rows]
            rows += [mean] if mean is not None else []
        gates += rows
    return tuple(gates)


def _gate(wanted: Wanted, one: MaskJudged) -> Gate:
    subject, split = one.evaluation.source.run, one.evaluation.source.split
    labels, figures = one.evaluation.labels, one.evaluation.figures
    if wanted.limit not in FIGURES:
        return blank(wanted, subject, split, NOTES[wanted.limit])
    if wanted.label and wanted.label not in labels:
        return blank(wanted, subject, split, f'"{wanted.label}" is no class of the masks')
    of: object = figures.classes[labels.index(wanted.label)] if wanted.label else figures
    figure: Interval | None = getattr(of, FIGURES[wanted.limit])
    if figure is None:
        return blank(wanted, subject, split, f'no picture shows "{wanted.label}" in {split}')
    return held(wanted, figure, subject, split)


def _over_clones(wanted: Wanted, judged: Sequence[MaskJudged], drawn: Sequence[Resampled]) -> Gate | None:
    """Returns the gate of the mean over clones; the images are drawn once for all of them."""
    first = judged[0].evaluation
    place = first.labels.index(wanted.label) if wanted.label else None
    figure = FIGURES[wanted.limit]
    images = shared_figure(drawn, figure, place)
    if images is None:
        return None
    alone = [interval_of(one, figure, place) for one in drawn]
    values = [one.value for one in alone if one is not None]
    subject = f"mean of {len(judged)} clones"
    return over_clones(wanted, images, values, subject, first.source.split)


def _drawn(one: MaskJudged) -> Resampled:
    found = one.evaluation
    return resample(
        one.answers.counts, one.answers.groups, draws=found.draws, seed=found.seed, level=found.level
    )
