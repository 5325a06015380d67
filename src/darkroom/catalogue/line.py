"""Writers of one SQLite file wait in a line: whoever came first writes first, whoever dies steps out.

SQLite has one lock and no line before it: of many that look for it, luck decides who gets it. Here all
but one wait for a lock of the operating system on a file beside the database, which wakes them in
their order and takes a dead process out. Only the first in line looks at SQLite's lock, and lets the next
one step forward as soon as it has it. A bulk write that begins its next chunk stands at the end again.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every writer looks at SQLite's lock by itself
    fcntl = None

__all__ = ["last_writer", "line_of", "sign", "stand_in_line"]

_NAME_BYTES = 200


def line_of(database: Path) -> Path:
    """Returns the file that stands for the line before a database; it may be deleted when nobody writes."""
    return database.with_name(f"{database.name}-line")


@contextmanager
def stand_in_line(database: Path, wait_s: float) -> Iterator[bool]:
    """Gives the place at the head of the line, until the block ends.

    Args:
        database: SQLite's file.
        wait_s: how long to stand in line.

    Yields:
        Whether the head was reached in time. Where no line can be kept, in a folder that cannot be
        written, everybody is at its head.
    """
    handle = _opened(database)
    if handle is None:
        yield True
        return
    place = _Place(handle)
    try:
        yield place.reached(wait_s)
    finally:
        place.leave()


def sign(database: Path) -> None:
    """Says who writes now, for the message of one who waits in vain."""
    # No more than noun and verb: what follows may be nobody else's business.
    words = [Path(sys.argv[0]).name, *sys.argv[1:3]] if sys.argv else []
    text = f"{os.getpid()} {' '.join(words)}".encode("utf-8", "replace")[:_NAME_BYTES]
    handle = _opened(database)
    if handle is None:
        return
    try:
        with suppress(OSError):  # a full disk takes no name, and that must stop nobody
            os.pwrite(handle, text.ljust(_NAME_BYTES), 0)
    finally:
        os.close(handle)


def last_writer(database: Path) -> tuple[int, str] | None:
    """Returns process and command of the last one that signed, if it still lives."""
    try:
        text = line_of(database).read_text("utf-8", "replace")
        number, command = int(text.partition(" ")[0]), text.partition(" ")[2].strip()
    except (OSError, ValueError):
        return None
    try:
        os.kill(number, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return None
    return number, command


def _opened(database: Path) -> int | None:
    if fcntl is None:
        return None
    try:
        return os.open(line_of(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


class _Place:
    """One place in the line. Giving it up never blocks, even while the system still holds us in it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._reached = threading.Event()
        self._ours = threading.Lock()
        self._waits = self._left = False

    def reached(self, wait_s: float) -> bool:
        assert fcntl is not None
        if self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
        # The system's wait has no end; so a thread waits, and we wait for the thread as long as we like.
        self._waits = True
        threading.Thread(target=self._wait, name="line", daemon=True).start()
        return self._reached.wait(wait_s)

    def leave(self) -> None:
        with self._ours:
            self._left = True
            if not self._waits:
                os.close(self._handle)

    def _wait(self) -> None:
        assert fcntl is not None
        self._locked(fcntl.LOCK_EX)
        with self._ours:
            self._waits = False
            if self._left:
                os.close(self._handle)
        self._reached.set()

    def _locked(self, how: int) -> bool:
        assert fcntl is not None
        try:
            fcntl.flock(self._handle, how)
        except BlockingIOError:
            return False
        except OSError:  # a file system without such locks has no line
            return True
        return True
