"""Renderings: the contract's pixels, whole or not at all, made once, and gathered exactly."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.datasets import RenderedSplit, freeze, render
from darkroom.datasets import shards as shards_module
from darkroom.datasets.renderer import rendering_folder
from darkroom.errors import Damaged, Invalid, NotFound, StorageFailed
from darkroom.images import prepare
from darkroom.records import Contract, DatasetVersion
from darkroom.settings import Settings
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, project, scanned, touch
from tests.formats.pictures import png, put

CONTRACT = Contract(width_px=6, height_px=7)


@pytest.fixture
def frozen(tmp_path: Path) -> tuple[Workspace, DatasetVersion]:
    workspace, _ = scanned(tmp_path, {"cat": 20, "dog": 20})
    return workspace, freeze(workspace, name="pets", contract=CONTRACT)


def pictures(folder: Path) -> dict[bytes, Path]:
    return {path.read_bytes(): path for path in folder.rglob("*.png")}


def all_pixels(split: RenderedSplit) -> np.ndarray:
    return split.gather(np.arange(len(split)))


def test_each_tensor_is_what_the_contract_makes_of_the_picture(frozen) -> None:
    workspace, version = frozen
    rendering = render(workspace, version)
    for name, count in version.counts.items():
        split = rendering.split(name)
        assert (len(split), split.shape) == (count, (7, 6, 3))
        members = list(workspace.catalogue.datasets.members(version.ref, name))
        assert split.image_ids == tuple(member.image_id for member in members)
        assert [version.classes[label] for label in split.labels] == [member.label for member in members]
        assert split.labels.dtype == np.int64
        assert split.groups == (None,) * count
        expected = [prepare(workspace.read_image(one), CONTRACT) for one in split.image_ids]
        assert np.array_equal(all_pixels(split), expected)


def test_a_split_without_pictures_is_empty(frozen) -> None:
    workspace, version = frozen
    split = render(workspace, version).split("field")
    assert (len(split), split.labels.shape, split.image_ids) == (0, (0,), ())
    assert split.gather(np.arange(0)).shape == (0, 7, 6, 3)


def test_grey_tensors_have_one_channel(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    contract = Contract(width_px=5, height_px=5, colour="grey")
    split = render(workspace, freeze(workspace, name="pets", contract=contract)).split("train")
    assert all_pixels(split).shape == (6, 5, 5, 1)


def test_a_second_call_takes_what_is_there(frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, version = frozen
    first = render(workspace, version)
    monkeypatch.setattr("darkroom.datasets.renderer._write", None)
    again = render(workspace, version)
    assert np.array_equal(all_pixels(again.split("train")), all_pixels(first.split("train")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 23), max_size=40), st.booleans())
def test_any_pictures_are_gathered_in_any_order(frozen, indices: list[int], reuse: bool) -> None:
    workspace, version = frozen
    split = render(workspace, version).split("train")
    wanted = np.array(indices, np.int64)
    buffer = np.full((len(wanted), *split.shape), 7, np.uint8) if reuse else None
    found = split.gather(wanted, out=buffer)
    assert np.array_equal(found, all_pixels(split)[wanted])
    if reuse:
        assert found is buffer


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures to a batch, four to a file."""
    row = 7 * 6 * 3
    monkeypatch.setattr(
        shards_module.Shards.__init__, "__kwdefaults__", {"batch_bytes": 2 * row, "shard_bytes": 4 * row}
    )


@pytest.mark.usefixtures("small_shards")
def test_many_files_and_batches_are_one_split(frozen) -> None:
    workspace, version = frozen
    rendering = render(workspace, version)
    split = rendering.split("train")
    assert sorted(path.name for path in rendering.folder.glob("train-*")) == [
        f"train-{number:05d}.arrow" for number in range(6)
    ]
    assert len(split) == 24
    expected = [prepare(workspace.read_image(one), CONTRACT) for one in split.image_ids]
    assert np.array_equal(all_pixels(split), expected)
    mixed = np.array([23, 0, 5, 5, 12, 1])
    assert np.array_equal(split.gather(mixed), np.array(expected)[mixed])
    assert render(workspace, version).split("train").image_ids == split.image_ids


@pytest.mark.parametrize("indices", [[-1], [24], [0, 99]])
def test_an_index_out_of_range_is_refused(frozen, indices: list[int]) -> None:
    workspace, version = frozen
    with pytest.raises(Invalid, match="The split has 24 pictures"):
        render(workspace, version).split("train").gather(np.array(indices))


