"""What a person sees of jobs: a page of them, and one of them with its last words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, ValidationError

from darkroom import errors
from darkroom.errors import NotFound
from darkroom.jobs.events import EventReader, last_progress
from darkroom.jobs.folder import JobFolder
from darkroom.operation import find_operation
from darkroom.records import FrozenMap, Job, JobEvent, JobState, Result, Table, result_of
from darkroom.workspace import Workspace

__all__ = ["JobEnd", "JobReport", "JobsReport", "job_facts", "job_row"]

OUTPUT_LINES = 20
"""Lines of a job's output that are shown when it did not end well."""

EVENTS = 8
"""Events that are shown of a job."""


class JobsReport(Result):
    """Jobs of a project, the newest first."""

    rows: tuple[tuple[str, ...], ...]
    """Job, operation, state, how far it is, when it was asked for, who asked."""
    next: str = ""
    """Give this as `after` for the page that follows; empty: this is the last."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        if not self.rows:
            yield "No jobs."
            return
        yield Table(("job", "operation", "state", "progress", "asked for", "by"), self.rows)
        if self.next:
            yield f"Older ones: darkroom job list --after {self.next}"


class JobReport(Result):
    """One job."""

    job: str
    """Its id."""
    operation: str
    state: JobState
    attempt: int
    """1, and one more with each resume."""
    asked_by: str
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    cancel_requested: bool
    """Whether a person asked it to stop."""
    waits_for: tuple[str, ...]
    request: FrozenMap[str, Any]
    """What was asked for."""
    progress: FrozenMap[str, Any] | None
    """The latest word on how far it is: what, done, total, unit, metrics."""
    result: FrozenMap[str, Any] | None
    error: FrozenMap[str, str] | None
    events: tuple[JobEvent, ...]
    """What it said last, without results."""
    output: tuple[str, ...]
    """The end of what its process wrote, when it did not end well."""
    note: str = ""
    """What to do next."""

    def display(self) -> Iterator[str | Table]:
        """Yields the facts, the last events, the result and, when it did not end well, what went wrong."""
        yield Table(("", ""), tuple(self._facts()))
        yield Table(
            ("event", "at", "what"),
            tuple((str(event.seq), f"{event.at:%H:%M:%S}", _told(event)) for event in self.events),
        )
        yield from self._result_shown()
        if self.output:
            yield "The end of its output:"
            yield from (f"    {line}" for line in self.output)
        if self.error:
            yield f"{self.error['error']} {self.error['hint']}".strip()
        if self.note:
            yield self.note

    def _result_shown(self) -> Iterator[str | Table]:
        """Yields the result as its operation shows it; nothing where another version wrote it."""
        if self.result is None:
            return
        with suppress(NotFound, ValidationError):
            model = find_operation(self.operation).result
            yield from result_of(model, self.result).display()

    def _facts(self) -> Iterator[tuple[str, str]]:
        stopping = self.cancel_requested and self.state == "running"
        yield "job", self.job
        yield "operation", self.operation
        yield "state", f"{self.state}, asked to stop" if stopping else self.state
        if self.attempt > 1:
            yield "attempt", str(self.attempt)
        if self.progress:
            yield "progress", how_far(self.progress)
        if self.waits_for:
            yield "waits for", ", ".join(self.waits_for)
        if self.asked_by:
            yield "asked by", self.asked_by
        yield "asked for", _moment(self.created_at)
        if self.started_at:
            yield "started", _moment(self.started_at)
        if self.finished_at:
            yield "ended", _moment(self.finished_at)


class JobEnd(JobReport):
    """One job that somebody waited for."""

    @property
    def exit_code(self) -> int:
        """0 only when the job is finished; else the code of what went wrong."""
        if self.state == "finished":
            return 0
        kind = getattr(errors, self.error["kind"], None) if self.error else None
        return kind.exit_code if kind else 1


def job_row(workspace: Workspace, job: Job) -> tuple[str, ...]:
    """Returns a job as a row of `JobsReport`."""
    event = last_progress(JobFolder(workspace, job.id)) if job.state == "running" else None
    state = f"{job.state}, stopping" if job.state == "running" and job.cancel_requested_at else job.state
    if job.state == "waiting" and job.waits_for:
        state += f" for {', '.join(job.waits_for)}"
    return (
        job.id,
        job.operation,
        state,
        how_far(event.data) if event else "",
        _moment(job.created_at),
        job.asked_by,
    )


def job_facts(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Returns everything that `JobReport` tells of a job, but the note."""
    folder = JobFolder(workspace, job.id)
    progress = last_progress(folder)
    began = job.started_at
    this_attempt = progress is not None and began is not None and progress.at >= began
    said = EventReader(folder.events, 0).read()
    events = deque((event for event in said if event.kind != "result"), maxlen=EVENTS)
    bad = job.state in ("failed", "lost")
    return {
        "job": job.id,
        "operation": job.operation,
        "state": job.state,
        "attempt": job.attempt,
        "asked_by": job.asked_by,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancel_requested": job.cancel_requested_at is not None,
        "waits_for": job.waits_for,
        "request": job.request,
        "progress": progress.data if progress is not None and this_attempt else None,
        "result": job.result,
        "error": job.error,
        "events": tuple(events),
        "output": folder.output_tail(OUTPUT_LINES) if bad else (),
    }


def how_far(progress: Mapping[str, Any]) -> str:
    """Returns a progress event as a few words: "training r-3: 120 of 400 batches"."""
    done, total, unit = progress.get("done"), progress.get("total"), progress.get("unit", "")
    if not done and total is None:
        return str(progress.get("what", ""))
    count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
    return f"{progress.get('what', '')}: {count} {unit}".rstrip()


def _told(event: JobEvent) -> str:
    if event.kind == "progress":
        return " ".join(event.data.get("lines", ())) or how_far(event.data)
    if event.kind == "error":
        return str(event.data.get("error", ""))
    if event.data.get("cancel_requested"):
        return "asked to stop"
    attempt = event.data.get("attempt", 1)
    return f"{event.data.get('state', '')}{f', attempt {attempt}' if attempt != 1 else ''}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
