"""Files that answer label sets are compared by probability and by set, at the thresholds of the card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors
from darkroom.documents import parity_page
from darkroom.export import ConvertedFile, ParityReport
from darkroom.export.parity import ParityBatch, verify
from darkroom.records import OperatingPoint
from darkroom.serving import Answer
from darkroom.tasks.label_sets import given
from tests.export.tiny import CARD as ONE_CLASS
from tests.export.tiny import CONTRACT, write_tiny

CARD = ONE_CLASS.model_copy(update={"task": "multi-label"})


class Numpy:
    """A sigmoid over the mean of each colour / 64, less a push, in float32."""

    title = "numpy"
    threads = 1

    def __init__(self, push: float = 0.0) -> None:
        self.push = push

    def run(self, tensors: np.ndarray) -> Answer:
        scores = tensors.astype(np.float32).mean(axis=(1, 2)) / np.float32(64) - np.float32(self.push)
        return Answer(1 / (1 + np.exp(-scores)), scores)


def batch(count: int = 12, point: OperatingPoint = OperatingPoint()) -> ParityBatch:
    draw = np.random.default_rng(3)
    tensors = draw.integers(0, 256, (count, *CONTRACT.shape)).astype(np.uint8)
    right = given(Numpy().run(tensors).probabilities, CARD.labels, point)
    return ParityBatch([f"image-{n}" for n in range(count)], right.astype(np.int64), tensors)


def compared(folder: Path, push: float = 0.0, point: OperatingPoint = OperatingPoint()) -> ParityReport:
    """Returns the report on a file, held against a reference that is off by a push of its scores."""
    card = CARD.model_copy(update={"operating_point": point})
    write_tiny(folder / "model.onnx", card=card, scale=64.0, last="Sigmoid")
    file = ConvertedFile(path=folder / "model.onnx", target="onnx", precision="float32")
    golden = GoldenVectors.synthetic(CONTRACT, count=3)
    golden = golden.answered(Numpy().run(golden.tensors).probabilities)
    return verify(Numpy(push), card, [file], [batch(point=point)], golden=golden.vectors, rounds=0)


def test_a_file_that_gives_the_same_labels_passes(tmp_path: Path) -> None:
    report = compared(tmp_path)
    (file,) = report.files
    assert (report.passes, report.task) == (True, "multi-label")
    assert (file.agreement, file.accuracy, report.reference_accuracy) == (1.0, 1.0, 1.0)
    assert file.max_abs < 1e-6
    assert file.golden.ok
    assert report.table().columns[2] == "same labels"


def test_another_set_is_a_flip_however_near_the_threshold(tmp_path: Path) -> None:
    tensors = batch().tensors
    own = np.sort(Numpy().run(tensors).probabilities.ravel())
    gap = int(np.argmax(np.diff(own[10:26]))) + 10
    between = float((own[gap] + own[gap + 1]) / 2)
    point = OperatingPoint(thresholds=dict.fromkeys(CARD.labels, between))
    assert compared(tmp_path, point=point).files[0].flip_count == 0
    report = compared(tmp_path, push=0.2, point=point)
    (file,) = report.files
    shifted = given(Numpy(0.2).run(tensors).probabilities, CARD.labels, point)
    plain = given(Numpy().run(tensors).probabilities, CARD.labels, point)
    apart = (shifted != plain).any(axis=1)
    assert file.flip_count == int(apart.sum()) > 0
    assert file.agreement == pytest.approx(1 - apart.mean())
    flip = file.flips[0]
    place = int(np.flatnonzero(apart)[0])
    assert flip.image_id == f"image-{place}"
    assert flip.answer == (
        ", ".join(label for label, holds in zip(CARD.labels, plain[place], strict=True) if holds)
        or "none of the labels"
    )
    assert flip.reference_answer != flip.answer
    assert 0 < flip.margin < 0.06
    words = " ".join(file.failures)
    assert f"It answers {int(apart.sum())} of 12 images otherwise than PyTorch" in words
    page = parity_page(project="tiny", report=report, bundle="b-1", pictures={}).decode()
    assert flip.image_id[:12] in page


def test_thresholds_of_the_card_decide_which_sets_are_compared(tmp_path: Path) -> None:
    everything = OperatingPoint(thresholds=dict.fromkeys(CARD.labels, 0.0))
    report = compared(tmp_path, push=0.5, point=everything)
    assert report.files[0].agreement == 1.0
    assert not report.passes  # the probabilities are off all the same
    assert "A probability differs from PyTorch's" in " ".join(report.failures)


@pytest.mark.slow
def test_litert_has_the_sigmoid_inside_and_agrees(tmp_path: Path) -> None:
    from darkroom.export.conversion import convert
    from darkroom.export.reference import TorchReference
    from darkroom.networks import build
    from darkroom.records import ModelCard, Normalisation, now
    from tests.label_sets import FACTS, LABELS, mosaics

    images, truth = mosaics(30)
    card = ModelCard(
        task="multi-label",
        labels=LABELS,
        network="lenet5",
        contract=FACTS.contract,
        normalisation=Normalisation(mean=(0.3,), std=(0.3,)),
        created_at=now(),
    )
    network = build("lenet5", channels=1, size=(32, 32), classes=len(LABELS)).eval()
    done = convert(
        network,
        card,
        tmp_path,
        targets=("onnx", "litert"),
        precisions=("float32",),
        embedding=True,
        name="m",
    )
    assert not done.failures
    part = ParityBatch([f"{n}" for n in range(30)], truth, images)
    report = verify(TorchReference(network, card), card, done.files, [part], rounds=0)
    assert report.passes, report.failures
    assert [file.agreement for file in report.files] == [1.0, 1.0]
    probabilities = TorchReference(network, card).run(images).probabilities
    assert not np.allclose(probabilities.sum(axis=1), 1)
