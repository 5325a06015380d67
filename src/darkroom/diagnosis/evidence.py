"""What a diagnosis rests on: answers of the run, short trainings beside it, labels against features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from darkroom.diagnosis.labels import LabelEvidence
from darkroom.records import Interval, MetricPoint
from darkroom.statistics import paired_difference, wilson

__all__ = ["Answers", "Evidence", "Gain", "Probe", "apart", "gain", "share"]


class Answers(Protocol):
    """What a network says to n pictures of which the truth is known."""

    @property
    def losses(self) -> np.ndarray: ...

    @property
    def right(self) -> np.ndarray: ...

    @property
    def confidences(self) -> np.ndarray: ...


class Probe(Protocol):
    """A short training, asked about the same pictures as the run."""

    @property
    def steps(self) -> int: ...

    @property
    def train(self) -> Answers: ...

    @property
    def val(self) -> Answers: ...

    @property
    def diverged(self) -> bool: ...


class Evidence(NamedTuple):
    """All that is known of a run."""

    run: str
    classes: int
    train_count: int
    val_count: int
    steps: int
    """Changes of the weights so far."""
    learning_rate: float
    weight_decay: float
    lacks: tuple[str, ...]
    """What of weight decay, dropout and augmentation the recipe does without."""
    network: str
    parameters: int
    points: Sequence[MetricPoint] = ()
    train: Answers | None = None
    """The run's own answers to a part of train, in evaluation mode; None where it has no weights."""
    val: Answers | None = None
    groups: Sequence[str | None] = ()
    """Of the val pictures that were asked about."""
    labels: LabelEvidence | None = None
    probes: Mapping[str, Probe] = {}
    """By name: "as it is", "rate × 0.1", …, "half", "larger", "regularised"."""
    larger: str = ""
    """The network of the probe "larger", in words."""
    broken: str = ""
    """The cause, where the run stopped at a value that is no number."""
    broken_said: str = ""
    missing: tuple[str, ...] = ()
    """What could not be gathered, and why."""


class Gain(NamedTuple):
    """How much better a probe answers than what it is held against."""

    loss: Interval
    """Mean over pictures of: loss of the other − loss of the probe."""
    right: Interval
    """Share of right answers of the probe − that of the other."""
    ratio: float
    """Loss of the probe / loss of the other."""


def share(right: np.ndarray) -> Interval:
    """Returns the share of right answers with its interval."""
    return wilson(float(right.sum()), len(right))


def gain(probe: Answers, other: Answers, groups: Sequence[str | None] = ()) -> Gain:
    """Compares two answers to the same pictures, picture by picture."""
    known = list(groups) if any(groups) else None
    first, second = (_bounded(one.losses) for one in (other, probe))
    loss = paired_difference(first, second, known)
    right = paired_difference(probe.right.astype(float), other.right.astype(float), known)
    return Gain(loss, right, float(second.mean() / max(first.mean(), 1e-12)))


def apart(first: Interval, second: Interval) -> Interval:
    """Returns the difference of two shares of different pictures, first − second.

    Source: Newcombe, Interval estimation for the difference between independent proportions, 1998,
        method 10.
    """
    value = first.value - second.value
    low = value - float(np.hypot(first.value - first.low, second.high - second.value))
    high = value + float(np.hypot(first.high - first.value, second.value - second.low))
    count = min(first.count, second.count)
    return Interval(value=value, low=low, high=high, count=count, method="newcombe")


def _bounded(losses: np.ndarray) -> np.ndarray:
    """Returns losses without what is no number, and with an end, so that one picture does not decide."""
    return np.minimum(np.nan_to_num(losses, nan=20.0, posinf=20.0), 20.0)
