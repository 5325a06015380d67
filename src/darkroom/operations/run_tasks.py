"""What runs answer: one class, several labels, or a mask; runs of different tasks are not held together."""

from __future__ import annotations

from collections.abc import Container, Sequence

from darkroom.errors import InvalidConfig
from darkroom.records import Task
from darkroom.workspace import Workspace

__all__ = ["DECIDING", "common_task", "deciding_figure", "task_of"]

DECIDING: dict[Task, tuple[str, str]] = {
    "classification": ("val.accuracy", "accuracy"),
    "multi-label": ("val.mean_ap", "mean AP"),
    "segmentation": ("val.miou", "mean IoU"),
}
"""For each task the figure of a run that decides, and what a person calls it."""

_ANSWERS = {
    "classification": "one class per picture",
    "multi-label": "any number of labels per picture",
    "segmentation": "masks",
}


def task_of(workspace: Workspace, run: str) -> Task:
    """Returns what a run answers.

    Raises:
        NotFound: there is no such run, or its dataset is gone.
    """
    return workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset).task


def common_task(workspace: Workspace, runs: Sequence[str]) -> Task:
    """Returns what some runs answer, which must be the same.

    Raises:
        NotFound: there is no such run, or its dataset is gone.
        InvalidConfig: they answer different things.
    """
    found: dict[str, Task] = {run: task_of(workspace, run) for run in runs}
    if len(set(found.values())) > 1:
        said = (
            f"{', '.join(run for run in runs if found[run] == task)}: {_ANSWERS[task]}"
            for task in dict.fromkeys(found.values())
        )
        raise InvalidConfig(
            "evaluate.mixed-tasks",
            "Runs of different tasks have no figure in common. {said}.",
            do="Name runs of one task.",
            said="; ".join(said),
        )
    return found[runs[0]]


def deciding_figure(metrics: Container[str]) -> tuple[str, str]:
    """Returns the figure that decides of a run with such metrics, and what a person calls it."""
    for task in ("segmentation", "multi-label"):
        if DECIDING[task][0] in metrics:
            return DECIDING[task]
    return DECIDING["classification"]
