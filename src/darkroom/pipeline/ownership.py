"""Who owns writing to a project: the server while it runs, known by a lock that goes with its process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import ValidationError

from darkroom.errors import Locked
from darkroom.locks import hold, is_held
from darkroom.records import RunningServer
from darkroom.workspace import Workspace

__all__ = ["own_writing", "running_server", "server_file"]

PATIENCE_S = 2.0
"""How long a new server waits for the lock: others look at it for a moment to see whether it is held."""


def own_writing(workspace: Workspace) -> AbstractContextManager[None]:
    """Holds the project for a server; the lock goes with the process, however it ends.

    Raises:
        Locked: another server holds it.
    """
    return hold(_lock_file(workspace), lambda: _held(workspace), patience_s=PATIENCE_S)


def running_server(workspace: Workspace) -> RunningServer | None:
    """Returns the server that holds the project now, or None; what a dead one left behind is passed over.

    Raises:
        Locked: a server of another user holds the project.
    """
    try:
        text = server_file(workspace).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None  # the usual case: one look at the disk
    except PermissionError:
        raise _of_another_user(workspace) from None
    if not is_held(_lock_file(workspace)):
        return None
    try:
        return RunningServer.model_validate_json(text)
    except ValidationError:
        return None


def server_file(workspace: Workspace) -> Path:
    """Returns where a running server says how to reach it."""
    return workspace.hidden / "server.json"


def _held(workspace: Workspace) -> Locked:
    server = running_server(workspace)
    who = f"the server {server.url} (process {server.pid})" if server else "a server that is starting"
    return Locked(
        "server.held",
        "{root} is held by {who}.",
        do="Commands and requests go through that server. To start another one, stop it first: Ctrl-C "
        "where it runs.",
        root=workspace.root,
        who=who,
    )


def _of_another_user(workspace: Workspace) -> Locked:
    return Locked(
        "server.of-another-user",
        "The server of another user holds {root}: {file} may not be read.",
        do="Ask that user; if no server runs, remove the file.",
        root=workspace.root,
        file=server_file(workspace),
    )


def _lock_file(workspace: Workspace) -> Path:
    return workspace.hidden / "server.lock"
