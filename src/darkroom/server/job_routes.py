"""Jobs over HTTP: list, look at, cancel, resume, and follow their events as they come."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from darkroom.errors import Conflict
from darkroom.records import Fact, Job, JobState
from darkroom.server.app import Desk
from darkroom.server.events import Listeners
from darkroom.server.problems import answer, documented

__all__ = ["JobPage", "add_jobs"]

PAGE = 100
"""Jobs of one page at most."""

After = Annotated[int | None, Query(ge=0, description="Number of the last event that is known already.")]
LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, description="As `after`; sent by a page that connects again."),
]
EVENTS = {
    200: {
        "description": "Server-sent events: `id` is an event's number, `event` its kind, `data` itself.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The job has ended, and everything that it said is known already."},
}


class JobPage(Fact):
    """Jobs, the newest first."""

    jobs: tuple[Job, ...]
    next: str | None = None
    """What to give as `after` for the next page; None at the end."""


def add_jobs(app: FastAPI, desk: Desk) -> None:
    """Adds the routes of jobs."""
    jobs = desk.workspace.catalogue.jobs

    def list_jobs(
        state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
        after: Annotated[str | None, Query(description="Id of the last job of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE, description="Jobs of one page at most.")] = PAGE,
    ) -> JobPage:
        found = jobs.list(state, after=after, limit=limit + 1)
        shown = found[:limit]
        return JobPage(jobs=tuple(shown), next=shown[-1].id if len(found) > limit else None)

    def show_job(job: str) -> Job:
        return jobs.get(job)

    def cancel_job(job: str) -> Job:
        return desk.jobs.cancel(job)

    def resume_job(job: str) -> Job:
        return desk.jobs.resume(job)

    common = {"tags": ["jobs"], "responses": documented()}
    add = app.add_api_route
    add("/api/jobs", list_jobs, summary="List jobs, the newest first.", **common)
    add("/api/jobs/{job}", show_job, summary="Show one job, with its result or error.", **common)
    add(
        "/api/jobs/{job}/cancel",
        cancel_job,
        methods=["POST"],
        summary="Ask a job to stop; it has the grace period to do so.",
        **common,
    )
    add(
        "/api/jobs/{job}/resume",
        resume_job,
        methods=["POST"],
        summary="Let a job that failed, was cancelled or lost go on.",
        **common,
    )
    _add_events(app, desk)


def _add_events(app: FastAPI, desk: Desk) -> None:
    listeners = Listeners(desk.workspace, desk.closing)

    async def job_events(job: str, after: After = None, last: LastEventId = None) -> Response:
        known = max(after or 0, last or 0)
        found = await run_in_threadpool(desk.workspace.catalogue.jobs.get, job)
        if found.ended and not await run_in_threadpool(listeners.has_more, job, known):
            return Response(status_code=204)
        if not listeners.has_room():
            return answer(_too_many(), 503, {"Retry-After": "5"})
        return StreamingResponse(listeners.stream(job, known), media_type="text/event-stream")

    app.add_api_route(
        "/api/jobs/{job}/events",
        job_events,
        summary="Follow a job until it ends, as server-sent events.",
        tags=["jobs"],
        response_class=Response,
        responses={**EVENTS, **documented()},
    )


def _too_many() -> Conflict:
    return Conflict(
        "server.listeners",
        "Too many follow jobs already.",
        do="Ask again in some seconds, or ask for the job itself: GET /api/jobs/{{id}}",
    )
