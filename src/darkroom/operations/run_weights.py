"""Whether a run still has its weights, and the packages that can change what a training gives."""

from __future__ import annotations

from darkroom.errors import NotFound
from darkroom.records import Run
from darkroom.workspace import Workspace

__all__ = ["LIBRARIES", "is_whole", "refuse_lost_run"]

LIBRARIES = ("numpy", "pillow", "torch")
"""Packages whose versions can change what a training gives, beside the one whose code the network is."""


def is_whole(workspace: Workspace, run: Run) -> bool:
    """Returns whether the folder of a finished run still holds its card and its best weights."""
    folder = workspace.runs_folder / run.id
    return all((folder / name).is_file() for name in ("model-card.json", "checkpoints/best.safetensors"))


def refuse_lost_run(workspace: Workspace, run: Run) -> None:
    """Refuses to work with a run whose weights somebody deleted.

    Raises:
        NotFound: the run has no weights (any more).
    """
    if not is_whole(workspace, run):
        raise NotFound(
            "run.folder-gone",
            "Run {run} ({state}) has no weights in {folder}.",
            do="Train it again: darkroom run",
            run=run.id,
            state=run.state,
            folder=workspace.runs_folder / run.id,
        )
