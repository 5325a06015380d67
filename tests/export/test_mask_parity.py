"""Files that answer masks are compared pixel by pixel, and what is too far off is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.bundle import GoldenVectors
from darkroom.documents import parity_page
from darkroom.export import ConvertedFile, ParityReport
from darkroom.export.conversion import convert
from darkroom.export.gates import file_gates, unmeasured_files
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.reference import TorchReference
from darkroom.networks import build
from darkroom.records import Limits, ModelCard, Normalisation, now
from tests.export.tiny_masks import CARD, CONTRACT, Numpy, batch, golden, write_tiny


def compared(
    path: Path,
    limits: Limits | None = None,
    batches: list[ParityBatch] | None = None,
    with_golden: bool = True,
    **how,
):
    """Returns the report on one file."""
    write_tiny(path / "model.onnx", **how)
    file = ConvertedFile(path=path / "model.onnx", target="onnx", precision="float32")
    return verify(
        Numpy(),
        CARD,
        [file],
        batches or [batch()],
        golden=golden().vectors if with_golden else (),
        limits=limits,
        rounds=0,
    )


def test_a_file_that_answers_alike_passes_with_all_its_figures(tmp_path: Path) -> None:
    report = compared(tmp_path, batches=[batch(5), batch(4, seed=1)])
    (file,) = report.files
    assert (report.passes, report.task, report.image_count) == (True, "segmentation", 9)
    assert (file.agreement, file.flip_count, file.flips) == (1.0, 0, ())
    assert file.max_abs < 1e-6
    pixels = file.pixels
    assert pixels is not None
    assert (pixels.count, pixels.differing, pixels.images) == (9 * 8 * 12, 0, 0)
    assert pixels.miou == pixels.reference_miou == 1.0
    assert file.accuracy == report.reference_accuracy == 1.0
    assert file.golden.ok
    assert file.golden.count == 4
    assert report.table().columns[2] == "equal pixels"


def test_pixels_that_differ_are_counted_with_how_sure_the_reference_was(tmp_path: Path) -> None:
    bias = (1.5, 0.0, 0.0)
    report = compared(tmp_path, bias=bias)
    (file,) = report.files
    part = batch()
    scores = part.tensors.astype(np.float32) / 32
    flipped = (scores + bias).argmax(-1) != scores.argmax(-1)
    ranked = np.sort(Numpy().run(part.tensors).probabilities, axis=-1)
    pixels = file.pixels
    assert pixels is not None
    assert pixels.differing == file.flip_count == int(flipped.sum()) > 0
    assert pixels.images == int(flipped.any((1, 2)).sum())
    assert pixels.largest_margin == pytest.approx(float((ranked[..., -1] - ranked[..., -2])[flipped].max()))
    assert [flip.pixels for flip in pixels.flips] == [int(one.sum()) for one in flipped if one.any()]
    assert pixels.miou is not None
    assert pixels.miou < 1
    assert pixels.miou_difference is not None
    assert pixels.miou_difference.value == pytest.approx(pixels.miou - 1)
    words = " ".join(file.failures)
    assert f"{pixels.differing} of 576 pixels" in words
    assert "two largest probabilities" in words
    assert "golden pictures get other masks" in words
    assert not report.passes


def test_each_limit_is_held_and_can_be_moved(tmp_path: Path) -> None:
    # A tiny push: only pixels whose two largest colours are nearly alike can turn.
    near = batch()
    near.tensors[0, 3, 3] = (100, 100, 5)
    near.labels[0, 3, 3] = 0
    how = {"bias": (-0.001, 0.0, 0.0), "with_golden": False}
    (strict,) = compared(tmp_path, batches=[near], **how).files
    assert strict.pixels is not None
    assert strict.pixels.differing == 1
    assert strict.pixels.largest_margin < 0.01
    assert len(strict.failures) == 1
    assert "agreement 0.998264, at least 0.9999" in strict.failures[0]
    (loose,) = compared(tmp_path, Limits(parity_pixels=0.99), [near], **how).files
    assert loose.passes
    (margin,) = compared(tmp_path, Limits(parity_pixels=0.9, parity_margin=1e-6), [near], **how).files
    assert any("at most 1.0·10⁻⁶" in why for why in margin.failures)


def test_a_difference_that_turns_no_pixel_is_held_too(tmp_path: Path) -> None:
    report = compared(tmp_path, scale=20.0)
    (file,) = report.files
    assert file.flip_count == 0
    assert [why for why in file.failures if why.startswith("A probability differs")]


def test_gates_are_those_of_masks(tmp_path: Path) -> None:
    report = compared(tmp_path)
    gates = {gate.limit: gate for gate in file_gates(report.files, Limits(), report.task)}
    assert set(gates) == {"parity_pixels", "parity_margin"}
    assert {gate.verdict for gate in gates.values()} == {"pass"}
    bad = compared(tmp_path, bias=(3.0, 0.0, 0.0))
    assert {gate.verdict for gate in file_gates(bad.files, Limits(), bad.task)} == {"fail"}
    names = {gate.limit for gate in unmeasured_files(Limits(), "segmentation")}
    assert names == {"parity_pixels", "parity_margin"}
    assert {gate.limit for gate in unmeasured_files(Limits())} == {"parity_agreement", "parity_max_abs"}


def test_no_numbers_are_refused(tmp_path: Path) -> None:
    report = compared(tmp_path, bias=(float("nan"), 0.0, 0.0))
    (file,) = report.files
    assert file.not_finite == 6 * 8 * 12 * 3
    assert file.agreement == 0
    assert "NaN" in file.failures[0]
    gates = file_gates(report.files, Limits(), report.task)
    assert "fail" in {gate.verdict for gate in gates}


def test_masks_of_another_size_or_class_list_are_refused(tmp_path: Path) -> None:
    (small,) = compared(tmp_path, rows=5).files
    assert small.failures == ("It gives probabilities of (1, 5, 12, 3), expected (1, 8, 12, 3).",)
    other = CARD.model_copy(update={"labels": ("red", "green")})
    write_tiny(tmp_path / "model.onnx")
    file = ConvertedFile(path=tmp_path / "model.onnx", target="onnx", precision="float32")
    part = batch()
    part.labels[part.labels == 2] = 0
    two = Numpy().run(part.tensors).probabilities[..., :2]

    class Two(Numpy):
        def run(self, tensors: np.ndarray):
            return super().run(tensors)._replace(probabilities=two[: len(tensors)])

    (found,) = verify(Two(), other, [file], [part], rounds=0).files
    assert found.failures == ("It gives 3 probabilities for 2 labels.",)


def test_the_page_says_what_was_compared(tmp_path: Path) -> None:
    good = parity_page(project="p", report=compared(tmp_path), bundle="b-1").decode()
    assert "on every pixel of the same 6 pictures" in good
    assert "Equal pixels" in good
    assert "0 of 576 answered otherwise" in good
    bad = parity_page(project="p", report=compared(tmp_path, bias=(1.5, 0.0, 0.0))).decode()
    assert "Pictures with other pixels" in bad
    assert "lead was at most" in bad


def test_a_report_is_read_back_as_it_was(tmp_path: Path) -> None:
    report = compared(tmp_path, bias=(1.5, 0.0, 0.0))
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.slow
# torch's own tracer warns of what it does itself.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["lraspp", "unet", "deeplabv3plus"])
def test_each_kind_of_network_trains_a_step_and_leaves_as_onnx_and_litert(
    kind: str, tmp_path: Path
) -> None:
    name, height, width = f"{kind}/resnet18", 64, 96
    torch.manual_seed(2)
    network = build(name, channels=3, size=(height, width), classes=3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    draw = np.random.default_rng(3)
    masks = np.kron(draw.integers(0, 3, (8, 4, 6)), np.ones((16, 16), int)).astype(np.uint8)
    tensors = (masks[..., None] * 90 + draw.integers(0, 60, (8, height, width, 3))).astype(np.uint8)
    x = torch.from_numpy(tensors).permute(0, 3, 1, 2) / 127.5 - 1
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = nn.functional.cross_entropy(network.train()(x), torch.from_numpy(masks).long())
    loss.backward()
    assert all(weight.grad is not None for weight in network.parameters()), "a layer has no part in it"
    optimiser.step()
    network.eval()
    card = ModelCard(
        task="segmentation",
        labels=("a", "b", "c"),
        network=name,
        contract=CONTRACT.model_copy(update={"width_px": width, "height_px": height}),
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
        created_at=now(),
    )
    done = convert(network, card, tmp_path, targets=("onnx", "litert"), embedding=True)
    assert done.failures == ()
    reference = TorchReference(network, card)
    vectors = GoldenVectors.synthetic(card.contract, count=6)
    vectors = vectors.answered(reference.run(vectors.tensors).probabilities)
    part = ParityBatch([f"image-{row}" for row in range(8)], masks, tensors)
    report = verify(reference, card, list(done.files), [part], golden=vectors.vectors, rounds=0)
    assert report.failures == ()
    assert len(report.files) == 2
    for file in report.files:
        assert file.pixels is not None
        assert file.agreement >= 0.9999
        assert file.max_abs < 1e-3
    answered = reference.run(tensors).probabilities
    assert answered.std(axis=(0, 1, 2)).max() > 1e-4, "it tells pixels apart"
