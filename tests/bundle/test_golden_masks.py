"""Golden vectors of models for masks, and bundles that hold them: written, read, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors, ModelFile, inspect, read_bundle, write_bundle
from darkroom.bundle.golden_mask import GoldenMask
from darkroom.errors import Damaged, DarkroomError, Invalid, Unsupported
from tests.export.tiny import CARD as WHOLE
from tests.export.tiny_masks import CARD, CONTRACT, LABELS, Numpy, bundle, golden, write_tiny


def test_a_mask_is_written_as_a_byte_per_pixel_and_read_again(tmp_path: Path) -> None:
    vectors = golden()
    vectors.write(tmp_path, LABELS)
    again = GoldenVectors.read(tmp_path)
    for vector, read in zip(vectors.vectors, again.vectors, strict=True):
        answer = Numpy().run(vector.tensor[None]).probabilities[0]
        raw = np.frombuffer((tmp_path / f"{vector.name}.mask").read_bytes(), np.uint8).reshape(8, 12)
        assert read.mask is not None
        assert np.array_equal(raw, answer.argmax(-1))
        assert np.array_equal(read.mask.mask, raw)
        rows, columns = read.mask.places.T
        assert np.allclose(read.mask.probabilities, answer[rows, columns])
        assert read.probabilities is None
    assert json.loads((tmp_path / "golden.json").read_text())["schema_version"] == 2
    assert again.differing() == ()


def test_some_pixels_spread_over_the_mask_keep_their_probabilities() -> None:
    draw = np.random.default_rng(0).random((64, 48, 3)).astype(np.float32)
    found = GoldenMask.of(draw)
    assert found.places.shape == (64, 2)
    assert found.places.min(0).tolist() == [4, 3]
    assert found.places.max(0).tolist() == [60, 45]
    assert GoldenMask.of(draw[:1, :2]).places.tolist() == [[0, 0], [0, 1]]


def test_answers_are_held_against_it() -> None:
    draw = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    found = GoldenMask.of(draw)
    assert found.apart(draw) == (0, 0.0)
    other = draw.copy()
    other[2, 2] = other[2, 2][::-1] + np.array((0.25, 0, 0), np.float32)
    differing, largest = found.apart(other)
    assert (differing, largest > 0.2) == (1, True)
    other[0, 0] = np.nan
    assert np.isnan(found.apart(other)[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder, index: (folder / "grey.mask").write_bytes(b"123"), "3 bytes for 12×8"),
        (lambda folder, index: (folder / "grey.mask").unlink(), "grey.mask"),
        (lambda folder, index: index["vectors"][0]["pixels"][0].__setitem__(0, 8), "lies outside"),
        (lambda folder, index: index["vectors"][0]["pixels"][0].pop(), "inhomogeneous"),
        (lambda folder, index: index["vectors"][0].pop("pixels"), "pixels"),
    ],
)
def test_what_is_not_what_was_written_is_said(change, words: str, tmp_path: Path) -> None:
    golden().write(tmp_path, LABELS)
    path = tmp_path / "golden.json"
    index = json.loads(path.read_text())
    change(tmp_path, index)
    path.write_text(json.dumps(index))
    with pytest.raises(Damaged, match=words):
        GoldenVectors.read(tmp_path)


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    golden().write(tmp_path, LABELS)
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 3}))
    with pytest.raises(Unsupported, match="version 3"):
        GoldenVectors.read(tmp_path)


def test_a_bundle_of_masks_is_whole_and_says_how_to_read_the_output(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    found = read_bundle(folder)
    assert found.card.task == "segmentation"
    assert all(vector.mask is not None for vector in found.golden.vectors)
    looked = inspect(folder)
    assert (looked.problems, looked.task, looked.golden) == ((), "segmentation", 4)
    text = " ".join((folder / "README.txt").read_text().split())
    assert "float32 (1, 8, 12, 3), rows, columns, classes in the order of the labels: red" in text
    assert "the class with the largest value" in text
    assert "Darkroom writes 255 there" in text
    assert "the .mask file is the whole mask" in text


def test_the_readme_lays_the_mask_on_the_photo_as_darkroom_does() -> None:
    from darkroom.images.transform import transform_of

    for mode in ("squash", "crop", "fill", "half_crop"):
        contract = CONTRACT.model_copy(update={"resize": mode})
        t = transform_of(31, 17, contract)
        mask = np.random.default_rng(1).integers(0, 3, (8, 12)).astype(np.uint8)
        whole = t.mask_to_original(mask, outside=255)
        for y, x in np.ndindex(17, 31):
            inside = (
                t.crop_left_px <= x < t.crop_left_px + t.crop_width_px
                and t.crop_top_px <= y < t.crop_top_px + t.crop_height_px
            )
            column = t.pad_left_px + (2 * (x - t.crop_left_px) + 1) * t.resized_width_px // (
                2 * t.crop_width_px
            )
            row = t.pad_top_px + (2 * (y - t.crop_top_px) + 1) * t.resized_height_px // (
                2 * t.crop_height_px
            )
            assert whole[y, x] == (mask[row, column] if inside else 255)


def written(folder: Path, card, vectors: GoldenVectors) -> Path:
    folder.mkdir(exist_ok=True)
    model = ModelFile(write_tiny(folder / "m.onnx"), "onnx", "float32")
    write_bundle(folder / "bundle", name="n", card=card, models=[model], golden=vectors)
    return folder / "bundle"


def test_other_class_lists_are_refused_when_it_is_written(tmp_path: Path) -> None:
    two = CARD.model_copy(update={"labels": ("red", "green")})
    with pytest.raises(Invalid, match="3 probabilities, but the card has 2 labels"):
        written(tmp_path, two, golden())


def test_masks_in_a_bundle_of_another_task_are_damage(tmp_path: Path) -> None:
    card = WHOLE.model_copy(update={"contract": CONTRACT})
    with pytest.raises(DarkroomError, match="another task"):
        read_bundle(written(tmp_path, card, golden()))


def test_a_mask_with_a_class_that_has_no_label_is_damage(tmp_path: Path) -> None:
    vectors = golden()
    first = vectors.vectors[0].mask
    assert first is not None
    first.mask[2, 2] = 7
    with pytest.raises(Damaged, match="class 7, and the card has 3 labels"):
        read_bundle(written(tmp_path, CARD, vectors))
