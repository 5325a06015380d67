"""Changes of a job's state: in the catalogue and in its events, together."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from darkroom.errors import DarkroomError
from darkroom.jobs.events import append_unlocked
from darkroom.jobs.folder import JobFolder
from darkroom.jobs.process import is_alive
from darkroom.records import Job, JobState, now
from darkroom.workspace import Workspace

__all__ = ["change_state", "fail", "settle", "tell_of_cancel"]


def change_state(workspace: Workspace, job_id: str, state: JobState, **changed: Any) -> Job:
    """Moves a job into a state and says so in its events, with the result or the error if it ends with one.

    Both happen under the lock of the events: a reader that sees an ended job and then takes the lock finds
    the event of its end.

    Raises:
        Conflict: the state may not follow the one that the job is in.
    """
    folder = JobFolder(workspace, job_id)
    try:
        with folder.writing():
            job = workspace.catalogue.jobs.move(job_id, state, **changed)
            if changed.get("result") is not None:
                append_unlocked(folder, "result", changed["result"])
            if changed.get("error") is not None:
                append_unlocked(folder, "error", changed["error"])
            append_unlocked(folder, "state", {"state": state, "attempt": job.attempt})
        return job
    except OSError:  # no room for the lock, so none for events either: the state is what counts
        return workspace.catalogue.jobs.move(job_id, state, **changed)


def fail(workspace: Workspace, job_id: str, error: DarkroomError) -> Job:
    """Moves a job into the state failed, with its error."""
    return change_state(workspace, job_id, "failed", finished_at=now(), error=error.as_dict())


def tell_of_cancel(workspace: Workspace, job: Job) -> None:
    """Says in a job's events that a person asked it to stop."""
    folder = JobFolder(workspace, job.id)
    with suppress(OSError), folder.writing():  # without room for the event, it is stopped all the same
        said = {"state": job.state, "attempt": job.attempt, "cancel_requested": True}
        append_unlocked(folder, "state", said)


def settle(workspace: Workspace, job: Job) -> Job:
    """Returns a job as it is; one that runs by the catalogue alone, its process gone, becomes lost.

    It becomes cancelled if a person had asked it to stop. Two signs must agree that the process is gone:
    nobody holds the job's lock, and no process has its number and start.
    """
    if job.state != "running":
        return job
    with JobFolder(workspace, job.id).held(wait_s=0) as free:
        if not free:
            return job
        job = workspace.catalogue.jobs.get(job.id)  # it may have ended just before
        if job.state != "running" or is_alive(job):
            return job
        state: JobState = "cancelled" if job.cancel_requested_at else "lost"
        return change_state(workspace, job.id, state, finished_at=now())
