"""A store of bytes that are known by their sha256: written once, checked when read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom import atomic
from darkroom.errors import Damaged, Invalid, NotFound, StorageFailed

__all__ = ["BlobStore"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """Blobs under a folder or any URL that fsspec opens, as `ab/cd/abcd…`.

    Args:
        place: a folder, or a URL such as `s3://bucket/blobs`; it need not be there yet.
    """

    def __init__(self, place: Path | str) -> None:
        self._shelf: _Folder | _Remote
        url = str(place)
        if "://" in url and not url.startswith("file://"):
            self._shelf = _Remote(url)
        else:
            self._shelf = _Folder(Path(url.removeprefix("file://")).absolute())

    def put(self, data: bytes) -> str:
        """Keeps bytes and returns their sha256 in hex; what is there already is not written again.

        Raises:
            StorageFailed: the disk or the store refuses; no part of the bytes is left.
        """
        blob = hashlib.sha256(data).hexdigest()
        place = _place(blob)
        if self._shelf.size(place) != len(data):
            self._shelf.write(place, data)
        return blob

    def has(self, blob: str) -> bool:
        """Says whether a blob is there; its content is not read."""
        return self._shelf.size(_place(blob)) is not None

    def get(self, blob: str) -> bytes:
        """Returns the bytes of a blob.

        Raises:
            NotFound: there is no such blob.
            Damaged: its bytes are not the ones that were put.
        """
        data = self._shelf.read(_place(blob))
        if data is None:
            raise NotFound(
                "blob.unknown", "No blob {blob} in {place}.", blob=blob, place=self._shelf.path("")
            )
        if hashlib.sha256(data).hexdigest() != blob:
            raise Damaged(
                "blob.damaged",
                "{path} does not hold the bytes that were written there.",
                do="Put the file back from a copy, or delete it and add its picture again.",
                path=self.path(blob),
            )
        return data

    def path(self, blob: str) -> str:
        """Returns where a blob lies, or would lie: an absolute path, or a URL that fsspec opens."""
        return self._shelf.path(_place(blob))

    def delete(self, blob: str) -> None:
        """Removes a blob; one that is not there is no error."""
        self._shelf.remove(_place(blob))

    def list(self) -> Iterator[str]:
        """Gives the sha256 of every blob, sorted."""
        for name in self._shelf.names():
            if _SHA256.fullmatch(name):
                yield name


def _place(blob: str) -> str:
    if not _SHA256.fullmatch(blob):
        raise Invalid(
            "blob.not-a-hash", "A blob is named by its sha256 in hex. Received: {blob!r}.", blob=blob
        )
    return f"{blob[:2]}/{blob[2:4]}/{blob}"


class _Folder:
    """Blobs in a folder of this machine, flushed to the disk before they count."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, place: str) -> str:
        return str(self._root / place)

    def size(self, place: str) -> int | None:
        try:
            return (self._root / place).stat().st_size
        except FileNotFoundError:
            return None

    def write(self, place: str, data: bytes) -> None:
        atomic.write_bytes(self._root / place, data)

    def read(self, place: str) -> bytes | None:
        try:
            return (self._root / place).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, place: str) -> None:
        (self._root / place).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        for first in _folders(self._root):
            for second in _folders(first):
                yield from sorted(file.name for file in second.iterdir())


def _folders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if inner.is_dir()) if folder.is_dir() else []


class _Remote:
    """Blobs in a file system that fsspec knows; object stores show a file whole or not at all."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._files: Any
        self._files, self._root = fsspec.url_to_fs(url)

    def path(self, place: str) -> str:
        return self._files.unstrip_protocol(self._key(place))

    def size(self, place: str) -> int | None:
        try:
            return int(self._files.size(self._key(place)))
        except FileNotFoundError:
            return None

    def write(self, place: str, data: bytes) -> None:
        try:
            self._files.makedirs(self._key(place).rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(self._key(place), data)
        except OSError as error:
            raise StorageFailed(
                "blob.write-failed",
                "Could not write {path}: {reason}.",
                do="Check that the store can be reached and written to, then run the same command again.",
                path=self.path(place),
                reason=error,
            ) from error

    def read(self, place: str) -> bytes | None:
        try:
            return self._files.cat_file(self._key(place))
        except FileNotFoundError:
            return None

    def remove(self, place: str) -> None:
        if self.size(place) is not None:
            self._files.rm_file(self._key(place))

    def names(self) -> Iterator[str]:
        yield from (Path(found).name for found in sorted(self._files.find(self._root)))

    def _key(self, place: str) -> str:
        return f"{self._root}/{place}" if place else str(self._root)
