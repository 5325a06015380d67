"""What a model answers to one picture."""

from __future__ import annotations

from darkroom.domain import DomainAnswer
from darkroom.records import Fact, FrozenMap

__all__ = ["Prediction"]


class Prediction(Fact):
    """The answer to one picture."""

    label: str
    """The most probable class."""
    probability: float
    """Of that class, at the operating point's temperature."""
    sure: bool
    """False where the operating point calls the answer "not sure"."""
    probabilities: FrozenMap[str, float]
    """Per class, in the order of the model's output, at the operating point's temperature."""
    embedding: tuple[float, ...] | None = None
    """The vector before the last layer, where the file gives it."""
    domain: DomainAnswer | None = None
    """Whether the picture looks like the training pictures; None where the model came without a sketch."""
    file: str
    """Name of the model file that answered."""
    runtime: str
    """Library that ran it, with its version."""
