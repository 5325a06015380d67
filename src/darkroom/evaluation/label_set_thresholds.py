"""Choose from which probability on each label is given, on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import OperatingPoint
from darkroom.tasks.ranking import steps_of

__all__ = ["FEWEST_OF_A_LABEL", "ChosenThresholds", "choose_thresholds"]

FEWEST_OF_A_LABEL = 10
"""A label that fewer validation images have, or lack, takes the common threshold."""


class ChosenThresholds(NamedTuple):
    """An operating point, and what a person should know of how it was chosen."""

    point: OperatingPoint
    notes: tuple[str, ...]


def choose_thresholds(
    truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], *, chosen_on: str = ""
) -> ChosenThresholds:
    """Returns for each label the threshold at which its F1 is largest on validation images.

    It lies half-way between the least probability that is given and the next below; of equally good ones
    the nearest to 0.5 is taken. A label with few images, or few without it, takes the threshold at which F1
    over all pairs of image and label is largest: its own would be fitted to chance.

    Args:
        truth: (N, C) of 0 and 1.
        probabilities: (N, C) as the model gives them.
        classes: names of the C labels.
        chosen_on: which images these are, for the record.

    Raises:
        Invalid: there are no images, or none has a label.

    Source: Lipton, Elkan and Naryanaswamy, Optimal thresholding of classifiers to maximize F1, 2014;
        Fan and Lin, A study on threshold selection for multi-label classification, 2007, on rare labels
        (there they take the top rank; here the common threshold).
    """
    truth, probabilities = np.asarray(truth) > 0, np.asarray(probabilities)
    if not truth.any():
        raise Invalid(
            "calibrate.no-labels",
            "Thresholds are chosen on validation pictures, and none of the {count} has a label.",
            do="Give val a share when freezing the dataset: [stage.splits] in darkroom.toml.",
            count=len(truth),
        )
    common = _best(probabilities.ravel(), truth.ravel())
    having = truth.sum(axis=0)
    few = (having < FEWEST_OF_A_LABEL) | (len(truth) - having < FEWEST_OF_A_LABEL)
    thresholds = {
        label: common if few[place] else _best(probabilities[:, place], truth[:, place])
        for place, label in enumerate(classes)
    }
    named = [label for place, label in enumerate(classes) if few[place]]
    notes = (
        f"Fewer than {FEWEST_OF_A_LABEL} validation pictures have, or lack, {', '.join(named[:5])}"
        f"{f' and {len(named) - 5} more' if len(named) > 5 else ''}: they take the common threshold, "
        f"{common:g}.",
    )
    point = OperatingPoint(thresholds=thresholds, chosen_on=chosen_on)
    return ChosenThresholds(point, notes if named else ())


def _best(scores: np.ndarray, shows: np.ndarray) -> float:
    """Returns the threshold of the largest F1, of equally good ones the nearest to 0.5."""
    steps = steps_of(scores, shows)
    found = np.cumsum(steps.hits)
    answered = found + np.cumsum(steps.false_alarms)
    f1 = 2 * found / (answered + found[-1])
    levels = np.unique(scores.astype(np.float64))[::-1]  # one per step, the highest first
    below = np.append(levels[1:], 0.0)
    cuts = (levels + below) / 2
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))
    chosen = cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]]
    return round(float(chosen), 6)
