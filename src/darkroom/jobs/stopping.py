"""Stop a job: a request that is kept, a signal that asks, and after a grace period one that ends."""

from __future__ import annotations

import signal
from datetime import timedelta

from darkroom.errors import Conflict
from darkroom.jobs.process import send_signal
from darkroom.jobs.state import change_state, settle, tell_of_cancel
from darkroom.records import Job, now
from darkroom.workspace import Workspace

__all__ = ["ask_to_stop", "end_if_overdue"]


def ask_to_stop(workspace: Workspace, job_id: str) -> Job:
    """Cancels a waiting job; notes the request for a running one and asks its processes to stop.

    A job that was cancelled already stays so.

    Raises:
        NotFound: the project has no such job.
        Conflict: the job has ended in another way, or belongs to another user.
    """
    while True:
        job = settle(workspace, workspace.catalogue.jobs.get(job_id))
        if job.state == "cancelled":
            return job
        if job.ended:
            raise Conflict(
                "job.ended",
                "Job {job_id} is {state} already; there is nothing to stop.",
                do="See: darkroom job show {job_id}",
                job_id=job_id,
                state=job.state,
            )
        try:
            if job.state == "waiting":
                return change_state(workspace, job_id, "cancelled", finished_at=now())
            job = workspace.catalogue.jobs.request_cancel(job_id)
        except Conflict:
            continue  # it began or ended just now
        tell_of_cancel(workspace, job)
        send_signal(job, signal.SIGTERM)
        return job


def end_if_overdue(workspace: Workspace, job: Job) -> Job:
    """Ends the processes of a job that was asked to stop and did not within the grace period."""
    if job.state != "running" or job.cancel_requested_at is None:
        return job
    grace = timedelta(seconds=workspace.settings.job_grace_s)
    if now() < job.cancel_requested_at + grace:
        return job
    send_signal(job, signal.SIGKILL)
    return settle(workspace, job)
