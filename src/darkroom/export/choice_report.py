"""What was tried to make a model smaller, what each file loses, and which were chosen: a record."""

from __future__ import annotations

from pydantic import AwareDatetime

from darkroom.records import Fact, Interval, Limits, Record, Table, Task

__all__ = ["Candidate", "PrecisionReport"]


class Candidate(Fact):
    """One file that was tried."""

    target: str
    """Name in the table of exporters."""
    precision: str
    """What its numbers are written as."""
    recipe: str = "plain"
    """Name of the recipe that it was written by."""
    size_bytes: int
    """Its length."""
    metric: float
    """Accuracy on the pictures that it was asked about; for masks mean IoU."""
    loss: Interval | None = None
    """PyTorch's metric less its own, on the same pictures."""
    agreement: float
    """Share of the pictures with the same answer; for masks of the pixels."""
    max_abs: float
    """Largest difference of a probability."""
    latency_ms: float | None = None
    """Median of one answer on this host; a phone is unmeasured."""
    front: bool = False
    """Whether no other file of the target is as small, as fast and as good, and better in one of these."""
    kept: bool = False
    """Whether it went into the bundle, as the only one of its target and precision."""
    chosen: bool = False
    """Whether it is the smallest file of its target that meets the brief."""
    missed: tuple[str, ...] = ()
    """Limits that it misses, in words."""

    @property
    def name(self) -> str:
        """Precision and recipe in words."""
        return self.precision if self.recipe == "plain" else f"{self.precision} ({self.recipe})"


class PrecisionReport(Record):
    """All files that were tried for one bundle."""

    candidates: tuple[Candidate, ...]
    """In the order of their targets and precisions."""
    words: tuple[str, ...]
    """Why which file was chosen, a sentence or two for each target."""
    metric: str
    """What the metric is: "accuracy", "mean IoU"."""
    task: Task = "classification"
    """What the files answer."""
    reference_metric: float
    """That of PyTorch."""
    image_count: int
    """Pictures that they were asked about; never those of test."""
    pictures: str
    """Of which splits these are, in words."""
    calibration_count: int = 0
    """Pictures of train that ranges were taken from; 0 where none were needed."""
    limits: Limits
    """What had to hold."""
    host: str
    """Where the latencies were measured."""
    created_at: AwareDatetime

    def table(self) -> Table:
        """Returns one row per file that was tried."""
        title = (
            f"{len(self.candidates)} files, compared with PyTorch on {self.pictures}; time is this host's"
        )
        return Table(COLUMNS, tuple(_row(one) for one in self.candidates), title)


COLUMNS = ("target", "precision", "recipe", "size", "same answers", "loss in points", "latency here", "")


def _row(one: Candidate) -> tuple[str, ...]:
    loss = one.loss
    ends = "" if loss is None else f"{loss.value:+.2%} ({loss.low:+.2%} to {loss.high:+.2%})"
    return (
        one.target,
        one.precision,
        "" if one.recipe == "plain" else one.recipe,
        f"{one.size_bytes / 1e6:.2f} MB",
        f"{one.agreement:.4f}",
        ends.replace("%", ""),
        "" if one.latency_ms is None else f"{one.latency_ms:.2f} ms",
        _standing(one),
    )


def _standing(one: Candidate) -> str:
    if one.missed:
        return "misses the brief"
    if one.chosen:
        return "chosen"
    return "kept" if one.kept else "on the front" if one.front else ""
