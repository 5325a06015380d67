"""Verbs on single pictures that an error or a suspect leads to: leave out, look again, never fail."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from darkroom.errors import Invalid, InvalidLabel
from darkroom.operation import PictureName, operation
from darkroom.operations.class_names import refuse_unknown_class
from darkroom.operations.image_names import images_named
from darkroom.operations.review import TEACHING, queue, waiting
from darkroom.records import (
    AnnotationEvent,
    AnnotationValue,
    Asked,
    Author,
    ClassLabel,
    CurrentAnnotation,
    Fact,
    Result,
    Slot,
    State,
    Table,
    Undo,
    new_ulid,
    now,
)
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

__all__ = ["exclude", "marked", "relabel", "require"]

AuthorKind = Literal["person", "run", "service", "script"]
Mark = Literal["excluded", "relabel", "must-pass"]

Saying: TypeAlias = "tuple[Slot, AnnotationValue, int]"
"""Slot, what is to be said, and the sequence of what holds there now."""

EXCLUDED = "excluded"


class MarkReport(Result):
    """What was said about some pictures."""

    verb: str
    changed: tuple[str, ...]
    """Ids of the pictures about which something was written."""
    unchanged: tuple[str, ...]
    """Ids of those for which it held already, or for which there was nothing to take back."""
    said: str
    """What holds for the first of them now, in words."""
    what_next: str
    """What to do next, or how to take it back."""

    def display(self) -> Iterator[str | Table]:
        """Yields how many pictures it was written about, and what to do next."""
        yield (
            f"{counted(len(self.changed), 'picture')} {self.said}"
            if len(self.changed) != 1
            else (f"{self.changed[0][:12]} {self.said}")
        )
        if self.unchanged:
            shown = ", ".join(one[:12] for one in self.unchanged[:8])
            yield f"As before: {len(self.unchanged):,} ({shown})"
        yield self.what_next


class MarkedPicture(Fact):
    """A picture with a mark."""

    image_id: str
    path: str
    """Where it lies, source first; empty where it lies nowhere any more."""
    mark: str
    """"excluded", "relabel" or "must-pass"."""
    label: str
    """Its class now; empty without one."""
    says: str
    """Why it is excluded or sent to people; for must-pass, the class that must be answered."""
    by: str


class MarkedReport(Result):
    """Pictures that are left out, sent to people, or must pass."""

    pictures: tuple[MarkedPicture, ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the pictures."""
        if not self.pictures:
            yield "No picture is marked."
            return
        yield Table(
            ("picture", "file", "mark", "label", "says", "by"),
            tuple(
                (one.image_id[:12], one.path, one.mark, one.label, one.says, one.by)
                for one in self.pictures
            ),
        )


@operation("image.exclude", stage=4, positional=("images",))
def exclude(
    workspace: Workspace,
    *,
    images: tuple[PictureName, ...],
    reason: str = EXCLUDED,
    undo: bool = False,
    by: str = "",
    kind: AuthorKind = "person",
) -> MarkReport:
    """Leave pictures out of every dataset that is frozen from now on; nothing is deleted.

    They become "unusable" in the log, with the reason; what was said before stays in it. Versions that are
    frozen already keep them.

    Args:
        images: the pictures: ids, beginnings of ids, or files.
        reason: why; the name of a rule of the brief, or any words.
        undo: take it back; what held before holds again.
        by: who says it; the user of this machine when not given.
        kind: what sort of author that is.
    """
    value = State(state="unusable", rule=_words(reason))

    def say(current: dict[Slot, CurrentAnnotation]) -> Iterator[Saying]:
        if undo:
            yield from _undone(workspace, current, lambda held: _is_unusable(held.value))
            return
        if any(_is_unusable(held.value) for held in current.values()):
            return
        slots: list[Slot] = [slot for slot in TEACHING if slot in current]
        for slot in slots or TEACHING[:1]:
            yield slot, value, current[slot].sequence if slot in current else 0

    changed, unchanged = _write(workspace, images, TEACHING, say, _author(by, kind))
    again = "darkroom run freezes the next version, and the next evaluation says what it gained."
    return MarkReport(
        verb="exclude",
        changed=changed,
        unchanged=unchanged,
        said="taken in again" if undo else f"left out of the next dataset version ({value.rule})",
        what_next=again if undo else f"{again} Take it back: darkroom image exclude --undo PICTURE",
    )