def test_a_buffer_of_another_shape_is_refused(frozen) -> None:
    workspace, version = frozen
    split = render(workspace, version).split("train")
    for wrong in (np.empty((3, *split.shape), np.uint8), np.empty((2, *split.shape), np.float32)):
        with pytest.raises(Invalid, match="Expected a buffer of"):
            split.gather(np.array([0, 1]), out=wrong)


def test_the_files_are_read_by_arrow_alone(frozen) -> None:
    workspace, version = frozen
    folder = render(workspace, version).folder
    table = pa.ipc.open_file(str(folder / "val-00000.arrow")).read_all()
    assert table.column_names == ["image_id", "label", "group", "pixels"]
    assert table.schema.metadata[b"shape"] == b"7,6,3"
    first = prepare(workspace.read_image(table["image_id"][0].as_py()), CONTRACT)
    assert table["pixels"][0].as_py() == first.tobytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["dataset"], manifest["counts"]) == (version.id, dict(version.counts))


def damage_pixels(folder: Path) -> None:
    path = folder / "train-00000.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    touch(path)


def damage_header(folder: Path) -> None:
    path = folder / "train-00000.arrow"
    path.write_bytes(b"\0" * 32 + path.read_bytes()[32:])
    touch(path)


def cut(folder: Path) -> None:
    path = folder / "val-00000.arrow"
    path.write_bytes(path.read_bytes()[:-100])


def garble_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def of_another(folder: Path) -> None:
    facts = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(facts | {"dataset": "0" * 64}))


