"""The app: every operation as a route, jobs with their events, uploads, and a page that says how."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import ASGIApp

from darkroom.jobs import JobRunner
from darkroom.server.access import Access
from darkroom.server.gate import Gate
from darkroom.server.problems import add_handlers
from darkroom.server.uploads import Uploads

if TYPE_CHECKING:
    from darkroom.workspace import Workspace

__all__ = ["Desk", "make_app"]

DESCRIPTION = """\
Every operation of Darkroom under its name: `POST /api/<noun>/<verb>` with its parameters as a JSON object.
Send the header `Authorization: Bearer TOKEN`; the server printed the token when it started.

A fast operation answers at once. A slow one answers `202` with a job and its address in the header
`Location`; the job's events come from `GET /api/jobs/{id}/events`.

Where a parameter is a path, send the file first (`POST /api/uploads`) and give what that answered, or name
a file inside the project. Every error has one shape: what happened, its kind, its id, and what to do next.
"""


@dataclass(frozen=True)
class Desk:
    """What the routes work with."""

    workspace: Workspace
    jobs: JobRunner
    access: Access
    uploads: Uploads
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server stops: whoever listens to events lets go."""


def make_app(desk: Desk) -> ASGIApp:
    """Returns the app of one project, behind its gate."""
    from darkroom.server.job_routes import add_jobs
    from darkroom.server.operation_routes import add_operations
    from darkroom.server.page import add_page
    from darkroom.server.upload_route import add_uploads

    app = FastAPI(
        title="Darkroom",
        version=version("darkroom"),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_handlers(app)
    add_page(app)
    add_operations(app, desk)
    add_jobs(app, desk)
    add_uploads(app, desk)
    return Gate(app, desk.access, upload_bytes=desk.uploads.file_bytes)
