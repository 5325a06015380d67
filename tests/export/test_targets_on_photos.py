"""Every format answers real pictures as PyTorch does, on every kind of network."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.bundle import GoldenVectors
from darkroom.export import EXPORTERS, ConvertedFile, FileParity, find
from darkroom.export.child import write_file
from darkroom.export.parity import verify
from darkroom.export.precisions import Recipe
from darkroom.export.reference import TorchReference
from darkroom.networks.image_model import ImageModel
from tests.export import real
from tests.export.real import Real

pytestmark = [
    pytest.mark.slow,
    # torch's own tracer warns of what it does itself.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


WRITTEN = {"float32": tuple(EXPORTERS), "float16": ("executorch", "coreml")}
"""By precision the formats; how small ONNX and LiteRT files answer: test_precisions_on_photos.py."""


def compared(found: Real, folder: Path, *, learnt: bool = True) -> dict[tuple[str, str], FileParity]:
    """Returns what came of each file, by target and precision."""
    model = ImageModel.of(found.network, found.card)
    files = [
        ConvertedFile(path=folder / f"{precision}{find(target).suffix}", target=target, precision=precision)
        for precision, targets in WRITTEN.items()
        for target in targets
    ]
    for file in files:  # in this process: a child for each would load its library anew
        write_file(find(file.target), model, found.card, file.path, Recipe(precision=file.precision))
    reference = TorchReference(found.network, found.card)
    vectors = GoldenVectors.synthetic(found.card.contract, count=6)
    vectors = vectors.answered(reference.run(vectors.tensors).probabilities)
    report = verify(reference, found.card, files, found.batch(), golden=vectors.vectors, rounds=0)
    if learnt:
        assert report.reference_accuracy > 0.6, "it must know something, or agreement says little"
    return {(file.target, file.precision): file for file in report.files}


def of_precision(files: dict[tuple[str, str], FileParity], precision: str) -> list[FileParity]:
    return [files[target, precision] for target in WRITTEN[precision]]


@pytest.mark.parametrize(
    "weights", ["mobilenetv2_100.tf2_ptq_dequant_in1k", "mobilenetv2_035.keras_in1k_features"]
)
def test_flowers_get_the_same_answers(weights: str, tmp_path: Path, shared_data: Path) -> None:
    files = compared(real.flowers(weights, shared_data, tmp_path), tmp_path)
    for file in of_precision(files, "float32"):
        assert file.failures == ()
        assert (file.agreement, file.max_abs <= 1e-4) == (1.0, True)
    for file in of_precision(files, "float16"):
        assert file.failures == ()
        assert (file.agreement >= 0.999, file.max_abs <= 5e-3) == (True, True)


def test_digits_get_the_same_answers(tmp_path: Path, shared_data: Path) -> None:
    files = compared(real.digits(shared_data), tmp_path)
    for file in of_precision(files, "float32"):
        assert (file.failures, file.agreement, file.max_abs <= 1e-4) == ((), 1.0, True)
    for file in of_precision(files, "float16"):
        assert (file.failures, file.agreement >= 0.999, file.max_abs <= 5e-3) == ((), True, True)


@pytest.mark.parametrize(("name", "steps"), [("lraspp/mobilenetv2_100", 40), ("unet/resnet18", 0)])
def test_pixels_of_people_get_the_same_answers(
    name: str, steps: int, tmp_path: Path, shared_data: Path
) -> None:
    found = real.people(name, shared_data, steps=steps)
    files = compared(found, tmp_path, learnt=steps > 0)
    for file in files.values():
        assert file.pixels is not None
    for file in of_precision(files, "float32"):
        assert file.failures == ()
        assert file.agreement >= 0.9999
        assert file.pixels is not None
        assert file.pixels.largest_margin < 1e-2
