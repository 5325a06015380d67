"""What is decided where a recipe leaves it open, and what a training costs; kept with the run."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Fact

__all__ = ["BatchChoice", "ClonesChoice", "Costs", "HeadStart", "Plan", "PrecisionChoice", "RateChoice"]


class PrecisionChoice(Fact):
    """What `precision = "auto"` came to."""

    precision: Literal["float32", "bfloat16"]
    """What is taken."""
    float32_ms: float | None = None
    """A batch in float32; None where nothing was timed."""
    bfloat16_ms: float | None = None
    """A batch in bfloat16; None where nothing was timed."""
    why: str
    """The reason, in a sentence."""


class RateChoice(Fact):
    """What `find_learning_rate` came to."""

    rate: float
    """What is taken."""
    why: str
    """The reason, in sentences."""


class BatchChoice(Fact):
    """A smaller batch than was asked for, as memory does not hold that one."""

    batch_size: int
    """Pictures that go through the network together."""
    accumulate_batches: int
    """Such batches to a step."""
    asked: int
    """The batch that memory does not hold."""
    picture_bytes: int | None = None
    """What one more picture in a batch takes, where that could be measured."""
    why: str
    """The reason, in sentences."""


class HeadStart(Fact):
    """The last layer that learnt alone before the epochs of a gradual training."""

    epochs: int
    best_epoch: int
    """Of those; its weights were begun with."""
    val_loss: float | None = None
    val_accuracy: float | None = None
    """At that epoch."""
    duration_s: float
    """With the features that were not there yet."""


class ClonesChoice(Fact):
    """How clones are trained: one after the other, or several at a time in processes of their own."""

    processes: int
    """Clones at a time."""
    threads: int = 0
    """Threads of each where the recipe leaves them open; 0 leaves them open too."""
    alone_ms: float | None = None
    """A batch of one training with all threads; None where nothing was timed."""
    together_ms: float | None = None
    """A batch of one of several trainings at the same time; None where nothing was timed."""
    why: str
    """The reason, in a sentence."""


class Plan(Fact):
    """What the clones of one series have in common beside the recipe."""

    clones: ClonesChoice | None = None
    precision: PrecisionChoice | None = None
    """For precision = "auto": the one choice of all."""


class Costs(Fact):
    """What a training takes: foreseen from its first batches, or measured at its end."""

    duration_s: float
    """Wall time of all epochs."""
    memory_bytes: int
    """Most memory that the process had; on cuda that of the device stands in `device_bytes`."""
    device_bytes: int = 0
    """Most memory that torch took on a cuda device."""
    disk_bytes: int
    """Size of the run's folder."""
