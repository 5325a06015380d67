"""Take in a folder: its pictures, what it says about them, and what must be set aside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from darkroom.datasets.plan import SOURCE_SPLITS
from darkroom.errors import Invalid, NotFound
from darkroom.formats import Entry, find_format
from darkroom.records import (
    AnnotationValue,
    ClassesLabel,
    ClassLabel,
    MaskLabel,
    Slot,
    Source,
    Split,
)
from darkroom.sources.intake import take_in
from darkroom.sources.inventory import Inventory
from darkroom.sources.report import ScanReport
from darkroom.sources.sayings import Settled, settle
from darkroom.workspace import Workspace

__all__ = ["scan_folder"]

SHOWN = 20
"""Skipped files that the report names."""

_CLEANEST: tuple[Split, ...] = ("must-pass", "test", "val", "field", "train")
"""A picture that lies in several split folders counts for the first of these."""


def scan_folder(
    workspace: Workspace,
    source: Source,
    *,
    rehash: bool = False,
    origin: str = "",
    licence: str = "",
    collector: str = "",
) -> ScanReport:
    """Brings the catalogue up to date with a folder; a second scan of the same files writes nothing.

    Files are known by size and time of change. What cannot be taken is set aside with the reason, and the
    rest goes on.

    Args:
        workspace: the project.
        source: the folder, its format, and whether its pictures are copied.
        rehash: compare files by content, not by size and time of change.
        origin: where the pictures came from, as a person would say it.
        licence: licence of the pictures.
        collector: who or what collected them.

    Raises:
        NotFound: the folder is gone.
        Invalid: it is not of the source's format, or holds no picture at all; nothing is changed then.
    """
    began = time.monotonic()
    folder = _folder(workspace, source)
    reading = find_format(source.format).read(folder)
    inventory = Inventory(workspace, source, folder, reading, rehash=rehash)
    if not inventory.entries:
        raise _no_pictures(folder, source)
    before = {place.image_id for place in inventory.known.values()}
    facts = {"origin": origin or folder.name, "licence": licence, "collector": collector}
    first_seen = take_in(workspace, inventory, facts)
    _forget_gone(workspace, inventory)
    _set_aside(workspace, inventory)
    settled = _settle(workspace, inventory, first_seen, before)
    _note_splits(workspace, inventory)
    _note_groups(workspace, inventory)
    return _report(inventory, settled, time.monotonic() - began)


def _folder(workspace: Workspace, source: Source) -> Path:
    folder = workspace.source_folder(source)
    if not folder.is_dir():
        raise NotFound(
            "source.folder-gone",
            "The folder of source {id} is gone: {folder}.",
            do="Put it back, or correct `folder` in darkroom.toml.",
            id=source.id,
            folder=folder,
        )
    return folder


def _no_pictures(folder: Path, source: Source) -> Invalid:
    return Invalid(
        "source.no-pictures",
        "No picture in {folder}, read as {format}.",
        do="Give a folder with pictures; if it lies on another disk, see that the disk is there.",
        folder=folder,
        format=source.format,
    )


def _forget_gone(workspace: Workspace, inventory: Inventory) -> None:
    gone = inventory.gone
    inventory.counts["vanished"] = sum(path not in inventory.entries for path in gone)
    if gone:
        workspace.catalogue.locations.remove(inventory.source.id, gone)


def _set_aside(workspace: Workspace, inventory: Inventory) -> None:
    for problem in inventory.reading.problems:
        inventory.refuse(problem.path, problem.error)
    quarantine, before = workspace.catalogue.quarantine, inventory.aside
    news = [found for path, found in inventory.refused.items() if before.get(path) != found]
    solved = [path for path in before if path not in inventory.refused]
    if news:
        quarantine.put(news)
    if solved:
        quarantine.clear(inventory.source.id, solved)


def _settle(
    workspace: Workspace, inventory: Inventory, first_seen: frozenset[str], before: set[str]
) -> Settled:
    """Puts into the log what the files say, slot by slot."""
    here = frozenset(inventory.holds.values())
    found = Settled(0, 0, 0)
    for slot in sorted(find_format(inventory.source.format).holds):
        more = settle(
            workspace,
            inventory.source,
            slot,
            _said(inventory, slot),
            first_seen=first_seen,
            arrived=here - before,
            left=sorted(before - here),
        )
        found = Settled(*(sum(pair) for pair in zip(found, more, strict=True)))
    return found


def _said(inventory: Inventory, slot: Slot) -> dict[str, dict[str, AnnotationValue]]:
    """Returns picture → file → what it says in a slot; nothing for a file that says nothing."""
    masks = {
        blob: MaskLabel(blob=blob, classes=inventory.reading.classes)
        for blob in (set(inventory.masks.values()) if slot == "mask" else ())
    }
    said: dict[str, dict[str, AnnotationValue]] = {}
    for path, image_id in inventory.holds.items():
        of_image = said.setdefault(image_id, {})
        for number, entry in enumerate(inventory.entries[path], start=1):
            value = masks.get(inventory.masks.get(path, "")) if slot == "mask" else _answer(entry, slot)
            if value is not None:
                file = f"{inventory.source.id}/{path}"
                of_image[file if number == 1 else f"{file} ({number})"] = value
    return said


def _answer(entry: Entry, slot: Slot) -> AnnotationValue | None:
    kind = {"class": ClassLabel, "classes": ClassesLabel}[slot]
    return entry.value if isinstance(entry.value, kind) else None


def _note_splits(workspace: Workspace, inventory: Inventory) -> None:
    """Notes in which splits the folder puts its pictures; what was noted first stays."""
    found: dict[str, Split] = {}
    for path, image_id in inventory.holds.items():
        for entry in inventory.entries[path]:
            if entry.split is not None:
                key = f"image:{image_id}"
                before = found.get(key, entry.split)
                found[key] = entry.split if _rank(entry.split) < _rank(before) else before
    splits = workspace.catalogue.splits
    noted = splits.assigned(found, SOURCE_SPLITS)
    news: dict[str, Split] = {key: split for key, split in found.items() if key not in noted}
    if news:
        splits.assign(news, SOURCE_SPLITS)


def _rank(split: Split) -> int:
    return _CLEANEST.index(split)


def _note_groups(workspace: Workspace, inventory: Inventory) -> None:
    found: dict[str, str] = {}
    for path, image_id in sorted(inventory.holds.items()):
        for entry in inventory.entries[path]:
            if entry.group:
                found.setdefault(image_id, entry.group)
    images = workspace.catalogue.images
    changed: Mapping[str, str] = {
        image.id: found[image.id] for image in images.many(found).values() if image.group != found[image.id]
    }
    if changed:
        images.set_group(changed)


def _report(inventory: Inventory, settled: Settled, seconds: float) -> ScanReport:
    counts, skipped = inventory.counts, inventory.reading.skipped
    return ScanReport(
        source_id=inventory.source.id,
        new=counts["new"],
        changed=counts["changed"],
        vanished=counts["vanished"],
        unchanged=counts["unchanged"],
        quarantined=len(inventory.refused),
        conflicts=settled.conflicts,
        contradicted=settled.contradicted,
        labelled=settled.added,
        skipped=len(skipped),
        skipped_files=tuple(skipped[:SHOWN]),
        seconds=round(seconds, 3),
    )
