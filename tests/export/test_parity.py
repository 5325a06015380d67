"""Comparing files with a reference: every figure of the report, and every reason to fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors
from darkroom.errors import Invalid
from darkroom.export import ConvertedFile, FileParity, ParityReport
from darkroom.export.comparison import Comparison, Truth
from darkroom.export.parity import ParityBatch, verify
from darkroom.records import Limits
from darkroom.serving import Answer
from tests.export.tiny import CARD, CONTRACT, Numpy, write_tiny

COUNT = 150


@pytest.fixture
def images() -> ParityBatch:
    random = np.random.default_rng(3)
    tensors = random.integers(0, 256, (COUNT, *CONTRACT.shape), dtype=np.uint8)
    labels = Numpy().run(tensors).probabilities.argmax(axis=1)
    labels[:30] = (labels[:30] + 1) % 3
    return ParityBatch([f"i{row}" for row in range(COUNT)], labels, tensors)


def onnx(path: Path, precision: str = "float32") -> ConvertedFile:
    return ConvertedFile(path=path, target="onnx", precision=precision)


def only(report: ParityReport) -> FileParity:
    assert len(report.files) == 1
    return report.files[0]


def checked(path: Path, images: ParityBatch, **more: object) -> FileParity:
    return only(verify(Numpy(), CARD, [onnx(path)], [images], **{"rounds": 0, **more}))  # type: ignore[arg-type]


def test_a_faithful_file_passes_with_all_its_figures(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx")
    report = verify(Numpy(), CARD, [onnx(path)], [images], threads=1, rounds=20)
    file = only(report)
    assert report.passes
    assert file.failures == ()
    assert (file.agreement, file.flip_count, file.not_finite) == (1.0, 0, 0)
    assert file.max_abs < 1e-6
    assert file.mean_abs <= file.max_abs
    assert file.psnr_db is None or file.psnr_db > 120
    assert file.size_bytes == path.stat().st_size
    assert file.runtime.startswith("onnxruntime 1.")
    assert file.load_ms > 0
    assert file.accuracy == report.reference_accuracy == pytest.approx((COUNT - 30) / COUNT)
    assert file.accuracy_difference is not None
    assert file.accuracy_difference.low <= 0 <= file.accuracy_difference.high
    assert file.accuracy_difference.count == report.image_count == COUNT
    assert file.latency is not None
    assert 0 < file.latency.p50_ms <= file.latency.p95_ms
    assert (file.latency.threads, file.latency.rounds) == (1, 20)
    assert report.reference_latency is not None
    assert report.host
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_flips_are_listed_with_image_truth_answers_and_margin(tmp_path: Path, images: ParityBatch) -> None:
    file = checked(write_tiny(tmp_path / "model.onnx", scale=-16.0), images)
    expected = Numpy().run(images.tensors).probabilities
    given = Numpy().run(255 - images.tensors).probabilities
    flipped = np.flatnonzero(expected.argmax(axis=1) != given.argmax(axis=1))
    assert file.flip_count == len(file.flips) == len(flipped) > 100
    assert file.agreement == pytest.approx(1 - len(flipped) / COUNT)
    first, row = file.flips[0], flipped[0]
    ranked = np.sort(expected[row])
    assert first.image_id == f"i{row}"
    assert first.truth == CARD.labels[images.labels[row]]
    assert first.reference_answer == CARD.labels[expected[row].argmax()]
    assert first.answer == CARD.labels[given[row].argmax()]
    assert first.margin == pytest.approx(float(ranked[-1] - ranked[-2]), abs=1e-6)
    assert file.accuracy_difference is not None
    assert file.accuracy_difference.high < 0, "so many flips are evidence of a loss"
    assert any(f"{len(flipped)} of {COUNT} images otherwise" in why for why in file.failures)


def test_the_figures_do_not_depend_on_how_images_are_batched(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx", scale=-16.0)

    def singly() -> Iterator[ParityBatch]:
        for row in range(COUNT):
            part = slice(row, row + 1)
            yield ParityBatch(images.image_ids[part], images.labels[part], images.tensors[part])

    one = only(verify(Numpy(), CARD, [onnx(path)], singly(), rounds=0))
    whole = checked(path, images)
    assert one.flips == whole.flips
    assert one.mean_abs == pytest.approx(whole.mean_abs)
    assert one.accuracy_difference == whole.accuracy_difference


def test_a_small_difference_that_flips_nothing_is_over_the_limit(
    tmp_path: Path, images: ParityBatch
) -> None:
    path = write_tiny(tmp_path / "model.onnx", scale=16.02)
    file = checked(path, images)
    assert file.agreement == 1.0
    assert 1e-4 < file.max_abs < 1e-2
    (why,) = file.failures
    assert "at most 1.0·10⁻⁴ expected" in why
    assert checked(path, images, limits=Limits(parity_max_abs=1e-2)).passes


def test_a_file_that_answers_nan_fails_and_says_how_often(tmp_path: Path, images: ParityBatch) -> None:
    file = checked(write_tiny(tmp_path / "model.onnx", last="Log", scale=-16.0), images)
    assert file.not_finite == COUNT * 3
    assert file.agreement == 0.0
    assert file.flips[0].answer == "not a number"
    assert f"{COUNT * 3} of its probabilities are NaN or infinite." in file.failures


def test_an_embedding_that_is_no_number_fails_though_the_probabilities_agree(
    tmp_path: Path, images: ParityBatch
) -> None:
    comparison = Comparison(onnx(write_tiny(tmp_path / "model.onnx")), CARD, threads=1)
    truth, answer = Truth(), Numpy().run(images.tensors)
    assert answer.embedding is not None
    spoilt = answer.embedding.copy()
    spoilt[3, 1], spoilt[7, 0] = np.nan, np.inf
    truth.add(images, answer)
    comparison.add(images, answer)
    comparison.add_differences(answer, Answer(answer.probabilities, spoilt))
    file = comparison.report(truth, Limits(), None)
    assert file.failures == ("2 numbers of its embedding are NaN or infinite.",)
    assert file.embedding_max_abs == pytest.approx(0, abs=1e-5)
    comparison.add_differences(answer, Answer(answer.probabilities, spoilt[:, :2]))
    assert comparison.report(truth, Limits(), None).failures == (
        "It gives embeddings of (2,) numbers, PyTorch of (3,).",
    )


def test_a_reference_that_answers_nan_fails_every_file(tmp_path: Path, images: ParityBatch) -> None:
    class Broken(Numpy):
        def run(self, tensors: np.ndarray) -> Answer:
            probabilities, embedding = super().run(tensors)
            probabilities[0, 0] = np.nan
            return Answer(probabilities, embedding)

    path = write_tiny(tmp_path / "model.onnx")
    file = only(verify(Broken(), CARD, [onnx(path)], [images], rounds=0))
    assert "PyTorch's own probabilities are NaN" in file.failures[0]


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"labels": ("red", "blue", "green")}, "place 1 is 'blue' for 'green'"),
        ({"labels": ("red", "green")}, "2 labels for 3 classes"),
        ({"labels": None}, "It carries no labels."),
        ({"card": None}, "It carries no model card."),
        (
            {"card": CARD.model_copy(update={"contract": CONTRACT.model_copy(update={"resize": "crop"})})},
            "another contract",
        ),
        ({"shape": (4, 6, 4)}, "It takes (4, 6, 4), the contract makes (4, 6, 3)."),
    ],
)
def test_what_a_file_says_about_itself_is_checked(
    tmp_path: Path, images: ParityBatch, planted: dict[str, object], reason: str
) -> None:
    file = checked(write_tiny(tmp_path / "model.onnx", **planted), images)  # type: ignore[arg-type]
    assert any(reason in why for why in file.failures), file.failures


def test_a_file_larger_than_the_limit_fails(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx")
    size = path.stat().st_size
    assert checked(path, images, limits=Limits(model_bytes=size)).passes
    (why,) = checked(path, images, limits=Limits(model_bytes=size - 1)).failures
    assert why == f"It has {size:,} bytes, at most {size - 1:,} expected."


def test_limits_for_parity_do_not_judge_other_precisions(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx", scale=16.5)
    assert not checked(path, images).passes
    assert only(verify(Numpy(), CARD, [onnx(path, "int8")], [images], rounds=0)).passes


def test_golden_pictures_are_checked_from_their_bytes_on(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx")
    golden = GoldenVectors.synthetic(CONTRACT, count=5)
    golden = golden.answered(Numpy().run(golden.tensors).probabilities)
    sound = checked(path, images, golden=golden.vectors)
    assert sound.passes
    assert sound.golden.ok
    assert sound.golden.count == 5

    first, second, *others = golden.vectors
    answers = (first.probabilities or ())[::-1]
    planted = (replace(first, probabilities=answers), replace(second, tensor=second.tensor[::-1]), *others)
    file = checked(path, images, golden=planted)
    assert file.golden.wrong_answers == (
        first.name,
        *([second.name] if file.golden.wrong_answers[1:] else []),
    )
    assert file.golden.wrong_tensors == (second.name,)
    assert not file.golden.ok
    assert any("do not become their tensor" in why for why in file.failures)
    assert any("get other probabilities" in why for why in file.failures)


def test_a_broken_file_does_not_keep_the_others_from_being_compared(
    tmp_path: Path, images: ParityBatch
) -> None:
    sound = write_tiny(tmp_path / "sound.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(sound.read_bytes()[:-100])
    unknown = write_tiny(tmp_path / "unknown.onnx", last="Frobnicate", domain="elsewhere")
    missing = tmp_path / "missing.onnx"
    files = [onnx(path) for path in (cut, sound, unknown, missing)]
    report = verify(Numpy(), CARD, files, [images], rounds=3)
    assert [file.passes for file in report.files] == [False, True, False, False]
    assert not report.passes
    assert "cut short" in report.files[0].failures[0]
    assert "elsewhere:Frobnicate" in report.files[2].failures[0]
    assert "No model file" in report.files[3].failures[0]
    assert report.files[1].latency is not None
    assert len(report.table().rows) == 4
    assert [why.partition(":")[0] for why in report.failures] == [
        "cut.onnx",
        "unknown.onnx",
        "missing.onnx",
    ]


def test_images_of_one_group_count_together_in_the_interval(tmp_path: Path, images: ParityBatch) -> None:
    path = write_tiny(tmp_path / "model.onnx", scale=-16.0)
    grouped = images._replace(groups=[f"g{row % 10}" for row in range(COUNT)])
    file = checked(path, grouped)
    assert file.accuracy_difference is not None
    assert file.accuracy_difference.method == "bootstrap by group"


def test_nothing_is_proven_without_images(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at least one image"):
        verify(Numpy(), CARD, [onnx(write_tiny(tmp_path / "model.onnx"))], [])


def test_a_report_without_files_proves_nothing(images: ParityBatch) -> None:
    assert not verify(Numpy(), CARD, [], [images], rounds=0).passes


def test_progress_is_told_per_image(tmp_path: Path, images: ParityBatch) -> None:
    told: list[int] = []
    checked(write_tiny(tmp_path / "model.onnx"), images, on_progress=told.append)
    assert told == [64, 128, 150]
