"""A frozen dataset version: members, annotations and splits by hash, with lineage; no pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from darkroom.records.contract import Contract
from darkroom.records.record import Fact, FrozenMap, Record, content_id

__all__ = ["SPLITS", "DatasetVersion", "Lineage", "Member", "Split", "Task"]

Split = Literal["train", "val", "test", "field", "must-pass"]
"""train, val and test; `field`: pictures from production; `must-pass`: cases that may never fail."""

SPLITS: tuple[Split, ...] = ("train", "val", "test", "field", "must-pass")

Task = Literal["classification", "multi-label", "segmentation"]
"""What a model answers."""


class Member(Fact):
    """One image in a dataset version."""

    image_id: str
    """The image."""
    split: Split
    """Where it lies."""
    label: str = ""
    """Classification: the class. Multi-label: the classes that hold, joined by "|", empty where none does.
    Segmentation: blob of the mask."""
    group: str | None = None
    """Its group when the version was frozen."""
    sequence: int = 0
    """The annotation event that gave the label."""


class Lineage(Fact):
    """What a dataset version was made from."""

    parent: str | None = None
    """The version before, name@version."""
    sources: tuple[str, ...] = ()
    """Ids of the sources."""
    last_sequence: int = 0
    """Last annotation event that was looked at."""
    left_out: FrozenMap[str, int] = {}
    """How many images were left out, by reason."""


class DatasetVersion(Record):
    """A frozen selection of images with their labels and splits."""

    name: str
    """Name of the dataset."""
    version: int
    """1, 2, 3, …"""
    id: str
    """sha256 over members, labels, splits, classes and contract when it was frozen, in hex."""
    task: Task
    """What a model trained on it answers."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the model's output."""
    contract: Contract
    """How its pictures become tensors."""
    counts: FrozenMap[str, int]
    """Images per split."""
    histogram: FrozenMap[str, FrozenMap[str, int]] = {}
    """Images per split and class; for segmentation those that showed it somewhere when it was frozen."""
    pixels: FrozenMap[str, FrozenMap[str, int]] = {}
    """For segmentation: pixels per split and class, on the originals, when it was frozen."""
    empty: FrozenMap[str, int] = {}
    """Multi-label: images per split that have none of the classes."""
    lineage: Lineage = Lineage()
    """What it was made from."""
    forgotten: int = 0
    """Pictures that it held and that were forgotten since; `counts` and, but for segmentation, `histogram`
    are without them."""
    created_at: AwareDatetime
    """When it was frozen."""

    @property
    def ref(self) -> str:
        """name@version."""
        return f"{self.name}@{self.version}"

    @property
    def content(self) -> str:
        """Hash of what it holds now: its id, until one of its pictures is forgotten."""
        return content_id([self.id, self.ref, self.forgotten]) if self.forgotten else self.id
