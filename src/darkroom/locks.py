"""Lock files that go with their process: hold one, or look whether a living process holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import DarkroomError

__all__ = ["hold", "hold_beside", "is_held"]

PATIENCE_S = 1.0
"""How long whoever wants a lock waits for it: others hold it for a moment to see whether it is held."""

LOOK_S = 0.02
"""How often it looks meanwhile."""


@contextmanager
def hold(
    file: Path, refused: Callable[[], DarkroomError], *, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Holds a lock file; the operating system lets go when the process ends, however that happens.

    Args:
        file: the lock file; it and its folder are made, and the file stays.
        refused: makes the error to raise when another one holds it.
        patience_s: how long to wait for it.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=patience_s, poll_interval=LOOK_S)
    except Timeout:
        raise refused() from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def hold_beside(
    file: Path, refused: Callable[[], DarkroomError], *, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Holds a lock file together with others who do so, while nobody holds it alone with `hold`.

    Args:
        file: the lock file; it and its folder are made, and the file stays.
        refused: makes the error to raise while another one holds it alone.
        patience_s: how long to wait for it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        until = time.monotonic() + patience_s
        while not _shared(handle):
            if time.monotonic() > until:
                raise refused()
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(handle)


def _shared(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(file: Path) -> bool:
    """Says whether a living process holds a lock file; looking needs only the right to read it.

    A file that this user may not read counts as held: it is another user's. Where the file system knows no
    locks nobody can hold one.
    """
    try:
        handle = os.open(file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False
