"""The line of writers before a SQLite file: in order, with an end to the waiting, and nobody dead in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from darkroom.catalogue import Catalogue, sqlite
from darkroom.catalogue.database import CHUNK, TURN_S, turns
from darkroom.catalogue.line import last_writer, line_of, stand_in_line
from darkroom.errors import Locked
from tests.conformance.examples import event, images

pytest.importorskip("fcntl", reason="the line needs locks of Unix")

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys, time
from pathlib import Path
from darkroom.catalogue.line import stand_in_line
with stand_in_line(Path(sys.argv[1]), 30) as reached:
    print(reached, flush=True)
    time.sleep(60)
"""


def holder(database: Path | str, code: str = HOLDER) -> subprocess.Popen[str]:
    """A process at the head of the line, or with the lock itself, which stays there."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(database)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_whoever_came_first_goes_first(tmp_path: Path) -> None:
    database, order = tmp_path / "catalogue.db", list[int]()

    def stand(number: int) -> None:
        with stand_in_line(database, 30) as reached:
            assert reached
            order.append(number)

    waiting = [threading.Thread(target=stand, args=(number,)) for number in range(8)]
    with stand_in_line(database, 30):
        for thread in waiting:
            thread.start()
            time.sleep(0.03)
    for thread in waiting:
        thread.join()
    assert order == list(range(8))


def test_waiting_ends_and_a_place_given_up_holds_nobody_up(tmp_path: Path) -> None:
    database = tmp_path / "catalogue.db"
    process = holder(database)
    began = time.monotonic()
    with stand_in_line(database, 0.1) as reached:
        assert not reached
    assert time.monotonic() - began < 5
    end(process)
    with stand_in_line(database, 10) as reached:
        assert reached


def test_a_killed_process_steps_out_of_the_line(tmp_path: Path) -> None:
    database = tmp_path / "catalogue.db"
    first = holder(database)
    second = subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    second.kill()
    second.wait()
    end(first)
    with stand_in_line(database, 10) as reached:
        assert reached


def test_a_stopped_process_at_the_head_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LINE_S", 0.2)
    with Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        process = holder(tmp_path / "catalogue.db")
        process.send_signal(signal.SIGSTOP)
        assert catalogue.images.add(images(1)) == 1
        end(process)


def test_a_process_that_holds_the_catalogue_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 300)
    place = f"sqlite:///{tmp_path / 'catalogue.db'}"
    with Catalogue.open(place, create=True) as catalogue:
        code = (
            "import sys, time\nfrom darkroom.catalogue import Catalogue\n"
            "with Catalogue.open(sys.argv[1])._database.write():\n"
            "    print('True', flush=True)\n    time.sleep(60)\n"
        )
        process = holder(place, code)
        with pytest.raises(Locked, match=f"process {process.pid} "):
            catalogue.images.add(images(1))
        assert catalogue.images.count() == 0, "reading goes on"
        end(process)
        assert last_writer(tmp_path / "catalogue.db") is None, "it lives no more"
        assert catalogue.images.add(images(1)) == 1


def test_a_line_file_that_is_gone_or_broken_stops_nobody(tmp_path: Path) -> None:
    database = tmp_path / "catalogue.db"
    with Catalogue.open(f"sqlite:///{database}", create=True) as catalogue:
        found = last_writer(database)
        assert found is not None
        assert found[0] == os.getpid()
        line_of(database).write_bytes(b"\xff not a number")
        assert last_writer(database) is None
        assert catalogue.images.add(images(1)) == 1
        line_of(database).unlink()
        assert catalogue.images.add(images(2)) == 1
        line_of(database).unlink()
        line_of(database).mkdir()
        assert catalogue.images.add(images(3)) == 1


def test_transactions_of_a_bulk_write_last_as_long_as_asked_for(tmp_path: Path) -> None:
    sizes = list[int]()
    with Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        for chunk in turns(range(6000)):
            sizes.append(len(chunk))
            with catalogue._database.write():
                time.sleep(len(chunk) * 1e-4)
    assert sum(sizes) == 6000
    # At a tenth of a millisecond a row, 0.03 s hold 300 rows.
    assert max(sizes[1:-1]) <= 2 * TURN_S / 1e-4 <= CHUNK
    assert min(sizes[:-1]) >= 50


def test_a_bulk_write_that_nobody_disturbs_takes_long_steps(tmp_path: Path) -> None:
    with Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        sizes = list[int]()
        for chunk in turns(range(20_000)):
            sizes.append(len(chunk))
            with catalogue._database.write():
                pass
        assert max(sizes) == CHUNK
        catalogue.images.add(images(3))
        assert len(catalogue.annotations.append([event(0, "cat")])) == 1
