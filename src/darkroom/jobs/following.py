"""Follow a job: what it says, as it says it, from any process, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from darkroom.jobs.events import EventReader
from darkroom.jobs.folder import JobFolder
from darkroom.jobs.state import settle
from darkroom.records import JobEvent
from darkroom.workspace import Workspace

__all__ = ["follow"]

LOOK_S = 0.1
"""How often a follower looks for new lines."""

ASK_S = 1.0
"""How often a follower asks the catalogue after a job that says nothing."""


def follow(
    workspace: Workspace, job_id: str, after: int = 0, stop: Callable[[], bool] | None = None
) -> Iterator[JobEvent]:
    """Yields what a job says, in order and each event once, and ends when the job has ended.

    It reads the job's file and needs neither the job's parent nor a server; any number may follow one job.
    A job that was resumed goes on in the same file with rising numbers.

    Args:
        workspace: the project.
        job_id: the job.
        after: number of the last event that the caller knows; later ones are given, 0 for all.
        stop: asked about ten times a second; when it says True, nothing more comes.

    Raises:
        NotFound: the project has no such job.
    """
    job = workspace.catalogue.jobs.get(job_id)
    folder = JobFolder(workspace, job_id)
    reader = EventReader(folder.events, after)
    asked = time.monotonic() - ASK_S
    while not (stop and stop()):
        ended = False
        for event in reader.read():
            ended = event.kind == "state" and event.data.get("state") not in ("waiting", "running")
            yield event
        if ended or time.monotonic() - asked >= ASK_S:
            job, asked = settle(workspace, workspace.catalogue.jobs.get(job_id)), time.monotonic()
            if job.ended:
                yield from _rest(folder, reader)
                return
        time.sleep(LOOK_S)


def _rest(folder: JobFolder, reader: EventReader) -> list[JobEvent]:
    """Reads what is left; who ended the job has said so when the lock is free."""
    try:
        with folder.writing():
            return list(reader.read())
    except OSError:  # the disk has no room for the lock: nobody else writes there either
        return list(reader.read())
