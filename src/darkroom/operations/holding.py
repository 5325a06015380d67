"""Hold the whole project while it is worked on or something is deleted, and see who else is at work."""

from __future__ import annotations

from contextlib import AbstractContextManager

from darkroom.errors import Locked
from darkroom.locks import hold, is_held
from darkroom.workspace import Workspace

__all__ = ["hold_project", "runs_at_work"]


def hold_project(workspace: Workspace) -> AbstractContextManager[None]:
    """Keeps other `darkroom run` and others that delete away; the lock goes with the process.

    Raises:
        Locked: somebody works on the project.
    """
    return hold(workspace.run_lock, lambda: _at_work(workspace))


def runs_at_work(workspace: Workspace) -> frozenset[str]:
    """Returns the runs that a process trains right now."""
    locks = workspace.runs_folder.glob("r-*.lock")
    return frozenset(file.stem for file in locks if is_held(file))


def _at_work(workspace: Workspace) -> Locked:
    return Locked(
        "project.at-work",
        "A `darkroom run`, or somebody who deletes, works on {root}.",
        do="Wait until it ends; see how far it is: darkroom status",
        root=workspace.root,
    )
