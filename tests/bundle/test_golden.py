"""Golden vectors: the checked-in ones never change, and a bundle's can be read without Darkroom."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.bundle import GoldenVector, GoldenVectors, synthetic_images
from darkroom.errors import Damaged, Invalid
from darkroom.images import apply_contract, decode, reference_contract
from darkroom.records import Contract
from tests.bundle import made
from tests.bundle.golden_set import CONTRACTS, GOLDEN, decode_cases
from tests.tree import label

SETS = sorted(path.parent for path in GOLDEN.glob("*/golden.json"))


def test_the_checked_in_set_is_whole_and_small() -> None:
    assert {path.name for path in SETS} == {*CONTRACTS, "decode"}
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) <= 200_000


@pytest.mark.parametrize("folder", SETS, ids=label)
def test_checked_in_pictures_still_give_the_same_pixels_in_each_step(folder: Path) -> None:
    index = json.loads((folder / "golden.json").read_text("utf-8"))
    contract = Contract(**index["contract"])
    assert len(index["vectors"]) >= 8
    for entry in index["vectors"]:
        decoded = decode((folder / entry["image"]).read_bytes())
        prepared = apply_contract(decoded, contract, trace=True)
        assert decoded.orientation == entry["orientation"]
        assert len(prepared.steps) == len(entry["steps"])
        for step, stored in zip(prepared.steps, entry["steps"], strict=True):
            assert step.name == stored["step"]
            found = (list(step.pixels.shape), hashlib.sha256(step.pixels.tobytes()).hexdigest())
            assert found == (stored["shape"], stored["sha256"]), f"{entry['name']}: {step.name}"
        assert prepared.tensor.tobytes() == (folder / entry["tensor"]).read_bytes()
        for name, value in entry["transform"].items():
            assert getattr(prepared.transform, name) == value


@pytest.mark.parametrize("folder", SETS, ids=label)
def test_checked_in_tensors_are_those_of_plain_integers(folder: Path) -> None:
    golden = GoldenVectors.read(folder)
    for vector in golden.vectors:
        decoded = decode(vector.image)
        expected = reference_contract(decoded.pixels, golden.contract, orientation=decoded.orientation)
        assert np.array_equal(vector.tensor, expected), vector.name


def test_the_checked_in_decode_cases_are_the_ones_that_are_built() -> None:
    stored = json.loads((GOLDEN / "decode" / "golden.json").read_text("utf-8"))
    assert [entry["name"] for entry in stored["vectors"]] == [name for name, _ in decode_cases()]


def test_drawn_pictures_cover_what_they_should() -> None:
    drawn = dict(synthetic_images(Contract(width_px=28, height_px=20), 16))
    images = {name: Image.open(BytesIO(data)) for name, data in drawn.items()}
    assert {image.format for image in images.values()} == {"PNG"}
    assert {image.mode for image in images.values()} == {"RGB", "RGBA", "L", "LA", "P", "1"}
    assert {image.getexif().get(274, 1) for image in images.values()} == {1, 5, 6, 7}
    sizes = {name: image.size for name, image in images.items()}
    assert sizes["one-row"][1] == sizes["one-column"][0] == 1
    assert sizes["same-size"] == (28, 20)
    assert sizes["upscale"] < (28, 20)
    assert sizes["tall"][1] - 20 > 2 * (sizes["tall"][0] - 28)
    assert any(width % 2 and height % 2 for width, height in sizes.values())


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (224, 224)])
@pytest.mark.parametrize("count", [0, 3, 20])
def test_drawn_pictures_have_names_of_their_own_and_come_again(size: tuple[int, int], count: int) -> None:
    contract = Contract(width_px=size[0], height_px=size[1])
    drawn = synthetic_images(contract, count, seed=5)
    assert len({name for name, _ in drawn}) == len(drawn) == count
    assert drawn == synthetic_images(contract, count, seed=5)
    assert count == 0 or drawn != synthetic_images(contract, count, seed=6)


def test_vectors_are_read_back_as_written(tmp_path: Path) -> None:
    golden = made.golden()
    golden.write(tmp_path / "golden", made.LABELS)
    back = GoldenVectors.read(tmp_path / "golden")
    assert back.contract == golden.contract
    for old, new in zip(golden.vectors, back.vectors, strict=True):
        assert (old.name, old.image, old.probabilities) == (new.name, new.image, new.probabilities)
        assert np.array_equal(old.tensor, new.tensor)
    assert back.differing() == ()


def test_a_tensor_file_is_nothing_but_its_bytes(tmp_path: Path) -> None:
    golden = made.golden()
    golden.write(tmp_path)
    height, width, channels = golden.contract.shape
    raw = (tmp_path / "odd-size.bin").read_bytes()
    assert len(raw) == height * width * channels
    assert raw[(3 * width + 2) * channels + 1] == golden.vectors[0].tensor[3, 2, 1]


def test_answers_keep_every_bit_of_a_float32(tmp_path: Path) -> None:
    golden = made.golden(count=5)
    golden.write(tmp_path)
    back, there = GoldenVectors.read(tmp_path).probabilities, golden.probabilities
    assert back is not None
    assert there is not None
    assert back.tobytes() == there.tobytes()


def test_without_answers_there_are_none() -> None:
    golden = GoldenVectors.synthetic(made.CONTRACT, count=2)
    assert golden.probabilities is None
    assert golden.tensors.shape == (2, 10, 12, 3)
    with pytest.raises(Invalid, match="3 answers for 2 golden vectors"):
        golden.answered(np.zeros((3, 4)))


def test_no_vectors_at_all_are_fine(tmp_path: Path) -> None:
    GoldenVectors.synthetic(made.CONTRACT, count=0).write(tmp_path)
    assert GoldenVectors.read(tmp_path).tensors.shape == (0, 10, 12, 3)


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    golden = GoldenVectors.of(made.CONTRACT, [(name, made.golden(1).vectors[0].image)])
    with pytest.raises(Invalid, match="cannot be called"):
        golden.write(tmp_path)


def test_two_vectors_of_one_name_are_refused(tmp_path: Path) -> None:
    one = made.golden(1).vectors[0]
    with pytest.raises(Invalid, match="unique"):
        GoldenVectors(made.CONTRACT, (one, one)).write(tmp_path)


@pytest.mark.parametrize("harm", ["tensor gone", "tensor cut", "no JSON", "key missing"])
def test_vectors_that_cannot_be_read_are_damaged(tmp_path: Path, harm: str) -> None:
    made.golden().write(tmp_path)
    tensor, index = tmp_path / "odd-size.bin", tmp_path / "golden.json"
    if harm == "tensor gone":
        tensor.unlink()
    elif harm == "tensor cut":
        tensor.write_bytes(tensor.read_bytes()[:-1])
    elif harm == "no JSON":
        index.write_bytes(b"[1, 2")
    else:
        index.write_text(index.read_text("utf-8").replace('"tensor"', '"sensor"'), "utf-8")
    with pytest.raises(Damaged, match="cannot be read"):
        GoldenVectors.read(tmp_path)


def test_a_photo_keeps_its_own_kind_of_file() -> None:
    buffer = BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "JPEG")
    vector = GoldenVector("photo", buffer.getvalue(), np.zeros((1, 1, 3), np.uint8))
    assert vector.file_name == "photo.jpg"
