"""A gate: one limit of the brief, held against one figure, with the verdict and what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from darkroom.records.numbers import number
from darkroom.records.record import Fact
from darkroom.records.result import Table
from darkroom.records.run import Interval

__all__ = ["Gate", "GateVerdict", "gate_notes", "gate_table", "missed_gates", "shown_gates"]

GateVerdict = Literal["pass", "fail", "not enough evidence", "not measured", "advisory"]
"""advisory: shown, and never held against anything."""

Unit = Literal["share", "cost", "bytes", "ms", "probability", "pictures"]

SPOKEN = {
    "iou": "IoU",
    "mean_ap": "mean AP",
    "miou": "mean IoU",
    "must_pass_wrong": "wrong must-pass pictures",
}
"""Limits whose key is not how a person says them."""


class Gate(Fact):
    """One limit of the brief and how one figure stands to it."""

    limit: str
    """The key under [brief.limits]: "accuracy", "recall", "expected_cost", "miou", …"""
    label: str = ""
    """For a recall: the class or the rule; for an IoU: the class."""
    bound: float
    """The limit."""
    at_most: bool = False
    """Whether the limit is the largest figure that holds, not the smallest."""
    unit: Unit = "share"
    """What figure and limit are measured in."""
    subject: str
    """What it was held against: a run, "mean of 3 clones", a file, "the bundle"."""
    split: str = ""
    """The pictures that the figure rests on; empty for a size."""
    value: float | None = None
    """The figure; None where it is not measured."""
    interval: Interval | None = None
    """The figure with its interval, where it has one."""
    verdict: GateVerdict
    """What follows."""
    decides: bool = True
    """Whether a fail is a miss; a clone among clones is shown, and their mean decides."""
    missed_by: float | None = None
    """When it fails: how far the figure lies beyond the limit."""
    more_images: int | None = None
    """When the evidence is not enough: about how many more pictures would settle it."""
    note: str = ""
    """What a reader must know: why it is not measured, what to do, what the number means."""

    @property
    def name(self) -> str:
        """The limit in words."""
        words = SPOKEN.get(self.limit, self.limit.replace("_", " "))
        return f'{words} of "{self.label}"' if self.label else words

    @property
    def expected(self) -> str:
        """The limit with its direction: "≥ 0.9", "≤ 1,000,000"; the name says what of."""
        return f"{'≤' if self.at_most else '≥'} {self._shown(self.bound)}"

    @property
    def measured(self) -> str:
        """The figure with its interval; "—" where there is none."""
        if self.value is None:
            return "—"
        return str(self.interval) if self.interval is not None else self._shown(self.value)

    @property
    def where(self) -> str:
        """What it was held against, with the pictures."""
        return f"{self.subject} on {self.split}" if self.split else self.subject

    @property
    def more(self) -> str:
        """About how many more pictures would settle it; empty where that is no question."""
        return "" if self.more_images is None else f"about {_round(self.more_images):,}"

    @property
    def what_next(self) -> str:
        """By how much it is missed, or how many more pictures would settle it; then the note."""
        said = ""
        if self.missed_by is not None:
            said = f"missed by {self._shown(self.missed_by)}"
        elif self.more_images is not None:
            pictures = f'pictures of "{self.label}"' if self.label else "pictures"
            said = f"{self.more} more {self.split} {pictures} would settle it (an estimate)"
            said += f", as a {'pass' if self._holds else 'fail'} if the figure stays"
        return "; ".join(part for part in (said, self.note) if part)

    @property
    def _holds(self) -> bool:
        """Whether the figure alone, without its interval, is on the right side of the limit."""
        assert self.value is not None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def sentence(self) -> str:
        """The whole gate in one line."""
        head = f"{self.name} {self.expected}: {self.verdict}"
        if self.value is not None:
            head += f", {self.where} has {self.measured}"
        return f"{head}; {self.what_next}." if self.what_next else f"{head}."

    def _shown(self, value: float) -> str:
        if self.unit in ("bytes", "pictures"):
            return f"{value:,.0f}"
        if self.unit == "ms":
            return f"{value:.3g} ms"
        return number(value, 2) if self.unit == "probability" else f"{round(value, 4):g}"


def missed_gates(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """Returns the gates that fail and decide."""
    return tuple(gate for gate in gates if gate.verdict == "fail" and gate.decides)


def gate_table(gates: Sequence[Gate]) -> Table:
    """Returns one row per gate."""
    rows = tuple(
        (gate.name, gate.expected, gate.where, gate.measured, gate.verdict, gate.more) for gate in gates
    )
    columns = ("limit", "expected", "held against", "measured", "verdict", "more pictures")
    return Table(columns, rows, "The brief")


def gate_notes(gates: Sequence[Gate]) -> Iterable[str]:
    """Yields one line for each gate that decides and does not pass; one for all when they do."""
    held = [gate for gate in gates if gate.decides and gate.verdict != "advisory"]
    open_ones = [gate for gate in held if gate.verdict != "pass"]
    for gate in open_ones:
        yield f"The brief: {gate.sentence}"
    if held and not open_ones:
        names = ", ".join(dict.fromkeys(gate.name for gate in held))
        yield f"The brief: every limit holds ({names})."


def shown_gates(gates: Sequence[Gate]) -> Iterable[str | Table]:
    """Yields the table of gates, then the lines of `gate_notes`; nothing where there are none."""
    if gates:
        yield gate_table(gates)
        yield from gate_notes(gates)


def _round(count: int) -> int:
    """Returns an estimate with two digits, rounded up."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step
