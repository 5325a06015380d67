"""Every format gives back what was written, as far as it can hold it."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.errors import StorageFailed
from darkroom.formats import FORMATS, Export, Format, Picture, encode_mask, load_mask
from darkroom.records import SPLITS, ClassesLabel, ClassLabel, Task
from tests.formats.pictures import png

TASKS: dict[str, Task] = {"class": "classification", "classes": "multi-label", "mask": "segmentation"}
CASES = [(one, slot) for one in FORMATS.values() for slot in sorted(one.holds)]
IDS = [f"{one.name}-{slot}" for one, slot in CASES]

CLASSES = ("cat", "dog house", "🌷.v1", "قطة")
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NAMES = TEXT.filter(lambda text: bool(text.strip()))


def value_of(slot: str, number: int):
    if slot == "class":
        return ClassLabel(label=CLASSES[number % len(CLASSES)])
    if slot == "classes":
        return ClassesLabel(labels=tuple(sorted(CLASSES[: number % len(CLASSES)])))
    return None


def picture(one: Format, slot: str, number: int, **more) -> Picture:
    """Returns a picture that says all that the format can hold."""
    mask = np.full((4, 5), number % len(CLASSES), np.uint8)
    mask[0, 0] = 255
    return Picture(
        name=f"{number}.png",
        content=png(number),
        value=value_of(slot, number),
        split=SPLITS[number % 3] if "split" in one.also else None,
        group=f"scene {number % 2}" if "group" in one.also else None,
        metadata={"city": f"=Ulm {number}", "note": ""} if "metadata" in one.also else {},
        mask=encode_mask(mask) if slot == "mask" else None,
    )._replace(**more)


def read_back(one: Format, folder: Path) -> dict[bytes, tuple]:
    reading = one.read(folder)
    found = {}
    for entry in reading.entries:
        mask = load_mask(folder / entry.mask, reading.mask_values) if entry.mask else None
        key = (folder / entry.path).read_bytes()
        assert key not in found
        facts = (entry.value, entry.split, entry.group, dict(entry.metadata))
        found[key] = (*facts, None if mask is None else encode_mask(mask))
    assert reading.problems == []
    return found


def expected(pictures: list[Picture]) -> dict[bytes, tuple]:
    return {
        one.content if isinstance(one.content, bytes) else one.content.read_bytes(): (
            one.value,
            one.split,
            one.group,
            {heading: cell for heading, cell in one.metadata.items() if cell},
            one.mask,
        )
        for one in pictures
    }


@pytest.mark.parametrize(("one", "slot"), CASES, ids=IDS)
def test_what_is_written_is_read_back(one: Format, slot: str, tmp_path: Path) -> None:
    pictures = [picture(one, slot, number) for number in range(7)]
    one.write(tmp_path / "out", Export(CLASSES, TASKS[slot], pictures))
    assert read_back(one, tmp_path / "out") == expected(pictures)


@pytest.mark.parametrize(("one", "slot"), CASES, ids=IDS)
def test_pictures_without_an_answer_stay_without_one(one: Format, slot: str, tmp_path: Path) -> None:
    pictures = [picture(one, slot, 1), picture(one, slot, 2, value=None, mask=None)]
    one.write(tmp_path / "out", Export(CLASSES, TASKS[slot], pictures))
    assert read_back(one, tmp_path / "out") == expected(pictures)


@pytest.mark.parametrize(("one", "slot"), CASES, ids=IDS)
def test_pictures_are_written_from_files_too(one: Format, slot: str, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(png(1))
    pictures = [picture(one, slot, 1, content=tmp_path / "in.png")]
    one.write(tmp_path / "out", Export(CLASSES, TASKS[slot], pictures))
    assert read_back(one, tmp_path / "out") == expected(pictures)
    assert (tmp_path / "in.png").read_bytes() == png(1)


@pytest.mark.parametrize("one", FORMATS.values(), ids=FORMATS)
def test_classes_are_read_back(one: Format, tmp_path: Path) -> None:
    slot = min(one.holds)
    pictures = [picture(one, slot, number) for number in range(12)]
    one.write(tmp_path / "out", Export(CLASSES, TASKS[slot], pictures))
    reading = one.read(tmp_path / "out")
    assert set(reading.classes) == set(CLASSES)
    if slot == "mask":
        assert reading.classes == CLASSES


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(NAMES, TEXT, st.dictionaries(st.sampled_from(["city", "=x", "né"]), TEXT)), max_size=5
    )
)
def test_any_text_survives_a_table(rows: list[tuple[str, str, dict[str, str]]]) -> None:
    pictures = [
        Picture(f"{place}.png", png(place), ClassLabel(label=label), None, group or None, metadata)
        for place, (label, group, metadata) in enumerate(rows)
    ]
    classes = tuple(sorted({label for label, _, _ in rows}))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "out")
        FORMATS["csv"].write(folder, Export(classes, "classification", pictures))
        assert read_back(FORMATS["csv"], folder) == expected(pictures)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20), max_size=5)
)
def test_any_class_that_can_be_a_folder_survives_class_folders(labels: list[str]) -> None:
    from darkroom.errors import Invalid

    pictures = [
        Picture(f"{place}.png", png(place), ClassLabel(label=label)) for place, label in enumerate(labels)
    ]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "out")
        try:
            export = Export(tuple(sorted(set(labels))), "classification", pictures)
            FORMATS["class-folders"].write(folder, export)
        except Invalid:
            assert not folder.exists()
            return
        assert read_back(FORMATS["class-folders"], folder) == expected(pictures)


@pytest.mark.parametrize(("one", "slot"), CASES, ids=IDS)
def test_a_full_disk_leaves_nothing(
    one: Format, slot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if re.search(r"2\.png$", path.name):
            raise OSError(28, "No space left on device")
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    pictures = [picture(one, slot, number) for number in range(4)]
    with pytest.raises(StorageFailed, match="no room left"):
        one.write(tmp_path / "out", Export(CLASSES, TASKS[slot], pictures))
    assert list(tmp_path.iterdir()) == []
