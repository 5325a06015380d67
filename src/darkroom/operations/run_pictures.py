"""The pictures as a run saw them: its dataset rendered, with the split that its recipe drew."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, cast

from darkroom.operations.kept import kept_toml
from darkroom.records import DatasetVersion
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets import Rendering

__all__ = ["pictures_of", "recipe_kept", "split_seed_of"]


def pictures_of(workspace: Workspace, run: str, version: DatasetVersion | None = None) -> Rendering:
    """Returns the rendered dataset of a run; where its recipe drew another split, with that one.

    Whoever asks a run about train or val takes the pictures from here: in the dataset's own val there may
    be some that this run was trained on.

    Raises:
        NotFound: there is no such run, or its dataset is gone.
        Damaged: the run's config is not what was written.
    """
    from darkroom.datasets import render
    from darkroom.training.redrawn import redrawn

    found = version or workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset)
    rendering = render(workspace, found)
    return cast("Rendering", redrawn(rendering, split_seed_of(workspace, run)))


def split_seed_of(workspace: Workspace, run: str) -> int | None:
    """Returns the seed by which a run's train and val were drawn; None for the dataset's own split.

    Raises:
        Damaged: the run's config is not what was written.
    """
    seed = recipe_kept(workspace, run).get("chance", {}).get("split")
    return None if seed is None else int(seed)


def recipe_kept(workspace: Workspace, run: str) -> dict[str, Any]:
    """Returns the recipe in a run's folder; empty where the training has not begun.

    Raises:
        Damaged: it is not what was written.
    """
    path = workspace.runs_folder / run / "config.toml"
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        found = kept_toml(path)  # says in words what is wrong with it
    recipe = found.get("recipe", {})
    return recipe if isinstance(recipe, dict) else {}
