"""Operations on what was said about single pictures: say it, take it back, read the log."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime

from darkroom.errors import Conflict, Invalid, InvalidLabel, NotFound
from darkroom.operation import PictureName, operation
from darkroom.operations.class_names import refuse_unknown_class
from darkroom.operations.image_names import images_named
from darkroom.records import (
    AnnotationEvent,
    Asked,
    Author,
    ClassLabel,
    Fact,
    Result,
    Slot,
    State,
    Table,
    Undo,
    new_ulid,
    now,
)
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.records import AnnotationValue, CurrentAnnotation

__all__ = ["add", "log", "undo"]

StateWord = Literal["unlabelled", "none_of_these", "unusable", "skipped"]
AuthorKind = Literal["person", "run", "service", "script"]


class LabelReport(Result):
    """What was written about one picture."""

    image: str
    """Id of the picture."""
    slot: str
    """The question that it answers."""
    event: str
    """Id of the event in the log."""
    sequence: int
    """Place in the log of what holds now, 0 for nothing; give it as `base` with the next answer."""
    said: str
    """What the event says, in words."""
    holds: str
    """What holds now, in words."""
    repeated: bool
    """Whether the same key had written it before; then nothing was added."""

    def display(self) -> Iterator[str | Table]:
        """Yields what was said and what holds."""
        again = " (was in the log already)" if self.repeated else ""
        yield f"{self.image[:12]}: {self.said}{again}"
        yield f"Now holds: {self.holds} (--base {self.sequence} for the next answer)"


class LogEntry(Fact):
    """One event about a picture."""

    sequence: int
    at: AwareDatetime
    by: str
    """Kind and name of the author."""
    slot: str
    said: str
    """What it says, in words."""
    holds: bool
    """Whether this is what holds now."""
    event: str
    key: str
    base: int | None
    """Sequence of the event that the author saw; nothing when none was looked at."""


class LogReport(Result):
    """Everything that was said about one picture."""

    image: str
    entries: tuple[LogEntry, ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the events, the oldest first."""
        if not self.entries:
            yield f"{self.image[:12]}: nobody said anything yet."
            return
        yield Table(
            ("", "when (UTC)", "by", "slot", "said", "now", "event"),
            tuple(
                (
                    str(one.sequence),
                    one.at.strftime("%Y-%m-%d %H:%M:%S"),
                    one.by,
                    one.slot,
                    one.said,
                    "holds" if one.holds else "",
                    one.event,
                )
                for one in self.entries
            ),
        )


@operation("label.add", stage=4, positional=("image",))
def add(
    workspace: Workspace,
    *,
    image: PictureName,
    label: str | None = None,
    state: StateWord | None = None,
    rule: str | None = None,
    slot: Slot = "class",
    by: str = "",
    kind: AuthorKind = "person",
    key: str = "",
    base: int | None = None,
    new_class: bool = False,
) -> LabelReport:
    """Say what one picture shows, or why that cannot be said; it is written behind what was said before.

    Args:
        image: the picture: its id, the beginning of its id, or its file.
        label: its class.
        state: instead of a class: taken back, none of the classes, unusable, or left for later.
        rule: for an unusable picture, the brief's rule that it breaks.
        slot: the question; a class answers the question "class", a state may stand in each.
        by: who says it; the user of this machine when not given.
        kind: what sort of author that is.
        key: made by the caller for each answer; the same key is written once, however often it is sent.
        base: sequence of the event that was seen, 0 for none; refused when another one holds by now.
        new_class: take a class that no picture carries yet.
    """
    value = _value(label, state, rule, slot)
    if isinstance(value, ClassLabel) and not new_class:
        refuse_unknown_class(workspace, value.label)
    image_id = _picture(workspace, image)
    return _append(workspace, image_id, slot, value, Author(kind=kind, name=_name(by)), key, base)


@operation("label.undo", stage=4, positional=("image",))
def undo(
    workspace: Workspace,
    *,
    image: PictureName,
    event: str | None = None,
    slot: Slot = "class",
    by: str = "",
    kind: AuthorKind = "person",
    key: str = "",
) -> LabelReport:
    """Take back what was said about one picture; what held before holds again.

    Args:
        image: the picture: its id, the beginning of its id, or its file.
        event: id of the event to take back, from `label log`; the one that holds when not given.
        slot: the question.
        by: who takes it back; the user of this machine when not given.
        kind: what sort of author that is.
        key: made by the caller; the same key is written once, however often it is sent.
    """
    image_id, base = _picture(workspace, image), None
    current = _current(workspace, image_id, slot)
    history = workspace.catalogue.annotations.history(image_id)  # after what holds, so that it is in there
    if event is None and key:
        sent_before = (one.value for one in history if one.key == key)
        event = next((value.event for value in sent_before if isinstance(value, Undo)), None)
    if event is None:
        held = None if current is None else current.sequence
        event = next((one.id for one in history if one.sequence == held), None)
        base = held  # whoever answers from here on must not be undone unseen
    if event is None:
        raise NotFound(
            "label.nothing-to-undo",
            "Nothing holds for picture {image} in {slot}; there is nothing to take back.",
            do="See: darkroom label log {image}",
            image=image_id[:12],
            slot=slot,
        )
    return _append(
        workspace, image_id, slot, Undo(event=event), Author(kind=kind, name=_name(by)), key, base
    )


