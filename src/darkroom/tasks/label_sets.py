"""Answers that are sets of labels: which hold, how well they are ranked, what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from darkroom.records import OperatingPoint
from darkroom.tasks.ranking import average_precision, steps_of

__all__ = [
    "AT_HALF",
    "HOLDS_FROM",
    "average_precisions",
    "given",
    "holds_from",
    "mean_average_precision",
    "names_of",
    "spoken_set",
]

HOLDS_FROM = 0.5
"""Probability from which on a label is given where no threshold was chosen."""

AT_HALF = OperatingPoint()
"""Gives each label from 0.5 on."""

NONE = "none of the labels"


def holds_from(labels: Sequence[str], point: OperatingPoint) -> np.ndarray:
    """Returns from which probability on each label is given, (C,) float64."""
    return np.array([point.thresholds.get(label, HOLDS_FROM) for label in labels], np.float64)


def given(probabilities: np.ndarray, labels: Sequence[str], point: OperatingPoint) -> np.ndarray:
    """Returns which labels are given, (N, C) bool: those whose probability reaches their threshold.

    A picture may get none, and may get all. What is no number is not given.

    Args:
        probabilities: (N, C) as the model gives them, each between 0 and 1 by itself.
        labels: names of the C labels.
        point: the operating point; only its thresholds count here.
    """
    return np.asarray(probabilities) >= holds_from(labels, point)


def names_of(row: Iterable[object], labels: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the labels that hold in a row (C,) of yes and no."""
    return tuple(label for label, holds in zip(labels, row, strict=True) if holds)


def spoken_set(names: Sequence[str]) -> str:
    """Returns a set of labels in words."""
    return ", ".join(names) or NONE


def average_precisions(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the average precision of each label, (C,); NaN for a label that no picture has.

    Args:
        truth: (N, C) bool.
        probabilities: (N, C).
    """
    columns = zip(np.asarray(truth).T, np.asarray(probabilities).T, strict=True)
    return np.array([float(average_precision(steps_of(scores, shows))) for shows, scores in columns])


def mean_average_precision(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean average precision of the labels that some picture has; 0 where none has any.

    Source: the macro average of scikit-learn's `average_precision_score`.
    """
    found = average_precisions(truth, probabilities)
    known = found[np.isfinite(found)]
    return float(known.mean()) if known.size else 0.0
