"""Files that programs sent: kept under a random id, in bounds, and gone after a day."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterable
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from darkroom import atomic
from darkroom.errors import Invalid, NotFound, StorageFailed
from darkroom.records import Fact

__all__ = ["PREFIX", "Upload", "Uploads"]

PREFIX = "upload:"
"""Before the id, where a request names an upload in place of a path."""

LASTS_S = 86_400.0
"""How long an upload stays: long enough for a job that waits its turn."""

MOST_FILES = 100_000
"""Uploads that are kept at a time."""

_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,120}")


class Upload(Fact):
    """A file that was sent."""

    upload: str
    """What a request says in place of a path: "upload:3f…"."""
    name: str
    """The file's name; its ending says what kind of file it is meant to be."""
    size_bytes: int
    sha256: str
    """Of its bytes, in hex."""


class Uploads:
    """The folder of uploads; one folder each, so that the file keeps its name.

    Args:
        folder: where they are kept.
        file_bytes: largest file.
        all_bytes: how much they may hold all together.
    """

    def __init__(self, folder: Path, *, file_bytes: int, all_bytes: int) -> None:
        self._folder = folder
        self.file_bytes = file_bytes
        self._all_bytes = all_bytes
        self._lock = threading.Lock()
        self._held_bytes, self._count = self._measured()

    async def take(self, name: str, blocks: AsyncIterable[bytes]) -> Upload:
        """Keeps a file that comes in blocks; what breaks off leaves nothing.

        Raises:
            Invalid: its name is no plain file name, or it is empty or too large.
            StorageFailed: the uploads are full, or the disk is.
        """
        _check_name(name)
        id = secrets.token_hex(16)
        aside = self._folder / f"{atomic.ASIDE}{os.getpid()}-{id[:12]}"
        size_bytes = 0
        try:
            aside.mkdir(parents=True)
            with (aside / name).open("wb") as file:
                hashed = hashlib.sha256()
                async for block in blocks:
                    size_bytes += self._reserved(name, len(block), size_bytes)
                    hashed.update(block)
                    await run_in_threadpool(file.write, block)
                file.flush()
                await run_in_threadpool(os.fsync, file.fileno())
            if not size_bytes:
                raise Invalid(
                    "upload.empty",
                    "{name} is empty.",
                    do="Choose another file, or save this one again.",
                    name=name,
                )
            aside.rename(self._folder / id)
        except BaseException as error:
            self._account(-size_bytes, 0)
            if isinstance(error, OSError):
                raise atomic.write_failed(self._folder / name, error) from error
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._account(0, 1)
        return Upload(upload=f"{PREFIX}{id}", name=name, size_bytes=size_bytes, sha256=hashed.hexdigest())

    def path(self, text: str) -> Path:
        """Returns the file of an upload.

        Args:
            text: "upload:" and the id.

        Raises:
            NotFound: there is no such upload, or no longer.
        """
        id = text.removeprefix(PREFIX)
        folder = self._folder / id
        files = list(folder.iterdir()) if _ID.fullmatch(id) and folder.is_dir() else []
        if not files:  # none was sent, or its picture was forgotten since
            raise NotFound(
                "upload.unknown",
                "No upload {id!r}.",
                do="Send the file first: POST /api/uploads?name=photo.jpg; it is kept for a day.",
                id=id,
            )
        return files[0]

    def sweep(self) -> None:
        """Removes what is older than a day, and what a killed server left of what came in."""
        atomic.sweep(self._folder)
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if _ID.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > LASTS_S:
                shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            self._held_bytes, self._count = self._measured()

    def _reserved(self, name: str, block_bytes: int, size_bytes: int) -> int:
        """Returns the size of a block once there is room for it."""
        if size_bytes + block_bytes > self.file_bytes:
            raise Invalid(
                "upload.too-large",
                "{name} is larger than {limit:,} bytes.",
                do="DARKROOM_MAX_FILE_BYTES raises the limit.",
                name=name,
                limit=self.file_bytes,
            )
        with self._lock:
            if self._held_bytes + block_bytes > self._all_bytes or self._count >= MOST_FILES:
                raise StorageFailed(
                    "upload.full",
                    "The uploads are full: {count:,} files, {held:,} of {limit:,} bytes.",
                    do="Start the server again to remove those older than a day; "
                    "DARKROOM_SERVER_UPLOAD_BYTES raises the limit.",
                    count=self._count,
                    held=self._held_bytes,
                    limit=self._all_bytes,
                )
            self._held_bytes += block_bytes
        return block_bytes

    def _account(self, size_bytes: int, files: int) -> None:
        with self._lock:
            self._held_bytes += size_bytes
            self._count += files

    def _measured(self) -> tuple[int, int]:
        sizes = [path.stat().st_size for path in self._folder.glob("*/*")]
        return sum(sizes), len(sizes)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith(".") or len(name.encode("utf-8", "replace")) > 240:
        raise Invalid(
            "upload.name",
            "{name!r} is no plain file name.",
            do="Send the name alone, without folders: POST /api/uploads?name=photo.jpg",
            name=name,
        )
