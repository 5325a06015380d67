"""The folder handed over: everything in it, names that a person can read, replaced as a whole."""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from darkroom.datasets import deliver, freeze
from darkroom.errors import NotFound, StorageFailed
from darkroom.formats import FORMATS, load_mask
from darkroom.records import Contract, DatasetVersion
from darkroom.sources import scan_folder
from darkroom.spreadsheet import unescape
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, project, scanned
from tests.formats.pictures import mask_png, png, put

CONTRACT = Contract(width_px=8, height_px=8)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "annotations.csv").open(newline="", encoding="utf-8") as file:
        return [{key: unescape(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def pets(folder: Path, counts: dict[str, int] | None = None) -> tuple[Workspace, DatasetVersion]:
    workspace, _ = scanned(folder, counts or {"cat": 10, "dog": 10})
    return workspace, freeze(workspace, name="pets", contract=CONTRACT)


def test_each_split_holds_its_pictures_under_their_classes_and_a_table(tmp_path: Path) -> None:
    workspace, version = pets(tmp_path)
    folder = deliver(workspace, version, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "test", "train", "val"]
    for split, count in version.counts.items():
        rows = table(folder / split)
        members = list(workspace.catalogue.datasets.members(version.ref, split))
        assert [(row["image_id"], row["label"]) for row in rows] == [
            (one.image_id, one.label) for one in members
        ]
        assert len(list((folder / split).rglob("*.png"))) == count == len(rows)
        for row in rows:
            data = (folder / split / row["image"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == row["image_id"]
            assert row["image"].split("/")[0] == row["label"]
            assert row["source_file"].startswith("s-1/")
    readme = (folder / "README.txt").read_text()
    assert version.id in readme
    assert "cat, dog" in readme


def test_other_formats_read_it_back(tmp_path: Path) -> None:
    workspace, version = pets(tmp_path)
    folder = deliver(workspace, version, tmp_path / "out")
    found = [(entry.split, entry.value) for entry in FORMATS["class-folders"].read(folder).entries]
    assert len(found) == 20
    assert {split for split, _ in found} == {"train", "val", "test"}
    reading = FORMATS["csv"].read(folder / "train")
    assert len(list(reading.entries)) == version.counts["train"]
    assert reading.problems == []


def test_pictures_are_linked_copied_or_left_out(tmp_path: Path) -> None:
    workspace, version = pets(tmp_path)

    def links(pictures) -> set[int]:
        folder = deliver(workspace, version, tmp_path / pictures, pictures=pictures)
        return {path.stat().st_nlink for path in folder.rglob("*.png")}

    assert links("copy") == {1}
    assert links("none") == set()
    assert links("link") == {2}
    assert len(table(tmp_path / "none" / "train")) == 12


def test_where_links_cannot_be_made_pictures_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, version = pets(tmp_path)

    def refused(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    folder = deliver(workspace, version, tmp_path / "out")
    assert {path.stat().st_nlink for path in folder.rglob("*.png")} == {1}


def test_a_blob_is_never_linked(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    scan_folder(workspace, add(workspace, "pictures", mode="copy"))
    version = freeze(workspace, name="pets", contract=CONTRACT)
    for path in (tmp_path / "pictures").rglob("*.png"):
        path.unlink()
    folder = deliver(workspace, version, tmp_path / "out")
    assert {path.stat().st_nlink for path in folder.rglob("*.png")} == {1}
    assert len(list(folder.rglob("*.png"))) == 10


def test_what_was_handed_over_before_is_replaced_as_a_whole(tmp_path: Path) -> None:
    workspace, version = pets(tmp_path)
    folder = deliver(workspace, version, tmp_path / "out")
    (folder / "train" / "stale.png").write_bytes(b"x")
    deliver(workspace, version, folder)
    assert not (folder / "train" / "stale.png").exists()


def test_when_a_picture_is_gone_the_old_folder_stays(tmp_path: Path) -> None:
    workspace, version = pets(tmp_path)
    folder = deliver(workspace, version, tmp_path / "out", pictures="copy")
    (tmp_path / "pictures" / "cat" / "0.png").unlink()
    with pytest.raises(NotFound):
        deliver(workspace, version, folder)
    assert len(list(folder.rglob("*.png"))) == 20
    assert [path.name for path in tmp_path.glob(".aside-*")] == []


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, version = pets(tmp_path)
    folder = deliver(workspace, version, tmp_path / "out")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StorageFailed):
        deliver(workspace, version, folder, pictures="copy")
    assert len(list(folder.rglob("*.png"))) == 20


STRANGE = {
    "a/b": 4,
    "a_b": 4,
    "A_B": 4,
    "..": 4,
    "=cmd()": 4,
    "شجرة 🌳": 4,
    "annotations.csv": 4,
    "x" * 300: 4,
}


def test_any_class_finds_a_folder_of_its_own(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    names = [(label, number) for label, count in STRANGE.items() for number in range(count)]
    folder = put(tmp_path / "pictures", *(f"{place}.png" for place in range(len(names))))
    with (folder / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("image", "label"), *((f"{n}.png", one) for n, (one, _) in enumerate(names))]
        )
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="pets", contract=CONTRACT)
    out = deliver(workspace, version, tmp_path / "out")
    rows = table(out / "train")
    folders = {row["label"]: row["image"].split("/")[0] for row in rows}
    assert set(folders) == set(STRANGE)
    assert len({name.casefold() for name in folders.values()}) == len(STRANGE)
    assert folders["شجرة 🌳"] == "شجرة 🌳"
    assert all((out / "train" / row["image"]).is_file() for row in rows)
    assert not any(name.startswith(".") for name in folders.values())


def test_pictures_of_one_name_get_different_names(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    seed = 0
    for place in ("x", "y", "Z"):
        for label in ("cat", "dog"):
            for number in range(5):
                path = tmp_path / "pictures" / label / place / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(seed))
                seed += 1
    scan_folder(workspace, add(workspace, "pictures"))
    version = freeze(workspace, name="pets", contract=CONTRACT)
    folder = deliver(workspace, version, tmp_path / "out")
    assert len(list(folder.rglob("*.png"))) == 30
    assert (folder / "train" / "cat" / "0.png").is_file()


def test_masks_lie_beside_their_pictures(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", *(f"images/{number}.png" for number in range(9)))
    (folder / "masks").mkdir()
    for number in range(9):
        (folder / "masks" / f"{number}.png").write_bytes(mask_png(np.full((4, 5), number % 2), "P"))
    (folder / "classes.txt").write_text("sky\nroad\n")
    scan_folder(workspace, add(workspace, "pictures", format="png-masks"))
    version = freeze(workspace, name="street", task="segmentation")
    out = deliver(workspace, version, tmp_path / "out")
    assert (out / "classes.txt").read_text() == "0 sky\n1 road\n"
    for split in version.counts:
        for row in table(out / split):
            number = int(Path(row["image"]).stem)
            assert set(np.unique(load_mask(out / split / row["label"], {0: 0, 1: 1}))) == {number % 2}


def test_groups_stand_in_the_table(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", *(f"{number}.png" for number in range(20)))
    rows = [f"{number}.png,{'cat' if number % 2 else 'dog'},=g{number // 2}" for number in range(20)]
    (folder / "annotations.csv").write_text("\n".join(["image,label,group", *rows]))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="pets", contract=CONTRACT)
    out = deliver(workspace, version, tmp_path / "out")
    groups = {row["group"] for split in version.counts for row in table(out / split)}
    assert groups == {f"=g{number}" for number in range(10)}
    assert ",'=g" in (out / "train" / "annotations.csv").read_text()
