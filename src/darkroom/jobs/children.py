"""The processes that one runner started: watched in threads, and tidied up behind when they end."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import NamedTuple

from darkroom.jobs.process import end_group, start_process
from darkroom.records import Job
from darkroom.workspace import Workspace

__all__ = ["Child", "Children", "Ended"]


class Child(NamedTuple):
    """A process that works, or is about to end."""

    job_id: str
    attempt: int
    """The attempt of the job that it was started for."""
    process: subprocess.Popen[bytes]


class Ended(NamedTuple):
    """A process that has ended."""

    job_id: str
    attempt: int
    """The attempt of the job that it was started for."""
    code: int
    """Its exit code."""


class Children:
    """The job processes that this process started.

    Args:
        wake: set whenever one of them has ended.
    """

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._alive: dict[str, Child] = {}
        self._ended: list[Ended] = []
        self._unreaped: set[int] = set()

    def start(self, workspace: Workspace, job: Job) -> None:
        """Starts the process of a job.

        Raises:
            OSError: the system has no room for another one.
        """
        process = start_process(workspace, job.id)
        with self._lock:
            self._unreaped.add(process.pid)
            self._alive[job.id] = Child(job.id, job.attempt, process)
        watch = threading.Thread(target=self._watch, args=(job, process), daemon=True, name=f"job-{job.id}")
        watch.start()

    def alive(self) -> dict[str, Child]:
        """Returns, by job, the processes that have not ended, or whose end `ended` has not told yet."""
        with self._lock:
            return dict(self._alive)

    def end(self, child: Child) -> None:
        """Kills a process and everything under it, unless it has ended by itself."""
        with self._lock:
            if child.process.pid in self._unreaped:
                end_group(child.process.pid, job_id=child.job_id)

    def ended(self) -> list[Ended]:
        """Returns the processes that have ended since the last call."""
        with self._lock:
            ended, self._ended = self._ended, []
            for one in ended:
                del self._alive[one.job_id]
        return ended

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        if _has_ended(process.pid):
            # Until it is reaped nobody else can get its number: what it left running is killed for certain.
            end_group(process.pid, job_id=job.id)
        with self._lock:
            self._unreaped.discard(process.pid)
        code = process.wait()
        with self._lock:
            self._ended.append(Ended(job.id, job.attempt, code))
        self._wake.set()


def _has_ended(pid: int) -> bool:
    """Waits until a child has ended, and does not reap it; says False where the system has no such wait."""
    if not hasattr(os, "waitid"):
        return False
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return True
