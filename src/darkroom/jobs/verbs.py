"""The operations on jobs: list, show, cancel, resume, wait; they need no server."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from darkroom.errors import Locked
from darkroom.jobs.events import last_progress
from darkroom.jobs.folder import JobFolder
from darkroom.jobs.report import JobEnd, JobReport, JobsReport, job_facts, job_row
from darkroom.jobs.runner import JobRunner, is_served
from darkroom.jobs.state import settle
from darkroom.jobs.stopping import ask_to_stop, end_if_overdue
from darkroom.operation import operation
from darkroom.records import Job, JobState
from darkroom.workspace import Workspace

__all__ = ["cancel", "list_jobs", "resume", "show", "wait"]

LOOK_S = 0.1
"""How often a command that waits looks at the job."""


@operation("job.list")
def list_jobs(
    workspace: Workspace,
    *,
    state: JobState | None = None,
    after: str | None = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 20,
) -> JobsReport:
    """List the jobs, the newest first.

    Args:
        workspace: the project.
        state: only those in this state.
        after: the last job of the page before; the next older ones follow.
        limit: jobs of one page at most.
    """
    JobRunner(workspace).recover()
    jobs = workspace.catalogue.jobs.list(state, after=after, limit=limit + 1)
    shown = jobs[:limit]
    return JobsReport(
        rows=tuple(job_row(workspace, job) for job in shown),
        next=shown[-1].id if len(jobs) > limit else "",
    )


@operation("job.show", positional=("job",))
def show(workspace: Workspace, *, job: str) -> JobReport:
    """Show one job: its state, how far it is, what it said last, and what went wrong.

    Args:
        workspace: the project.
        job: the job, for example j-1.
    """
    found = settle(workspace, workspace.catalogue.jobs.get(job))
    return JobReport(**job_facts(workspace, found), note=_note(workspace, found))


@operation("job.cancel", positional=("job",))
def cancel(workspace: Workspace, *, job: str) -> JobReport:
    """Stop a job: it is asked to, and ended when it has not stopped after the grace period.

    A training keeps its last saved epoch, and a resume goes on from there.

    Args:
        workspace: the project.
        job: the job, for example j-1.
    """
    found = ask_to_stop(workspace, job)
    while not found.ended:
        workspace.report(f"waiting for {job} to stop")
        time.sleep(LOOK_S)
        found = settle(workspace, workspace.catalogue.jobs.get(job))
        found = end_if_overdue(workspace, found)
    return JobReport(**job_facts(workspace, found), note=_note(workspace, found))


@operation("job.resume", positional=("job",))
def resume(workspace: Workspace, *, job: str) -> JobReport:
    """Let a job that failed, was cancelled or lost run once more, with the same request.

    Args:
        workspace: the project.
        job: the job, for example j-1.
    """
    found = JobRunner(workspace).resume(job)
    return JobReport(**job_facts(workspace, found), note=_note(workspace, found))


@operation("job.wait", positional=("job",), over_http=False)
def wait(
    workspace: Workspace, *, job: str, timeout_s: Annotated[float, Field(ge=0)] | None = None
) -> JobEnd:
    """Wait until a job has ended; where no server runs jobs, this command runs them meanwhile.

    A job that began to run goes on when this command is stopped.

    Args:
        workspace: the project.
        job: the job, for example j-1.
        timeout_s: seconds to wait at most.
    """
    workspace.catalogue.jobs.get(job)
    runner = JobRunner(workspace)
    with suppress(Locked):  # somebody runs them already
        runner.start()
    try:
        found = _waited(workspace, job, timeout_s)
    finally:
        runner.stop()
    return JobEnd(**job_facts(workspace, found), note=_note(workspace, found))


def _waited(workspace: Workspace, job_id: str, timeout_s: float | None) -> Job:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        job = settle(workspace, workspace.catalogue.jobs.get(job_id))
        late = deadline is not None and time.monotonic() >= deadline
        if job.ended or late or workspace.stop_requested.is_set():
            return job
        event = last_progress(JobFolder(workspace, job_id)) if job.state == "running" else None
        if event is None:
            workspace.report(f"{job_id} is {job.state}")
        else:
            said = event.data
            workspace.report(said["what"], done=said["done"], total=said["total"], unit=said["unit"])
        time.sleep(LOOK_S)


def _note(workspace: Workspace, job: Job) -> str:
    """Returns what a person can do next with a job."""
    if job.state == "waiting" and not is_served(workspace):
        return f"Nothing runs jobs now. Run it here: darkroom job wait {job.id}"
    if job.state in ("lost", "cancelled"):
        return f"Go on with it: darkroom job resume {job.id}"
    return ""
