"""Features are computed once, for the key and the picture, and survive kills, company and damage."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import darkroom.features.store as store_module
from darkroom import atomic
from darkroom.errors import Cancelled, Invalid
from darkroom.features import FeatureStore
from darkroom.features.part import SUFFIX
from tests.datasets.projects import project
from tests.features.fake import Shots, Sums, expected
from tests.operations.test_forgetting import call
from tests.tree import ROOT


def right(shots: Shots) -> np.ndarray:
    return expected(shots.gather(np.arange(len(shots.image_ids))))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"*{SUFFIX}"))


def start(folder: Path, count: int, pause_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.features.writer", str(folder), str(count), str(pause_s)]
    return subprocess.Popen(command, cwd=ROOT)


def test_features_come_back_bit_for_bit_in_the_order_asked_for(tmp_path: Path) -> None:
    FeatureStore(tmp_path).of(Shots(range(50)), Sums())
    shots = Shots([7, 3, 49, 3, 0])
    table = FeatureStore(tmp_path).of(shots, Sums())
    assert table.image_ids == tuple(shots.image_ids)
    assert np.array_equal(table.array, right(shots))
    assert np.array_equal(table.gather(np.array([4, 4, 1])), right(shots)[[4, 4, 1]])


def test_only_pictures_that_are_missing_are_computed(tmp_path: Path) -> None:
    first = Sums()
    assert FeatureStore(tmp_path).of(Shots(range(20)), first).computed == 20
    assert len(first.asked) == 20
    second = Sums()
    table = FeatureStore(tmp_path).of(Shots(range(25)), second)
    assert second.asked == [f"image-{number}" for number in range(20, 25)]
    assert table.computed == 5
    assert np.array_equal(table.array, right(Shots(range(25))))
    third = Sums()
    assert FeatureStore(tmp_path).of(Shots(range(25)), third).computed == 0
    assert third.asked == []


def test_a_picture_that_is_asked_for_twice_is_computed_once(tmp_path: Path) -> None:
    embedder = Sums()
    table = FeatureStore(tmp_path).of(Shots([1, 1, 2, 1]), embedder)
    assert embedder.asked == ["image-1", "image-2"]
    assert np.array_equal(table.array, right(Shots([1, 1, 2, 1])))


def test_no_pictures_give_an_empty_table(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).of(Shots([]), Sums())
    assert table.array.shape == (0, 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "other"},
        {"options": {"width": 0.5}},
        {"weights_sha256": "b" * 64},
        {"contract": {"width_px": 4, "height_px": 3, "resize": "squash"}},
        {"mean": (0.4, 0.5, 0.5)},
        {"std": (0.4, 0.5, 0.5)},
        {"arithmetic": "numpy elsewhere"},
        {"view": 1},
        {"view": 1, "augment": {"crop": 0.2}},
        {"view": 1, "augment": {"crop": 0.2}, "augment_seed": 1},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_another_key_has_vectors_of_its_own(tmp_path: Path, changes: dict[str, object]) -> None:
    FeatureStore(tmp_path).of(Shots(range(4)), Sums())
    other = Sums(**changes)
    FeatureStore(tmp_path).of(Shots(range(4)), other)
    assert len(other.asked) == 4
    assert len(list(tmp_path.glob("*/key.json"))) == 2


def test_changed_bytes_are_noticed_and_only_they_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PART_BYTES", 16 * 20)
    FeatureStore(tmp_path).of(Shots(range(64)), Sums())
    files = parts(tmp_path)
    assert len(files) == 4
    for number, spoil in enumerate((_cut, _flip_row, _flip_header, _empty)):
        spoil(files[number])
        again = Sums()
        table = FeatureStore(tmp_path).of(Shots(range(64)), again)
        assert len(again.asked) == 16
        assert np.array_equal(table.array, right(Shots(range(64))))
        assert files[number] not in parts(tmp_path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip_row(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)


def _flip_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def test_killed_at_any_moment_it_goes_on_with_what_was_written(tmp_path: Path) -> None:
    for delay_s in (0.05, 0.15, 0.3):
        before = len(parts(tmp_path))
        process = start(tmp_path, 4000, 0.005)
        deadline = time.monotonic() + 60
        while len(parts(tmp_path)) <= before:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    embedder = Sums()
    table = FeatureStore(tmp_path).of(Shots(range(4000)), embedder)
    assert 0 < len(embedder.asked) < 4000
    assert np.array_equal(table.array, right(Shots(range(4000))))
    assert not list(tmp_path.rglob(".aside-*"))


def test_two_processes_at_once_compute_each_picture_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, 400, 0.002) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    found = [path.read_bytes().count(b'"image-') for path in parts(tmp_path)]
    assert sum(found) == 400
    embedder = Sums()
    table = FeatureStore(tmp_path).of(Shots(range(400)), embedder)
    assert embedder.asked == []
    assert np.array_equal(table.array, right(Shots(range(400))))


def test_being_stopped_keeps_what_was_computed(tmp_path: Path) -> None:
    embedder = Sums()
    store = FeatureStore(tmp_path, should_stop=lambda: len(embedder.asked) >= 16)
    with pytest.raises(Cancelled, match="after 16 of 40 pictures"):
        store.of(Shots(range(40)), embedder)
    again = Sums()
    assert FeatureStore(tmp_path).of(Shots(range(40)), again).computed == 24


def test_progress_ends_with_all_that_were_missing(tmp_path: Path) -> None:
    FeatureStore(tmp_path).of(Shots(range(10)), Sums())
    told: list[tuple[int, int]] = []
    FeatureStore(tmp_path, on_done=lambda *counts: told.append(counts)).of(Shots(range(30)), Sums())
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_a_file_names_its_pictures_in_plain_text_so_that_forgetting_finds_them(tmp_path: Path) -> None:
    FeatureStore(tmp_path).of(Shots(range(20)), Sums())
    [file] = parts(tmp_path)
    assert b'"image-7"' in file.read_bytes()


def test_features_that_are_no_numbers_are_refused_with_the_picture(tmp_path: Path) -> None:
    class Broken(Sums):
        def embed(self, images, image_ids):
            rows = super().embed(images, image_ids)
            rows[2, 1] = np.nan
            return rows

    with pytest.raises(Invalid, match="image-2"):
        FeatureStore(tmp_path).of(Shots(range(8)), Broken())
    assert parts(tmp_path) == []


def test_an_embedder_that_breaks_its_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"\(8, 5\).*\(8, 6\)"):
        FeatureStore(tmp_path).of(Shots(range(8)), Sums(size=6))


def test_memory_stays_flat_over_many_pictures(tmp_path: Path) -> None:
    class Wide(Sums):
        def embed(self, images, image_ids):
            return np.repeat(super().embed(images, image_ids), 256, axis=1)

    def most_bytes(count: int) -> int:
        tracemalloc.start()
        table = FeatureStore(tmp_path / str(count)).of(Shots(range(count)), Wide(256, size=1280))
        for first in range(0, count, 256):
            table.gather(np.arange(first, min(first + 256, count)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = most_bytes(4_000), most_bytes(20_000)
    rows_bytes = 16_000 * 1280 * 4
    assert many - few < 0.15 * rows_bytes


def test_features_that_a_process_reads_are_not_cleaned_away_beneath_it(tmp_path: Path) -> None:
    with project(tmp_path / "p") as workspace:
        folder = workspace.features_folder
        FeatureStore(folder).of(Shots(range(20)), Sums())
        command = [sys.executable, "-m", "tests.features.reader", str(folder), "20"]
        reader = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"held\n"
        kept = call(workspace, "project.clean", what=("caches",)).kept
        assert [(one.path, one.why) for one in kept] == [
            (f".darkroom/features/{Sums().key.id}", "a process uses it")
        ]
        reader.communicate(b"go on\n", timeout=60)
        assert reader.returncode == 0
        assert len(call(workspace, "project.clean", what=("caches",)).deleted) == 1
        assert parts(folder) == []


def test_a_table_holds_its_features_until_it_goes(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).of(Shots(range(8)), Sums())
    folder = tmp_path / Sums().key.id
    assert not atomic.remove(folder)
    again = FeatureStore(tmp_path).of(Shots(range(4)), Sums())
    del table
    assert not atomic.remove(folder)
    del again
    assert atomic.remove(folder)
    assert FeatureStore(tmp_path).of(Shots(range(8)), Sums()).computed == 8
