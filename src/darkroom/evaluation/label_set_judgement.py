"""Judge label sets: figures at an operating point, the worst images, what a reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.curves import CURVE_DRAWS, measure_curves
from darkroom.evaluation.findings import Curves
from darkroom.evaluation.judgement import notes_of
from darkroom.evaluation.label_set_ranking import micro_ap
from darkroom.evaluation.label_set_record import LabelSetEvaluation, WrongSet
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import EvaluationSource
from darkroom.records import FrozenDict, Interval, OperatingPoint, content_id
from darkroom.tasks.figures import MultiLabelFigures
from darkroom.tasks.label_sets import AT_HALF, given, names_of
from darkroom.tasks.multi_label import binary_losses, measure

__all__ = ["basis_of", "judge_label_sets", "judged_sets_again"]

BY_THRESHOLDS = ("macro_f1", "micro_f1", "exact_match")

JUDGED = ("figures", "errors", "worst", "curves", "point", "at_half", "notes", "basis")
"""What of an evaluation is judged; the rest says how the answers came about."""


def basis_of(point: OperatingPoint) -> str:
    """Returns what the figures rest on beside the answers."""
    return content_id({"point": point})


def judge_label_sets(
    predictions: Predictions,
    *,
    classes: Sequence[str],
    source: EvaluationSource | None = None,
    point: OperatingPoint = AT_HALF,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    worst: int = 24,
) -> LabelSetEvaluation:
    """Returns the figures of label sets with their intervals, and the worst images.

    Args:
        predictions: the answers; their labels are (N, C) of 0 and 1.
        classes: names of the C labels.
        source: what is judged, for the record.
        point: its thresholds decide which labels are given.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn; average precisions at most `CURVE_DRAWS` times.
        seed: the same seed gives the same intervals.
        worst: how many images to list at most.

    Raises:
        Invalid: what was given does not fit together, is empty, or holds no probabilities.
    """
    if np.ndim(predictions.labels) != 2:
        raise Invalid(
            "evaluation.no-label-sets",
            "Expected yes or no for each image and label. Received: one class per image.",
            do="Evaluate the run on the dataset version that it was trained on.",
        )
    truth = np.asarray(predictions.labels) > 0
    probabilities, groups = np.asarray(predictions.probabilities), predictions.groups
    source = source or EvaluationSource()
    how = {"level": level, "draws": draws, "seed": seed}
    figures = measure(truth, probabilities, classes, groups, point=point, **how)
    how["draws"] = min(draws, CURVE_DRAWS)
    curves = measure_curves(predictions.labels, probabilities, classes, groups, **how)
    figures = _ranked(figures, curves, micro_ap(truth, probabilities, groups, **how))
    wrong = (given(probabilities, classes, point) != truth).any(axis=1)
    return LabelSetEvaluation(
        source=source,
        labels=tuple(classes),
        figures=figures,
        errors=int(wrong.sum()),
        worst=tuple(_worst(predictions, truth, classes, point, worst)),
        curves=curves,
        point=point,
        at_half=_at_half(truth, probabilities, classes, point),
        basis=basis_of(point),
        notes=tuple(_notes(figures, predictions, source, point)),
        level=level,
        draws=draws,
        seed=seed,
    )


def judged_sets_again(
    evaluation: LabelSetEvaluation, predictions: Predictions, point: OperatingPoint
) -> LabelSetEvaluation:
    """Returns an evaluation of the same answers at another operating point."""
    found = judge_label_sets(
        predictions,
        classes=evaluation.labels,
        source=evaluation.source,
        point=point,
        level=evaluation.level,
        draws=evaluation.draws,
        seed=evaluation.seed,
    )
    return evaluation.model_copy(update={name: getattr(found, name) for name in JUDGED})


def _ranked(figures: MultiLabelFigures, curves: Curves, micro: Interval | None) -> MultiLabelFigures:
    """Returns figures with the average precisions filled in."""
    rows = tuple(
        row.model_copy(update={"average_precision": of.average_precision})
        for row, of in zip(figures.classes, curves.classes, strict=True)
    )
    found = {"mean_ap": curves.macro_average_precision, "micro_ap": micro, "classes": rows}
    return figures.model_copy(update=found)


def _at_half(
    truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], point: OperatingPoint
) -> FrozenDict[str, float]:
    """Returns figures as they would be without thresholds; nothing where none was chosen."""
    if not point.thresholds:
        return FrozenDict({})
    found = measure(truth, probabilities, classes, draws=1)
    return FrozenDict({name: getattr(found, name).value for name in BY_THRESHOLDS})


def _worst(
    predictions: Predictions, truth: np.ndarray, classes: Sequence[str], point: OperatingPoint, most: int
) -> Iterator[WrongSet]:
    """Yields the images with a wrong label: the largest log loss first, then in the order of their ids."""
    probabilities = np.asarray(predictions.probabilities)
    answers = given(probabilities, classes, point)
    losses = binary_losses(truth, probabilities)
    wrong = np.flatnonzero((answers != truth).any(axis=1))
    ids = np.asarray([predictions.image_ids[place] for place in wrong.tolist()], dtype=str)
    for rank in np.lexsort((ids, -losses[wrong]))[:most].tolist():
        place = int(wrong[rank])
        own = dict(zip(classes, probabilities[place].astype(float).tolist(), strict=True))
        missed = names_of(truth[place] & ~answers[place], classes)
        invented = names_of(answers[place] & ~truth[place], classes)
        yield WrongSet(
            image_id=predictions.image_ids[place],
            truth=names_of(truth[place], classes),
            missed=FrozenDict({label: own[label] for label in missed}),
            invented=FrozenDict({label: own[label] for label in invented}),
            log_loss=float(losses[place]),
        )


def _notes(
    figures: MultiLabelFigures, predictions: Predictions, source: EvaluationSource, point: OperatingPoint
) -> Iterator[str]:
    yield from notes_of(figures, predictions.groups)
    always = [row.label for row in figures.classes if row.support == figures.count]
    if always:
        named = ", ".join(f"“{label}”" for label in always[:8]) + (" and more" if len(always) > 8 else "")
        yield f"Every image has {named}: its precision and average precision cannot but be 100 %."
    if point.thresholds and point.chosen_on == f"{source.split} of {source.dataset}":
        yield (
            "The thresholds were chosen on these very images: F1, exact match and Hamming loss look a "
            "little better than they are."
        )
