"""What changed between two evaluations: the same pictures, before and after, in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.evaluation.clones import verdict
from darkroom.evaluation.predictions import Predictions
from darkroom.evaluation.record import Verdict
from darkroom.records import Interval
from darkroom.records.record import Fact
from darkroom.statistics import paired_difference

__all__ = ["Asked", "Gain", "measure_gain"]


class Gain(Fact):
    """How much more often pictures are answered rightly than in the evaluation before."""

    before: tuple[str, ...]
    """The runs of the evaluation before."""
    after: tuple[str, ...]
    split: str = ""
    images: int
    """Pictures that all of them were asked about."""
    relabelled: int
    """Of these, pictures whose label changed in between; both sides are judged by today's."""
    difference: Interval
    """Share of right answers after, less that before, drawn in pairs; means over the runs of a side."""
    verdict: Verdict
    """Of after against before; needs an interval that does not hold 0."""
    now_right: tuple[str, ...] = ()
    """Pictures that most runs answered wrongly before, and rightly now."""
    now_wrong: tuple[str, ...] = ()


class Asked(NamedTuple):
    """What one run answered, with the names of its classes."""

    run: str
    classes: tuple[str, ...]
    predictions: Predictions


def measure_gain(
    before: Sequence[Asked],
    after: Sequence[Asked],
    *,
    split: str = "",
    draws: int = 2000,
    seed: int = 0,
) -> Gain | None:
    """Compares two evaluations on the pictures that they share; None where they share none.

    Args:
        before: the runs of the evaluation before.
        after: those of today; their labels are the truth.
        split: the pictures, for the record.
        draws: how many times the pictures are drawn.
        seed: the same seed gives the same interval.
    """
    shared = _shared([*after, *before])
    if not shared:
        return None
    truth, groups = _truth(after[0], shared)
    then, _ = _truth(before[0], shared)
    rights = [np.mean([_right(one, shared, truth) for one in side], axis=0) for side in (after, before)]
    difference = paired_difference(rights[0], rights[1], groups, draws=draws, seed=seed)
    ids = np.array(shared)
    return Gain(
        before=tuple(one.run for one in before),
        after=tuple(one.run for one in after),
        split=split,
        images=len(shared),
        relabelled=int((truth != then).sum()),
        difference=difference,
        verdict=verdict(difference),
        now_right=tuple(ids[(rights[0] > 0.5) & (rights[1] < 0.5)].tolist()),
        now_wrong=tuple(ids[(rights[0] < 0.5) & (rights[1] > 0.5)].tolist()),
    )


def _shared(sides: Sequence[Asked]) -> list[str]:
    found = set(sides[0].predictions.image_ids)
    for one in sides[1:]:
        found &= set(one.predictions.image_ids)
    return [image_id for image_id in sides[0].predictions.image_ids if image_id in found]


def _places(one: Asked, shared: Sequence[str]) -> np.ndarray:
    index = {image_id: place for place, image_id in enumerate(one.predictions.image_ids)}
    return np.fromiter((index[image_id] for image_id in shared), np.int64, len(shared))


def _truth(one: Asked, shared: Sequence[str]) -> tuple[np.ndarray, list[str | None] | None]:
    """Returns the names of the right classes, and the groups, of the shared pictures."""
    places = _places(one, shared)
    groups = one.predictions.groups
    names = np.array(one.classes, object)[one.predictions.labels[places]]
    return names, None if groups is None else [groups[place] for place in places.tolist()]


def _right(one: Asked, shared: Sequence[str], truth: np.ndarray) -> np.ndarray:
    answers = np.array(one.classes, object)[one.predictions.answers[_places(one, shared)]]
    return (answers == truth).astype(np.float64)
