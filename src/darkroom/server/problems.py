"""Every error over HTTP in the one shape that the shell's `--json` has, whoever found it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from darkroom.errors import DarkroomError, Invalid, NotFound, Unsupported, nearest, told
from darkroom.operation import Operation
from darkroom.records import Fact

__all__ = ["Problem", "add_handlers", "answer", "as_json", "defect", "documented"]

log = logging.getLogger("darkroom.server")

MEANINGS = {
    400: "The body is not JSON.",
    401: "No token, or a wrong one.",
    403: "Not allowed for whoever asks.",
    404: "The thing named does not exist.",
    409: "Somebody else was there first.",
    412: "A limit of the brief is missed.",
    413: "The body is too large.",
    421: "Called by a name that is not the server's.",
    422: "A value is not what was expected.",
    499: "A person stopped it.",
    500: "A file of the project is damaged, or Darkroom failed.",
    501: "An optional package is missing, or it is not possible here.",
    503: "Too many listen already.",
    507: "The disk or the database refused.",
}


class Problem(Fact):
    """What went wrong."""

    error: str
    """What happened and where, and what was expected."""
    kind: str
    """Kind of error; it decides the status here and the exit code in the shell."""
    id: str
    """Key of the message; it stays the same when the words change."""
    hint: str
    """What to do next."""


def documented(statuses: Iterable[int] = MEANINGS) -> dict[int | str, dict[str, Any]]:
    """Returns the error answers of a route as its page describes them."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}


def as_json(value: Any) -> bytes:
    """Returns a value as JSON in ASCII, so that no text, however odd, cannot be written."""
    return json.dumps(value).encode("ascii")


def answer(
    error: DarkroomError, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Returns an error as a response.

    Args:
        error: what happened.
        status: the status where HTTP knows a closer one than the kind's.
        headers: more headers.
    """
    return Response(
        as_json(error.as_dict()),
        status_code=status or error.http_status,
        headers=headers,
        media_type="application/json",
    )


def add_handlers(app: FastAPI) -> None:
    """Makes an app answer every error in the one shape."""
    app.add_exception_handler(DarkroomError, _told)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HTTPException, _protocol)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(Exception, _defect)


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, DarkroomError)
    return answer(error)


async def _refused(request: Request, error: Exception) -> Response:
    """Says what is wrong with a request; the key that was meant is known to its model."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        found = Invalid(
            "request.not-json",
            "The body is not JSON: {why}, at character {place}.",
            place=first["loc"][-1],
            why=first["ctx"]["error"],
        )
        return answer(found, 400)
    if first["loc"][0] != "body":
        found = Invalid(
            "request.parameter",
            '"{name}" in the {place}: {why}.',
            name=first["loc"][-1],
            place=first["loc"][0],
            why=first["msg"],
        )
        return answer(found)
    return answer(_refused_body(request, error.body))


def _refused_body(request: Request, body: Any) -> DarkroomError:
    operation: Operation | None = request.app.state.operations.get(request.url.path)
    if not isinstance(body, dict):
        return Invalid(
            "request.no-object",
            "Expected a JSON object as the body, sent as application/json.",
            do="Send {{}} for the defaults; with curl: -H \"Content-Type: application/json\" -d '{{}}'",
        )
    try:
        if operation is not None:
            operation.validate(body)
    except DarkroomError as found:
        return found
    return Invalid("request.refused", "The request is not what was expected.")


async def _protocol(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return answer(_no_route(request, path))
    if error.status_code == 405:
        found: DarkroomError = Unsupported(
            "request.method",
            "{path} does not answer {method}.",
            do="Expected: {expected}.",
            path=path,
            method=request.method,
            expected=(error.headers or {}).get("Allow", "another method"),
        )
    else:
        found = Invalid("request.malformed", "The request cannot be read: {why}.", why=error.detail)
    return answer(found, error.status_code, dict(error.headers or {}))


def _no_route(request: Request, path: str) -> NotFound:
    known = [route.path for route in request.app.routes if hasattr(route, "path")]
    return NotFound(
        "request.no-route",
        "There is nothing at {path}.{meant}",
        do="What there is: /api/openapi.json",
        path=path,
        meant=nearest(path, known),
    )


async def _disk(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    return answer(told(error))


async def _defect(request: Request, error: Exception) -> Response:
    request.state.told = True  # Starlette raises it once more, for the gate
    return defect(error)


def defect(error: Exception) -> Response:
    """Returns what is answered when Darkroom itself fails; the traceback is in the log alone."""
    log.error("A request failed", exc_info=error)
    found = DarkroomError(
        "server.defect",
        "Darkroom failed in a way that it should not: {kind}.",
        do="The server's log says more; report what it says there.",
        kind=type(error).__name__,
    )
    return answer(found)
