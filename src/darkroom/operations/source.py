"""Operations on sources: take pictures and their labels in, list where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from darkroom.errors import NotFound
from darkroom.operation import LocalPath, Produced, SourceRef, operation
from darkroom.records import Result, Source, Table, now
from darkroom.workspace import Workspace

__all__ = ["add", "list_sources", "quarantine"]


class AddReport(Result):
    """What a scan of a source found."""

    source: SourceRef
    new: int
    """Pictures that were not known."""
    changed: int
    vanished: int
    unchanged: int
    conflicts: int
    """Pictures with two different labels; no dataset takes them in until somebody decides."""
    quarantined: int
    """Files that were set aside; see `darkroom source quarantine`."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields the counts and what needs a person."""
        yield (
            f"{self.source}: {self.new:,} new, {self.unchanged:,} unchanged, {self.changed:,} changed, "
            f"{self.vanished:,} vanished"
        )
        if self.quarantined:
            yield f"{self.quarantined:,} files were set aside. See: darkroom source quarantine"
        if self.conflicts:
            yield f"{self.conflicts:,} pictures carry two different labels and wait for a decision."


class SourcesReport(Result):
    """The sources of a project."""

    rows: tuple[tuple[str, ...], ...]

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        yield Table(("source", "kind", "format", "mode", "path", "added"), self.rows)


class QuarantineReport(Result):
    """Files that were set aside."""

    rows: tuple[tuple[str, ...], ...]

    def display(self) -> Iterator[str | Table]:
        """Yields each file and why."""
        if not self.rows:
            yield "Nothing is in quarantine."
        else:
            yield Table(("source", "file", "why"), self.rows)


def _listing(workspace: Workspace, *, folder: Path, **_: Any) -> Mapping[str, str]:
    from darkroom.sources import listing_digest

    return {"files": listing_digest(_existing(folder))}


@operation(
    "source.add", slow=True, stage=3, inputs=_listing, positional=("folder",), indifferent=("rehash",)
)
def add(
    workspace: Workspace,
    *,
    folder: LocalPath,
    format: str = "class-folders",
    mode: Literal["reference", "copy"] = "reference",
    origin: str = "",
    licence: str = "",
    collector: str = "",
    rehash: bool = False,
) -> AddReport:
    """Take in the pictures of a folder with their labels; again, take in what changed.

    Args:
        folder: the pictures.
        format: how the folder says its labels.
        mode: leave the pictures where they are, or copy them into the project.
        origin: where they came from, as a person would say it.
        licence: licence of the pictures.
        collector: who or what collected them.
        rehash: compare files by content, not by size and time of change.
    """
    from darkroom.operations.collected import deliver_source
    from darkroom.sources import scan_folder

    place = _existing(folder)
    source = _source(workspace, place, format, mode)
    report = scan_folder(
        workspace, source, rehash=rehash, origin=origin, licence=licence, collector=collector
    )
    return AddReport(
        source=source.id,
        new=report.new,
        changed=report.changed,
        vanished=report.vanished,
        unchanged=report.unchanged,
        conflicts=report.conflicts,
        quarantined=report.quarantined,
        path=deliver_source(workspace, source, report),
    )


@operation("source.list")
def list_sources(workspace: Workspace) -> SourcesReport:
    """List where the pictures come from."""
    return SourcesReport(
        rows=tuple(
            (one.id, one.kind, one.format, one.mode, one.path, one.added_at.strftime("%Y-%m-%d %H:%M"))
            for one in workspace.catalogue.sources.list()
        )
    )


@operation("source.quarantine")
def quarantine(workspace: Workspace) -> QuarantineReport:
    """List the files that were set aside, and why."""
    catalogue = workspace.catalogue
    return QuarantineReport(
        rows=tuple(
            (source.id, found.path, found.message)
            for source in catalogue.sources.list()
            for found in catalogue.quarantine.of_source(source.id)
        )
    )


def _source(workspace: Workspace, folder: Path, format: str, mode: Literal["reference", "copy"]) -> Source:
    """Returns the source of a folder, made when it is new."""
    sources = workspace.catalogue.sources
    path = workspace.relative(folder)
    known = sources.find("folder", path)
    if known is not None:
        return known
    return sources.add(
        Source(id=sources.new_id(), kind="folder", path=path, format=format, mode=mode, added_at=now())
    )


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise NotFound(
            "source.no-folder",
            "No folder {folder}.",
            do="Correct `folder` in darkroom.toml, or put the pictures back.",
            folder=folder,
        )
    return folder.resolve()
