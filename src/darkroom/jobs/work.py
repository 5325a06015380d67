"""The process of a job, `python -m darkroom.jobs.work PROJECT JOB`: runs its operation to the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from darkroom.errors import Cancelled, Conflict, DarkroomError, LimitMissed, StorageFailed
from darkroom.jobs.folder import JobFolder
from darkroom.jobs.process import TAKEN, began
from darkroom.jobs.progress import ProgressEvents
from darkroom.jobs.state import change_state, fail
from darkroom.operation import find_operation
from darkroom.records import Job, Result, now
from darkroom.workspace import Workspace

__all__ = ["main", "run_job"]

WAIT_S = 5.0
"""How long the lock may be held by somebody who only looks whether the job lives."""


def main(words: list[str]) -> int:
    """Runs one job; returns the exit code.

    Args:
        words: the project's folder and the job's id.
    """
    root, job_id = words
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Workspace(Path(root)) as workspace:
        workspace.stop_requested = stop
        try:
            return run_job(workspace, job_id)
        except OSError as error:  # no room for the lock, so nothing was begun
            fail(workspace, job_id, _told(job_id, error))
            return 1


def run_job(workspace: Workspace, job_id: str) -> int:
    """Runs a waiting job to its end, in this process; returns the exit code.

    The job's lock is held from before it runs until after it has ended, so that nobody takes it for lost.
    """
    folder = JobFolder(workspace, job_id)
    with folder.held(wait_s=WAIT_S) as mine:
        if not mine:
            return TAKEN
        try:
            job = _begin(workspace, job_id)
        except Conflict:
            return TAKEN  # it was cancelled in the meantime
        with ProgressEvents(folder) as progress:
            workspace.listener = progress
            ending = _performed(workspace, job)
        change_state(workspace, job_id, **ending, finished_at=now())
    return 0


def _begin(workspace: Workspace, job_id: str) -> Job:
    pid = os.getpid()
    return change_state(workspace, job_id, "running", started_at=now(), pid=pid, process=began(pid))


def _performed(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Runs the operation and returns how the job ends: its state, with the result or the error."""
    try:
        operation = find_operation(job.operation)
        result = operation.call(workspace, operation.validate(job.request))
    except DarkroomError as error:
        return _stopped(workspace, error)
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        return _stopped(workspace, _told(job.id, error))
    return _with_result(job, result)


def _stopped(workspace: Workspace, error: DarkroomError) -> dict[str, Any]:
    """Returns the end of a job that gave no result: cancelled if a person asked for it, else failed.

    What breaks off after the request was broken off by it: the signal reaches worker processes too.
    """
    asked = workspace.stop_requested.is_set() or isinstance(error, Cancelled)
    return {"state": "cancelled" if asked else "failed", "error": error.as_dict()}


def _with_result(job: Job, result: Result) -> dict[str, Any]:
    """Returns the end of a job with a result; one that missed a limit has failed."""
    ending: dict[str, Any] = {"state": "finished", "result": _as_json(result)}
    if result.exit_code:
        error = LimitMissed(
            "job.limit-missed",
            "{operation} came to its end, and a limit is missed.",
            do="See: darkroom job show {job_id}",
            operation=job.operation,
            job_id=job.id,
        )
        ending |= {"state": "failed", "error": error.as_dict()}
    return ending


def _as_json(result: Result) -> dict[str, Any]:
    import json

    return json.loads(result.model_dump_json())  # figures that are no number become null


def _told(job_id: str, error: Exception) -> DarkroomError:
    """Returns what a person is told of an error that nobody expected."""
    if isinstance(error, OSError):
        return StorageFailed(
            "job.disk-refused",
            "Job {job_id}: the disk refused {path}: {why}.",
            do="Free some space (darkroom project clean) or check the rights, then: "
            "darkroom job resume {job_id}",
            job_id=job_id,
            path=error.filename or "to read or write",
            why=error.strerror or error,
        )
    return DarkroomError(
        "job.defect",
        "Job {job_id} failed in a way that it should not: {kind}: {why}",
        do="Report what it wrote: darkroom job show {job_id}",
        job_id=job_id,
        kind=type(error).__name__,
        why=error,
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
