"""Figures of runs on changed pictures: computed in one pass over all runs, and kept with each run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from darkroom import atomic
from darkroom.operations.run_pictures import pictures_of
from darkroom.records import Split, content_id
from darkroom.workspace import Workspace

__all__ = ["stressed_figures"]

STRESS_VERSION = 1
"""Raised when a change of the pictures means something else."""


def stressed_figures(
    workspace: Workspace, runs: Sequence[str], split: Split, names: Sequence[str]
) -> dict[str, list[dict[str, float]]]:
    """Returns the headline figures of each run by the change that was made to the pictures.

    What was measured with the same weights and libraries is taken from the run's folder.

    Args:
        workspace: the project.
        runs: clones that were asked about the split as it is.
        split: the pictures.
        names: the changes.

    Raises:
        NotFound: a run has no weights.
        Invalid: a model answers with what is no number.
    """
    kept = {run: _kept(workspace, run, split) for run in runs}
    images: Any = None
    for name in dict.fromkeys(names):
        missing = [run for run in runs if name not in kept[run]]
        if not missing:
            continue
        images = images or pictures_of(workspace, runs[0]).split(split)
        for run, figures in _measured(workspace, missing, images, name).items():
            kept[run][name] = figures
            _keep(workspace, run, split, kept[run])
    return {name: [kept[run][name] for run in runs] for name in dict.fromkeys(names)}


def _measured(
    workspace: Workspace, runs: Sequence[str], images: Any, name: Any
) -> dict[str, dict[str, float]]:
    from darkroom.evaluation import ClonePanel
    from darkroom.evaluation.stress import Stressed

    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(runs[0]).dataset)
    panel = ClonePanel([workspace.runs_folder / run for run in runs], version.classes)

    def show(done: int, total: int) -> None:
        workspace.report(
            f"asking {len(runs)} clones, {name}", done=done, total=total, unit="images", stops=True
        )

    return dict(zip(runs, panel.figures(Stressed(images, name), show), strict=True))


def _kept(workspace: Workspace, run: str, split: str) -> dict[str, dict[str, float]]:
    """Returns what was measured of a run, as it is now."""
    path = _path(workspace, run, split)
    try:
        found: Mapping[str, Any] = json.loads(path.read_bytes())
        same = found["of"] == _of(workspace, run, split)
        return {name: dict(figures) for name, figures in found["figures"].items()} if same else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _keep(workspace: Workspace, run: str, split: str, figures: Mapping[str, Any]) -> None:
    facts = {"schema_version": 1, "of": _of(workspace, run, split), "figures": figures}
    atomic.write_text(_path(workspace, run, split), json.dumps(facts, indent=1) + "\n")


def _path(workspace: Workspace, run: str, split: str):
    return workspace.runs_folder / run / f"stress-{split}.json"


def _of(workspace: Workspace, run: str, split: str) -> str:
    """Returns what the figures rest on: weights, libraries, pictures, the changes."""
    from darkroom.evaluation import load_any_evaluation

    one = load_any_evaluation(workspace.runs_folder / run, split)
    rests = {
        "weights": one.weights_sha256,
        "libraries": dict(one.libraries),
        "dataset": one.source.dataset_id,
        "images": one.figures.count,
        "version": STRESS_VERSION,
    }
    return content_id(rests)
