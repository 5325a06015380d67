"""A model against people: the accuracy that the brief says people reach on such pictures."""

from __future__ import annotations

from darkroom.evaluation.record import Verdict
from darkroom.records import Interval

__all__ = ["against_people"]


def against_people(accuracy: Interval, human: float) -> Verdict:
    """Returns whether a model is better than people, with evidence.

    The figure of people stands in the brief without an interval, and is taken as it is.

    Args:
        accuracy: of the model, with its interval.
        human: accuracy of people on such pictures.
    """
    if accuracy.low > human:
        return "better"
    return "worse" if accuracy.high < human else "no difference shown"
