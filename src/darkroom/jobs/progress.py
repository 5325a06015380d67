"""A job's progress as events: the latest word on each piece of work, a few times a second at most."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from darkroom.jobs.events import append_event
from darkroom.jobs.folder import JobFolder
from darkroom.workspace import Progress

__all__ = ["ProgressEvents"]

PAUSE_S = 0.25
"""Between two looks for something new to say."""

SLOWER = 1e-4
"""The pause grows to this share of the time that a job works already: a day gives about 45,000 lines."""

PIECES = 4
"""Pieces of work whose latest word is kept until it is written; short ones between them go unsaid."""


class ProgressEvents:
    """Takes every progress report and writes the latest in a thread, so that the work never waits for it.

    Args:
        folder: the job that works.
    """

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._latest: dict[str, Progress] = {}
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._write_now_and_then, daemon=True, name="job-progress")

    def __call__(self, report: Progress) -> None:
        """Takes one report; what a person must hear is kept line by line."""
        with self._lock:
            if report.lines:
                self._lines += report.lines
                return
            unsaid = self._latest.pop(report.what, None)
            if unsaid is not None:  # the figures of an epoch stay until they are written
                report = report._replace(metrics={**unsaid.metrics, **report.metrics})
            self._latest[report.what] = report
            if len(self._latest) > PIECES:
                del self._latest[next(iter(self._latest))]

    def __enter__(self) -> ProgressEvents:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes what is still to say; nothing comes after it."""
        self._over.set()
        self._thread.join()
        self._write()

    def _write_now_and_then(self) -> None:
        while not self._over.wait(max(PAUSE_S, SLOWER * (time.monotonic() - self._began))):
            self._write()

    def _write(self) -> None:
        with self._lock:
            reports, self._latest = list(self._latest.values()), {}
            lines, self._lines = tuple(self._lines), []
        if lines:
            append_event(self._folder, "progress", Progress("", 0, None, "", {}, lines)._asdict())
        for report in reports:
            append_event(self._folder, "progress", report._asdict())
