"""What a person is told of a job that ended without a result."""

from __future__ import annotations

from darkroom.errors import Cancelled, DarkroomError
from darkroom.records import Job

__all__ = ["ending_error"]


def ending_error(job: Job) -> DarkroomError:
    """Returns why a job that has ended left no result; one that was stopped is told as stopped."""
    error = DarkroomError.from_dict(job.error) if job.error else None
    if job.state == "cancelled":
        return error if isinstance(error, Cancelled) else _stopped(job)
    return error or _lost(job)


def _stopped(job: Job) -> Cancelled:
    return Cancelled(
        "job.was-cancelled", "Job {id} was stopped.", do="Go on: darkroom job resume {id}", id=job.id
    )


def _lost(job: Job) -> DarkroomError:
    return DarkroomError(
        "job.was-lost",
        "The process of job {id} is gone; it left no result.",
        do="Go on: darkroom job resume {id}",
        id=job.id,
    )
