"""Hold the whole project while it is worked on or something is deleted, and see who else is at work."""

from __future__ import annotations

from contextlib import AbstractContextManager

from darkroom.errors import Locked
from darkroom.locks import hold, hold_beside, is_held
from darkroom.workspace import Workspace

__all__ = ["hold_project", "hold_sources", "runs_at_work", "take_in"]

FORGETTING_S = 30.0
"""How long whoever takes in pictures waits for somebody who forgets some."""


def hold_project(workspace: Workspace) -> AbstractContextManager[None]:
    """Keeps other `darkroom run` and others that delete away; the lock goes with the process.

    Raises:
        Locked: somebody works on the project.
    """
    return hold(workspace.run_lock, lambda: _at_work(workspace))


def take_in(workspace: Workspace) -> AbstractContextManager[None]:
    """Keeps forgetting away while pictures are taken in; others may take in theirs meanwhile.

    Raises:
        Locked: somebody forgets pictures.
    """
    return hold_beside(workspace.sources_lock, lambda: _forgets(workspace), patience_s=FORGETTING_S)


def hold_sources(workspace: Workspace) -> AbstractContextManager[None]:
    """Keeps away those who take in pictures: one that is being read would come back.

    Raises:
        Locked: somebody takes in pictures.
    """
    return hold(workspace.sources_lock, lambda: _takes_in(workspace))


def runs_at_work(workspace: Workspace) -> frozenset[str]:
    """Returns the runs that a process trains right now."""
    locks = workspace.runs_folder.glob("r-*.lock")
    return frozenset(file.stem for file in locks if is_held(file))


def _takes_in(workspace: Workspace) -> Locked:
    return Locked(
        "project.takes-in",
        "Somebody takes in pictures of {root}, perhaps these.",
        do="Wait until it ends, and forget them then.",
        root=workspace.root,
    )


def _forgets(workspace: Workspace) -> Locked:
    return Locked(
        "project.forgets",
        "Somebody forgets pictures of {root} at this moment.",
        do="Take in the pictures again when that has ended.",
        root=workspace.root,
    )


def _at_work(workspace: Workspace) -> Locked:
    return Locked(
        "project.at-work",
        "A `darkroom run`, or somebody who deletes, works on {root}.",
        do="Wait until it ends; see how far it is: darkroom status",
        root=workspace.root,
    )
