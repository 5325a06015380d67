"""One project run again and again, in a process of its own, on a disk that refuses one writer after another.

Called as `python -m tests.bad_input.full_disk PROJECT < troubles.json`; answers with a JSON line per run.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import darkroom
from darkroom.errors import told

UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)
MAKING = {"os.mkdir": 0, "os.link": 1, "os.rename": 1}
"""Calls that put a name into a folder, and which of their arguments is that name."""

CHANGING = re.compile(r"(?<=\.aside)-\d+-[0-9a-f]+|[0-9a-f]{8,}|\d+")
"""What differs in the name of a file from run to run, or from picture to picture."""


class _Disk:
    """Hears what Python writes below a folder, and refuses one kind of file."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._refused = ""
        self.written: dict[str, None] = {}
        sys.addaudithook(self._hear)

    @contextmanager
    def without_room_for(self, kind: str) -> Iterator[None]:
        """Refuses files of a kind; see `kind_of`."""
        self._refused = kind
        try:
            yield
        finally:
            self._refused = ""

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event in MAKING:
            path = arguments[MAKING[event]]
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsdecode(path)
        if not name.startswith(f"{self._folder}{os.sep}"):
            return
        kind = kind_of(name[len(self._folder) + 1 :], event)
        self.written.setdefault(kind)
        if kind == self._refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


def kind_of(name: str, event: str) -> str:
    """Returns what all files of one writer have in common: how they are made, and the name without numbers."""
    return f"{event} {CHANGING.sub('#', name)}"


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Lets no file grow beyond a size: what is longer is written in part, and the rest refused.

    It holds for libraries written in other languages and for child processes as well.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, UNLIMITED[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)


def main() -> None:
    """Runs the project once for each trouble, and says how each run ended and which kinds it wrote."""
    project = Path(sys.argv[1])
    disk = _Disk(project)
    for trouble in json.load(sys.stdin):
        disk.written.clear()
        if trouble is None:
            limited = nullcontext()
        else:
            limited = (
                files_of_at_most(trouble) if isinstance(trouble, int) else disk.without_room_for(trouble)
            )
        with limited:
            ended = _run(project)
        left = [path.relative_to(project).as_posix() for path in project.rglob(".aside-*")]
        written = list(disk.written)
        print(json.dumps({"trouble": trouble, **ended, "left": left, "written": written}), flush=True)


def _run(project: Path) -> dict[str, Any]:
    try:
        with darkroom.open(project) as opened:
            report = opened.run()
    except Exception as error:
        shown = told(error)
        return {"kind": type(shown).__name__, "id": shown.id, "said": shown.message, "hint": shown.hint}
    return {"kind": "", "states": [stage.state for stage in report.stages]}


if __name__ == "__main__":
    main()
