"""Gather how one file's label sets differ from PyTorch's, a batch at a time."""

from __future__ import annotations

import numpy as np

from darkroom.export.comparison import MOST_FLIPS, Comparison, ParityBatch, Truth
from darkroom.export.report import Flip
from darkroom.records import ModelCard
from darkroom.serving import Answer
from darkroom.tasks.label_sets import given as labels_given
from darkroom.tasks.label_sets import holds_from, names_of, spoken_set

__all__ = ["LabelSetComparison", "LabelSetTruth"]


class LabelSetTruth(Truth):
    """What PyTorch made of the images so far; right is an image whose labels are all right.

    Args:
        card: the labels, and the thresholds from which on they are given.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self._card = card

    def add(self, batch: ParityBatch, answer: Answer) -> None:
        """Adds the answers to a batch."""
        probabilities = answer.probabilities
        finite = np.isfinite(probabilities).all(axis=1)
        sets = labels_given(probabilities, self._card.labels, self._card.operating_point)
        self.right += (finite & (sets == (batch.labels > 0)).all(axis=1)).tolist()
        self.groups += [None] * len(sets) if batch.groups is None else list(batch.groups)
        self.splits.extend(batch.split for _ in sets)
        self.not_finite += int((~np.isfinite(probabilities)).sum())


class LabelSetComparison(Comparison):
    """One file that answers label sets, and how its sets differ so far; see `Comparison`.

    Two sets agree when every label is in both or in none. The margin of a flip is how far PyTorch's
    probability lay from the threshold, of the label that was least on the fence.
    """

    def _add_answers(self, batch: ParityBatch, expected: np.ndarray, given: np.ndarray) -> None:
        labels, point = self.card.labels, self.card.operating_point
        finite = np.asarray(np.isfinite(given).all(axis=1))
        reference, sets = labels_given(expected, labels, point), labels_given(given, labels, point)
        agree = finite & (reference == sets).all(axis=1)
        right = batch.labels > 0
        self.agreeing += int(agree.sum())
        self.alike += agree.tolist()
        self.right += (finite & (sets == right).all(axis=1)).tolist()
        self.flip_count += int((~agree).sum())
        apart = np.abs(expected - holds_from(labels, point))
        for place in np.flatnonzero(~agree)[: MOST_FLIPS - len(self.flips)].tolist():
            differing = apart[place][reference[place] != sets[place]]
            self.flips.append(
                Flip(
                    image_id=str(batch.image_ids[place]),
                    truth=spoken_set(names_of(right[place], labels)),
                    reference_answer=spoken_set(names_of(reference[place], labels)),
                    answer=spoken_set(names_of(sets[place], labels)) if finite[place] else "not a number",
                    margin=float(differing.max()) if differing.size else 1.0,
                )
            )
