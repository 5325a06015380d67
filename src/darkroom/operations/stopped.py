"""Runs that were stopped: what a request that is nearly theirs changes, and their weights to begin with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from darkroom.errors import DarkroomError
from darkroom.operations.kept import kept_toml
from darkroom.records import Run
from darkroom.training import Recipe
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.run_making import Wanted

__all__ = ["tell_of_stopped", "weights_of_now"]

STOPPED = ("cancelled", "failed", "lost")
BEST = "checkpoints/best.safetensors"


def tell_of_stopped(workspace: Workspace, wanted: Wanted, recipe: Recipe) -> None:
    """Says which stopped run a new one differs from by its recipe alone, and how to begin with its weights.

    Args:
        workspace: the project.
        wanted: what is about to be trained anew.
        recipe: its recipe, as a run keeps it.
    """
    for run in reversed(list(workspace.catalogue.runs.list(dataset=wanted.version.ref))):
        alike = (run.network, run.seed, run.parent) == (
            wanted.recipe.network,
            wanted.seed,
            wanted.start_from,
        )
        if not alike or run.state not in STOPPED or run.tags:  # those with tags are trials of a search
            continue
        changes = _changes(workspace, run, recipe)
        if changes and (workspace.runs_folder / run.id / BEST).is_file():
            workspace.tell(
                f"{run.id} was stopped and had another recipe: {'; '.join(changes)}. This is a new run. "
                f"Put the old value back to go on with {run.id}, or begin with its weights: "
                f"--start-from {run.id}"
            )
            return


def weights_of_now(workspace: Workspace, run: Run) -> str:
    """Returns the content of a stopped run's best weights, which may be others tomorrow; else ""."""
    path = workspace.runs_folder / run.id / BEST
    if run.state not in STOPPED or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _changes(workspace: Workspace, run: Run, recipe: Recipe) -> list[str]:
    from darkroom.training.checkpoint import differences

    try:
        before = Recipe.model_validate(
            kept_toml(workspace.runs_folder / run.id / "config.toml").get("recipe", {})
        )
    except (ValidationError, DarkroomError):
        return []  # of another version, or damaged: then it says nothing
    free = {"device", "threads"}
    return differences(
        before.model_dump(mode="json", exclude=free), recipe.model_dump(mode="json", exclude=free)
    )
