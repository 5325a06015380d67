"""Networks of libraries and of the user leave as files that answer as PyTorch does; all of them train."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from darkroom.bundle import GoldenVectors
from darkroom.export.child import write_file
from darkroom.export.conversion import convert
from darkroom.export.exporters import find as find_exporter
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.precisions import Recipe
from darkroom.export.reference import TorchReference
from darkroom.networks import NETWORKS, build, find
from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.networks.weights import find_weights, load_pretrained
from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.serving import open_session
from tests.networks import pretrained
from tests.networks.test_custom import TINY

LABELS = ("a", "b", "c")


def card_of(network: str, side: int, **more: object) -> ModelCard:
    return ModelCard(
        task="classification",
        labels=LABELS,
        network=network,
        contract=Contract(width_px=side, height_px=side, colour="rgb"),
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
        created_at=now(),
        **more,  # type: ignore[arg-type]
    )


def awake(network: Network, side: int) -> Network:
    """Trains a network one step, and lets its normalisation layers know what they saw.

    Fresh, it would say the same of every picture, or carry numbers so large that nothing is alike.
    """
    torch.manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    x, labels = torch.randn(6, 3, side, side), torch.arange(6) % len(LABELS)
    network.train()
    loss = nn.functional.cross_entropy(network(x), labels)
    loss.backward()
    assert all(weight.grad is not None for weight in network.parameters()), "a layer has no part in it"
    optimiser.step()
    assert torch.isfinite(loss)
    return network.eval()


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (8, side, side, 3)).astype(np.uint8)


@pytest.fixture
def custom(tmp_path: Path) -> tuple[Network, ModelCard]:
    code = tmp_path / "my_network.py"
    code.write_text(TINY)
    network = build("custom", channels=3, size=(32, 32), classes=3, code=code)
    sha256 = hashlib.sha256(code.read_bytes()).hexdigest()
    return awake(network, 32), card_of("custom", 32, code_sha256=sha256)


def with_real_weights(name: str, places: tuple[Path, ...]) -> tuple[Network, ModelCard]:
    facts = find_weights(name, places)
    torch.manual_seed(1)
    network = build(facts.network, channels=3, size=(64, 64), classes=3, options=facts.options)
    load_pretrained(network, facts)
    return network.eval(), card_of(facts.network, 64, options=facts.options)


def check_answers_alike(network: Network, card: ModelCard, folder: Path, targets: tuple[str, ...]) -> None:
    done = convert(network, card, folder, targets=targets, embedding=True)
    assert done.failures == ()
    reference = TorchReference(network, card)
    golden = GoldenVectors.synthetic(card.contract)
    golden = golden.answered(reference.run(golden.tensors).probabilities)
    images = pictures(card.contract.width_px)
    batch = ParityBatch([f"image-{row}" for row in range(8)], np.zeros(8, np.int64), images)
    report = verify(reference, card, list(done.files), [batch], golden=golden.vectors, rounds=0)
    for found in report.files:
        assert found.failures == ()
        assert found.max_abs <= 1e-4
        assert found.embedding_max_abs is not None
        assert found.embedding_max_abs <= 1e-3
    assert reference.run(images).probabilities.std(axis=0).max() > 1e-4, "it tells pictures apart"


@pytest.mark.slow
def test_the_users_network_answers_alike_in_onnx(custom: tuple[Network, ModelCard], tmp_path: Path) -> None:
    check_answers_alike(*custom, tmp_path / "out", ("onnx",))


@pytest.mark.slow
def test_the_users_network_answers_alike_in_litert(
    custom: tuple[Network, ModelCard], tmp_path: Path
) -> None:
    check_answers_alike(*custom, tmp_path / "out", ("litert",))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv1_025.tf_in1k", "mobilenetv2_035.keras_in1k_features"])
def test_a_mobilenet_with_weights_from_tensorflow_answers_alike(
    name: str, tmp_path: Path, shared_data: Path
) -> None:
    places = (pretrained.with_notes(tmp_path / "weights", shared_data),)
    check_answers_alike(*with_real_weights(name, places), tmp_path / "out", ("onnx", "litert"))


@pytest.mark.slow
# torch's own tracer warns of what it does itself.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [name for name, one in NETWORKS.items() if "classification" in one.tasks])
def test_every_network_trains_a_step_and_leaves_as_onnx(name: str, tmp_path: Path) -> None:
    side = max(64, find(name).smallest_input_px)
    torch.manual_seed(1)
    network = awake(build(name, channels=3, size=(side, side), classes=3), side)
    card = card_of(name, side)
    path = tmp_path / "model.onnx"
    write_file(find_exporter("onnx"), ImageModel.of(network, card), card, path, Recipe(precision="float32"))
    answer = open_session(path).run(pictures(side)).probabilities
    np.testing.assert_allclose(
        answer, TorchReference(network, card).run(pictures(side)).probabilities, atol=1e-4
    )
