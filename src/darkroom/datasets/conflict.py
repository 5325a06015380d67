"""Pictures that imports gave two different labels: no dataset takes them until somebody decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom.records import AnnotationEvent, AnnotationValue, Fact, Slot, State

if TYPE_CHECKING:
    from darkroom.catalogue import Catalogue

__all__ = ["CONFLICT", "LabelConflict", "Saying", "label_conflicts"]

CONFLICT = State(state="unlabelled", rule="label conflict")
"""What holds for such a picture; the imports' answers stay in the log before it."""


class Saying(Fact):
    """What one file says about its picture."""

    file: str
    """Source and path, for example "s-1/roses/a.jpg"."""
    value: AnnotationValue
    """The answer."""


class LabelConflict(Fact):
    """A picture with two different labels."""

    image_id: str
    """The picture."""
    said: tuple[Saying, ...]
    """What each file said last."""


def label_conflicts(catalogue: Catalogue, slot: Slot) -> Iterator[LabelConflict]:
    """Gives the pictures that wait for a decision, with what was said about them."""
    for current in catalogue.annotations.current(slot):
        if current.value == CONFLICT:
            history = catalogue.annotations.history(current.image_id)
            said = last_said(history, slot)
            yield LabelConflict(
                image_id=current.image_id,
                said=tuple(Saying(file=file, value=value) for file, value in sorted(said.items())),
            )


def last_said(history: tuple[AnnotationEvent, ...], slot: Slot) -> dict[str, AnnotationValue]:
    """Returns what each imported file said last: source and path → answer."""
    return {
        event.author.name: event.value
        for event in history
        if event.slot == slot and event.author.kind == "import" and event.value != CONFLICT
    }
