"""The operation that starts the server of a project: `darkroom serve`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from darkroom.errors import MissingExtra
from darkroom.operation import operation
from darkroom.records import Result, Table
from darkroom.workspace import Workspace

__all__ = ["serve"]


class ServeReport(Result):
    """What the server left when it stopped."""

    url: str
    """Where it answered."""
    requests: int
    """Requests that it answered."""
    jobs_running: tuple[str, ...] = ()
    """Jobs whose processes work on."""
    jobs_waiting: tuple[str, ...] = ()
    """Jobs that wait for the next server."""

    def display(self) -> Iterator[str | Table]:
        """Yields that it stopped, and what becomes of the jobs."""
        yield f"{self.url} has stopped."
        if self.jobs_running:
            yield f"Still at work: {', '.join(self.jobs_running)}. See: darkroom job list"
        if self.jobs_waiting:
            yield f"Waiting for the next server: {', '.join(self.jobs_waiting)}"


@operation("serve", over_http=False)
def serve(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Field(ge=0, le=65535)] = 8400,
    exposed: bool = False,
) -> ServeReport:
    """Answer requests over HTTP until it is stopped; commands in this project then go through it.

    It prints its address and a token, which every request carries. The token is a new one after each start.

    Args:
        workspace: the project.
        host: address to listen on; others than this machine's own need `exposed`.
        port: port to listen on; 0 takes a free one.
        exposed: let other machines in. Token, pictures and answers then travel unencrypted.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "extra.server",
            "The server needs the packages fastapi and uvicorn.",
            do='pip install "darkroom[server]"',
        ) from None
    from darkroom.server.listening import listen

    return ServeReport(**listen(workspace, host=host, port=port, exposed=exposed))
