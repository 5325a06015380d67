"""The queue of pictures that people are to look at again."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.records import Asked, CurrentAnnotation, Slot
from darkroom.workspace import Workspace

__all__ = ["TEACHING", "queue", "waiting"]

TEACHING: tuple[Slot, ...] = ("class", "classes", "mask", "boxes", "polygons")
"""Questions whose answers models learn from."""

AT_ONCE = 1000


def queue(workspace: Workspace) -> Iterator[CurrentAnnotation]:
    """Yields what was asked about each picture that waits to be looked at again, sorted by picture."""
    annotations = workspace.catalogue.annotations
    batch: list[CurrentAnnotation] = []

    def answered() -> Iterator[CurrentAnnotation]:
        ids = [one.image_id for one in batch]
        last: dict[str, int] = {}
        for slot in TEACHING:
            for one in annotations.current(slot, ids):
                last[one.image_id] = max(last.get(one.image_id, 0), one.sequence)
        yield from (one for one in batch if one.sequence > last.get(one.image_id, 0))

    for one in annotations.current("review"):
        if isinstance(one.value, Asked):
            batch.append(one)
        if len(batch) >= AT_ONCE:
            yield from answered()
            batch.clear()
    yield from answered()


def waiting(current: dict[Slot, CurrentAnnotation]) -> bool:
    """Says whether a picture waits to be looked at again: nobody answered since it was sent."""
    held = current.get("review")
    if held is None or not isinstance(held.value, Asked):
        return False
    return all(held.sequence > current[slot].sequence for slot in TEACHING if slot in current)
