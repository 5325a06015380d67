"""Write a file or a folder so that it is there whole or not at all, whatever stops the process.

Both write aside, in the same folder, flush to the disk and rename. What a killed process left behind
starts with `.aside-` and is swept away by `sweep`.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import StorageFailed

__all__ = ["scratch_folder", "start_of_machine", "sweep", "write_bytes", "write_folder", "write_text"]

ASIDE = ".aside-"


def write_bytes(path: Path, data: bytes) -> None:
    """Writes one file; a reader sees the old content or the new, never a part.

    Raises:
        StorageFailed: the disk is full or refuses; nothing of the new content is left.
    """
    aside = _aside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _failed(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Writes one UTF-8 text file as `write_bytes` does."""
    write_bytes(path, text.encode())


@contextmanager
def write_folder(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Gives an empty folder to fill; it takes the place of `path` when the block ends well.

    Args:
        path: the folder.
        lasting: wait until the disk holds it, so that it outlasts a power cut; not needed for what can
            be made again and is checked after the machine's next start.

    Raises:
        StorageFailed: the disk is full or refuses; `path` is as it was before.
    """
    aside = _aside(path)
    try:
        aside.mkdir(parents=True)
        yield aside
        if lasting:
            _flush_tree(aside)
        _put_in_place(aside, path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Gives an empty folder inside `parent` for work in between; it goes when the block ends."""
    parent.mkdir(parents=True, exist_ok=True)
    scratch = _aside(parent / "scratch")
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def start_of_machine() -> str:
    """Returns an id that is another one after each start of the machine; "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def sweep(folder: Path, *, older_than_s: float = 3600.0) -> int:
    """Removes what others left aside directly in `folder`; returns how many things.

    Args:
        folder: looked at, its sub-folders are not.
        older_than_s: age from which on it goes even if its process lives; what a dead process left
            goes at any age.
    """
    swept = 0
    for left in folder.glob(f"{ASIDE}*"):
        if _in_use(left, older_than_s):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
        swept += 1
    return swept


def _in_use(left: Path, older_than_s: float) -> bool:
    try:
        young = time.time() - left.stat().st_mtime < older_than_s
    except FileNotFoundError:
        return False
    return young and _lives(left.name.removeprefix(ASIDE).partition("-")[0])


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _aside(path: Path) -> Path:
    return path.parent / f"{ASIDE}{os.getpid()}-{uuid.uuid4().hex[:12]}"


def _put_in_place(aside: Path, path: Path) -> None:
    if path.exists():
        old = _aside(path)
        path.rename(old)
        aside.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        aside.rename(path)
    _flush_folder(path.parent)


def _flush_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        _flush_folder(Path(parent))


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        "disk.write-failed",
        "Could not write {path}: {reason}. Nothing half-written was left.",
        do="Free some space or check the rights on the folder, then run the same command again.",
        path=path,
        reason=error.strerror or error,
    )
