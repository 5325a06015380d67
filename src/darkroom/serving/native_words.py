"""Leave out what a native library writes to the error stream and no setting of it keeps back."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable

__all__ = ["LeftOut"]

_one_at_a_time = threading.RLock()
"""The error stream is one for all threads of a process: of two that turn it at once, the later to end would
leave it turned to a file that is closed."""


class LeftOut:
    """Passes on what is written to the process's error stream while the block runs, without some lines.

    Args:
        chatter: whether a line, with its line break, is left out.
    """

    def __init__(self, chatter: Callable[[bytes], bool]) -> None:
        self.chatter = chatter

    def __enter__(self) -> None:
        _one_at_a_time.acquire()
        try:
            sys.stderr.flush()
            self._caught = tempfile.TemporaryFile()
            self._stream = os.dup(2)
            os.dup2(self._caught.fileno(), 2)
        except BaseException:
            _one_at_a_time.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            os.dup2(self._stream, 2)
            self._caught.seek(0)
            for line in self._caught:
                if not self.chatter(line):
                    os.write(2, line)
            self._caught.close()
            os.close(self._stream)
        finally:
            _one_at_a_time.release()
