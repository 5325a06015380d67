"""A job: one slow operation in a process of its own, and what it says while it works."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime

from darkroom.records.record import Fact, FrozenMap, Record

__all__ = ["ENDED_JOB_STATES", "Job", "JobEvent", "JobEventKind", "JobState"]

JobState = Literal["waiting", "running", "finished", "failed", "cancelled", "lost"]
"""A job's life; `lost`: its process went away without a word, and it can be resumed."""

ENDED_JOB_STATES: tuple[JobState, ...] = ("finished", "failed", "cancelled", "lost")
"""States in which a job has no process and waits for none."""

JobEventKind = Literal["state", "progress", "result", "error"]
"""What an event tells of: a change of state, how far it is, the result, what went wrong."""


class Job(Record):
    """One slow operation with its request; what it says is in its folder `.darkroom/jobs/<id>/`."""

    id: str
    """Short id, for example "j-1"."""
    operation: str
    """The operation, for example "model.train"."""
    request: FrozenMap[str, Any]
    """What was asked for, as JSON; what was left to its default is not in it."""
    state: JobState = "waiting"
    created_at: AwareDatetime
    asked_by: str = ""
    """Who asked for it."""
    waits_for: tuple[str, ...] = ()
    """Jobs that must be finished before it starts."""
    attempt: int = 1
    """How many times it was asked for: 1, and one more with each resume."""
    started_at: AwareDatetime | None = None
    """When this attempt began to run."""
    finished_at: AwareDatetime | None = None
    """When this attempt ended, however it did."""
    cancel_requested_at: AwareDatetime | None = None
    """When a person asked this attempt to stop while it ran."""
    pid: int | None = None
    """The process that runs or ran this attempt; also the number of its process group."""
    process: str = ""
    """When that process began, as the system says it, so that another one with its number is told apart."""
    result: FrozenMap[str, Any] | None = None
    """The operation's result, as JSON."""
    error: FrozenMap[str, str] | None = None
    """What went wrong, in the one shape of errors: error, kind, id, hint."""

    @property
    def ended(self) -> bool:
        """Whether this attempt is over."""
        return self.state in ENDED_JOB_STATES


class JobEvent(Fact):
    """One line of a job's `events.jsonl`."""

    seq: int
    """Rises by one from line to line, from 1 on; a reader that knows line N asks for what is after N."""
    at: AwareDatetime
    kind: JobEventKind
    data: FrozenMap[str, Any] = {}
    """state: state, attempt; progress: as in `workspace.Progress`; result and error: as in the job."""
