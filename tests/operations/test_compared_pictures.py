"""Which pictures files are compared on: all of test, others where there are few; each split by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from darkroom.documents import parity_page
from darkroom.export import ConvertedFile, ParityReport
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.pooled import packed, unpacked
from darkroom.export.verdict import failures_of
from darkroom.operations import compared_pictures as pool
from darkroom.records import Limits, Split
from darkroom.serving import open_session
from tests.export import tiny, tiny_masks


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"train": 5000, "val": 300, "test": 200}, {"test": 200, "val": 300, "train": 500}),
        ({"train": 5000, "val": 5000, "test": 1000}, {"test": 1000}),
        ({"train": 10, "val": 10, "test": 2500}, {"test": 2500}),
        ({"train": 60, "val": 20, "test": 20}, {"test": 20, "val": 20, "train": 60}),
        ({"train": 60, "val": 20, "test": 0}, {"val": 20, "train": 60}),
        ({"train": 9000, "val": 990, "test": 9}, {"test": 9, "val": 990, "train": 1}),
    ],
)
def test_test_is_never_thinned_out_and_others_fill_it_up(
    there: dict[Split, int], taken: dict[Split, int]
) -> None:
    sizes: dict[Split, int] = {split: there[split] for split in pool.POOLED}
    rows = pool.rows_of(sizes)
    assert {split: len(found) for split, found in rows.items()} == taken
    for split, found in rows.items():
        assert len(set(found.tolist())) == len(found), "none twice"
        assert 0 <= found.min() <= found.max() < there[split]
    assert pool.rows_of(sizes)["val" if not there["test"] else "test"][0] == 0, "the same ones each time"


def of(split: str, seed: int, count: int = 40, *, near: float = 0.0) -> ParityBatch:
    """Pictures of one split; `near` of them lie so near an edge that a scaled file flips them."""
    draw = np.random.default_rng(seed)
    tensors = draw.integers(0, 256, (count, *tiny.CONTRACT.shape), dtype=np.uint8)
    labels = tiny.Numpy().run(tensors).probabilities.argmax(axis=1)
    names = [f"{split}-{number}" for number in range(count)]
    return ParityBatch(names, labels, tensors, None, cast(Any, split))


def compared(
    folder: Path, batches: list[ParityBatch], scale: float = 16.0, precision: str = "float32"
) -> ParityReport:
    tiny.write_tiny(folder / "m.onnx", scale=scale)
    file = ConvertedFile(path=folder / "m.onnx", target="onnx", precision=precision)
    return verify(tiny.Numpy(), tiny.CARD, [file], batches, rounds=0)


def test_each_split_is_shown_by_itself_beside_the_pool(tmp_path: Path) -> None:
    report = compared(tmp_path, [of("test", 1), of("val", 2, 30), of("train", 3, 50)], scale=-16.0)
    (file,) = report.files
    assert [(one.split, one.count) for one in report.pictures] == [("test", 40), ("val", 30), ("train", 50)]
    assert report.pool == "40 of test, 30 of val (the network was chosen by them), 50 of train (trained on)"
    assert [part.split for part in file.by_split] == ["test", "val", "train"]
    mean = sum(part.agreement * part.count for part in file.by_split) / report.image_count
    assert mean == pytest.approx(file.agreement)
    assert file.accuracy_difference is not None
    assert file.accuracy_difference.count == 120
    alone = file.by_split[0].difference
    assert alone is not None
    assert alone.count == 40
    page = parity_page(project="p", report=report).decode()
    assert "Test has fewer than 1,000, so others were pooled in" in page
    assert "On test alone" in page
    assert "NaN or infinite" in page
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_pictures_of_one_split_are_said_once(tmp_path: Path) -> None:
    report = compared(tmp_path, [of("test", 1), of("test", 2)])
    assert report.pool == "80 of test"
    assert report.files[0].by_split == ()


def test_a_loss_that_test_alone_shows_fails_however_good_the_pool_looks(tmp_path: Path) -> None:
    train = of("train", 4, 2000)
    bad = of("test", 5, 60)
    report = compared(tmp_path, [bad, train], precision="int8")
    (file,) = report.files
    assert file.failures == ()
    worse = file.by_split[0].model_copy(
        update={
            "agreement": 0.5,
            "difference": file.accuracy_difference.model_copy(  # type: ignore[union-attr]
                update={"value": -0.5, "low": -0.6, "high": -0.4, "count": 60}
            ),
        }
    )
    changed = file.model_copy(update={"by_split": (worse, *file.by_split[1:])})
    session = open_session(tmp_path / "m.onnx")
    said = failures_of(changed, session.carried, tiny.CARD, Limits(), count=report.image_count)
    assert any("On the test pictures alone" in why for why in said)


def test_the_differing_pixels_of_masks_are_kept_and_drawn(tmp_path: Path) -> None:
    tiny_masks.write_tiny(tmp_path / "m.onnx", bias=(1.5, 0.0, 0.0))
    file = ConvertedFile(path=tmp_path / "m.onnx", target="onnx")
    batch = tiny_masks.batch()
    report = verify(tiny_masks.Numpy(), tiny_masks.CARD, [file], [batch], rounds=0)
    pixels = report.files[0].pixels
    assert pixels is not None
    for flip in pixels.flips:
        marks = unpacked(flip.where, tiny_masks.CONTRACT.shape[:2])
        assert marks is not None
        assert int(marks.sum()) == flip.pixels
    scores = batch.tensors.astype(np.float32) / 32
    expected = np.add(scores, (1.5, 0.0, 0.0)).argmax(-1) != scores.argmax(-1)
    first = next(row for row in range(len(expected)) if expected[row].any())
    np.testing.assert_array_equal(unpacked(pixels.flips[0].where, (8, 12)), expected[first])


def test_marks_that_are_none_are_left_out() -> None:
    marks = np.eye(9, dtype=bool)
    assert np.array_equal(unpacked(packed(marks), (9, 9)), marks)  # type: ignore[arg-type]
    for broken in ("", "?", packed(marks)[:8], packed(np.zeros((2, 2), bool))):
        assert unpacked(broken, (9, 9)) is None
