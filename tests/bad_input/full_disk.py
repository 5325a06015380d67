"""One project, run again and again on a full disk that refuses one writer after another.

Called as `python -m tests.bad_input.full_disk PROJECT UNTIL`, UNTIL being the last stage to run. It answers
with a JSON line per run: what was refused, and what a person would have been told.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from darkroom.errors import told
from darkroom.operation import find_operation
from darkroom.workspace import Workspace

NOT_NEEDED = {"open .darkroom/catalogue.db-line"}
"""Files without which everything goes on: the place in the line of writers, which then is one of chance."""

MAKING = {"os.mkdir": 0, "os.link": 1, "os.rename": 1}
"""Calls that put a name into a folder, and which of their arguments is that name."""

CHANGING = re.compile(r"(?<=tmp_)[0-9a-f-]{36}|(?<=\.aside)-\d+-[0-9a-f]+|[0-9a-f]{8,}|\d+")
"""What differs in the name of a file from run to run, or from picture to picture."""

GOLDEN = re.compile(r"golden/(?!golden\.json).+")
"""Golden pictures and tensors, which one loop writes."""

FILE_SIZES_BYTES = (0, 100, 4_000, 20_000, 100_000, 300_000)
NO_LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)


class Disk:
    """Hears what Python writes below a folder; when full, refuses the first kind that it never refused.

    Args:
        folder: what lies on that disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}{os.sep}"
        self._is_full = False
        self._now = ""
        self.refused: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Refuses, inside the block, all files of one more kind."""
        self._now, self._is_full = "", True
        try:
            yield
        finally:
            self._is_full = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_full or not (event == "open" or event in MAKING):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = arguments[MAKING.get(event, 0)]
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not name.startswith(self._folder) or (event == "os.mkdir" and os.path.isdir(name)):  # noqa: PTH112
            return
        self._refuse(
            name, f"{event} {GOLDEN.sub('golden/one', CHANGING.sub('#', name[len(self._folder) :]))}"
        )

    def _refuse(self, name: str, kind: str) -> None:
        if not self._now and kind not in self.refused and kind not in NOT_NEEDED:
            self._now = kind
            self.refused.append(kind)
        if kind == self._now:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Lets no file grow beyond a size: what is longer is written in part, and the rest refused.

    It holds for libraries written in other languages, and for child processes.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, NO_LIMIT[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, NO_LIMIT)


def main() -> None:
    """Runs the project until no kind of file is left that was not refused, then with short files."""
    project, until = Path(sys.argv[1]), sys.argv[2]
    disk = Disk(project)
    for size_bytes in FILE_SIZES_BYTES:
        with files_of_at_most(size_bytes):
            told_now = _run(project, until)
        _say(project, f"files of at most {size_bytes} bytes", told_now)
    while True:
        before = len(disk.refused)
        with disk.full():
            told_now = _run(project, until)
        new = disk.refused[before:]
        _say(project, new[0] if new else "nothing", told_now)
        if not new:
            return


def _run(project: Path, until: str) -> dict[str, Any]:
    try:
        with Workspace.open(project) as workspace:
            find_operation("run").call(workspace, find_operation("run").validate({"until": until}))
    except Exception as error:
        shown = told(error)
        return {"kind": type(shown).__name__, "id": shown.id, "said": shown.message, "hint": shown.hint}
    return {"kind": ""}


def _say(project: Path, refused: str, told_now: dict[str, Any]) -> None:
    left = [path.relative_to(project).as_posix() for path in project.rglob(".aside-*")]
    print(json.dumps({"refused": refused, "left": left, **told_now}), flush=True)


if __name__ == "__main__":
    main()
