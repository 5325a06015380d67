"""Facts that pages show and no other room keeps as a record."""

from __future__ import annotations

from typing import NamedTuple

from darkroom.records import MetricPoint

__all__ = ["Layer", "Link", "NextStep", "TrainedClone"]


class TrainedClone(NamedTuple):
    """One training, as its page shows it."""

    run: str
    """Id of the run."""
    seed: int
    points: tuple[MetricPoint, ...]
    """Figures of its epochs, the first one first."""
    best_epoch: int = 0
    """Epoch whose weights were kept; 0 when nobody knows."""
    stopped_early: bool = False
    duration_s: float | None = None
    """Wall time of all epochs."""
    took: tuple[str, ...] = ()
    """Time, memory, memory of the GPU and disk in words: "foreseen / measured"."""


class Layer(NamedTuple):
    """One layer of a network."""

    name: str
    kind: str
    """"Conv2d", "Linear", …"""
    output: tuple[int, ...]
    """Shape of what it gives for one picture."""
    parameters: int
    """Trained numbers."""


class Link(NamedTuple):
    """A way from one page to another."""

    href: str
    """Relative path, with forward slashes."""
    title: str
    summary: str = ""
    """What is found there, in a sentence."""


class NextStep(NamedTuple):
    """One thing to do next."""

    title: str
    """What it does, in a sentence."""
    command: str = ""
    """Ready to paste."""
