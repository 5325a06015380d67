"""Hold the whole project while something is deleted, and see who else is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from darkroom.errors import Locked
from darkroom.workspace import Workspace

__all__ = ["hold_project", "is_locked", "runs_at_work"]


@contextmanager
def hold_project(workspace: Workspace) -> Iterator[None]:
    """Keeps `darkroom run` and others that delete away; the lock goes with the process.

    Raises:
        Locked: somebody works on the project.
    """
    workspace.hidden.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.run_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Locked(
            "project.at-work",
            "A `darkroom run`, or somebody who deletes, works on {root}.",
            do="Wait until it ends; see how far it is: darkroom status",
            root=workspace.root,
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(file: Path) -> bool:
    """Says whether a living process holds a lock file."""
    if not file.is_file():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def runs_at_work(workspace: Workspace) -> frozenset[str]:
    """Returns the runs that a process trains right now."""
    locks = workspace.runs_folder.glob("r-*.lock")
    return frozenset(file.stem for file in locks if is_locked(file))
