"""Blobs in a folder: whole or not at all, and nothing that is none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.blobs import BlobStore
from darkroom.errors import StorageFailed


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_leaves_no_part_of_a_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = BlobStore(tmp_path)
    there = blobs.put(b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFailed, match="no room left"):
            blobs.put(b"after")
    assert files_under(tmp_path) == [there]
    assert list(blobs.list()) == [there]


def test_what_is_no_blob_is_not_listed(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = blobs.put(b"x")
    folder = Path(blobs.path(blob)).parent
    (folder / f".aside-{blob}-123").write_bytes(b"left by a killed process")
    (tmp_path / "README.txt").write_text("hello")
    assert list(blobs.list()) == [blob]


def test_a_blob_is_written_once(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    path = Path(blobs.path(blobs.put(b"x")))
    before = path.stat()
    blobs.put(b"x")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_store_made_here_stays_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blobs = BlobStore("blobs")
    monkeypatch.chdir("/")
    blob = blobs.put(b"x")
    assert Path(blobs.path(blob)).is_absolute()
    assert (tmp_path / "blobs" / blob[:2] / blob[2:4] / blob).is_file()


def test_a_folder_needs_no_fsspec(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from darkroom.blobs import BlobStore\n"
        f"BlobStore({str(tmp_path)!r}).put(b'x')\n"
        "assert 'fsspec' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
