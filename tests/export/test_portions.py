"""Answers to many pictures are asked for in portions, and held in no more memory than they need."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Unsupported
from darkroom.export.answer_suspects import permutation_of, sigmoid
from darkroom.export.portions import in_portions, most_at_a_time
from darkroom.export.sides import FileSide, TorchSide
from darkroom.records import Contract
from tests.export import phone_sides, tiny, tiny_masks

MEBIBYTE = 2**20


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that numpy's arrays take while something runs, beyond what they took before."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_portions_hold_all_tensors_in_their_order() -> None:
    tensors = np.arange(150, dtype=np.uint8).reshape(150, 1, 1, 1)
    parts = list(in_portions(tensors, tiny.CARD))
    assert [len(part) for part in parts] == [64, 64, 22]
    np.testing.assert_array_equal(np.concatenate(parts), tensors)
    assert [len(part) for part in in_portions(tensors[:0], tiny.CARD)] == [0]


def test_of_large_masks_fewer_pictures_make_a_portion() -> None:
    assert most_at_a_time(tiny.CARD) == 64
    large = tiny_masks.CARD.model_copy(
        update={"contract": Contract(width_px=1000, height_px=1000, colour="rgb"), "labels": ("a", "b")}
    )
    assert most_at_a_time(large) == 2
    huge = large.model_copy(update={"contract": Contract(width_px=4000, height_px=4000, colour="rgb")})
    assert most_at_a_time(huge) == 1


def test_logits_of_many_pictures_do_not_hold_every_layer() -> None:
    side = TorchSide(phone_sides.network(), phone_sides.card())
    tensors = np.random.default_rng(3).integers(0, 256, (256, *phone_sides.CONTRACT.shape), np.uint8)
    side.logits(tensors[:2])
    found: list[np.ndarray | None] = []
    assert peak_bytes(lambda: found.append(side.logits(tensors))) < MEBIBYTE
    assert found[0] is not None
    (of_layer,) = (layer.values for layer in side.layers(tensors[:5]) if layer.name == "logits")
    np.testing.assert_allclose(found[0][:5], of_layer, atol=1e-5)


def test_a_file_is_asked_in_portions_and_answers_alike(tmp_path: Path) -> None:
    side = FileSide(tiny.write_tiny(tmp_path / "tiny.onnx"), "onnx", "float32", tiny.CARD)
    tensors = np.random.default_rng(3).integers(0, 256, (130, *tiny.CONTRACT.shape), np.uint8)
    np.testing.assert_allclose(
        side.probabilities(tensors), tiny.Numpy().run(tensors).probabilities, atol=1e-6
    )
    assert side.probabilities(tensors[:0]).shape == (0, 3)


def test_a_runtime_that_stops_is_named_with_the_file(tmp_path: Path) -> None:
    side = FileSide(tiny.write_tiny(tmp_path / "tiny.onnx"), "onnx", "float32", tiny.CARD)
    with pytest.raises(Unsupported, match=r"tiny\.onnx stopped while answering: \S") as caught:
        side.probabilities(np.zeros((2, 9, 9, 3), np.uint8))
    assert caught.value.hint.endswith("darkroom export verify")


def test_another_order_of_many_classes_is_found_in_little_memory() -> None:
    draw = np.random.default_rng(5)
    expected = draw.random((200, 300), dtype=np.float32)
    order = (1, 0, *range(2, 300))
    found: list[tuple[int, ...] | None] = []
    taken = peak_bytes(lambda: found.append(permutation_of(expected[:, list(order)], expected, 1e-3)))
    assert found == [order]
    assert taken < 8 * MEBIBYTE


def test_a_sigmoid_of_large_numbers_overflows_nowhere() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4], np.float32)), [0.0, 0.5, 1.0])
