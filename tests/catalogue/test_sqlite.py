"""SQLite under the catalogue: how its file is opened, refused and kept."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkroom.catalogue import Catalogue, filesystem, sqlite
from darkroom.catalogue.database import connect
from darkroom.errors import Damaged, DarkroomError, Locked, NotFound, StorageFailed, Unsupported
from tests.conformance.examples import event, images


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'catalogue.db'}"


def test_every_connection_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    Catalogue.open(url(tmp_path), create=True).close()
    database = connect(url(tmp_path), create=False)
    with database.read() as connection:
        said = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == sqlite.BUSY_TIMEOUT_MS
    database.close()
    assert said == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": sqlite.BUSY_TIMEOUT_MS,
    }


def test_a_catalogue_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no catalogue at"):
        Catalogue.open(url(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="No folder"):
        Catalogue.open(url(tmp_path / "gone"), create=True)


@pytest.mark.parametrize(
    "wrong", ["mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:", "catalogue.db", ""]
)
def test_a_url_that_is_no_catalogue_is_refused(wrong: str) -> None:
    with pytest.raises(Unsupported):
        Catalogue.open(wrong, create=True)


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        ("server:/home {folder} nfs4 rw 0 0", "nfs4"),
        ("//server/share {folder} cifs rw 0 0", "cifs"),
        ("me@host:/x {folder} fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("C:\\134 {folder} 9p rw 0 0", "9p"),
        ("/dev/sdb1 {folder} ext4 rw 0 0\nserver:/x {folder} nfs rw 0 0", "nfs"),
    ],
)
def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str, kind: str
) -> None:
    inner = tmp_path / "a project" / "deep"
    inner.mkdir(parents=True)
    escaped = str(tmp_path / "a project").replace(" ", "\\040")
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\n{mount.format(folder=escaped)}\n")
    monkeypatch.setattr(filesystem, "MOUNTS", table)
    monkeypatch.setattr(sys, "platform", "linux")
    assert filesystem.network_file_system(inner) == kind
    assert filesystem.network_file_system(tmp_path) is None
    with pytest.raises(Unsupported, match=kind):
        Catalogue.open(url(inner), create=True)
    assert list(inner.iterdir()) == []


def test_a_local_file_system_mounted_inside_a_network_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        f"server:/ {tmp_path.parent} nfs rw 0 0\n/dev/sdb1 {tmp_path} ext4 rw 0 0\n"
        f"server:/y {tmp_path}-y nfs rw 0 0\n"
    )
    monkeypatch.setattr(filesystem, "MOUNTS", table)
    monkeypatch.setattr(sys, "platform", "linux")
    assert filesystem.network_file_system(tmp_path / "not there yet") is None


def test_the_disk_of_this_machine_is_no_network(tmp_path: Path) -> None:
    assert filesystem.network_file_system(tmp_path) is None


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "catalogue.db").write_bytes(b"this is a text, and a long one" * 100)
    with pytest.raises(Damaged, match="cannot be read"):
        Catalogue.open(url(tmp_path), create=True)


def test_a_database_with_overwritten_pages_is_damaged(tmp_path: Path) -> None:
    with Catalogue.open(url(tmp_path), create=True) as catalogue:
        catalogue.images.add(images(500))
    file = tmp_path / "catalogue.db"
    data = bytearray(file.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    file.write_bytes(data)
    with pytest.raises(Damaged), Catalogue.open(url(tmp_path)) as catalogue:
        list(catalogue.images.ids())


def test_a_lock_that_is_never_given_back_ends_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 200)
    with Catalogue.open(url(tmp_path), create=True) as catalogue:
        other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(Locked, match="another process"):
            catalogue.images.add(images(1))
        assert time.monotonic() - began < 5
        assert catalogue.images.count() == 0  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert catalogue.images.add(images(1)) == 1


def test_a_full_disk_leaves_the_catalogue_as_it_was(tmp_path: Path) -> None:
    with Catalogue.open(url(tmp_path), create=True) as catalogue:
        catalogue.images.add(images(10))
        with catalogue._database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    # Every connection is told that there is no room: SQLite's own way to try a full disk.
    room = f"PRAGMA max_page_count = {pages + 5}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, room))
        with Catalogue.open(url(tmp_path)) as catalogue:
            with pytest.raises(StorageFailed, match="full"):
                catalogue.images.add(images(1500))
            assert catalogue.images.count() == 10
    with Catalogue.open(url(tmp_path)) as catalogue:
        assert catalogue.images.add(images(1500)) == 1490


def test_a_moved_project_takes_its_catalogue_along(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with Catalogue.open(url(tmp_path / "here"), create=True) as catalogue:
        catalogue.images.add(images(3))
        catalogue.annotations.append([event(0, "cat")])
    (tmp_path / "here").rename(tmp_path / "there")
    with Catalogue.open(url(tmp_path / "there")) as catalogue:
        assert catalogue.annotations.last_sequence() == 1


def test_a_path_relative_to_here_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Catalogue.open("sqlite:///a b ü.db", create=True).close()
    assert (tmp_path / "a b ü.db").is_file()


def test_an_unreachable_server_is_said_without_the_password() -> None:
    with pytest.raises(DarkroomError) as refused:
        Catalogue.open("postgresql://ann:secret@127.0.0.1:1/x")
    assert isinstance(refused.value, StorageFailed)
    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_importing_the_room_loads_no_sql_and_opening_loads_no_migrations(tmp_path: Path) -> None:
    Catalogue.open(url(tmp_path), create=True).close()
    code = (
        "import sys, darkroom.catalogue\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        f"darkroom.catalogue.Catalogue.open({url(tmp_path)!r}).images.count()\n"
        "assert 'sqlalchemy' in sys.modules and 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
