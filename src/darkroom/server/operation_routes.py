"""One route per operation of the table: its request model as the body, its result as the answer."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from darkroom.errors import DarkroomError
from darkroom.jobs import ending_error
from darkroom.operation import Operation, as_named, error_as_named, operations
from darkroom.records import Config, Job
from darkroom.server.app import Desk
from darkroom.server.fence import fenced
from darkroom.server.problems import as_json, documented

__all__ = ["add_operations", "path_of"]

LONGEST_WAIT_S = 60.0
LOOK_S = 0.2

Wait = Annotated[
    float,
    Query(
        ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the job to end; then its result comes."
    ),
]
WaitsFor = Annotated[list[str], Query(description="Jobs that must be finished before this one starts.")]

JOB_MADE = {
    "model": Job,
    "description": "A job was made.",
    "headers": {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}},
}


def add_operations(app: FastAPI, desk: Desk) -> None:
    """Adds a route for every operation that works over HTTP."""
    app.state.operations = {}
    for operation in operations().values():
        if not operation.over_http:
            continue
        app.state.operations[path_of(operation)] = operation
        slow = {202: JOB_MADE} if operation.slow else {}
        app.add_api_route(
            path_of(operation),
            _slow(desk, operation) if operation.slow else _fast(desk, operation),
            methods=["POST"],
            operation_id=operation.name,
            summary=operation.summary,
            description=_description(operation),
            response_model=operation.result,
            response_description="The result.",
            responses={**slow, **documented()},
            tags=[operation.noun or "project"],
        )


def path_of(operation: Operation) -> str:
    """Returns where an operation is called: "/api/model/train"."""
    return "/api/" + operation.name.replace(".", "/")


def _fast(desk: Desk, operation: Operation) -> Callable[..., Response]:
    def endpoint(request: Request, body: Config) -> Response:
        given, names = _fenced(desk, request, body)
        try:
            result = operation.call(desk.workspace.again(), given)
        except DarkroomError as error:
            raise error_as_named(error, names) from error
        # Figures that are no number become null.
        return _answered(json.loads(result.model_dump_json()), names)

    return _typed(endpoint, operation)


def _slow(desk: Desk, operation: Operation) -> Callable[..., Any]:
    async def endpoint(request: Request, body: Config, wait_s: float, waits_for: list[str]) -> Response:
        given, names = await run_in_threadpool(_fenced, desk, request, body)
        job = await run_in_threadpool(
            desk.jobs.submit,
            operation.name,
            given.model_dump(mode="json", exclude_unset=True),
            waits_for=waits_for,
            asked_by=request.state.caller.value,
        )
        job = await _waited(desk, job, wait_s)
        if job.result is not None:
            return _answered(dict(job.result), names)
        if job.ended:
            raise error_as_named(ending_error(job), names)
        return Response(
            job.model_dump_json(),
            status_code=202,
            headers={"Location": f"/api/jobs/{job.id}"},
            media_type="application/json",
        )

    return _typed(
        endpoint,
        operation,
        inspect.Parameter("wait_s", inspect.Parameter.KEYWORD_ONLY, default=0.0, annotation=Wait),
        inspect.Parameter("waits_for", inspect.Parameter.KEYWORD_ONLY, default=(), annotation=WaitsFor),
    )


async def _waited(desk: Desk, job: Job, wait_s: float) -> Job:
    deadline = time.monotonic() + wait_s
    while not job.ended and time.monotonic() < deadline and not desk.closing.is_set():
        await asyncio.sleep(LOOK_S)
        job = await run_in_threadpool(desk.workspace.catalogue.jobs.get, job.id)
    return job


def _fenced(desk: Desk, request: Request, body: Config) -> tuple[Config, dict[str, str]]:
    return fenced(body, access=desk.access, caller=request.state.caller, uploads=desk.uploads)


def _answered(result: dict[str, Any], names: dict[str, str]) -> Response:
    return Response(as_json(as_named(result, names)), media_type="application/json")


def _typed(
    endpoint: Callable[..., Any], operation: Operation, *more: inspect.Parameter
) -> Callable[..., Any]:
    """Gives an endpoint the signature that FastAPI reads: the operation's request as the body."""
    optional = not any(parameter.required for parameter in operation.parameters)
    body = inspect.Parameter(
        "body",
        inspect.Parameter.KEYWORD_ONLY,
        default=operation.request() if optional else inspect.Parameter.empty,
        annotation=Annotated[operation.request, Body()],
    )
    first = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    endpoint.__signature__ = inspect.Signature([first, body, *more])  # type: ignore[attr-defined]
    endpoint.__name__ = operation.name.replace(".", "_")
    return endpoint


def _description(operation: Operation) -> str:
    speed = (
        "Slow: it answers 202 with a job, unless the job ends within `wait_s`." if operation.slow else ""
    )
    return "\n\n".join(part for part in (operation.description, speed) if part)
