"""The worker processes of one engine: borrowed for a chunk of work, kept warm, ended for certain."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from typing import Any

from darkroom.engines.worker import PROTOCOL, RETIRED, Unreadable
from darkroom.errors import Cancelled, DarkroomError, Invalid

__all__ = ["Crew", "Shift"]

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    " from darkroom.engines.worker import serve; sys.exit(serve(int(sys.argv[2])))"
)


class Crew:
    """Worker processes, started when they are first needed.

    Args:
        environment: variables that workers get beside the parent's.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def compute(self, function: bytes, items: Sequence[Any], shift: Shift) -> list[Any]:
        """Has one worker call a pickled function for each item; gives results, or `Raised` in their place.

        Raises:
            DarkroomError: the worker died.
            Invalid: the items or the function cannot be sent to another process.
            Cancelled: the shift has ended.
        """
        chunk = _pickled(items)
        while True:
            worker = self._borrow()
            try:
                shift.begin(worker)
                answer = worker.call(function, chunk)
            except (EOFError, OSError):
                code = worker.end()
                if shift.over:
                    raise _ended() from None
                if code == RETIRED:
                    continue  # it had just gone home for want of work; another takes the chunk
                raise _died(code, items) from None
            except BaseException:
                worker.end()
                raise
            finally:
                shift.finish(worker)
            if shift.over:  # it may have been killed with its answer already sent
                worker.end()
                raise _ended()
            self._give_back(worker)
            if isinstance(answer, Unreadable):
                raise _not_importable(answer.why)
            return answer

    def end(self) -> None:
        """Ends the workers that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
            worker.end()

    def _borrow(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.end()
        return _Worker(self._environment)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)


class Shift:
    """The workers that are busy with one map or one list of tasks, so that it can be broken off."""

    def __init__(self) -> None:
        self.over = False
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()

    def begin(self, worker: _Worker) -> None:
        """Notes that a worker is at work."""
        with self._lock:
            if self.over:
                raise _ended()
            self._busy.add(worker)

    def finish(self, worker: _Worker) -> None:
        """Notes that a worker is no longer at work."""
        with self._lock:
            self._busy.discard(worker)

    def end(self) -> None:
        """Breaks the work off: whoever is at it is killed, nobody begins any more."""
        with self._lock:
            self.over = True
            for worker in self._busy:
                worker.kill()


class _Worker:
    """One worker process and the line to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._line, other = Pipe()
        self._function: bytes | None = None
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(other.fileno())],
                stdin=subprocess.PIPE,  # never written to: its end tells the worker that we are gone
                stdout=2,  # what an image library prints must not mix with `--json`
                pass_fds=[other.fileno()],
                env={**os.environ, **environment},
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, function: bytes, chunk: bytes) -> Any:
        """Sends work and waits for the answer."""
        news = function if function is not self._function else None
        self._line.send_bytes(pickle.dumps((news, chunk), PROTOCOL))
        self._function = function
        return pickle.loads(self._line.recv_bytes())

    def kill(self) -> None:
        """Stops the process at once; the thread that waits for its answer sees the line break."""
        self._process.kill()

    def end(self) -> int:
        """Closes the line, waits for the process and returns its exit code."""
        self._line.close()
        try:
            # Standard input stays open until then: its end would make up an exit code of its own.
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            if self._process.stdin is not None:
                self._process.stdin.close()


def _pickled(items: Sequence[Any]) -> bytes:
    try:
        return pickle.dumps(items, PROTOCOL)
    except Exception as error:
        raise Invalid(
            "engine.item-not-sendable",
            "An item of type {kind} cannot be sent to another process: {why}",
            kind=type(items[0]).__name__,
            why=error,
        ) from error


def _died(code: int, items: Sequence[Any]) -> DarkroomError:
    how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    shown = repr(items[0])
    return DarkroomError(
        "engine.worker-died",
        "A worker process died ({how}) at {first}{others}.",
        do="If memory ran out, use fewer workers: DARKROOM_WORKERS=1. Then run the same command again.",
        how=how,
        first=shown if len(shown) <= 200 else f"{shown[:200]}…",
        others=f" or one of the {len(items) - 1} items after it" if len(items) > 1 else "",
    )


def _not_importable(why: str) -> Invalid:
    return Invalid(
        "engine.not-importable",
        "Another process cannot import what it is to run: {why}.",
        do="Put the function and its classes at the top of a module that can be imported.",
        why=why.rstrip("."),
    )


def _ended() -> Cancelled:
    return Cancelled("engine.stopped", "The work was stopped.")
