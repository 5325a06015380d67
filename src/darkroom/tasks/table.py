"""The table of tasks: which labels teach each one, and which function measures its answers."""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.errors import NotFound, among
from darkroom.records import Slot, Task

__all__ = ["TASKS", "TaskEntry", "find"]


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A task and its facts."""

    name: Task
    """What a dataset and a model card call it."""
    summary: str
    """What a model answers, in a sentence."""
    slot: Slot
    """The annotations that teach it."""
    output: str
    """Name of the exported graph's output."""
    measure: str
    """Import string "module:function" of `(labels, probabilities, classes, groups, …) -> figures`."""


TASKS: dict[str, TaskEntry] = {
    entry.name: entry
    for entry in (
        TaskEntry(
            name="classification",
            summary="One class for the whole picture.",
            slot="class",
            output="probabilities",
            measure="darkroom.tasks.classification:measure",
        ),
        TaskEntry(
            name="multi-label",
            summary="Any number of labels for the whole picture, also none.",
            slot="classes",
            output="probabilities",
            measure="darkroom.tasks.multi_label:measure",
        ),
        TaskEntry(
            name="segmentation",
            summary="A class for each pixel of the picture.",
            slot="mask",
            output="probabilities",
            measure="darkroom.tasks.segmentation:measure",
        ),
    )
}
"""All tasks by name."""


def find(name: str) -> TaskEntry:
    """Returns the entry of a task.

    Raises:
        NotFound: nothing of that name is built.
    """
    if name not in TASKS:
        raise NotFound(
            "task.unknown",
            'No task "{name}". Known: {known}.{nearest}',
            do="Name one of them: darkroom dataset freeze --task TASK",
            **among(name, TASKS),
        )
    return TASKS[name]
