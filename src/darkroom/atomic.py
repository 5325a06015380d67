"""Write a file or a folder, or take it away, so that it is there whole or not at all.

Whatever stops the process: both are written aside, in the same folder, flushed to the disk and renamed; a
folder that goes is renamed first. What a killed process left behind starts with `.aside-` and is swept away
by `sweep`. A folder that somebody reads can be held, and is then not taken away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import StorageFailed, is_full

__all__ = [
    "Hold",
    "is_held",
    "leftovers",
    "remove",
    "scratch_folder",
    "start_of_machine",
    "sweep",
    "write_bytes",
    "write_failed",
    "write_folder",
    "write_parts",
    "write_text",
]

ASIDE = ".aside-"


def write_bytes(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Writes one file; a reader sees the old content or the new, never a part.

    Args:
        path: the file.
        data: its content.
        mode: rights of the file before the umask takes some; 0o600 for what only its user may read.

    Raises:
        StorageFailed: the disk is full or refuses; nothing of the new content is left.
    """
    write_parts(path, (data,), mode=mode)


def write_parts(path: Path, parts: Iterable[bytes], *, mode: int = 0o666) -> None:
    """Writes one file as `write_bytes` does, of parts that need not be in memory together."""
    aside, size_bytes = _aside(path), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            for part in parts:
                size_bytes += len(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise write_failed(path, error, needed_bytes=size_bytes) from error
    except BaseException:  # what makes the parts failed, or somebody stopped it
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Writes one UTF-8 text file as `write_bytes` does."""
    write_bytes(path, text.encode(), mode=mode)


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
        raise write_failed(path, error) from error
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


class Hold:
    """Holds a folder while it is read: `remove` leaves it alone until this object goes.

    The operating system lets go when the process ends, however that happens.

    Args:
        folder: what is read.

    Raises:
        FileNotFoundError: it is not there, or is being taken away.
    """

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        weakref.finalize(self, os.close, handle)
        if not _locked(handle, fcntl.LOCK_SH) or not _is_still(folder, handle):
            raise FileNotFoundError(f"{folder} is being taken away")


def is_held(folder: Path) -> bool:
    """Says whether anybody holds a folder right now."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _locked(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def remove(path: Path) -> bool:
    """Takes a file or a folder away, at once or not at all; of a link the link alone.

    Returns:
        Whether it is gone; False for a folder that somebody holds.

    Raises:
        OSError: the disk refuses.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if not _locked(handle, fcntl.LOCK_EX) or not _is_still(path, handle):
            return False
        aside = _aside(path)
        path.rename(aside)
    finally:
        os.close(handle)
    shutil.rmtree(aside)
    return True


def leftovers(folder: Path, *, older_than_s: float = 3600.0) -> list[Path]:
    """Returns what others left aside directly in a folder, and nobody works on any more."""
    return [left for left in sorted(folder.glob(f"{ASIDE}*")) if not _in_use(left, older_than_s)]


def sweep(folder: Path, *, older_than_s: float = 3600.0) -> int:
    """Removes what others left aside directly in `folder`; returns how many things.

    Args:
        folder: looked at, its sub-folders are not.
        older_than_s: age from which on it goes even if its process lives; what a dead process left
            goes at any age.
    """
    swept = 0
    for left in leftovers(folder, older_than_s=older_than_s):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
        swept += 1
    return swept


def write_failed(path: Path, error: OSError, *, needed_bytes: int = 0) -> StorageFailed:
    """Returns the error that says that a file or folder could not be written, and what to do.

    Args:
        path: what was to be written.
        error: what the system said.
        needed_bytes: how much it would have taken; 0 where nobody knows.
    """
    if is_full(error):
        return StorageFailed(
            "disk.full",
            "The disk has no room left for {path}{size}. Nothing half-written was left.",
            do="Free some space, for example: darkroom project clean. Then run the same command again.",
            path=path,
            size=f" ({needed_bytes:,} bytes)" if needed_bytes else "",
        )
    return StorageFailed(
        "disk.write-failed",
        "Could not write {path}: {reason}. Nothing half-written was left.",
        do="Check the disk and the rights on the folder, then run the same command again.",
        path=path,
        reason=error.strerror or error,
    )


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody can hold anything there
        return True
    return True


def _is_still(path: Path, handle: int) -> bool:
    try:
        there, held = path.stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def _in_use(left: Path, older_than_s: float) -> bool:
    try:
        young = time.time() - left.lstat().st_mtime < older_than_s
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
        try:
            aside.rename(path)
        except OSError:
            old.rename(path)
            raise
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)
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
