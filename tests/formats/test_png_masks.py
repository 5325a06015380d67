"""Masks as PNG: grey or palette, values and sizes checked, problems told and nothing crashed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import Invalid, InvalidLabel
from darkroom.formats import encode_mask, load_mask
from darkroom.formats.format import Export, Picture
from darkroom.formats.png_masks import read_png_masks, write_png_masks
from darkroom.records import ClassLabel
from tests.formats.pictures import mask_png, png, put

INDICES = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
VALUES = {0: 0, 1: 1, 2: 2}


def masked(folder: Path, classes: str = "background\nroad\nsky\n") -> Path:
    put(folder, "images/1.jpg", "images/2.jpg")
    put(folder, "masks/1.png")
    (folder / "classes.txt").write_text(classes)
    return folder


def test_a_mask_belongs_to_the_picture_of_its_name(tmp_path: Path) -> None:
    reading = read_png_masks(masked(tmp_path))
    assert [(entry.path, entry.mask) for entry in reading.entries] == [
        ("images/1.jpg", "masks/1.png"),
        ("images/2.jpg", None),
    ]
    assert (reading.classes, reading.mask_values) == (("background", "road", "sky"), VALUES)


def test_a_mask_without_a_picture_is_a_problem(tmp_path: Path) -> None:
    put(masked(tmp_path), "masks/9.png")
    reading = read_png_masks(tmp_path)
    assert len(list(reading.entries)) == 2
    assert [(problem.path, problem.error.id) for problem in reading.problems] == [
        ("masks/9.png", "masks.no-picture")
    ]


def test_the_ending_of_a_mask_may_be_written_in_capitals(tmp_path: Path) -> None:
    put(masked(tmp_path), "images/DSC7.JPG", "masks/DSC7.PNG")
    reading = read_png_masks(tmp_path)
    assert {entry.path: entry.mask for entry in reading.entries}["images/DSC7.JPG"] == "masks/DSC7.PNG"
    assert list(reading.problems) == []


def test_a_mask_that_is_no_png_by_its_name_is_a_problem_and_not_passed_over(tmp_path: Path) -> None:
    put(masked(tmp_path), "masks/2.jpg", "masks/notes.txt")
    reading = read_png_masks(tmp_path)
    assert [entry.mask for entry in reading.entries] == ["masks/1.png", None]
    assert [(problem.path, problem.error.id) for problem in reading.problems] == [
        ("masks/2.jpg", "masks.no-png")
    ]


def test_classes_may_carry_their_values(tmp_path: Path) -> None:
    reading = read_png_masks(masked(tmp_path, "0 background\n255 person\n"))
    assert reading.classes == ("background", "person")
    assert reading.mask_values == {0: 0, 255: 1}


def test_splits_below_images_and_masks_are_known(tmp_path: Path) -> None:
    put(tmp_path, "images/train/1.jpg", "images/val/2.jpg", "masks/train/1.png", "masks/val/2.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert [(entry.split, entry.mask) for entry in read_png_masks(tmp_path).entries] == [
        ("train", "masks/train/1.png"),
        ("val", "masks/val/2.png"),
    ]


@pytest.mark.parametrize("classes", ["", "a\na\n", "0 a\n0 b\n", "\n".join(map(str, range(300)))])
def test_classes_that_cannot_be_are_refused(tmp_path: Path, classes: str) -> None:
    with pytest.raises(Invalid, match="1 to 255 classes"):
        read_png_masks(masked(tmp_path, classes))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No folder images"):
        read_png_masks(tmp_path)
    put(tmp_path, "images/1.jpg", "masks/1.png")
    with pytest.raises(Invalid, match=r"No classes.txt"):
        read_png_masks(tmp_path)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_grey_and_palette_masks_hold_the_same(tmp_path: Path, mode: str) -> None:
    (tmp_path / "m.png").write_bytes(mask_png(INDICES, mode))
    assert np.array_equal(load_mask(tmp_path / "m.png", VALUES, size_px=(3, 2)), INDICES)


def test_values_become_indices_of_their_classes(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(mask_png(np.array([[0, 255], [255, 0]])))
    assert load_mask(tmp_path / "m.png", {0: 0, 255: 1}).tolist() == [[0, 1], [1, 0]]


def test_a_two_coloured_mask_holds_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1").save(tmp_path / "m.png")
    assert load_mask(tmp_path / "m.png", {0: 0, 1: 1}).tolist() == [[0, 1], [1, 0]]


def test_a_mask_of_16_bits_may_hold_small_values(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "m.png")
    assert load_mask(tmp_path / "m.png", {0: 0, 300: 1}).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (mask_png(INDICES + np.uint8(4)), "holds 3, 4, 5, 6, for which classes.txt has no class"),
        (png(0, 3, 2), "is a colour picture (RGB), and classes.txt gives no colours"),
        (mask_png(INDICES.T), "is 2×3; expected 3×2"),
        (b"no picture", "is not a PNG that can be read"),
        (b"", "is not a PNG that can be read"),
        (mask_png(INDICES)[:50], "is not a PNG that can be read"),
    ],
    ids=["values", "colour", "size", "text", "empty", "cut"],
)
def test_a_bad_mask_is_refused_with_the_reason(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "m.png").write_bytes(data)
    with pytest.raises(InvalidLabel, match="m.png") as caught:
        load_mask(tmp_path / "m.png", VALUES, size_px=(3, 2))
    assert said in str(caught.value)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    (tmp_path / "m.png").write_bytes(file.getvalue())
    with pytest.raises(InvalidLabel, match="the limit is 100,000,000"):
        load_mask(tmp_path / "m.png", VALUES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_mutated_mask_crashes_the_reader(tmp_path: Path, place: int, value: int) -> None:
    data = bytearray(mask_png(INDICES, "P"))
    data[place % len(data)] = value
    (tmp_path / "m.png").write_bytes(data)
    try:
        found = load_mask(tmp_path / "m.png", VALUES, size_px=(3, 2))
    except InvalidLabel:
        return
    assert set(np.unique(found)) <= {0, 1, 2, 255}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_in_classes_crash_the_reader(tmp_path: Path, data: bytes) -> None:
    masked(tmp_path)
    (tmp_path / "classes.txt").write_bytes(data)
    try:
        reading = read_png_masks(tmp_path)
    except Invalid:
        return
    assert len(reading.classes) <= len(reading.mask_values)


COLOURS = np.array(
    [[[0, 0, 0], [128, 64, 128], [0, 0, 0]], [[128, 64, 128], [9, 9, 9], [0, 0, 0]]], np.uint8
)


def coloured(folder: Path, mode: str) -> Path:
    image = Image.fromarray(COLOURS)
    if mode == "P":
        image = image.quantize(colors=3)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.array([[255, 255, 0], [255, 255, 255]], np.uint8)))
    image.save(folder / "m.png")
    return folder / "m.png"


@pytest.mark.parametrize(
    "classes",
    [
        "ground #000000\nroad #804080\nvoid #090909\n",
        "0 ground #000000\n1 road #804080\n2 void #090909\n",
        "0 0 0 ground\n128 64 128\troad\n9 9 9 void\n",
    ],
    ids=["behind", "numbered", "before"],
)
@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colours_are_mapped_where_classes_give_them(tmp_path: Path, classes: str, mode: str) -> None:
    reading = read_png_masks(masked(tmp_path, classes))
    assert reading.classes == ("ground", "road")
    found = load_mask(coloured(tmp_path, mode), reading.mask_values, colours=reading.mask_colours)
    unseen = 255 if mode == "RGBA" else 0
    assert found.tolist() == [[0, 1, unseen], [1, 255, 0]]


def test_a_colour_that_no_class_has_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidLabel, match="no class: #090909") as caught:
        load_mask(coloured(tmp_path, "RGB"), {}, colours={(0, 0, 0): 0, (128, 64, 128): 1})
    assert "smoothed mixes colours" in caught.value.hint


def test_a_colour_that_two_classes_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="a colour of its own for every class"):
        read_png_masks(masked(tmp_path, "a #000000\nb #000000\n"))


def test_a_lossy_mask_is_refused_whatever_classes_say(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "m.png", "JPEG")
    with pytest.raises(InvalidLabel, match="is no PNG but JPEG"):
        load_mask(tmp_path / "m.png", {}, colours={(0, 0, 0): 0})


def test_what_is_called_void_is_no_class_and_is_not_said(tmp_path: Path) -> None:
    reading = read_png_masks(masked(tmp_path, "0 sky\n1 Void\n2 road\n"))
    assert (reading.classes, reading.mask_values) == (("sky", "road"), {0: 0, 1: 255, 2: 1})
    with pytest.raises(Invalid, match="would be read as none"):
        write_png_masks(tmp_path / "out", Export(("sky", "Void"), "segmentation", []))


def test_the_street_scenes_are_read(shared_data: Path) -> None:
    folder = shared_data / "camvid"
    reading = read_png_masks(folder)
    entries = list(reading.entries)
    assert len(entries) == 468
    assert not reading.problems
    assert (reading.classes[0], reading.classes[-1]) == ("Sky", "Bicyclist")
    assert reading.mask_values[11] == 255  # Void is no class
    mask = entries[0].mask
    assert mask is not None
    with Image.open(folder / entries[0].path) as image:
        indices = load_mask(folder / mask, reading.mask_values, size_px=image.size)
    assert indices[indices != 255].max() < len(reading.classes)


def test_a_class_of_the_whole_picture_is_refused(tmp_path: Path) -> None:
    picture = Picture("a.png", png(), ClassLabel(label="a"))
    with pytest.raises(Invalid, match="holds masks only"):
        write_png_masks(tmp_path / "out", Export(("a",), "segmentation", [picture]))
    assert list(tmp_path.iterdir()) == []


def test_two_pictures_that_would_share_a_mask_are_refused(tmp_path: Path) -> None:
    mask = encode_mask(INDICES)
    pictures = [Picture("a.png", png(), mask=mask), Picture("a.jpg", png(1), mask=mask)]
    with pytest.raises(Invalid, match="but for their endings"):
        write_png_masks(tmp_path / "out", Export(("a",), "segmentation", pictures))
