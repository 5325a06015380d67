"""A look into a bundle lists what is wrong with it and raises only when there is nothing to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.bundle import BundleInspection, inspect
from darkroom.errors import Damaged, NotFound
from tests.bundle import made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made.bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_whole_bundle_is_described(folder: Path) -> None:
    found = inspect(folder)
    assert (found.name, found.labels, found.input_shape) == ("shoes", made.LABELS, (10, 12, 3))
    assert (found.golden, found.golden_differing, found.problems, found.exit_code) == (5, (), (), 0)
    assert found.metrics["test.accuracy"].value == 0.9
    assert {file.target for file in found.files if file.role == "model"} == {"onnx", "litert"}
    assert BundleInspection.model_validate_json(found.model_dump_json()) == found


def test_every_damaged_file_is_listed(folder: Path) -> None:
    (folder / "models/shoes.onnx").write_bytes(b"cut")
    (folder / "contract.json").unlink()
    found = inspect(folder)
    assert [file.path for file in found.files if file.problem] == ["contract.json", "models/shoes.onnx"]
    assert found.problems == (
        "contract.json: it is missing.",
        "models/shoes.onnx: it has 3 bytes instead of 1024.",
    )
    assert found.exit_code == Damaged.exit_code


def test_a_file_that_nobody_listed_is_shown(folder: Path) -> None:
    (folder / "models/note.txt").write_bytes(b"mine")
    found = inspect(folder)
    assert (found.unlisted, found.problems) == (("models/note.txt",), ())


def test_a_golden_vector_that_this_machine_computes_otherwise_is_shown(folder: Path) -> None:
    path = folder / "golden/alpha.bin"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    made.sign(folder)
    assert inspect(folder).golden_differing == ("alpha",)
    assert inspect(folder).exit_code == Damaged.exit_code


def test_a_contradiction_inside_is_a_problem(folder: Path) -> None:
    made.rewrite(folder, "model-card.json", lambda card: card["labels"].pop())
    assert "the card has 2 labels" in inspect(folder).problems[0]


def test_what_a_person_sees_ends_with_the_verdict(folder: Path) -> None:
    assert list(inspect(folder).display())[-1] == "Whole."
    (folder / "README.txt").write_bytes(b"")
    assert str(list(inspect(folder).display())[-1]).startswith("Not whole")


def test_no_bundle_no_inspection(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        inspect(tmp_path)
