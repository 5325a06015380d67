"""Asking a bundle for masks: laid on the photo at its own size, without torch, and what does not fit."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import Damaged, Invalid
from darkroom.images import apply_contract, decode, overlay
from darkroom.serving import Predictor
from tests.export.tiny import write_tiny as write_whole
from tests.export.tiny_masks import CARD, CONTRACT, Numpy, bundle, write_tiny


def photo(width: int = 50, height: int = 20, orientation: int = 1, kind: str = "PNG") -> bytes:
    """A photo whose left is red and whose right is blue, upright."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 200, 220
    turns = {1: 0, 6: 1, 3: 2, 8: 3}
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turns[orientation]))).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.open(bundle(tmp_path_factory.mktemp("masks")))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_mask_has_the_size_of_the_upright_photo_and_lies_where_things_are(
    predictor: Predictor, orientation: int
) -> None:
    found = predictor.predict_mask(photo(orientation=orientation))
    assert found.mask.shape == (20, 50)
    assert found.mask.dtype == np.uint8
    answered = found.mask[:, 10:40]  # 12:8 of 20 rows are 30 columns; the crop keeps the middle
    assert (found.mask[:, :10] == 255).all()
    assert (found.mask[:, 40:] == 255).all()
    assert (answered[:, :13] == 0).all()
    assert (answered[:, 17:] == 2).all()
    assert np.array_equal(found.photo[0, 0], (200, 0, 0))


def test_it_is_the_answer_taken_back_through_the_contract(predictor: Predictor) -> None:
    data = photo(37, 29)
    prepared = apply_contract(decode(data), CONTRACT)
    answer = Numpy().run(prepared.tensor[None]).probabilities[0].argmax(-1)
    expected = prepared.transform.mask_to_original(answer, outside=255)
    assert np.array_equal(predictor.predict_mask(data).mask, expected)


def test_shares_are_of_what_was_answered(predictor: Predictor) -> None:
    found = predictor.predict_mask(photo())
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["green"] == 0
    assert 0.4 < found.shares["red"] < 0.6


def test_the_layer_is_laid_over_the_photo(predictor: Predictor) -> None:
    found = predictor.predict_mask(photo())
    assert np.array_equal(found.overlay, overlay(found.photo, found.mask))
    assert np.array_equal(found.overlay[:, 12], found.photo[:, 12])  # the first class stays as it is


def test_each_kind_of_model_has_its_own_question(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Ask it with predict_mask"):
        predictor.predict(photo())
    whole = Predictor.open(write_whole(tmp_path / "whole.onnx"))
    with pytest.raises(Invalid, match="Ask it with predict"):
        whole.predict_mask(photo())


def test_a_file_of_another_size_or_class_list_is_refused_when_opened(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"\(5, 12, 3\).*masks of its input's size"):
        Predictor.open(write_tiny(tmp_path / "small.onnx", rows=5))
    two = CARD.model_copy(update={"labels": ("red", "green")})
    with pytest.raises(Damaged, match="3 probabilities for the 2 labels"):
        Predictor.open(write_tiny(tmp_path / "two.onnx", card=two))
    other = CARD.model_copy(update={"contract": CONTRACT.model_copy(update={"width_px": 13})})
    with pytest.raises(Damaged, match="its model card says"):
        Predictor.open(write_tiny(tmp_path / "wide.onnx", card=other))
    whole = CARD.model_copy(update={"task": "classification"})
    with pytest.raises(Damaged, match="one probability per class"):
        Predictor.open(write_tiny(tmp_path / "whole.onnx", card=whole))


def test_no_numbers_are_no_mask(tmp_path: Path) -> None:
    predictor = Predictor.open(write_tiny(tmp_path / "nan.onnx", bias=(float("nan"), 0.0, 0.0)))
    with pytest.raises(Invalid, match="NaN"):
        predictor.predict_mask(photo())


def test_it_needs_no_torch(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    (tmp_path / "photo.png").write_bytes(photo())
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from darkroom.serving import Predictor\n"
        "found = Predictor.open(Path(sys.argv[1])).predict_mask(Path(sys.argv[2]).read_bytes())\n"
        "print(json.dumps([list(found.mask.shape), 'torch' in sys.modules, 'sqlalchemy' in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "photo.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[20, 50], False, False]
