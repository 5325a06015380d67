"""From probabilities to what is answered, in one place for all: temperature, thresholds, "not sure"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.records import OperatingPoint
from darkroom.tasks.calibration import scaled

__all__ = ["NOT_SURE", "Decisions", "decide", "thresholds_of"]

NOT_SURE = "not sure"
"""What is said where no answer counts."""

ROWS = 8192
"""Images looked at together."""


class Decisions(NamedTuple):
    """What is answered to N images."""

    answers: np.ndarray
    """(N,) int64: the most probable class; of equal ones the first."""
    confidences: np.ndarray
    """(N,) float32: its probability, at the temperature."""
    sure: np.ndarray
    """(N,) bool: whether the answer counts."""


def decide(probabilities: np.ndarray, labels: Sequence[str], point: OperatingPoint) -> Decisions:
    """Applies an operating point: the probabilities at its temperature, then its thresholds.

    The most probable class is the answer, and it counts if its probability is at least its own threshold
    and the common one.

    Args:
        probabilities: (N, C) as the model gives them.
        labels: names of the C classes.
        point: the operating point.
    """
    count = len(probabilities)
    answers, confidences = np.empty(count, np.int64), np.empty(count, np.float32)
    for start in range(0, count, ROWS):
        part = slice(start, start + ROWS)
        rows = np.asarray(probabilities[part])
        answers[part] = rows.argmax(axis=1)
        at = scaled(rows, point.temperature)
        confidences[part] = np.take_along_axis(at, answers[part, None], axis=1)[:, 0]
    return Decisions(answers, confidences, confidences >= thresholds_of(labels, point)[answers])


def thresholds_of(labels: Sequence[str], point: OperatingPoint) -> np.ndarray:
    """Returns from which probability on each class counts, (C,)."""
    own = np.array([point.thresholds.get(label, 0.0) for label in labels], np.float64)
    return np.maximum(own, point.not_sure_below)
