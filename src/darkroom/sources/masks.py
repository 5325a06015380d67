"""Remember what mask files were when they were last read; a cache beside the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from darkroom import atomic

__all__ = ["MaskNotes"]


class MaskNotes:
    """Mask file → its size, time of change and blob. Losing the notes costs reading the masks again.

    Args:
        path: where the notes are kept.
        classes: of the masks, and how they are written; notes of others count for nothing.
    """

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self._path = path
        self._classes = list(classes)
        self._before = self._read()
        self._now: dict[str, list[Any]] = {}

    def blob_of(self, mask: str, size_bytes: int, mtime_ns: int) -> str | None:
        """Returns the blob that a mask file was read into, when it is still the same file."""
        note = self._before.get(mask)
        if note is None or note[:2] != [size_bytes, mtime_ns]:
            return None
        self._now[mask] = note
        return note[2]

    def note(self, mask: str, size_bytes: int, mtime_ns: int, blob: str) -> None:
        """Notes that a mask file was read into a blob."""
        self._now[mask] = [size_bytes, mtime_ns, blob]

    def save(self) -> None:
        """Writes the notes if they changed."""
        if self._now != self._before:
            atomic.write_text(self._path, json.dumps({"classes": self._classes, "masks": self._now}))

    def _read(self) -> dict[str, list[Any]]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
            if found["classes"] != self._classes:
                return {}
            return {
                str(mask): [int(size), int(time), str(blob)]
                for mask, (size, time, blob) in found["masks"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}
