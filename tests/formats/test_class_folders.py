"""The folder is the class: nested splits, names of all kinds, what is skipped."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from darkroom.errors import Conflict, Invalid
from darkroom.formats.class_folders import read_class_folders, write_class_folders
from darkroom.formats.format import Export, Picture
from darkroom.records import ClassesLabel, ClassLabel
from tests.formats.pictures import png, put

STRANGE = [
    "with space",
    "dots.v1.0",
    "🌷 tulip",
    "شجرة",
    "日本語",
    "a'b\"c",
    "-dash",
    "UPPER",
    "#1 & co",
    "ß",
]


def labels(folder: Path) -> dict[str, tuple[str | None, str | None]]:
    found = {}
    for entry in read_class_folders(folder).entries:
        assert entry.value is None or isinstance(entry.value, ClassLabel)
        found[entry.path] = (entry.value.label if entry.value else None, entry.split)
    return found


def test_the_first_folder_is_the_class_and_deeper_ones_only_keep_order(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "cat/2019/june/2.jpg", "dog/3.jpg")
    assert labels(tmp_path) == {
        "cat/1.jpg": ("cat", None),
        "cat/2019/june/2.jpg": ("cat", None),
        "dog/3.jpg": ("dog", None),
    }
    assert read_class_folders(tmp_path).classes == ("cat", "dog")


def test_a_picture_beside_the_class_folders_has_no_label(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "loose.jpg")
    assert labels(tmp_path)["loose.jpg"] == (None, None)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Validation", "Testing")])
def test_folders_called_like_splits_are_splits(tmp_path: Path, names: tuple[str, str, str]) -> None:
    put(tmp_path, *(f"{name}/cat/{name}.jpg" for name in names))
    assert list(labels(tmp_path).values()) == [("cat", "test"), ("cat", "train"), ("cat", "val")]
    assert read_class_folders(tmp_path).classes == ("cat",)


def test_split_folders_may_hold_pictures_without_a_class(tmp_path: Path) -> None:
    put(tmp_path, "train/1.jpg", "test/cat/2.jpg")
    assert labels(tmp_path) == {"train/1.jpg": (None, "train"), "test/cat/2.jpg": ("cat", "test")}


def test_a_lone_folder_called_test_is_a_class(tmp_path: Path) -> None:
    put(tmp_path, "test/1.jpg")
    assert labels(tmp_path) == {"test/1.jpg": ("test", None)}


def test_a_class_called_test_among_others_is_a_class(tmp_path: Path) -> None:
    put(tmp_path, "test/1.jpg", "cat/2.jpg")
    assert labels(tmp_path)["test/1.jpg"] == ("test", None)


@pytest.mark.parametrize("name", STRANGE)
def test_a_class_may_be_called_anything(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/1.jpg", "other/2.jpg")
    assert labels(tmp_path)[f"{name}/1.jpg"] == (name, None)


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    put(tmp_path, "caf\u00e9/1.jpg", "cafe\u0301/2.jpg", "tea/3.jpg")
    assert {label for label, _ in labels(tmp_path).values()} == {"caf\u00e9", "tea"}
    assert unicodedata.is_normalized("NFC", read_class_folders(tmp_path).classes[0])


def test_files_that_are_no_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "README.md").write_text("x")
    reading = read_class_folders(tmp_path)
    assert [entry.path for entry in reading.entries] == ["cat/1.jpg"]
    assert reading.skipped == ["README.md", "cat/notes.txt"]


def export(*labels: str, split: str | None = None) -> Export:
    pictures = [
        Picture(f"{place}.png", png(place), ClassLabel(label=label), split)  # type: ignore[arg-type]
        for place, label in enumerate(labels)
    ]
    return Export(tuple(sorted(set(labels))), "classification", pictures)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", ".hidden", "x" * 300, "nul\0", "cafe\u0301"]
)
def test_a_class_that_cannot_be_a_folder_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="cannot be the name of a folder"):
        write_class_folders(tmp_path / "out", export("good", name))
    assert list(tmp_path.iterdir()) == []


def test_classes_that_would_be_read_as_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="called like splits"):
        write_class_folders(tmp_path / "out", export("train", "test"))


def test_several_classes_of_one_picture_are_refused(tmp_path: Path) -> None:
    picture = Picture("a.png", png(), ClassesLabel(labels=("a", "b")))
    with pytest.raises(Invalid, match="several classes"):
        write_class_folders(tmp_path / "out", Export(("a", "b"), "multi-label", [picture]))


@pytest.mark.parametrize("name", ["../out.png", "/tmp/out.png", "a/b.png", ".png", ""])
def test_a_picture_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    picture = Picture(name, png(), ClassLabel(label="a"))
    with pytest.raises(Invalid, match="cannot be written"):
        write_class_folders(tmp_path / "out", Export(("a",), "classification", [picture]))
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_a_folder_is_not_written_over(tmp_path: Path) -> None:
    put(tmp_path / "out", "mine.jpg")
    with pytest.raises(Conflict):
        write_class_folders(tmp_path / "out", export("a"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.jpg"]
