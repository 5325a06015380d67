"""Layers find their partners though converters rename, turn and fold them; where models part is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Unsupported
from darkroom.export.divergence import compare_sides
from darkroom.export.layer_matching import match_layers
from darkroom.export.layers import Layer, layers_of
from darkroom.export.sides import FileSide
from darkroom.records import Limits
from tests.export import tiny, tiny_masks

DRAW = np.random.default_rng(2)
MOST = 1e-3


def maps(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype(np.float32)


def chain() -> list[Layer]:
    """Convolution, normalisation, ReLU, a convolution to 8×8×8, the mean over places, the last layer."""
    first = maps(2, 6, 8, 10)
    normed = first * 1.7 + 0.3
    second = maps(2, 8, 8, 8)
    return [
        Layer("conv1", "Conv2d", first),
        Layer("bn1", "BatchNorm2d", normed),
        Layer("relu1", "ReLU", np.maximum(normed, 0)),
        Layer("conv2", "Conv2d", second),
        Layer("pool", "AvgPool", second.mean(axis=(2, 3), keepdims=True)),
        Layer("head", "Linear", maps(2, 5)),
    ]


def converted(layers: list[Layer]) -> list[Layer]:
    """The same with channels behind, other names, and what comes before a ReLU folded into it."""
    kept = [layer for layer in layers if layer.name not in ("conv1", "bn1")]
    turned = [
        layer.values.transpose(0, 2, 3, 1) if layer.values.ndim == 4 else layer.values for layer in kept
    ]
    noise = [values + DRAW.normal(size=values.shape).astype(np.float32) * 1e-6 for values in turned]
    return [Layer(f"arith_{n};out", "CONV_2D", values) for n, values in enumerate(noise)]


def test_partners_are_found_by_order_shape_and_value() -> None:
    mine = chain()
    found = match_layers(mine, converted(mine), most=MOST)
    pairs = {pair.layer: pair.other for pair in found.pairs}
    assert pairs == {
        "conv1": "",
        "bn1": "",
        "relu1": "arith_0;out",
        "conv2": "arith_1;out",
        "pool": "arith_2;out",
        "head": "arith_3;out",
    }
    assert not any(pair.differs for pair in found.pairs)
    assert found.last_same == 5
    assert found.first_other == (None, None)


def test_the_first_layer_that_differs_follows_the_last_that_is_the_same() -> None:
    mine = chain()
    theirs = converted(mine)
    for place in (1, 2, 3):
        theirs[place] = theirs[place]._replace(values=maps(*theirs[place].values.shape))
    found = match_layers(mine, theirs, most=MOST)
    assert found.pairs[found.last_same].layer == "relu1"
    assert [layer.name for layer in found.first_other if layer is not None] == ["conv2", "arith_1;out"]


def test_a_layer_more_on_one_side_is_told() -> None:
    mine = chain()
    theirs = [*converted(mine), Layer("again", "SOFTMAX", maps(2, 5))]
    found = match_layers(mine, theirs, most=MOST)
    assert found.first_other[0] is None
    assert found.first_other[1] is not None
    assert found.first_other[1].operation == "SOFTMAX"


def test_equal_names_are_partners_however_far_apart() -> None:
    mine = [Layer("a", "X", maps(2, 5)), Layer("b", "X", maps(2, 5))]
    theirs = [Layer("a", "X", mine[0].values), Layer("b", "X", maps(2, 5))]
    found = match_layers(mine, theirs, most=MOST)
    assert [(pair.other, pair.differs) for pair in found.pairs] == [("a", False), ("b", True)]


def test_values_that_are_no_numbers_have_no_partner() -> None:
    mine = [Layer("a", "X", np.full((2, 3), np.nan, np.float32))]
    found = match_layers(mine, [Layer("b", "X", maps(2, 3))], most=MOST)
    assert found.pairs[0].other == ""
    assert found.last_same == -1


def side(path: Path, **planted: object) -> FileSide:
    return FileSide(tiny_masks.write_tiny(path, **planted), "onnx", "float32", tiny_masks.CARD)  # type: ignore[arg-type]


def test_masks_of_two_files_are_compared_layer_by_layer(tmp_path: Path) -> None:
    batch = tiny_masks.batch(4)
    sound = side(tmp_path / "sound.onnx")
    same = compare_sides(sound, side(tmp_path / "same.onnx"), batch.image_ids, batch.tensors, Limits())
    assert same.same, same.found
    assert [pair.operation for pair in same.layers] == ["Cast", "Div", "Add", "Slice", "Softmax"]
    other = side(tmp_path / "other.onnx", bias=(3.0, 0.0, 0.0))
    found = compare_sides(sound, other, batch.image_ids, batch.tensors, Limits())
    assert found.first is not None
    assert found.first.step == "layer"
    assert "scores (Div)" in found.first.words
    assert "logits" in found.first.layer


def test_a_file_that_answers_nan_is_told(tmp_path: Path) -> None:
    batch = tiny_masks.batch(3)
    other = side(tmp_path / "nan.onnx", bias=(float("nan"), 0.0, 0.0))
    found = compare_sides(side(tmp_path / "m.onnx"), other, batch.image_ids, batch.tensors, Limits())
    assert found.first is not None
    assert "NaN" in found.first.words


def test_a_format_without_layers_says_so(tmp_path: Path) -> None:
    tensors = np.zeros((1, *tiny.CONTRACT.shape), np.uint8)
    with pytest.raises(Unsupported, match="hand out no layers"):
        layers_of("executorch", tmp_path / "m.pte", tensors)
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(Unsupported, match=r"hands out no layers of cut\.onnx"):
        layers_of("onnx", tmp_path / "cut.onnx", tensors)
