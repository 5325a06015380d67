"""Turn what the files of a source say about its pictures into events of the annotation log.

A person's answer is never overruled by an import. Files that disagree about one picture both stand in
the log, and behind them that nothing holds until somebody decides. What is said already is not said
again, so a second scan of the same files adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from darkroom.datasets.conflict import CONFLICT, last_said
from darkroom.errors import Conflict
from darkroom.records import (
    AnnotationEvent,
    AnnotationValue,
    Author,
    CurrentAnnotation,
    Slot,
    Source,
    State,
    content_id,
    new_ulid,
    now,
)
from darkroom.workspace import Workspace

__all__ = ["Said", "Settled", "settle"]

Said = Mapping[str, AnnotationValue]
"""File, with its source in front ("s-1/roses/a.jpg") → what it says."""


class Settled(NamedTuple):
    """What became of a source's answers in one slot."""

    added: int
    """Events that were added."""
    conflicts: int
    """Pictures with two different labels now."""
    contradicted: int
    """Pictures whose label a person gave and the source contradicts."""


def settle(
    workspace: Workspace,
    source: Source,
    slot: Slot,
    said: Mapping[str, Said],
    *,
    first_seen: frozenset[str],
    arrived: frozenset[str],
    left: Iterable[str],
) -> Settled:
    """Adds to the log what a source's files say and the log does not hold yet.

    Args:
        workspace: the project.
        source: the source.
        slot: the question that is answered.
        said: picture → what each of its files says; empty when they say nothing.
        first_seen: pictures that the project did not hold before this scan.
        arrived: pictures that the source did not hold before this scan.
        left: pictures that the source held before this scan, and holds no more.
    """
    left = [image_id for image_id in left if image_id not in said]
    current = {
        found.image_id: found for found in workspace.catalogue.annotations.current(slot, [*said, *left])
    }
    desk = _Desk(workspace, source, slot, current)
    events: list[AnnotationEvent] = []
    for image_id, of_files in said.items():
        events += desk.decide(image_id, of_files, first_seen=first_seen, arrived=arrived)
    for image_id in left:
        if image_id in current and current[image_id].value == CONFLICT:
            events += desk.reconsider(image_id, {}, arrived=False)
    held = {image_id: found.value for image_id, found in current.items() if image_id in said}
    held |= {event.image_id: event.value for event in events}
    return Settled(
        added=_append(workspace, events),
        conflicts=sum(value == CONFLICT for value in held.values()),
        contradicted=desk.contradicted,
    )


class _Desk:
    """Decides picture by picture what is to be added to the log."""

    def __init__(
        self, workspace: Workspace, source: Source, slot: Slot, current: dict[str, CurrentAnnotation]
    ) -> None:
        self._catalogue = workspace.catalogue
        self._source = source
        self._slot: Slot = slot
        self._current = current
        self._moment = now()
        self.contradicted = 0

    def decide(
        self, image_id: str, said: Said, *, first_seen: frozenset[str], arrived: frozenset[str]
    ) -> list[AnnotationEvent]:
        """Returns the events to be added for one picture."""
        current = self._current.get(image_id)
        values = _distinct(said)
        if current is None:
            if not values or (image_id not in first_seen and self._was_answered(image_id)):
                return []
            return self._events(image_id, values if len(values) == 1 else {**values, "": CONFLICT}, 0)
        if current.author.kind != "import":
            self.contradicted += bool(values) and list(values.values()) != [current.value]
            return []
        agrees = list(values.values()) == [current.value]
        has_said_nothing = not values and isinstance(current.value, State) and current.value != CONFLICT
        if (agrees and image_id not in arrived) or has_said_nothing:
            return []
        return self.reconsider(image_id, said, arrived=image_id in arrived)

    def reconsider(self, image_id: str, said: Said, *, arrived: bool) -> list[AnnotationEvent]:
        """Weighs what all sources say about one picture; reads its history."""
        history = self._catalogue.annotations.history(image_id)
        before, current = last_said(history, self._slot), self._current[image_id]
        own = {name: value for name, value in before.items() if self._is_own(name)}
        others = self._standing(image_id, {name: before[name] for name in before.keys() - own.keys()})
        values = _distinct(said)
        every = _distinct({**others, **values})
        fresh = {file: value for file, value in values.items() if value not in own.values()}
        if len(every) > 1:
            if not fresh and current.value == CONFLICT:
                return []
            return self._events(image_id, {**fresh, "": CONFLICT}, current.sequence)
        if not every:
            if isinstance(current.value, State) or not own:
                return []
            return self._events(image_id, {"": State(state="unlabelled")}, current.sequence)
        if list(every.values()) != [current.value]:
            return self._events(image_id, every, current.sequence)
        return self._events(image_id, fresh, current.sequence) if arrived else []

    def _standing(self, image_id: str, before: Mapping[str, AnnotationValue]) -> dict[str, AnnotationValue]:
        """Keeps what those files of other sources said that still hold the picture."""
        if not before:
            return {}
        places = self._catalogue.locations.of_images([image_id]).get(image_id, [])
        files = {f"{place.source_id}/{place.path}" for place in places}
        sources = {place.source_id for place in places}
        exact = {name: value for name, value in before.items() if name in files}
        heard = {name.partition("/")[0] for name in exact}
        # A file that was only renamed said nothing new: its source's last word stands for it.
        renamed = {
            name.partition("/")[0]: (name, value)
            for name, value in before.items()
            if name.partition("/")[0] in sources - heard
        }
        return {**exact, **dict(renamed.values())}

    def _was_answered(self, image_id: str) -> bool:
        """Says whether there are answers, all of which were taken back; an import does not repeat them."""
        return any(event.slot == self._slot for event in self._catalogue.annotations.history(image_id))

    def _is_own(self, name: str) -> bool:
        return name.partition("/")[0] == self._source.id

    def _events(self, image_id: str, values: Said, based_on: int) -> list[AnnotationEvent]:
        return [
            AnnotationEvent(
                id=new_ulid(),
                key=content_id([self._source.id, image_id, self._slot, value, based_on]),
                image_id=image_id,
                slot=self._slot,
                value=value,
                author=Author(kind="import", name=file or f"{self._source.id}/"),
                at=self._moment,
                based_on=based_on if place == 0 else None,
            )
            for place, (file, value) in enumerate(values.items())
        ]


def _distinct(said: Said) -> dict[str, AnnotationValue]:
    """Keeps one file for each different answer, in the order of the files."""
    found: dict[str, AnnotationValue] = {}
    for file, value in sorted(said.items()):
        if value not in found.values():
            found[file] = value
    return found


def _append(workspace: Workspace, events: list[AnnotationEvent]) -> int:
    while events:
        try:
            workspace.catalogue.annotations.append(events)
            break
        except Conflict as error:
            # Somebody labelled this picture since the scan looked: that answer stays. What went in before
            # it is sent once more, which adds nothing.
            stale = error.values.get("image_id")
            rest = [event for event in events if event.image_id != stale]
            if error.id != "annotation.stale" or len(rest) == len(events):
                raise
            events = rest
    return len(events)
