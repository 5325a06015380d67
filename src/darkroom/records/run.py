"""Runs, what came out of them, and the stages that remember them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AwareDatetime, field_validator

from darkroom.records.record import Fact, FrozenMap, Record

__all__ = ["Interval", "MetricPoint", "Run", "RunNote", "RunState", "Spread", "StageRecord"]

RunState = Literal["queued", "running", "finished", "failed", "cancelled", "lost"]
"""A run's life; `lost`: its process went away without a word, and it can be resumed."""


class Interval(Fact):
    """A figure with its interval."""

    value: float
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    level: float = 0.95
    """Share of such intervals that hold the true value."""
    count: int = 0
    """How many images it rests on."""
    method: str = "bootstrap"
    """How the interval was made."""

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Spread(Fact):
    """How much a figure moves when nothing but the seed changes."""

    mean: float
    sd: float | None = None
    """Standard deviation with n − 1 below; None for a single clone, which shows no spread."""
    min: float
    max: float
    interval: Interval | None = None
    """Of the mean over seeds; None for a single clone."""
    values: tuple[float, ...] = ()
    """One per clone, in the order in which they were given."""


class Run(Record):
    """One training; everything else is in its folder `.darkroom/runs/<id>/`."""

    id: str
    """Short id, for example "r-12"."""
    key: str
    """sha256 of what decides the result: dataset, recipe, seed, versions of libraries."""
    operation: str
    """The operation that made it, for example "model.train"."""
    state: RunState = "queued"
    dataset: str
    """name@version."""
    network: str
    """Name in the table of networks."""
    seed: int = 0
    parent: str | None = None
    """The run whose weights it began from."""
    created_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    metrics: FrozenMap[str, float] = {}
    """Last and best figures: "val.accuracy", "val.loss", "epoch", …; one that is no number is left out."""
    note: str = ""
    """Of an earlier version; what people write now lies in the catalogue's log of notes, see `RunNote`."""
    tags: tuple[str, ...] = ()
    """Given by Darkroom itself, such as the search that a run belongs to."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _numbers(cls, found: Any) -> Any:
        """Leaves out NaN and infinity, which JSON writes as null."""
        if not isinstance(found, Mapping):
            return found
        return {
            name: value
            for name, value in found.items()
            if value is not None and not (isinstance(value, float) and not math.isfinite(value))
        }


class RunNote(Fact):
    """One thing that somebody said about a run."""

    run: str
    """The run's id."""
    kind: Literal["note", "tag", "untag"]
    """A note takes the place of the one before; a tag is given, or taken back."""
    text: str
    """The note, or the tag."""
    author: str = ""
    """Who said it, where that is known."""
    at: AwareDatetime


class MetricPoint(Fact):
    """One line of `metrics.jsonl`: the figures of one epoch."""

    epoch: int
    """From 1 on."""
    step: int
    """Changes of the weights so far."""
    train_loss: float
    """Mean cross-entropy of the epoch's batches, as the weights then were; never weighted, whatever loss
    the recipe trains with. With mixup or cutmix it and the accuracy are those of the mixed pictures."""
    train_accuracy: float
    """Share of right answers; for segmentation of right pixels, for several labels of pictures whose
    labels are all right at 0.5."""
    val_loss: float | None = None
    """Mean cross-entropy over the validation pictures; never weighted either."""
    val_accuracy: float | None = None
    val_miou: float | None = None
    """For segmentation: mean IoU of the classes that the validation pictures show."""
    val_mean_ap: float | None = None
    """For several labels: mean average precision of those that the validation pictures have."""
    learning_rate: float
    """At the end of the epoch."""
    images_per_second: float
    """Training throughput of the epoch."""
    duration_s: float
    """Wall time of the epoch, with validation."""
    gradient_norm: float | None = None
    """Norm of all gradients together, before a step: the median of a few steps of the epoch."""
    gradient_norm_max: float | None = None
    """The largest of these steps."""
    gradient_norms: FrozenMap[str, float] = {}
    """The same by part of the network."""
    time_left_s: float | None = None
    """How long the epochs that are left will take, at the pace of the last ones; early stopping may end it
    sooner."""


class StageRecord(Record):
    """What a stage of darkroom.toml did last."""

    name: str
    operation: str
    fingerprint: str
    """sha256 of `parts`."""
    parts: FrozenMap[str, Any]
    """What the fingerprint covers: operation, version, request, inputs, libraries."""
    result: FrozenMap[str, Any]
    """The operation's result, as JSON."""
    finished_at: AwareDatetime
    duration_s: float = 0.0
