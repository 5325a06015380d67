"""A job's events as a stream: one thread reads the file, the answer goes out as the client takes it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

from darkroom.errors import DarkroomError
from darkroom.jobs import follow, read_events
from darkroom.records import JobEvent
from darkroom.workspace import Workspace

__all__ = ["Listeners"]

HEARTBEAT_S = 10.0
"""How often something is sent while the job says nothing, so that a dead line is noticed."""

MOST_LISTENERS = 64
"""Streams at a time; each has a thread."""

AHEAD = 500
"""Events that are read before the client has taken them."""

_log = logging.getLogger("darkroom.server")


class Listeners:
    """Everybody who follows a job of one project.

    Args:
        workspace: the project.
        closing: set when the server stops; every stream then ends.
    """

    def __init__(self, workspace: Workspace, closing: threading.Event) -> None:
        self._workspace = workspace
        self._closing = closing
        self.count = 0

    def has_room(self) -> bool:
        """Says whether one more may listen."""
        return self.count < MOST_LISTENERS

    def has_more(self, job_id: str, after: int) -> bool:
        """Says whether a job has said anything after an event."""
        return bool(read_events(self._workspace, job_id, after))

    async def stream(self, job_id: str, after: int) -> AsyncIterator[bytes]:
        """Yields what a job says as server-sent events until it has ended, or the client has gone."""
        gone = threading.Event()
        queue: asyncio.Queue[JobEvent | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        reader = threading.Thread(
            target=self._read, args=(job_id, after, gone, queue, loop), daemon=True, name=f"events-{job_id}"
        )
        self.count += 1
        try:
            reader.start()
            yield b"retry: 1000\n\n"
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event is None:
                    return
                yield as_event(event)
        finally:
            gone.set()
            self.count -= 1

    def _read(
        self,
        job_id: str,
        after: int,
        gone: threading.Event,
        queue: asyncio.Queue[JobEvent | None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        def stop() -> bool:
            return gone.is_set() or self._closing.is_set()

        def put(event: JobEvent | None) -> None:
            while event is not None and queue.qsize() > AHEAD and not stop():
                time.sleep(0.05)
            try:
                loop.call_soon_threadsafe(queue.put_nowait, event)
            except RuntimeError:
                gone.set()  # the server has stopped in between

        try:
            for event in follow(self._workspace, job_id, after, stop):
                put(event)
                if stop():
                    break
        except (DarkroomError, OSError):
            _log.exception("The events of %s could not be read.", job_id)
        finally:
            put(None)


def as_event(event: JobEvent) -> bytes:
    """Returns an event as the lines of a server-sent event."""
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n".encode()
