"""A worker process: reads a function and chunks of items, answers with results, ends with its parent.

Workers are plain child processes that import what they need. They are not forked, which torch and
threads do not survive, and not made by `multiprocessing`, which runs a user's script once more in each.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from darkroom.errors import DarkroomError

__all__ = ["IDLE_S", "PROTOCOL", "RETIRED", "Raised", "Unreadable", "attempt", "serve"]

IDLE_S = 30.0
"""A worker without work ends by itself after so many seconds, and gives its memory back."""

RETIRED = 75
"""Exit code of a worker that went home for want of work."""

PROTOCOL = 5


class Raised(NamedTuple):
    """What a call raised, in place of its result."""

    error: Exception
    trace: str


class Unreadable(NamedTuple):
    """The worker could not take in a function or its items, mostly because it cannot import them."""

    why: str


def serve(handle: int) -> int:
    """Works until the parent closes the line, dies, or has no work for a while; returns the exit code."""
    # A person's Ctrl-C reaches the whole group; the parent decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with Connection(handle) as line:
        function: Any = None
        while line.poll(IDLE_S):
            try:
                blob, chunk = pickle.loads(line.recv_bytes())
                if blob is not None:
                    function = _loaded(blob)
                line.send_bytes(_answer(function, _loaded(chunk)))
            except (EOFError, ConnectionError):
                break
    return RETIRED


def attempt(function: Callable[[Any], Any], item: Any) -> Any:
    """Calls a function; what it raises comes back as `Raised`."""
    try:
        return function(item)
    except Exception as error:
        return Raised(error, traceback.format_exc())


def _end_with_parent() -> None:
    """Waits for the end of standard input, which only the parent holds open, and ends the process."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def _loaded(blob: bytes) -> Any:
    try:
        return pickle.loads(blob)
    except Exception as error:
        return Unreadable(f"{type(error).__name__}: {error}")


def _answer(function: Any, items: Any) -> bytes:
    for loaded in (function, items):
        if isinstance(loaded, Unreadable):
            return pickle.dumps(loaded, PROTOCOL)
    results = [_sendable_error(attempt(function, item)) for item in items]
    try:
        return pickle.dumps(results, PROTOCOL)
    except Exception:
        return pickle.dumps([_sendable(result) for result in results], PROTOCOL)


def _sendable_error(result: Any) -> Any:
    """Replaces an exception that another process cannot make again by one that says the same."""
    if not isinstance(result, Raised):
        return result
    try:
        pickle.loads(pickle.dumps(result.error, PROTOCOL))
        return result
    except Exception:
        kind, said = type(result.error).__name__, str(result.error)
        stand_in = DarkroomError("engine.item-failed", "{kind}: {said}", kind=kind, said=said)
        return Raised(stand_in, result.trace)


def _sendable(result: Any) -> Any:
    try:
        pickle.dumps(result, PROTOCOL)
        return result
    except Exception as error:
        return Raised(
            DarkroomError(
                "engine.result-not-sendable",
                "A result of type {kind} cannot be sent between processes: {why}",
                kind=type(result).__name__,
                why=error,
            ),
            "",
        )
