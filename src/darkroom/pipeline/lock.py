"""Keep two `darkroom run` on one project apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from darkroom.errors import Locked
from darkroom.workspace import Workspace

__all__ = ["is_locked", "project_lock"]


@contextmanager
def project_lock(workspace: Workspace) -> Iterator[None]:
    """Holds the project, so that two runs do not cross; the lock goes with the process.

    Raises:
        Locked: another `darkroom run` works on this project.
    """
    workspace.hidden.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_place(workspace))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Locked(
            "run.locked",
            "Another `darkroom run` works on {root}.",
            do="Wait until it ends; see how far it is: darkroom status",
            root=workspace.root,
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(workspace: Workspace) -> bool:
    """Says whether a `darkroom run` works on the project right now."""
    if not _place(workspace).is_file():
        return False
    lock = FileLock(_place(workspace))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _place(workspace: Workspace) -> Path:
    return workspace.hidden / "run.lock"
