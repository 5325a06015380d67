"""A sketch comes back as it was written; what was cut or changed is refused; pictures are forgotten."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from darkroom.domain import DomainCheck, Sketch, read_sketch, sketch_files, write_sketch
from darkroom.domain.files import FACTS, ROWS
from darkroom.domain.forgetting import forget_rows
from darkroom.errors import Damaged, NotFound, Unsupported
from tests.domain.digits import PHOTO, PLANTED, features, fresh, sketch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sketch(tmp_path / "domain", sketch(with_features=True))
    return tmp_path / "domain"


def same(first: Sketch, second: Sketch) -> bool:
    plain = {"rows_sha256"}
    return first.facts.model_dump(exclude=plain) == second.facts.model_dump(exclude=plain)


def test_a_sketch_comes_back_and_says_the_same(folder: Path) -> None:
    found, written = read_sketch(folder), sketch(with_features=True)
    assert same(found, written)
    first, second = DomainCheck(written), DomainCheck(found)
    for picture in (*fresh(10), *(PLANTED["inverted"][0](one) for one in fresh(10))):
        vector = features(picture[None])[0]
        assert first.check(picture, PHOTO, vector) == second.check(picture, PHOTO, vector)


def test_the_same_sketch_gives_the_same_bytes() -> None:
    assert sketch_files(sketch(with_features=True)) == sketch_files(sketch(with_features=True))


def test_a_sketch_is_small_and_without_pickles(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 400_000
    with np.load(folder / ROWS, allow_pickle=False) as held:
        assert {held[name].dtype.kind for name in held.files} == {"f"}


def test_without_a_sketch_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="darkroom model domain"):
        read_sketch(tmp_path)


@pytest.mark.parametrize("name", [FACTS, ROWS])
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone"])
def test_a_damaged_sketch_is_refused(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        path.write_bytes({"cut": data[:middle], "changed": changed, "empty": b""}[damage])
    with pytest.raises((Damaged, NotFound)) as refused:
        read_sketch(folder)
    assert "darkroom model domain" in str(refused.value)


@pytest.mark.parametrize(
    "forge",
    [
        {"measured": np.zeros((3, 2))},
        {"axes": np.zeros((4, 4))},
        {"features": np.zeros((1, 1))},
        {"centre": np.array(["a", "b"])},
    ],
)
def test_rows_that_do_not_fit_their_facts_are_refused(folder: Path, forge: dict[str, np.ndarray]) -> None:
    import hashlib

    with np.load(folder / ROWS, allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **(arrays | forge))
    (folder / ROWS).write_bytes(file.getvalue())
    facts = json.loads((folder / FACTS).read_text())
    facts["rows_sha256"] = hashlib.sha256(file.getvalue()).hexdigest()
    (folder / FACTS).write_text(json.dumps(facts))
    with pytest.raises(Damaged):
        read_sketch(folder)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"schema_version": 1}', "[" * 100_000])
def test_facts_of_another_shape_are_refused(folder: Path, text: str) -> None:
    (folder / FACTS).write_text(text)
    with pytest.raises(Damaged):
        read_sketch(folder)


def test_a_newer_sketch_is_refused_and_unknown_keys_are_not(folder: Path) -> None:
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, "later": 1}))
    assert same(read_sketch(folder), sketch(with_features=True))
    (folder / FACTS).write_text(json.dumps({**facts, "schema_version": 2}))
    with pytest.raises(Unsupported, match="newer Darkroom"):
        read_sketch(folder)


def test_a_forgotten_picture_leaves_neither_id_nor_numbers(folder: Path) -> None:
    before = read_sketch(folder)
    gone = before.facts.image_ids[3]
    row = before.rows.features[3].tobytes()  # type: ignore[index]
    files = forget_rows(folder, {gone})
    assert gone.encode() not in files[FACTS]
    assert row in (folder / ROWS).read_bytes()
    assert row not in files[ROWS]
    for name, data in files.items():
        (folder / name).write_bytes(data)
    after = read_sketch(folder)
    assert after.facts.forgotten == 1
    assert len(after.facts.image_ids) == len(before.facts.image_ids) - 1
    assert after.facts.calibrations == before.facts.calibrations
    assert forget_rows(folder, {gone}) == {}
    assert DomainCheck(after).check(PLANTED["inverted"][0](fresh()[0]), PHOTO).reasons[0].name == "polarity"


def test_a_sketch_of_which_all_pictures_are_forgotten_still_checks(folder: Path) -> None:
    before = read_sketch(folder)
    for name, data in forget_rows(folder, set(before.facts.image_ids)).items():
        (folder / name).write_bytes(data)
    answer = DomainCheck(read_sketch(folder)).check(fresh()[0], PHOTO, features(fresh()[:1])[0])
    assert answer.nearest == ()


def test_a_sketch_that_cannot_be_read_is_deleted_when_a_picture_is_forgotten(folder: Path) -> None:
    (folder / ROWS).write_bytes(b"")
    assert forget_rows(folder, {"a"}) == {}
    assert not folder.exists()