@operation("label.log", stage=4, positional=("image",))
def log(workspace: Workspace, *, image: PictureName) -> LogReport:
    """Show everything that was said about one picture, the oldest first.

    Args:
        image: the picture: its id, the beginning of its id, or its file.
    """
    image_id = _picture(workspace, image)
    history = workspace.catalogue.annotations.history(image_id)
    slots: set[Slot] = {one.slot for one in history}
    current = [_current(workspace, image_id, slot) for slot in slots]
    holding = {one.sequence for one in current if one is not None}
    return LogReport(
        image=image_id,
        entries=tuple(
            LogEntry(
                sequence=one.sequence,
                at=one.at,
                by=f"{one.author.kind} {one.author.name}",
                slot=one.slot,
                said=_words(one.value),
                holds=one.sequence in holding,
                event=one.id,
                key=one.key,
                base=one.based_on,
            )
            for one in history
        ),
    )


def _append(
    workspace: Workspace,
    image_id: str,
    slot: Slot,
    value: AnnotationValue,
    author: Author,
    key: str,
    base: int | None,
) -> LabelReport:
    new = new_ulid()
    event = AnnotationEvent(
        id=new,
        key=key or new,
        image_id=image_id,
        slot=slot,
        value=value,
        author=author,
        at=now(),
        based_on=base,
    )
    (written,) = workspace.catalogue.annotations.append([event])
    if (written.image_id, written.slot, written.value) != (image_id, slot, value):
        raise Conflict(
            "label.key-used",
            "Key {key!r} has written something else before: {said}, about picture {image}.",
            do="Make a new key for each answer.",
            key=key,
            said=_words(written.value),
            image=written.image_id[:12],
        )
    current = _current(workspace, image_id, slot)
    return LabelReport(
        image=image_id,
        slot=slot,
        event=written.id,
        sequence=0 if current is None else current.sequence,
        said=_words(value),
        holds="no answer" if current is None else _words(current.value),
        repeated=written.id != new,
    )


def _value(label: str | None, state: StateWord | None, rule: str | None, slot: Slot) -> ClassLabel | State:
    if (label is None) == (state is None):
        raise InvalidLabel(
            "label.one-of-two",
            "An answer is a class or a state. Received: {what}.",
            do="darkroom label add IMAGE --label CLASS, or: darkroom label add IMAGE --state skipped",
            what="neither" if label is None else "both",
        )
    if rule is not None and state != "unusable":
        raise InvalidLabel(
            "label.rule",
            "Only an unusable picture breaks a rule; give --state unusable too.",
            do="darkroom label add IMAGE --state unusable --rule RULE",
        )
    if state is not None:
        return State(state=state, rule=rule)
    label = (label or "").strip()
    if not label or not label.isprintable():
        raise InvalidLabel(
            "label.empty",
            "A class has a name that can be printed. Received: {label!r}.",
            do="Name a class of the project: darkroom label add IMAGE --label CLASS",
            label=label,
        )
    if slot != "class":
        raise InvalidLabel(
            "label.slot",
            "A class answers the question class, not {slot}; a state may stand there.",
            do="Leave --slot out, or say a state: darkroom label add IMAGE --slot {slot} --state skipped",
            slot=slot,
        )
    return ClassLabel(label=label)


def _picture(workspace: Workspace, image: str) -> str:
    (image_id,) = images_named(workspace, [image])
    workspace.catalogue.images.get(image_id)
    return image_id


def _name(by: str) -> str:
    name = by.strip()
    if not name.isprintable():
        raise Invalid(
            "label.by",
            "A name can be printed. Received: {by!r}.",
            do="Name somebody on one line: --by anna; without --by it is the user of this machine.",
            by=by,
        )
    try:
        return name or getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "somebody"


def _current(workspace: Workspace, image_id: str, slot: Slot) -> CurrentAnnotation | None:
    return next(iter(workspace.catalogue.annotations.current(slot, [image_id])), None)


def _words(value: AnnotationValue) -> str:
    if isinstance(value, ClassLabel):
        return value.label
    if isinstance(value, State):
        return value.state.replace("_", " ") + (f" (rule: {value.rule})" if value.rule else "")
    if isinstance(value, Asked):
        proposed = f", may be {value.proposed}" if value.proposed else ""
        return f"to be looked at again: {value.why or 'no reason given'}{proposed}"
    if isinstance(value, Undo):
        return f"undo of {value.event}"
    return value.kind
