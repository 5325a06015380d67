"""Labels that look wrong: confident learning on probabilities that were given without seeing the label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid

__all__ = ["ConfidentJoint", "Found", "confident_joint", "estimated_wrong", "find_suspects"]

BLOCK_ROWS = 16_384
"""Rows of probabilities in memory at a time."""

SAME = 1e-6
"""Probabilities that differ by less count as equal. Source: cleanlab, `internal/constants.py`."""

NO_CLASS = -1


class ConfidentJoint(NamedTuple):
    """How often pictures labelled i are confidently of class j."""

    thresholds: np.ndarray
    """(C,) from which probability on a picture counts as confidently of a class; ∞ for a class without
    pictures."""
    counts: np.ndarray
    """(C, C) int64: pictures labelled i (row) that are confidently j (column)."""
    looks_like: np.ndarray
    """(N,) int64: the class that each picture confidently is, −1 for none."""


class Found(NamedTuple):
    """The pictures whose label looks wrong, the most suspicious first."""

    places: np.ndarray
    """(S,) int64, which of the N pictures."""
    looks_like: np.ndarray
    """(S,) int64, the class that each confidently is."""
    margins: np.ndarray
    """(S,) float: probability of the label minus that of the most probable other class, −1 … 1."""
    joint: ConfidentJoint


def confident_joint(labels: np.ndarray, probabilities: np.ndarray) -> ConfidentJoint:
    """Counts the pictures that are confidently of another class than their label says.

    The threshold of a class is the mean probability that pictures with its label get for it. A picture is
    confidently of the most probable among the classes whose thresholds it reaches.

    Args:
        labels: (N,) int, 0 … C − 1.
        probabilities: (N, C) float; each row from a model that had not seen its label.

    Raises:
        Invalid: what was given does not fit together.

    Source: Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels,
        Journal of Artificial Intelligence Research 70, 2021, eq. 1 and 2.
    """
    labels = np.asarray(labels, np.int64)
    if len(labels) != len(probabilities) or not len(labels):
        raise Invalid(
            "suspects.do-not-fit",
            "Expected a row of probabilities for each of {labels} labels. Received: {rows}.",
            labels=len(labels),
            rows=len(probabilities),
        )
    classes = probabilities.shape[1]
    sums = np.zeros(classes)
    for part, rows in _parts(probabilities):
        own = rows[np.arange(len(rows)), labels[part]]
        sums += np.bincount(labels[part], weights=own, minlength=classes)
    support = np.bincount(labels, minlength=classes)
    means = sums / np.maximum(support, 1)
    thresholds = np.where(support > 0, np.maximum(means, 2 * SAME), np.inf)
    looks_like = np.full(len(labels), NO_CLASS, np.int64)
    for part, rows in _parts(probabilities):
        reached = rows >= thresholds - SAME
        best = np.where(reached, rows, -1.0).argmax(1)
        looks_like[part] = np.where(reached.any(1), best, NO_CLASS)
    sure = looks_like != NO_CLASS
    counts = np.bincount(labels[sure] * classes + looks_like[sure], minlength=classes**2)
    return ConfidentJoint(thresholds, counts.reshape(classes, classes), looks_like)


def find_suspects(labels: np.ndarray, probabilities: np.ndarray) -> Found:
    """Finds the pictures that are confidently of another class than their label says.

    One whose label is the most probable class all the same is no suspect. They come in the order of the
    normalised margin, the most suspicious first.

    Args:
        labels: (N,) int.
        probabilities: (N, C) float; each row from a model that had not seen its label.

    Source: Northcutt, Jiang and Chuang, 2021, "off-diagonals of the confident joint", ranked by the
        normalised margin; that the most probable class is never a suspect: cleanlab, `_reduce_issues`.
    """
    labels = np.asarray(labels, np.int64)
    joint = confident_joint(labels, probabilities)
    margins = np.empty(len(labels))
    for part, rows in _parts(probabilities):
        places = np.arange(len(rows))
        own = rows[places, labels[part]].copy()
        rows[places, labels[part]] = -np.inf
        margins[part] = own - rows.max(1)
    other = (joint.looks_like != NO_CLASS) & (joint.looks_like != labels) & (margins < -SAME)
    chosen = np.flatnonzero(other)
    chosen = chosen[np.lexsort((chosen, margins[chosen]))]
    return Found(chosen, joint.looks_like[chosen], margins[chosen], joint)


def estimated_wrong(joint: ConfidentJoint, labels: np.ndarray) -> np.ndarray:
    """Returns the estimated number of pictures labelled i whose class is j, (C, C) float.

    Args:
        joint: the confident counts.
        labels: (N,) int.

    Source: Northcutt, Jiang and Chuang, 2021, eq. 3: each row is scaled to the pictures that carry the
        label.
    """
    counts = joint.counts.astype(np.float64)
    np.fill_diagonal(counts, np.maximum(np.diag(counts), 1))
    support = np.bincount(np.asarray(labels, np.int64), minlength=len(counts))
    return counts / counts.sum(1, keepdims=True) * support[:, None]


def _parts(probabilities: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices and copies of the rows in them, float64."""
    for start in range(0, len(probabilities), BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, len(probabilities)))
        yield part, np.array(probabilities[part], np.float64)
