"""What the catalogue refuses, in which words, and that everything goes on afterwards."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darkroom.catalogue import Catalogue, sqlite
from darkroom.errors import Damaged, NotFound, StorageFailed, Unsupported
from tests.bad_input.full_disk import files_of_at_most
from tests.conformance.examples import event, images, version


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'catalogue.db'}"


@contextmanager
def as_a_stranger(folder: Path) -> Iterator[None]:
    """Lets this process see a folder as a user does who may only read it."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o644)


def filled(folder: Path) -> None:
    with Catalogue.open(url(folder), create=True) as catalogue:
        catalogue.images.add(images(3))
        catalogue.annotations.append([event(0, "cat")])


def test_a_catalogue_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    filled(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with as_a_stranger(tmp_path), Catalogue.open(url(tmp_path), create=True) as catalogue:
        assert catalogue.images.count() == 3
        assert len(catalogue.images.page().items) == 3
        assert catalogue.annotations.counts("class").labels == {"cat": 1}
        with pytest.raises(StorageFailed, match="can be read here, but not written"):
            catalogue.annotations.append([event(1, "dog")])
        assert catalogue.annotations.last_sequence() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert catalogue.annotations.append([event(1, "dog")])[0].sequence == 2


def test_one_who_may_only_read_sees_what_a_writer_writes_meanwhile(tmp_path: Path) -> None:
    filled(tmp_path)
    with Catalogue.open(url(tmp_path)) as writer:
        writer.annotations.append([event(1, "dog")])
        with as_a_stranger(tmp_path), Catalogue.open(url(tmp_path)) as reader:
            assert reader.annotations.last_sequence() == 2
            writer.annotations.append([event(2, "dog")])
            assert reader.annotations.last_sequence() == 3


def test_an_empty_folder_that_may_only_be_read_gets_no_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with as_a_stranger(folder), pytest.raises(StorageFailed):
        Catalogue.open(url(folder), create=True)
    assert list(folder.iterdir()) == []


def test_a_catalogue_of_a_newer_darkroom_is_not_touched(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = (tmp_path / "catalogue.db").read_bytes()
    with pytest.raises(Unsupported, match="newer Darkroom") as refused:
        Catalogue.open(url(tmp_path), create=True)
    assert "pip install" in refused.value.hint
    assert (tmp_path / "catalogue.db").read_bytes() == before


@pytest.mark.parametrize("length", [1, 100, 4096, 20_000])
def test_a_catalogue_that_was_cut_short_is_damaged(tmp_path: Path, length: int) -> None:
    filled(tmp_path)
    file = tmp_path / "catalogue.db"
    shutil.copy(file, tmp_path / "whole.db")
    os.truncate(file, length)
    with pytest.raises(Damaged), Catalogue.open(url(tmp_path), create=True) as catalogue:
        list(catalogue.images.ids())
        catalogue.annotations.append([event(1, "dog")])
    shutil.copy(tmp_path / "whole.db", file)
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert catalogue.annotations.append([event(1, "dog")])[0].sequence == 2


def test_a_disk_that_fills_up_under_labels_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, f"PRAGMA max_page_count = {pages + 4}"))
        with Catalogue.open(url(tmp_path)) as catalogue:
            with pytest.raises(StorageFailed, match="no room left") as refused:
                for number in range(10_000):
                    said += [one.key for one in catalogue.annotations.append([event(number % 3, "dog")])]
            assert "project clean" in refused.value.hint
            with pytest.raises(StorageFailed, match="no room left"):
                catalogue.datasets.freeze(version(name="x" * 20_000), [])
            assert catalogue.datasets.list() == []
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert [one.key for one in catalogue.annotations.since(1)] == said
        view = list(catalogue.annotations.current("class"))
        catalogue.annotations.rebuild_current()
        assert list(catalogue.annotations.current("class")) == view
        assert catalogue.annotations.append([event(0, "cat")])


def test_a_catalogue_deleted_under_a_process_takes_no_more_answers(tmp_path: Path) -> None:
    filled(tmp_path)
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert catalogue.annotations.last_sequence() == 1
        for path in tmp_path.iterdir():
            path.unlink()
        with pytest.raises(NotFound, match="gone"):
            catalogue.annotations.append([event(1, "dog")])
    with pytest.raises(NotFound, match="no catalogue"):
        Catalogue.open(url(tmp_path))


def test_a_catalogue_replaced_under_a_process_takes_no_more_answers(tmp_path: Path) -> None:
    filled(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    filled(other)
    with Catalogue.open(url(tmp_path)) as catalogue:
        catalogue.annotations.last_sequence()
        (other / "catalogue.db").replace(tmp_path / "catalogue.db")
        with pytest.raises(NotFound, match="another file"):
            catalogue.annotations.append([event(1, "dog")])


def test_on_a_full_disk_a_project_is_read_and_cleaned_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "ROOM_BYTES", 1 << 62)  # as much as no disk has
        with files_of_at_most(0), Catalogue.open(url(tmp_path)) as catalogue:
            assert catalogue.images.count() == 3
            assert catalogue.annotations.counts("class").labels == {"cat": 1}
            with pytest.raises(StorageFailed, match="no room left") as refused:
                catalogue.annotations.append([event(1, "dog")])
            assert "project clean" in refused.value.hint
        opened = Catalogue.open(url(tmp_path))
    with opened as catalogue:  # it was opened without room, and there is room by now
        catalogue.annotations.append([event(1, "dog")])
        assert catalogue.annotations.counts("class").labels == {"cat": 1, "dog": 1}


def test_an_existing_catalogue_that_finds_no_room_is_not_called_damaged(tmp_path: Path) -> None:
    filled(tmp_path)
    for size_bytes in (0, 100, 4_000):
        with files_of_at_most(size_bytes), pytest.raises(StorageFailed, match="disk refused"):
            Catalogue.open(url(tmp_path))
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert catalogue.images.count() == 3
