"""Hand over what a source gave: a table of its pictures, what was set aside, what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.records import AnnotationValue, ClassesLabel, ClassLabel, Image, Slot, Source
from darkroom.spreadsheet import csv_text
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.sources import ScanReport

__all__ = ["deliver_source"]


def deliver_source(workspace: Workspace, source: Source, report: ScanReport) -> str:
    """Writes the data report of a source; returns its folder."""
    place = workspace.deliverables / "03-raw"
    with atomic.write_folder(place / source.id) as aside:
        (aside / "README.txt").write_text(_readme(source, report), encoding="utf-8")
        (aside / "pictures.csv").write_text(
            csv_text(PICTURES, _pictures(workspace, source)), encoding="utf-8"
        )
        (aside / "set-aside.csv").write_text(
            csv_text(SET_ASIDE, _set_aside(workspace, source)), encoding="utf-8"
        )
        (aside / "conflicts.csv").write_text(csv_text(CONFLICTS, _conflicts(workspace)), encoding="utf-8")
    return workspace.relative(place / source.id)


PICTURES = (
    "file",
    "image",
    "width_px",
    "height_px",
    "mode",
    "format",
    "size_bytes",
    "group",
    "origin",
    "licence",
    "collector",
    "taken_at",
    "device",
)
SET_ASIDE = ("file", "reason", "message")
CONFLICTS = ("image", "file", "label")


def _readme(source: Source, report: ScanReport) -> str:
    return f"""\
Source {source.id}: {source.path} ({source.format}, {source.mode})

Last scan: {report.new} new, {report.changed} changed, {report.vanished} vanished,
{report.unchanged} unchanged; {report.quarantined} files set aside, {report.conflicts} pictures with
two labels, {report.skipped} files skipped.

pictures.csv    each picture with what is known of it
set-aside.csv   files that could not be taken, each with the reason
conflicts.csv   pictures that carry two different labels; no dataset takes them until somebody decides
"""


def _pictures(workspace: Workspace, source: Source) -> Iterator[tuple[str, ...]]:
    catalogue = workspace.catalogue
    places = list(catalogue.locations.of_source(source.id))
    for start in range(0, len(places), 5000):
        part = places[start : start + 5000]
        images = catalogue.images.many([place.image_id for place in part])
        for place in part:
            yield _picture(place.path, images[place.image_id])


def _picture(path: str, image: Image) -> tuple[str, ...]:
    camera = image.camera
    return (
        path,
        image.id,
        str(image.width_px),
        str(image.height_px),
        image.mode,
        image.format,
        str(image.size_bytes),
        image.group or "",
        image.origin,
        image.licence,
        image.collector,
        camera.taken_at.isoformat() if camera.taken_at else "",
        camera.device or "",
    )


def _set_aside(workspace: Workspace, source: Source) -> Iterator[tuple[str, ...]]:
    for found in workspace.catalogue.quarantine.of_source(source.id):
        yield found.path, found.reason, found.message


def _conflicts(workspace: Workspace) -> Iterator[tuple[str, ...]]:
    from darkroom.datasets.conflict import label_conflicts

    slots: tuple[Slot, ...] = ("class", "classes")
    for slot in slots:
        for conflict in label_conflicts(workspace.catalogue, slot):
            for said in conflict.said:
                yield conflict.image_id, said.file, _label(said.value)


def _label(value: AnnotationValue) -> str:
    """Returns a class, or several as a table holds them."""
    if isinstance(value, ClassesLabel):
        return "|".join(value.labels) or "|"
    return value.label if isinstance(value, ClassLabel) else value.kind
