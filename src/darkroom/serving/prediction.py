"""What a model answers to one picture."""

from __future__ import annotations

from darkroom.records import Fact, FrozenMap

__all__ = ["Prediction"]


class Prediction(Fact):
    """The answer to one picture."""

    label: str
    """The most probable class."""
    probability: float
    """Of that class."""
    sure: bool
    """False where the operating point calls the answer "not sure"."""
    probabilities: FrozenMap[str, float]
    """Per class, in the order of the model's output."""
    embedding: tuple[float, ...] | None = None
    """The vector before the last layer, where the file gives it."""
    file: str
    """Name of the model file that answered."""
    runtime: str
    """Library that ran it, with its version."""
