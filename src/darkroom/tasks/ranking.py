"""How well probabilities rank images: precision against recall, ROC, areas, the right class's place.

A curve is made of steps, from the highest probability down: `hits` and `false_alarms` are how many images
of a class, and of others, stand at each step. The last axis holds the steps, so that many draws are
measured at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "Steps",
    "average_precision",
    "place_of_truth",
    "precision_at",
    "roc_area",
    "steps_of",
    "true_positive_rate_at",
]

ROWS = 8192
"""Images looked at together."""


class Steps(NamedTuple):
    """Images at each step of a ranking, (…, T), the highest probability first."""

    hits: np.ndarray
    """Images that show the class."""
    false_alarms: np.ndarray
    """Images that do not."""


def steps_of(scores: np.ndarray, shows: np.ndarray) -> Steps:
    """Ranks images by a probability; equal ones stand on one step.

    Args:
        scores: (N,) the probability of a class.
        shows: (N,) bool, whether the image shows the class.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    images = np.diff(np.append(starts, len(ranked)))
    hits = np.add.reduceat(shows[order].astype(np.int64), starts)
    return Steps(hits, images - hits)


def average_precision(steps: Steps) -> np.ndarray:
    """Returns Σ (Rₙ − Rₙ₋₁)·Pₙ over the steps, (…); NaN where no image shows the class.

    Source: scikit-learn, `average_precision_score`; no line is drawn between points, which would flatter:
        Davis and Goadrich, The relationship between precision-recall and ROC curves, 2006.
    """
    found, named = _added_up(steps)
    precision = _ratio(found, named)
    return _ratio(np.where(steps.hits > 0, steps.hits * precision, 0.0).sum(axis=-1), found[..., -1])


def roc_area(steps: Steps) -> np.ndarray:
    """Returns the area below the ROC curve, (…); NaN without images of the class, or of others.

    It is the share of pairs, one image of the class and one of another, that are ranked the right way
    round; a tie counts half.

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982.
    """
    found, named = _added_up(steps)
    ahead = found - steps.hits / 2
    pairs = found[..., -1] * (named - found)[..., -1]
    return _ratio((steps.false_alarms * ahead).sum(axis=-1), pairs)


def true_positive_rate_at(steps: Steps, rates: np.ndarray) -> np.ndarray:
    """Returns the share that is found, (K,), at shares (K,) of false alarms; straight between steps.

    Source: Fawcett, An introduction to ROC analysis, 2006 (vertical averaging reads curves so).
    """
    found, named = _added_up(steps)
    alarms = named - found
    x = np.concatenate([[0.0], _ratio(alarms, alarms[-1])])
    return np.interp(rates, x, np.concatenate([[0.0], _ratio(found, found[-1])]))


def precision_at(steps: Steps, recalls: np.ndarray) -> np.ndarray:
    """Returns the precision, (K,), where a recall of (K,) is first reached, as in `average_precision`."""
    found, named = _added_up(steps)
    recall = _ratio(found, found[-1])
    first = np.searchsorted(recall, np.asarray(recalls) - 1e-12)
    return _ratio(found, named)[np.minimum(first, len(recall) - 1)]


def place_of_truth(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns how many classes stand before the right one, (N,): 0 where the answer is right.

    Of equally probable classes the first in the order of the output stands first.

    Args:
        labels: (N,) int.
        probabilities: (N, C).
    """
    found = np.empty(len(labels), np.int64)
    classes = np.arange(probabilities.shape[1])
    for start in range(0, len(labels), ROWS):
        part = slice(start, start + ROWS)
        rows, truth = np.asarray(probabilities[part]), labels[part, None]
        own = np.take_along_axis(rows, truth, axis=1)
        found[part] = ((rows > own) | ((rows == own) & (classes < truth))).sum(axis=1)
    return found


def _added_up(steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    found = np.cumsum(steps.hits, axis=-1)
    return found, found + np.cumsum(steps.false_alarms, axis=-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
