"""What a diagnosis says about one suspicion."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Fact, Interval

__all__ = ["State", "Verdict"]

State = Literal["found", "not found", "not enough evidence"]


class Verdict(Fact):
    """One suspicion, held against the evidence."""

    name: str
    """"labels look wrong", "learning rate too high", "learning rate too low", "too few images",
    "network too small", "overfitting for lack of regularisation", "looks healthy"."""
    state: State
    said: str
    """In words, with the figures."""
    value: float | None = None
    """The number that decides."""
    interval: Interval | None = None
    """Of that number, where there is one."""
    evidence: tuple[str, ...] = ()
    """What was looked at, a sentence each."""
    next_steps: tuple[str, ...] = ()
    """What to try, with the command or option."""