def fewer_rows(folder: Path) -> None:
    facts = json.loads((folder / "manifest.json").read_text())
    facts["shards"][0]["rows"] -= 1
    (folder / "manifest.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    "harm",
    [
        damage_pixels,
        damage_header,
        cut,
        garble_manifest,
        of_another,
        fewer_rows,
        lambda folder: (folder / "test-00000.arrow").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
)
def test_a_damaged_rendering_is_noticed_and_made_anew(frozen, harm) -> None:
    workspace, version = frozen
    rendering = render(workspace, version)
    before = {name: all_pixels(rendering.split(name)) for name in version.counts}
    harm(rendering.folder)
    again = render(workspace, version)
    assert all(np.array_equal(all_pixels(again.split(name)), pixels) for name, pixels in before.items())


def test_a_copied_rendering_is_whole_by_its_checksums(frozen) -> None:
    workspace, version = frozen
    folder = render(workspace, version).folder
    for path in folder.glob("*.arrow"):
        touch(path)
    files = {path: path.stat().st_ino for path in folder.iterdir()}
    render(workspace, version)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == files


def test_after_another_start_of_the_machine_checksums_decide_once(frozen, monkeypatch) -> None:
    workspace, version = frozen
    folder = render(workspace, version).folder
    monkeypatch.setattr("darkroom.atomic.start_of_machine", lambda: "another start")
    looked: list[Path] = []
    whole = shards_module.checksum
    monkeypatch.setattr(shards_module, "checksum", lambda path: looked.append(path) or whole(path))
    render(workspace, version)
    assert sorted(looked) == sorted(folder.glob("*.arrow"))
    render(workspace, version)
    assert len(looked) == len(list(folder.glob("*.arrow")))


def test_pixels_that_a_power_cut_took_are_noticed_and_made_anew(frozen, monkeypatch) -> None:
    workspace, version = frozen
    rendering = render(workspace, version)
    before = all_pixels(rendering.split("train"))
    path = next(rendering.folder.glob("train-*.arrow"))
    facts, data = path.stat(), bytearray(path.read_bytes())
    place = data.index(before[0].tobytes())
    data[place : place + before[0].size] = bytes(before[0].size)
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # size and time are those that were noted
    monkeypatch.setattr("darkroom.atomic.start_of_machine", lambda: "another start")
    assert np.array_equal(all_pixels(render(workspace, version).split("train")), before)


def test_a_picture_that_vanished_is_named_and_nothing_is_left(frozen, tmp_path: Path) -> None:
    workspace, version = frozen
    (tmp_path / "pictures" / "cat" / "3.png").unlink()
    with pytest.raises(NotFound, match=r"cat/3\.png is gone"):
        render(workspace, version)
    assert [path for path in workspace.renderings.iterdir() if path.is_dir()] == []


def test_a_picture_that_changed_is_named(frozen, tmp_path: Path) -> None:
    workspace, version = frozen
    (tmp_path / "pictures" / "cat" / "3.png").write_bytes(png(999, 9))
    with pytest.raises(Damaged, match=r"cat/3\.png is not the picture that was added"):
        render(workspace, version)


def test_a_picture_that_changed_behind_its_time_is_named(frozen, tmp_path: Path) -> None:
    workspace, version = frozen
    path = tmp_path / "pictures" / "cat" / "3.png"
    facts = path.stat()
    path.write_bytes(b"x" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(Damaged, match=r"cat/3\.png was a picture when it was added"):
        render(workspace, version)


def test_a_damaged_blob_is_named(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    source = add(workspace, "pictures", mode="copy")
    scan_folder(workspace, source)
    version = freeze(workspace, name="pets", contract=CONTRACT)
    for path in (tmp_path / "pictures").rglob("*.png"):
        path.unlink()
    render(workspace, version)
    member = next(workspace.catalogue.datasets.members(version.ref))
    Path(workspace.blobs.path(member.image_id)).write_bytes(png(999))
    (rendering_folder(workspace, version) / "manifest.json").unlink()
    with pytest.raises(Damaged, match="does not hold the bytes"):
        render(workspace, version)


def test_a_full_disk_is_told_and_nothing_is_left(frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, version = frozen

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageFailed, match="no room left"):
            render(workspace, version)
    assert [path for path in workspace.renderings.iterdir() if path.is_dir()] == []
    assert len(render(workspace, version).split("train")) == 24


def test_several_classes_become_rows_of_0_and_1(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", *(f"{number}.png" for number in range(9)))
    rows = [f"{number}.png,{('cat|dog', 'dog', '|')[number % 3]}" for number in range(9)]
    (folder / "annotations.csv").write_text("\n".join(["image,labels", *rows]))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="pets", task="multi-label", contract=CONTRACT)
    split = render(workspace, version).split("train")
    assert split.labels.shape == (len(split), 2)
    assert {tuple(row) for row in split.labels.tolist()} <= {(1, 1), (0, 1), (0, 0)}
    found = [member.label for member in workspace.catalogue.datasets.members(version.ref, "train")]
    assert [
        {(1, 1): "cat|dog", (0, 1): "dog", (0, 0): ""}[tuple(row)] for row in split.labels.tolist()
    ] == found


def rendered_elsewhere(root: str) -> tuple[int, int]:
    """Renders in a process of its own; says how many pictures, and the inode of the manifest."""
    with Workspace(Path(root), settings=Settings(workers=1)) as workspace:
        rendering = render(workspace, workspace.catalogue.datasets.get("pets"))
        return len(rendering.split("train")), (rendering.folder / "manifest.json").stat().st_ino


def test_two_processes_that_ask_at_once_make_it_once(frozen) -> None:
    workspace, _ = frozen
    workspace.close()
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.map(rendered_elsewhere, [str(workspace.root)] * 6, 1)
    assert found == [(24, found[0][1])] * 6
    assert [path.name for path in workspace.renderings.iterdir() if path.name.startswith(".aside")] == []


RENDER = """
import sys
from pathlib import Path
from darkroom.datasets import render
from darkroom.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
print("begin", flush=True)
render(workspace, workspace.catalogue.datasets.get("flowers"))
print("end", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_is_whole_the_next_time(tmp_path: Path, shared_data: Path) -> None:
    workspace = project(tmp_path)
    workspace.settings = Settings(workers=2)
    scan_folder(workspace, add(workspace, shared_data / "flowers"))
    version = freeze(workspace, name="flowers", contract=Contract(width_px=64, height_px=64))
    rng = np.random.default_rng(0)
    for delay_s in rng.uniform(0.0, 2.0, 8):
        run = subprocess.Popen([sys.executable, "-c", RENDER, str(tmp_path)], stdout=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(delay_s)
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stdout.close()
    split = render(workspace, version).split("test")
    expected = [prepare(workspace.read_image(one), version.contract) for one in split.image_ids]
    assert np.array_equal(all_pixels(split), expected)


def test_the_flowers_are_rendered_by_worker_processes(tmp_path: Path, shared_data: Path) -> None:
    workspace = project(tmp_path)
    workspace.settings = Settings(workers=2)
    scan_folder(workspace, add(workspace, shared_data / "flowers"))
    version = freeze(workspace, name="flowers", contract=Contract(width_px=32, height_px=32, resize="fill"))
    seen: list[int] = []
    workspace.listener = lambda progress: seen.append(progress.done)
    rendering = render(workspace, version)
    for name in ("train", "val", "test"):
        split = rendering.split(name)
        for place in range(0, len(split), 29):
            expected = prepare(workspace.read_image(split.image_ids[place]), version.contract)
            assert np.array_equal(split.gather(np.array([place]))[0], expected)
    assert seen == sorted(seen)
    assert seen[-1] == sum(version.counts.values())
