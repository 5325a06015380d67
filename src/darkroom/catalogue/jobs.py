"""Jobs, and the states that they go through; a state moves only from one that it may follow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, next_number
from darkroom.errors import Conflict, NotFound
from darkroom.records import Job, JobState, now

__all__ = ["JOB_TRANSITIONS", "Jobs"]

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    "waiting": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"finished", "failed", "cancelled", "lost"}),
    "finished": frozenset(),
    "failed": frozenset({"waiting"}),
    "cancelled": frozenset({"waiting"}),
    "lost": frozenset({"waiting"}),
}
"""State → the states that may follow; back to waiting is a resume. A waiting job fails when what it
needs does, or when its process does not come up."""

_FIXED = frozenset({"id", "operation", "request", "state", "created_at", "schema_version"})

_jobs = schema.jobs


class Jobs:
    """The jobs of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, job: Job) -> Job:
        """Adds a job and gives it the next short id, "j-1", "j-2", …; the id it came with is ignored.

        Raises:
            NotFound: it waits for a job that the project does not have.
        """
        with self._database.write() as connection:
            for needed in job.waits_for:
                self._read(connection, needed)
            number = next_number(connection, "job")
            job = job.model_copy(update={"id": f"j-{number}"})
            connection.execute(sa.insert(_jobs), {**_row_of(job), "number": number})
        return job

    def get(self, job_id: str) -> Job:
        """Returns one job.

        Raises:
            NotFound: the project has no such job.
        """
        with self._database.read() as connection:
            return self._read(connection, job_id)

    def list(
        self,
        state: JobState | Collection[JobState] | None = None,
        *,
        after: str | None = None,
        limit: int | None = 100,
    ) -> list[Job]:
        """Returns jobs, the newest first.

        Args:
            state: only those in this state, or in one of these.
            after: id of the last job of the page before; the next older ones follow.
            limit: jobs of one page at most; None for all.

        Raises:
            NotFound: the project has no job `after`.
        """
        query = sa.select(_jobs.c.record_json).order_by(_jobs.c.number.desc())
        if state is not None:
            query = query.where(_jobs.c.state.in_([state] if isinstance(state, str) else list(state)))
        if limit is not None:
            query = query.limit(limit)
        with self._database.read() as connection:
            if after is not None:
                self._read(connection, after)
                query = query.where(_jobs.c.number < int(after.removeprefix("j-")))
            return [Job.model_validate_json(text) for text in connection.scalars(query)]

    def move(self, job_id: str, to_state: JobState, **fields: Any) -> Job:
        """Moves a job into a state that may follow the one it is in, and changes fields with it.

        Of several that move one job at the same time, the first is served; the others find the new state.

        Raises:
            NotFound: the project has no such job.
            Conflict: the state may not follow the one that the job is in.
        """
        _refuse_fixed(fields)
        with self._database.write() as connection:
            job = self._read(connection, job_id, to_change=True)
            if to_state not in JOB_TRANSITIONS[job.state]:
                raise _cannot_follow(job, to_state)
            job = Job.model_validate({**job.model_dump(), **fields, "state": to_state})
            connection.execute(sa.update(_jobs).where(_jobs.c.id == job_id).values(_row_of(job)))
        return job

    def request_cancel(self, job_id: str) -> Job:
        """Notes when a person asked a running job to stop; the first time is kept.

        Raises:
            NotFound: the project has no such job.
            Conflict: the job does not run.
        """
        with self._database.write() as connection:
            job = self._read(connection, job_id, to_change=True)
            if job.state != "running":
                raise _cannot_follow(job, "cancelled")
            job = job.model_copy(update={"cancel_requested_at": job.cancel_requested_at or now()})
            connection.execute(sa.update(_jobs).where(_jobs.c.id == job_id).values(_row_of(job)))
        return job

    def _read(self, connection: sa.Connection, job_id: str, *, to_change: bool = False) -> Job:
        query = sa.select(_jobs.c.record_json).where(_jobs.c.id == job_id)
        text = connection.execute(query.with_for_update() if to_change else query).scalar_one_or_none()
        if text is None:
            newest = sa.select(_jobs.c.id).order_by(_jobs.c.number.desc()).limit(5)
            raise NotFound(
                "job.unknown",
                "No job {job_id!r}. Newest: {newest}.",
                do="See: darkroom job list",
                job_id=job_id,
                newest=", ".join(connection.scalars(newest)) or "none",
            )
        return Job.model_validate_json(text)


def _refuse_fixed(fields: dict[str, Any]) -> None:
    wrong = [name for name in fields if name not in Job.model_fields or name in _FIXED]
    if wrong:
        raise ValueError(f"Fields of a job that cannot be changed: {', '.join(wrong)}.")


def _cannot_follow(job: Job, to_state: JobState) -> Conflict:
    return Conflict(
        "job.state",
        "Job {job_id} is {now}; it cannot become {then}.",
        do="See: darkroom job show {job_id}",
        job_id=job.id,
        now=job.state,
        then=to_state,
    )


def _row_of(job: Job) -> dict[str, Any]:
    return {"id": job.id, "state": job.state, "record_json": job.model_dump_json()}
