"""What a folder holds now, held against what the catalogue knows of it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from darkroom.errors import DarkroomError
from darkroom.formats import Entry, Reading
from darkroom.records import Quarantined, Source
from darkroom.sources.masks import MaskNotes
from darkroom.sources.picture import refusal_of
from darkroom.workspace import Workspace

__all__ = ["Inventory", "Seen"]


class Seen(NamedTuple):
    """A file that must be read."""

    entry: Entry
    size_bytes: int
    mtime_ns: int


class Inventory:
    """The files of one source: as they were, as they are, and which of them must be read.

    Args:
        workspace: the project.
        source: the source.
        folder: where it is.
        reading: what its format finds there; read to the end here.
        rehash: trust no file's size and time.
    """

    def __init__(
        self, workspace: Workspace, source: Source, folder: Path, reading: Reading, *, rehash: bool
    ) -> None:
        self.source, self.folder, self.reading = source, folder, reading
        self.known = {place.path: place for place in workspace.catalogue.locations.of_source(source.id)}
        self.aside = {found.path: found for found in workspace.catalogue.quarantine.of_source(source.id)}
        self.notes = MaskNotes(workspace.hidden / "scans" / f"{source.id}.json", _meaning(reading))
        self.entries: dict[str, list[Entry]] = {}  # a table may name a file twice
        self.to_read: list[Seen] = []
        self.holds: dict[str, str] = {}  # path → picture
        self.masks: dict[str, str] = {}  # path of a picture → blob of its mask
        self.refused: dict[str, Quarantined] = {}
        self.counts: Counter[str] = Counter()
        self._rehash = rehash
        for entry in reading.entries:
            of_path = self.entries.setdefault(entry.path, [])
            of_path.append(entry)
            if len(of_path) == 1:
                self._look_at(entry)

    @property
    def gone(self) -> list[str]:
        """Paths that held a picture and hold none any more."""
        return [path for path in self.known if path not in self.holds]

    def refuse(self, path: str, error: DarkroomError, size_bytes: int = 0, mtime_ns: int = 0) -> None:
        """Sets a file aside."""
        self.refused[path] = Quarantined(
            source_id=self.source.id,
            path=path,
            reason=error.id,
            message=str(error),
            size_bytes=size_bytes,
            mtime_ns=mtime_ns,
        )

    def facts_of(self, path: str) -> tuple[int, int] | None:
        """Returns size and time of change of a file, None when it cannot be looked at."""
        try:
            facts = os.stat(f"{self.folder}/{path}")  # noqa: PTH116 (a third of the time of Path.stat)
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns

    def _look_at(self, entry: Entry) -> None:
        facts = self.facts_of(entry.path)
        if facts is None:
            self.refuse(entry.path, refusal_of(FileNotFoundError(2, "it is gone"), entry.path))
            return
        known, aside = self.known.get(entry.path), self.aside.get(entry.path)
        if not self._rehash and known is not None and facts == (known.size_bytes, known.mtime_ns):
            if entry.mask is None or self._mask_is_known(entry.path, entry.mask):
                self.holds[entry.path] = known.image_id
                self.counts["unchanged"] += 1
                return
        elif not self._rehash and aside is not None and facts == (aside.size_bytes, aside.mtime_ns):
            self.refused[entry.path] = aside
            return
        self.to_read.append(Seen(entry, *facts))

    def _mask_is_known(self, path: str, mask: str) -> bool:
        facts = self.facts_of(mask)
        blob = self.notes.blob_of(mask, *facts) if facts else None
        aside = self.aside.get(mask)
        if blob is not None:
            self.masks[path] = blob
        elif aside is not None and facts == (aside.size_bytes, aside.mtime_ns):
            self.refused[mask] = aside
            return True
        return blob is not None


def _meaning(reading: Reading) -> tuple[str, ...]:
    """Returns what decides how a mask is read: classes, and what stands for each in the files."""
    written = sorted([*reading.mask_values.items(), *reading.mask_colours.items()], key=str)
    return (*reading.classes, *(f"{value}={index}" for value, index in written))
