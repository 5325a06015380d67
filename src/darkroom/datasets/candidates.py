"""The pictures that a dataset could hold, and why others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from darkroom.datasets.conflict import CONFLICT
from darkroom.datasets.split import SEPARATOR, Candidate
from darkroom.errors import InvalidLabel
from darkroom.records import (
    ClassesLabel,
    ClassLabel,
    CurrentAnnotation,
    MaskLabel,
    Slot,
    State,
    Task,
)
from darkroom.workspace import Workspace

__all__ = ["SLOTS", "Candidates", "find_candidates"]

SLOTS: dict[Task, Slot] = {
    "classification": "class",
    "multi-label": "classes",
    "segmentation": "mask",
}
"""The question whose answers a task learns."""

_BATCH = 5000


class Candidates(NamedTuple):
    """The pictures that a dataset could hold."""

    labelled: list[Candidate]
    left_out: Counter[str]
    """How many were left out, by reason."""
    classes: tuple[str, ...]
    """The classes asked for, or else all that are found, sorted; of masks, in their own order."""
    sources: tuple[str, ...]
    """Ids of the sources that were looked at."""
    last_sequence: int
    """Last annotation event that can have counted."""
    of_masks: bool = False
    """Whether their labels are masks."""
    of_sets: bool = False
    """Whether each has any number of labels, also none."""


def find_candidates(
    workspace: Workspace,
    *,
    sources: Sequence[str],
    task: Task,
    classes: Sequence[str],
    exclude: Iterable[str],
) -> Candidates:
    """Finds the pictures with an answer that a task can learn, and counts the others by reason.

    Args:
        workspace: the project.
        sources: ids of the sources; all when none is named.
        task: what is to be learned.
        classes: only these; all that are found when none is named.
        exclude: ids of pictures to leave out.

    Raises:
        NotFound: there is no such source.
        InvalidLabel: masks do not agree about their classes.
    """
    catalogue = workspace.catalogue
    last_sequence = catalogue.annotations.last_sequence()
    named = [catalogue.sources.get(one).id for one in sources]
    looked_at = named or [source.id for source in catalogue.sources.list()]
    sorter = _Sorter(task, classes, frozenset(exclude))
    for batch in _batches(_pictures(workspace, looked_at, sorter.left_out, everything=not named)):
        groups = {image.id: image.group for image in catalogue.images.many(batch).values()}
        current = {one.image_id: one for one in catalogue.annotations.current(SLOTS[task], batch)}
        for image_id in batch:
            sorter.sort(image_id, current.get(image_id), groups.get(image_id))
    files = sum(catalogue.quarantine.count(source_id) for source_id in looked_at)
    if files:
        sorter.left_out["files in quarantine"] += files
    return Candidates(
        sorter.labelled,
        sorter.left_out,
        sorter.found_classes(),
        tuple(looked_at),
        last_sequence,
        of_masks=task == "segmentation",
        of_sets=task == "multi-label",
    )


class _Sorter:
    """Takes pictures one by one, and keeps those that have an answer."""

    def __init__(self, task: Task, classes: Sequence[str], excluded: frozenset[str]) -> None:
        self.labelled: list[Candidate] = []
        self.left_out: Counter[str] = Counter()
        self._task = task
        self._asked = tuple(classes)
        self._excluded = excluded
        self._found: dict[str, None] = {}
        self._of_masks: tuple[str, ...] | None = None

    def sort(self, image_id: str, current: CurrentAnnotation | None, group: str | None) -> None:
        """Keeps one picture, or counts why not."""
        reason = self._reason(image_id, current)
        if reason:
            self.left_out[reason] += 1
        elif current is not None:
            self.labelled.append(Candidate(image_id, self._label(current), group, current.sequence))

    def found_classes(self) -> tuple[str, ...]:
        """Returns the classes asked for, or else those found."""
        return self._asked or self._of_masks or tuple(sorted(self._found))

    def _reason(self, image_id: str, current: CurrentAnnotation | None) -> str:
        if image_id in self._excluded:
            return "excluded"
        if current is None:
            return "unlabelled"
        value = current.value
        if isinstance(value, State) and not self._is_empty_set(value):
            return "label conflict" if value == CONFLICT else value.state.replace("_", " ")
        labels = self._labels(value)
        if self._asked and not isinstance(value, MaskLabel) and not set(labels) <= set(self._asked):
            return "other class"
        self._found.update(dict.fromkeys(labels))
        return ""

    def _label(self, current: CurrentAnnotation) -> str:
        value = current.value
        if isinstance(value, MaskLabel):
            self._agree(value)
            return value.blob
        return SEPARATOR.join(self._labels(value))

    def _labels(self, value: object) -> tuple[str, ...]:
        """Returns the labels of an answer; of several only those that were asked for."""
        found = _labels(value)
        if self._asked and isinstance(value, ClassesLabel):
            return tuple(label for label in found if label in self._asked)
        return found

    def _is_empty_set(self, value: State) -> bool:
        """Says whether "none of these" is an answer: where any number of labels may hold, it is."""
        return self._task == "multi-label" and value.state == "none_of_these"

    def _agree(self, mask: MaskLabel) -> None:
        self._of_masks = self._of_masks or self._asked or mask.classes
        if mask.classes != self._of_masks:
            raise InvalidLabel(
                "dataset.masks-disagree",
                "Masks do not agree about their classes: {first}; but also {second}.",
                do="Freeze their sources as two datasets, or give all of them the same classes.txt.",
                first=", ".join(self._of_masks),
                second=", ".join(mask.classes),
            )


def _pictures(
    workspace: Workspace, sources: Sequence[str], left_out: Counter[str], *, everything: bool
) -> Iterator[str]:
    """Yields the pictures that can be read, each once; counts those whose files are gone."""
    images = workspace.catalogue.images
    located: set[str] = set()
    for source_id in sources:
        for image_id in images.ids(source_id):
            if image_id not in located:
                located.add(image_id)
                yield image_id
    for image_id in images.ids() if everything else ():
        if image_id in located:
            continue
        if workspace.blobs.has(image_id):
            yield image_id
        else:
            left_out["vanished"] += 1


def _batches(ids: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(ids, _BATCH)):
        yield batch


def _labels(value: object) -> tuple[str, ...]:
    if isinstance(value, ClassLabel):
        return (value.label,)
    if isinstance(value, ClassesLabel):
        for label in value.labels:
            if SEPARATOR in label or not label:
                raise InvalidLabel(
                    "dataset.class-name",
                    "Among several classes none can be empty or hold {separator!r}. Received: {label!r}.",
                    do="Rename the class.",
                    separator=SEPARATOR,
                    label=label,
                )
        return tuple(sorted(value.labels))
    return ()
