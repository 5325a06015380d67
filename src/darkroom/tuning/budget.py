"""What a search may take: trials, minutes, or as long as the limits of the brief do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from darkroom.records import now
from darkroom.records.numbers import counted
from darkroom.tuning.trial import Trial

__all__ = ["Budget", "spent_s"]

HOPELESS = 5
"""When so many trials are done and all have failed, the next ones would as well."""


class Budget(NamedTuple):
    """When a search ends."""

    trials: int
    """Trials that are trained: finished, pruned and failed ones."""
    ends_at: datetime | None
    """When the time is up."""
    until_brief: bool
    """Whether it ends as soon as one trial holds every limit."""
    minutes: float | None = None
    """What was allowed, over all calls."""

    @classmethod
    def of(
        cls, trials: int, minutes: float | None, *, until_brief: bool, before: Sequence[Trial] = ()
    ) -> Budget:
        """Returns the budget of a call: what earlier calls took of the time is taken off."""
        left = None if minutes is None else max(0.0, 60 * minutes - spent_s(before))
        return cls(trials, None if left is None else now() + timedelta(seconds=left), until_brief, minutes)

    @property
    def time_is_up(self) -> bool:
        """Whether no more time is left."""
        return self.ends_at is not None and now() >= self.ends_at

    def is_spent(self, trials: Sequence[Trial]) -> bool:
        """Says whether no further trial begins."""
        ended = [one for one in trials if one.counts and one.state != "running"]
        if self.until_brief and any(holds_all(one) for one in ended):
            return True
        failed = [one for one in ended if one.state == "failed"]
        hopeless = len(failed) >= HOPELESS and len(failed) == len(ended)
        return self.time_is_up or hopeless

    @property
    def words(self) -> str:
        """The budget as a person reads it."""
        trials = counted(self.trials, "trial")
        return (
            trials
            if self.minutes is None
            else f"{trials} and {self.minutes:g} {'minute' if self.minutes == 1 else 'minutes'}"
        )


def holds_all(trial: Trial) -> bool:
    """Says whether a finished trial holds every limit that it was held against."""
    return (
        trial.state == "finished"
        and bool(trial.gates)
        and all(gate.verdict in ("pass", "advisory") for gate in trial.gates)
    )


def spent_s(trials: Sequence[Trial]) -> float:
    """Returns the seconds in which a trial was at work; pauses between calls do not count."""
    spans = sorted(
        (one.began_at, one.ended_at)
        for one in trials
        if one.began_at is not None and one.ended_at is not None
    )
    total, reached = 0.0, None
    for began, ended in spans:
        start = began if reached is None or began > reached else reached
        total += max(0.0, (ended - start).total_seconds())
        reached = ended if reached is None else max(reached, ended)
    return total
