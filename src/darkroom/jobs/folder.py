"""A job's folder, `.darkroom/jobs/<id>/`, and the lock in it that its process holds as long as it lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from darkroom.workspace import Workspace

__all__ = ["JobFolder"]

LAST_BYTES = 20_000
"""How far back the end of the output is looked for."""

LOOK_S = 0.005
"""How often a waiting process looks whether a lock is free."""


class JobFolder:
    """The folder of one job.

    Args:
        workspace: the project.
        job_id: a job that the catalogue knows.
    """

    def __init__(self, workspace: Workspace, job_id: str) -> None:
        self.path = workspace.jobs_folder / job_id

    @property
    def events(self) -> Path:
        """What the job says while it works, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def output(self) -> Path:
        """What its process and the processes under it wrote to standard output and standard error."""
        return self.path / "output.txt"

    def output_tail(self, lines: int) -> tuple[str, ...]:
        """Returns the last lines of the output."""
        try:
            with self.output.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - LAST_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ()
        return tuple(text.splitlines()[-lines:])

    @contextmanager
    def held(self, *, wait_s: float) -> Iterator[bool]:
        """Holds the job as its process does, and says whether it could; the lock goes with the process."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "process.lock")
        try:
            lock.acquire(timeout=wait_s, poll_interval=LOOK_S)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lets one write the events at a time; whoever reads under it sees the state and its event."""
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path / "events.lock").acquire(poll_interval=LOOK_S):
            yield
