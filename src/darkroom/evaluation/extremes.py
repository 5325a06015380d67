"""The telling pictures of each class: surest right, surest wrong, least sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from darkroom.evaluation.predictions import Predictions
from darkroom.records.record import Fact

__all__ = ["KINDS", "Extreme", "find_extremes"]

Kind = Literal["surest right", "surest wrong", "least sure"]
KINDS: tuple[Kind, ...] = ("surest right", "surest wrong", "least sure")

BLOCK_ROWS = 16_384


class Extreme(Fact):
    """One telling picture."""

    kind: Kind
    label: str
    """The class that the label says."""
    rank: int
    """From 1 on."""
    image_id: str
    answer: str
    probability: float
    """Of the answer."""
    truth_probability: float


def find_extremes(
    predictions: Predictions, classes: Sequence[str], *, most: int = 8
) -> tuple[Extreme, ...]:
    """Returns for each class the pictures that were answered rightly and wrongly with most confidence, and
    those with the least distance between the two most probable classes.

    Args:
        predictions: the answers.
        classes: names of the classes.
        most: pictures of each kind and class.
    """
    labels, count = predictions.labels, len(predictions.labels)
    answers, top, second = np.empty(count, np.int64), np.empty(count), np.empty(count)
    for start in range(0, count, BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, count))
        rows = np.asarray(predictions.probabilities[part], np.float64)
        answers[part] = rows.argmax(1)
        pair = np.sort(np.partition(rows, -2, axis=1)[:, -2:], axis=1)
        second[part], top[part] = pair.T
    right, found = answers == labels, list[Extreme]()
    for number, label in enumerate(classes):
        mine = labels == number
        looked_at: dict[Kind, tuple[np.ndarray, np.ndarray]] = {
            "surest right": (mine & right, -top),
            "surest wrong": (mine & ~right, -top),
            "least sure": (mine, top - second),
        }
        for kind, (wanted, worth) in looked_at.items():
            places = np.flatnonzero(wanted)
            ordered = places[np.lexsort((places, worth[places]))][:most]
            found += _rows(predictions, classes, kind, label, ordered, answers, top)
    return tuple(found)


def _rows(
    predictions: Predictions,
    classes: Sequence[str],
    kind: Kind,
    label: str,
    places: np.ndarray,
    answers: np.ndarray,
    top: np.ndarray,
) -> Iterator[Extreme]:
    for rank, place in enumerate(places.tolist(), 1):
        yield Extreme(
            kind=kind,
            label=label,
            rank=rank,
            image_id=predictions.image_ids[place],
            answer=classes[int(answers[place])],
            probability=float(top[place]),
            truth_probability=float(predictions.probabilities[place, int(predictions.labels[place])]),
        )
