"""The smallest file that meets the brief is chosen, words say why, and all that was tried stays listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.export import ConvertedFile, FileParity, Latency, MemoryUse, ParityReport
from darkroom.export.choice import choose
from darkroom.export.choice_report import Candidate, PrecisionReport
from darkroom.export.gates import file_gates
from darkroom.export.losses import hold_loss, loss_of
from darkroom.export.report import ComparedPictures, PixelParity
from darkroom.export.verdict import failures_of
from darkroom.records import Contract, Interval, Limits, ModelCard, Normalisation, now
from darkroom.serving import Carried

CARD = ModelCard(
    task="classification",
    labels=("a", "b"),
    network="lenet5",
    contract=Contract(width_px=8, height_px=8, colour="grey"),
    normalisation=Normalisation(mean=(0.5,), std=(0.5,)),
    created_at=now(),
)
CARRIED = Carried(CARD, CARD.labels)


def parity(
    precision: str,
    size: int,
    loss: float = 0.0,
    *,
    recipe: str = "plain",
    target: str = "onnx",
    agreement: float = 0.99,
    ms: float = 2.0,
    count: int = 400,
    reach: float = 0.01,
    max_abs: float = 1e-5,
    memory: int = 0,
    limits: Limits = Limits(),
) -> FileParity:
    """A file with its verdict, under the default limits where no others are given."""
    difference = Interval(value=-loss, low=-loss - reach, high=-loss + reach, count=count)
    file = FileParity(
        file=f"m-{precision}-{recipe}.{target}",
        target=target,
        precision=precision,
        size_bytes=size,
        runtime="any",
        agreement=1.0 if precision == "float32" else agreement,
        flip_count=round((1 - agreement) * count),
        max_abs=max_abs,
        accuracy=0.9 - loss,
        accuracy_difference=difference,
        latency=Latency(p50_ms=ms, p95_ms=ms, threads=1, rounds=9),
        memory=MemoryUse(baseline_bytes=50, peak_bytes=50 + memory),
    )
    failures = failures_of(file, CARRIED, CARD, limits, count=count)
    return file.model_copy(update={"failures": failures})


def chosen_from(*files: FileParity, limits: Limits = Limits()) -> PrecisionReport:
    report = ParityReport(
        files=files,
        image_count=400,
        pictures=(ComparedPictures(split="val", count=300), ComparedPictures(split="train", count=100)),
        labels=CARD.labels,
        reference="torch",
        reference_accuracy=0.9,
        limits=limits,
        host="here",
        created_at=now(),
    )
    converted = [
        ConvertedFile(
            path=Path(file.file),
            target=file.target,
            precision=file.precision,
            recipe=file.file.removesuffix(f".{file.target}").removeprefix(f"m-{file.precision}-"),
        )
        for file in files
    ]
    return choose(report, converted, calibration_count=50)


def names(report: PrecisionReport, mark: str) -> list[str]:
    return [one.name for one in report.candidates if getattr(one, mark)]


def test_the_smallest_that_meets_the_brief_is_chosen_and_one_of_each_precision_kept() -> None:
    report = chosen_from(
        parity("float32", 4000),
        parity("float16", 2000, agreement=1.0),
        parity("int8", 1010, 0.012, recipe="minmax"),
        parity("int8", 1000, 0.004, recipe="entropy"),
        parity("int8", 990, 0.05, recipe="percentile-99.9", agreement=0.9),
    )
    assert names(report, "kept") == ["float32", "float16", "int8 (entropy)"]
    assert names(report, "chosen") == ["int8 (entropy)"]
    (why,) = report.words
    assert why == (
        "ONNX: int8 (entropy) is chosen, the smallest of 4 of 5 files that meet the brief on 300 val and "
        "100 train pictures: 0.00 MB, it loses 0.40 points of accuracy (-0.60 to 1.40) and answers 99.00% "
        "as PyTorch does; float32 has 0.00 MB."
    )
    assert [row[-1] for row in report.table().rows] == [
        "kept",
        "kept",
        "",
        "chosen",
        "misses the brief",
    ]


def test_a_precision_that_misses_the_brief_is_left_out_with_by_how_much() -> None:
    report = chosen_from(
        parity("float32", 4000),
        parity("int8", 1000, 0.05, recipe="minmax", agreement=0.95),
        parity("int8", 1000, 0.08, recipe="entropy", agreement=0.9),
    )
    assert names(report, "kept") == names(report, "chosen") == ["float32"]
    _, left_out = report.words
    assert left_out.startswith(
        "ONNX int8 is left out: by its best recipe, minmax: It answers 20 of 400 images"
    )
    assert "missed by 0.0200." in left_out
    assert left_out.endswith("darkroom model quantise --run RUN, then convert the run that it makes.")
    assert (
        "It loses 5.00 points of accuracy against PyTorch, at most 2 expected: missed by 3.00" in left_out
    )


@pytest.mark.parametrize("limits", [Limits(model_bytes=2000), Limits(memory_bytes=2000)])
def test_a_float32_file_that_is_too_large_is_left_out_where_another_one_meets_the_brief(
    limits: Limits,
) -> None:
    large = parity("float32", 4000, memory=4000, limits=limits)
    small = parity("int8", 1000, 0.001, recipe="entropy", memory=1000, limits=limits)
    report = chosen_from(large, small, limits=limits)
    assert names(report, "kept") == names(report, "chosen") == ["int8 (entropy)"]
    _, left_out = report.words
    assert left_out.startswith(f"ONNX float32 is left out: {large.failures[0]}")
    assert left_out.endswith("a smaller network, darkroom model networks says which can meet the brief.")
    alone = chosen_from(
        large, parity("int8", 3000, recipe="entropy", memory=3000, limits=limits), limits=limits
    )
    assert names(alone, "kept") == ["float32"], "verify says by how much"


def test_each_target_has_its_own_choice_and_its_own_front() -> None:
    report = chosen_from(
        parity("float32", 4000, ms=3.0),
        parity("int8", 1000, 0.01, recipe="minmax", ms=1.0),
        parity("float32", 5000, target="litert", ms=2.0),
        parity("int8", 1500, 0.01, recipe="minmax", target="litert", ms=4.0),
        parity("int8", 1500, 0.02, recipe="entropy", target="litert", ms=4.0, reach=0.0),
    )
    marks = [(one.target, one.name, one.front) for one in report.candidates]
    assert marks == [
        ("onnx", "float32", True),
        ("onnx", "int8 (minmax)", True),
        ("litert", "float32", True),
        ("litert", "int8 (minmax)", True),
        ("litert", "int8 (entropy)", False),
    ]
    assert len(report.words) == 2


def test_no_file_that_meets_the_brief_is_said() -> None:
    report = chosen_from(parity("int8", 1000, 0.05, recipe="minmax", agreement=0.9))
    assert names(report, "kept") == []
    assert report.words[0] == "ONNX: no file meets the brief on 300 val and 100 train pictures."


@pytest.mark.parametrize(
    ("loss", "reach", "count", "standing"),
    [
        (0.005, 0.01, 400, "pass"),
        (0.015, 0.01, 400, "not enough evidence"),
        (0.015, 0.01, 1000, "fail"),
        (0.021, 0.05, 50, "fail"),
        (-0.03, 0.01, 50, "pass"),
    ],
)
def test_from_a_thousand_pictures_on_the_far_end_decides(
    loss: float, reach: float, count: int, standing: str
) -> None:
    file = parity("int8", 1, loss, count=count, reach=reach)
    found = loss_of(file)
    assert found is not None
    assert found.value == pytest.approx(loss)
    assert found.low < found.value < found.high
    assert hold_loss(found, Limits()) == standing
    assert bool(file.failures) == (standing == "fail")
    gate = next(one for one in file_gates([file], Limits()) if one.limit == "accuracy_loss")
    assert (gate.verdict, gate.at_most, gate.bound) == (standing, True, 0.02)


def test_words_say_which_end_missed_by_how_much() -> None:
    (why,) = parity("int8", 1, 0.015, count=1000).failures
    assert why == (
        "It loses 1.50 points of accuracy against PyTorch, 95% interval 0.50 to 2.50; from 1,000 pictures "
        "on its far end must be at most 2: missed by 0.50 points."
    )
    gate = file_gates([parity("int8", 1, 0.015, count=1000)], Limits())[-1]
    assert gate.missed_by == pytest.approx(0.005)


def test_float16_has_limits_of_its_own() -> None:
    assert parity("float16", 1, agreement=1.0, max_abs=4e-3).failures == ()
    few, far = parity("float16", 1, agreement=0.99, max_abs=6e-3).failures
    assert few.startswith(
        "It answers 4 of 400 images otherwise than PyTorch: agreement 0.9900, at least 0.999"
    )
    assert far == "A probability differs from PyTorch's by 0.0060, at most 0.0050 expected of float16."
    gates = file_gates([parity("float16", 1, agreement=1.0)], Limits())
    assert [gate.limit for gate in gates] == ["parity_float16_agreement", "parity_float16_max_abs"]


def test_masks_lose_mean_iou() -> None:
    pixels = PixelParity(
        count=1_000,
        differing=5,
        images=1,
        miou=0.7,
        reference_miou=0.75,
        miou_difference=Interval(value=-0.05, low=-0.06, high=-0.04, count=20),
    )
    file = parity("int8", 1).model_copy(update={"pixels": pixels, "agreement": 0.995})
    masks = CARD.model_copy(update={"task": "segmentation"})
    (why,) = failures_of(file, CARRIED, masks, Limits(), count=20)
    assert why == (
        "It loses 5.00 points of mean IoU against PyTorch, at most 2 expected: missed by 3.00 points."
    )


def test_a_precision_that_nobody_knows_is_not_judged_by_limits_of_another() -> None:
    file = parity("float32", 1).model_copy(update={"precision": "theirs", "agreement": 0.1})
    assert failures_of(file, CARRIED, CARD, Limits(), count=400) == ()
    assert file_gates([file], Limits()) == ()


def test_a_report_of_what_was_tried_comes_back_from_the_disk() -> None:
    report = chosen_from(parity("float32", 4000), parity("int8", 1000, recipe="minmax"))
    assert PrecisionReport.model_validate_json(report.model_dump_json()) == report
    assert isinstance(report.candidates[0], Candidate)