@operation("image.relabel", stage=4, positional=("images",))
def relabel(
    workspace: Workspace,
    *,
    images: tuple[PictureName, ...],
    reason: str = "",
    proposed: str | None = None,
    undo: bool = False,
    by: str = "",
    kind: AuthorKind = "person",
) -> MarkReport:
    """Send pictures to people who look at their labels again; the labels hold until somebody answers.

    The queue is `image marked --mark relabel`. Any later answer ends it, the same label too.

    Args:
        images: the pictures: ids, beginnings of ids, or files.
        reason: why, for whoever looks.
        proposed: the class that they may be.
        undo: take them out of the queue.
        by: who says it; the user of this machine when not given.
        kind: what sort of author that is.
    """
    if proposed is not None:
        refuse_unknown_class(workspace, proposed)
    value = Asked(why=reason.strip() and _words(reason), proposed=proposed or "")

    def say(current: dict[Slot, CurrentAnnotation]) -> Iterator[Saying]:
        if not undo and waiting(current):
            return
        if undo:
            if waiting(current):
                review: dict[Slot, CurrentAnnotation] = {"review": current["review"]}
                yield from _undone(workspace, review, lambda held: True)
            return
        yield "review", value, current["review"].sequence if "review" in current else 0

    slots: tuple[Slot, ...] = (*TEACHING, "review")
    changed, unchanged = _write(workspace, images, slots, say, _author(by, kind))
    return MarkReport(
        verb="relabel",
        changed=changed,
        unchanged=unchanged,
        said="out of the queue" if undo else "sent to people; the label holds until somebody answers",
        what_next="Queue: darkroom image marked --mark relabel. To answer: darkroom label add PICTURE …",
    )


@operation("image.require", stage=4, positional=("images",))
def require(
    workspace: Workspace,
    *,
    images: tuple[PictureName, ...],
    label: str | None = None,
    undo: bool = False,
    by: str = "",
    kind: AuthorKind = "person",
) -> MarkReport:
    """Add pictures to the must-pass list: every later evaluation says which of them are answered wrongly.

    With `must_pass_wrong = 0` under [brief.limits] a wrong one is a missed limit.

    Args:
        images: the pictures: ids, beginnings of ids, or files; of any split, or of none.
        label: the class that must be answered; the picture's own label when not given.
        undo: take them off the list.
        by: who says it; the user of this machine when not given.
        kind: what sort of author that is.
    """
    if label is not None:
        refuse_unknown_class(workspace, label)

    def say(current: dict[Slot, CurrentAnnotation]) -> Iterator[Saying]:
        held = current.get("must-pass")
        if undo:
            own: dict[Slot, CurrentAnnotation] = {} if held is None else {"must-pass": held}
            yield from _undone(workspace, own, lambda one: isinstance(one.value, ClassLabel))
            return
        wanted = label or _class_of(current)
        if wanted is None:
            raise InvalidLabel(
                "image.required-without-label",
                "A picture without a class cannot be on the must-pass list: nobody says what is right.",
                do="Say it: darkroom image require PICTURE --label CLASS",
            )
        if held is None or held.value != ClassLabel(label=wanted):
            yield "must-pass", ClassLabel(label=wanted), 0 if held is None else held.sequence

    changed, unchanged = _write(workspace, images, ("class", "must-pass"), say, _author(by, kind))
    return MarkReport(
        verb="require",
        changed=changed,
        unchanged=unchanged,
        said="off the must-pass list" if undo else "on the must-pass list",
        what_next="List: darkroom image marked --mark must-pass. Checked by: darkroom model evaluate",
    )


@operation("image.marked", stage=4)
def marked(workspace: Workspace, *, mark: Mark | None = None) -> MarkedReport:
    """List pictures that are left out, wait to be looked at again, or must pass.

    Args:
        mark: only these; all when not given.
    """
    from darkroom.operations.must_pass import required

    found: list[tuple[str, str, CurrentAnnotation, str]] = []
    if mark in (None, "excluded"):
        seen: dict[str, tuple[str, str, CurrentAnnotation, str]] = {}
        for slot in TEACHING:
            for one in workspace.catalogue.annotations.current(slot):
                if _is_unusable(one.value):
                    rule = one.value.rule if isinstance(one.value, State) else None
                    seen.setdefault(one.image_id, (one.image_id, "excluded", one, rule or ""))
        found += seen.values()
    if mark in (None, "relabel"):
        found += [(one.image_id, "relabel", one, _why(one.value)) for one in queue(workspace)]
    if mark in (None, "must-pass"):
        current = {one.image_id: one for one in workspace.catalogue.annotations.current("must-pass")}
        found += [(one, "must-pass", current[one], label) for one, label in required(workspace).items()]
    return MarkedReport(pictures=tuple(_shown(workspace, found)))


