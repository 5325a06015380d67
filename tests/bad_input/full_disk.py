"""A disk that is full, made in a process of its own, and one project run on it again and again.

Called as `python -m tests.bad_input.full_disk PROJECT < plan.json`; answers with JSON lines.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import darkroom

UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)
MAKING = {"os.mkdir": 0, "os.link": 1, "os.rename": 1}
"""Calls that put a name into a folder, and which of their arguments is the name."""


class _Disk:
    """Counts what Python writes below a folder, and refuses it from some moment on."""

    def __init__(self, folder: Path) -> None:
        self._below = f"{folder}{os.sep}"
        self._left = -1
        sys.addaudithook(self._hear)

    @contextmanager
    def full_after(self, writes: int) -> Iterator[None]:
        """Lets so many files and folders be made; every later one finds no room."""
        self._left = writes
        try:
            yield
        finally:
            self._left = -1

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._left < 0 or not (event == "open" or event in MAKING):
            return
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR):
                return
        else:
            path = arguments[MAKING[event]]
        if not isinstance(path, str | bytes | os.PathLike) or not os.fsdecode(path).startswith(self._below):
            return
        if self._left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))
        self._left -= 1


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Lets no file grow beyond a size: what is longer is written in part and then refused.

    It holds for libraries written in other languages and for child processes as well.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, UNLIMITED[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)


def main() -> None:
    """Runs the project once for each trouble of the plan, and says how each run ended."""
    project = Path(sys.argv[1])
    disk = _Disk(project)
    for trouble, number in json.load(sys.stdin):
        limited = disk.full_after(number) if trouble == "writes" else files_of_at_most(number)
        with limited:
            told = _run(project)
        left = [path.relative_to(project).as_posix() for path in project.rglob(".aside-*")]
        print(json.dumps({"trouble": [trouble, number], **told, "left": left}), flush=True)


def _run(project: Path) -> dict[str, Any]:
    from darkroom.errors import told

    try:
        with darkroom.open(project) as opened:
            report = opened.run()
    except Exception as error:
        shown = told(error)
        return {"kind": type(shown).__name__, "id": shown.id, "error": str(shown), "hint": shown.hint}
    return {"kind": "", "stages": [stage.state for stage in report.stages]}


if __name__ == "__main__":
    main()
