"""What a job says while it works: whole lines with rising numbers, appended to a file, read by anyone.

Several processes write: the job's own, and whoever starts, cancels or misses it. Each holds a lock while
it appends, so the numbers rise by one. A line that a killed process left unfinished is cut off by the next
writer; a reader takes whole lines only, and waits for the rest of one that has no end yet.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from darkroom.jobs.folder import JobFolder
from darkroom.records import JobEvent, JobEventKind, now
from darkroom.workspace import Workspace

__all__ = ["EventReader", "append_event", "append_unlocked", "last_progress", "read_events"]

BLOCK_BYTES = 8192
"""How far back the last line is looked for at first."""

PIECE_BYTES = 1 << 20
"""How much a reader takes in one look."""


def append_event(folder: JobFolder, kind: JobEventKind, data: Mapping[str, Any]) -> JobEvent | None:
    """Appends one event; returns it, or None when the disk refuses it.

    A job does not end because its events find no room: its state and its result are in the catalogue.
    """
    try:
        with folder.writing():
            return append_unlocked(folder, kind, data)
    except OSError:
        return None


def append_unlocked(folder: JobFolder, kind: JobEventKind, data: Mapping[str, Any]) -> JobEvent | None:
    """Appends one event for a caller that holds `folder.writing()` already."""
    try:
        with folder.events.open("ab+", buffering=0) as file:
            end, seq = _last_line(file)
            event = JobEvent(seq=seq + 1, at=now(), kind=kind, data=data)
            file.truncate(end)  # what a killed process left of a line
            return event if _written_whole(file, end, event.model_dump_json().encode() + b"\n") else None
    except OSError:
        return None


def read_events(workspace: Workspace, job_id: str, after: int = 0) -> list[JobEvent]:
    """Returns what a job has said so far.

    Args:
        workspace: the project.
        job_id: the job.
        after: number of the last event that the caller knows; only later ones are returned.

    Raises:
        NotFound: the project has no such job.
    """
    workspace.catalogue.jobs.get(job_id)
    return list(EventReader(JobFolder(workspace, job_id).events, after).read())


def last_progress(folder: JobFolder) -> JobEvent | None:
    """Returns the newest event, among the last ones of a job, that says how far it is."""
    try:
        with folder.events.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 8 * BLOCK_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    found = (_event_of(line) for line in reversed(lines))
    return next((event for event in found if event and event.kind == "progress" and _counts(event)), None)


class EventReader:
    """Reads a growing file of events, each event once.

    Args:
        path: the file; it may not be there yet.
        after: number of the last event that is known already.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._offset = 0
        self.last = after
        """Number of the last event that was given out."""

    def read(self) -> Iterator[JobEvent]:
        """Yields what has come since the last call; a line without its end stays for the next one."""
        size = PIECE_BYTES
        while True:
            piece = self._piece(size)
            *whole, _ = piece.split(b"\n")
            for line in whole:
                self._offset += len(line) + 1
                event = _event_of(line)
                if event is not None and event.seq > self.last:
                    self.last = event.seq
                    yield event
            if len(piece) < size:
                return
            size = PIECE_BYTES if whole else 4 * size  # a line longer than the piece needs a longer one

    def _piece(self, size: int) -> bytes:
        """Returns up to `size` bytes from where the reader is, in one look.

        Two looks could see one half of a line before a writer cut it off and another half after.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(self._offset)
                return file.read(size)
        except FileNotFoundError:
            return b""


def _counts(event: JobEvent) -> bool:
    """Says whether a progress event tells how far something is; else it holds lines to be read."""
    return not event.data.get("lines")


def _event_of(line: bytes) -> JobEvent | None:
    """Returns the event of a line; None for what is none, such as the middle of a line."""
    try:
        return JobEvent.model_validate_json(line)
    except ValidationError:
        return None


def _last_line(file: io.FileIO) -> tuple[int, int]:
    """Returns where the whole lines end, and the number of the last of them, 0 where there is none."""
    size, back = file.seek(0, os.SEEK_END), BLOCK_BYTES
    while True:
        start = max(0, size - back)
        file.seek(start)
        lines = file.read(size - start).split(b"\n")
        whole = lines[:-1] if start == 0 else lines[1:-1]
        for line in reversed(whole):
            event = _event_of(line)
            if event is not None:
                return size - len(lines[-1]), event.seq
        if start == 0:
            return size - len(lines[-1]), 0
        back *= 8


def _written_whole(file: io.FileIO, end: int, line: bytes) -> bool:
    """Writes a line behind `end`; what a full disk took of it goes again."""
    try:
        if file.write(line) == len(line):
            return True
    except OSError:
        pass
    file.truncate(end)
    return False
