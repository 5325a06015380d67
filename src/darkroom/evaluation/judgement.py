"""Judge answers: from labels and probabilities to an evaluation; knows nothing of networks or files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.record import Evaluation, EvaluationSource, WrongAnswer
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.classification import measure
from darkroom.tasks.figures import ClassificationFigures, MultiLabelFigures

__all__ = ["FEW_GROUPS", "FEW_IMAGES", "judge", "notes_of"]

FEW_GROUPS = 10
"""With fewer groups percentile intervals come out too narrow. Source: Cameron, Gelbach and Miller,
Bootstrap-based improvements for inference with clustered errors, 2008, table 3."""

FEW_IMAGES = 10
"""A recall over fewer images moves by more than 0.1 with each of them."""


def judge(
    labels: np.ndarray,
    probabilities: np.ndarray,
    image_ids: Sequence[str],
    groups: Groups = None,
    *,
    classes: Sequence[str],
    source: EvaluationSource | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    worst: int = 24,
    costs: np.ndarray | None = None,
) -> Evaluation:
    """Returns the figures of the answers with their intervals, and the worst mistakes.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float.
        image_ids: ids of the N images.
        groups: images of one group are drawn together.
        classes: names of the C classes.
        source: what is judged, for the record.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.
        worst: how many mistakes to list at most.
        costs: (C, C) what each answer (column) to each class (row) costs; the dearest mistakes then come
            first.

    Raises:
        Invalid: what was given does not fit together, is empty, or holds no probabilities.
    """
    if len(image_ids) != len(labels):
        raise Invalid(
            "evaluation.ids-do-not-fit",
            "Expected one image id per label, {labels}. Received: {ids}.",
            labels=len(labels),
            ids=len(image_ids),
        )
    figures = measure(labels, probabilities, classes, groups, level=level, draws=draws, seed=seed)
    answers = probabilities.argmax(axis=1)
    return Evaluation(
        source=source or EvaluationSource(),
        labels=tuple(classes),
        figures=figures,
        errors=int(np.count_nonzero(answers != labels)),
        worst=tuple(_worst(labels, probabilities, image_ids, classes, worst, costs)),
        notes=tuple(notes_of(figures, groups)),
        level=level,
        draws=draws,
        seed=seed,
    )


def _worst(
    labels: np.ndarray,
    probabilities: np.ndarray,
    image_ids: Sequence[str],
    classes: Sequence[str],
    most: int,
    costs: np.ndarray | None,
) -> Iterator[WrongAnswer]:
    """Yields the dearest first, then the most confidently wrong, then in the order of their ids."""
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    confidence = probabilities[wrong, answers[wrong]]
    truth = probabilities[wrong, labels[wrong]]
    ids = np.asarray([image_ids[place] for place in wrong.tolist()], dtype=str)
    paid = np.zeros(len(wrong)) if costs is None else costs[labels[wrong], answers[wrong]]
    for rank in np.lexsort((ids, truth, -confidence, -paid))[:most].tolist():
        place = int(wrong[rank])
        yield WrongAnswer(
            image_id=image_ids[place],
            truth=classes[int(labels[place])],
            answer=classes[int(answers[place])],
            probability=float(confidence[rank]),
            truth_probability=float(truth[rank]),
            cost=None if costs is None else float(paid[rank]),
        )


def notes_of(figures: ClassificationFigures | MultiLabelFigures, groups: Groups) -> Iterator[str]:
    """Yields what a reader of the figures must know."""
    absent = [row.label for row in figures.classes if row.support == 0]
    if absent:
        yield (
            f"No image of {_listed(absent)} in this split: recall and F1 are not defined there, "
            "and macro F1 leaves the class out."
        )
    scarce = [row.label for row in figures.classes if 0 < row.support < FEW_IMAGES]
    if scarce:
        yield f"Fewer than {FEW_IMAGES} images of {_listed(scarce)}: those figures say little."
    named = {str(group) for group in groups if group} if groups is not None else set()
    if figures.groups is not None and figures.groups < FEW_GROUPS:
        yield f"Only {figures.groups} groups: the intervals are likely too narrow."
    elif named and figures.groups is None and len(named) < figures.count:
        yield "All images lie in one group: the intervals are drawn by image and too narrow."


def _listed(names: Sequence[str], most: int = 8) -> str:
    quoted = [f"“{name}”" for name in names[:most]]
    return ", ".join(quoted) + (f" and {len(names) - most} more" if len(names) > most else "")
