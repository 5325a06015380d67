"""What a model for several labels answers to one picture."""

from __future__ import annotations

from darkroom.domain import DomainAnswer
from darkroom.records import Fact, FrozenMap

__all__ = ["LabelSetPrediction"]


class LabelSetPrediction(Fact):
    """The labels of one picture: any number of them, also none."""

    labels: tuple[str, ...]
    """Those whose probability reaches their threshold, in the order of the model's output."""
    probabilities: FrozenMap[str, float]
    """Per label, each by itself: they do not sum to 1."""
    thresholds: FrozenMap[str, float]
    """Per label, the probability from which on it is given."""
    embedding: tuple[float, ...] | None = None
    """The vector before the last layer, where the file gives it."""
    domain: DomainAnswer | None = None
    """Whether the picture looks like the training pictures; None where the model came without a sketch."""
    file: str
    """Name of the model file that answered."""
    runtime: str
    """Library that ran it, with its version."""
