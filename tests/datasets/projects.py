"""Small projects with real pictures in folders, for the tests of sources and datasets."""

from __future__ import annotations

import os
from pathlib import Path

from darkroom.records import Source, now
from darkroom.settings import Settings
from darkroom.sources import ScanReport, scan_folder
from darkroom.workspace import PROJECT_FILE, Workspace
from tests.formats.pictures import png


def project(folder: Path, **settings: object) -> Workspace:
    """Makes an empty project; pictures are read in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROJECT_FILE).write_text('[project]\nname = "test"\n')
    return Workspace(folder, settings=Settings(workers=1, **settings))  # type: ignore[arg-type]


def add(
    workspace: Workspace, path: str | Path, format: str = "class-folders", mode: str = "reference"
) -> Source:
    """Adds a folder of the project, or any other, as a source."""
    sources = workspace.catalogue.sources
    source = Source(
        id=sources.new_id(), kind="folder", path=str(path), format=format, mode=mode, added_at=now()
    )  # type: ignore[arg-type]
    return sources.add(source)


def classes(folder: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """Writes class folders with so many different pictures each."""
    seed = first_seed
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / label / f"{number}.png").write_bytes(png(seed))
            seed += 1
    return folder


def scanned(folder: Path, counts: dict[str, int], **settings: object) -> tuple[Workspace, Source]:
    """Makes a project and takes class folders in."""
    workspace = project(folder, **settings)
    classes(folder / "pictures", counts)
    source = add(workspace, "pictures")
    scan_folder(workspace, source)
    return workspace, source


def counts_of(report: ScanReport) -> tuple[int, int, int, int]:
    """Returns new, changed, vanished and unchanged."""
    return (report.new, report.changed, report.vanished, report.unchanged)


def touch(path: Path) -> None:
    """Gives a file a later time of change."""
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000))
