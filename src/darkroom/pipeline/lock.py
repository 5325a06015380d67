"""Keep two `darkroom run` on one project apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    lock = FileLock(workspace.run_lock)
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
    if not workspace.run_lock.is_file():
        return False
    lock = FileLock(workspace.run_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a project that may only be read here
        return False
    lock.release()
    return False