def _write(
    workspace: Workspace,
    names: Sequence[str],
    slots: Sequence[Slot],
    say: Callable[[dict[Slot, CurrentAnnotation]], Iterable[Saying]],
    author: Author,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Writes what is to be said about each picture; returns those it changed, and the others.

    Raises:
        Conflict: somebody said something about one of them in the meantime.
    """
    annotations = workspace.catalogue.annotations
    ids = images_named(workspace, names)
    for image_id in ids:
        workspace.catalogue.images.get(image_id)
    held: dict[str, dict[Slot, CurrentAnnotation]] = {image_id: {} for image_id in ids}
    for slot in slots:
        for one in annotations.current(slot, ids):
            held[one.image_id][slot] = one
    events: list[AnnotationEvent] = []
    for image_id in ids:
        for slot, value, base in say(held[image_id]):
            new = new_ulid()
            events.append(
                AnnotationEvent(
                    id=new,
                    key=new,
                    image_id=image_id,
                    slot=slot,
                    value=value,
                    author=author,
                    at=now(),
                    based_on=base,
                )
            )
    annotations.append(events)
    changed = dict.fromkeys(event.image_id for event in events)
    return tuple(changed), tuple(one for one in ids if one not in changed)


def _undone(
    workspace: Workspace,
    current: dict[Slot, CurrentAnnotation],
    wanted: Callable[[CurrentAnnotation], bool],
) -> Iterator[Saying]:
    """Yields what takes back those of the current answers that are wanted."""
    for slot, held in current.items():
        if wanted(held):
            history = workspace.catalogue.annotations.history(held.image_id)
            event = next(one.id for one in history if one.sequence == held.sequence)
            yield slot, Undo(event=event), held.sequence


def _shown(
    workspace: Workspace, found: Sequence[tuple[str, str, CurrentAnnotation, str]]
) -> Iterator[MarkedPicture]:
    ids = [image_id for image_id, *_ in found]
    places = workspace.catalogue.locations.of_images(ids)
    labels = {one.image_id: one.value for one in workspace.catalogue.annotations.current("class", ids)}
    for image_id, mark, one, says in found:
        where, value = places.get(image_id), labels.get(image_id)
        yield MarkedPicture(
            image_id=image_id,
            path=f"{where[0].source_id}/{where[0].path}" if where else "",
            mark=mark,
            label=value.label if isinstance(value, ClassLabel) else "",
            says=says,
            by=f"{one.author.kind} {one.author.name}",
        )


def _why(value: AnnotationValue) -> str:
    assert isinstance(value, Asked)
    return "; ".join(
        part for part in (value.why, f"may be {value.proposed}" if value.proposed else "") if part
    )


def _class_of(current: dict[Slot, CurrentAnnotation]) -> str | None:
    held = current.get("class")
    return held.value.label if held is not None and isinstance(held.value, ClassLabel) else None


def _is_unusable(value: AnnotationValue) -> bool:
    return isinstance(value, State) and value.state == "unusable"


def _words(text: str) -> str:
    said = text.strip()
    if not said or not said.isprintable():
        raise Invalid(
            "image.reason",
            "A reason can be printed. Received: {text!r}.",
            do='Say it in words on one line: --reason "the label is wrong"',
            text=text,
        )
    return said


def _author(by: str, kind: AuthorKind) -> Author:
    name = by.strip()
    if not name.isprintable():
        raise Invalid(
            "image.by",
            "A name can be printed. Received: {by!r}.",
            do="Name somebody on one line: --by anna; without --by it is the user of this machine.",
            by=by,
        )
    try:
        return Author(kind=kind, name=name or getpass.getuser())
    except (KeyError, OSError):  # a container whose user has no name
        return Author(kind=kind, name="somebody")
