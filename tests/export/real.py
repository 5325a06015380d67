"""Networks on real pictures for the full tests: pretrained, or trained in seconds.

A pretrained body gets its last layer by least squares, so that it answers surely within half a minute.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from darkroom.export.parity import ParityBatch
from darkroom.export.reference import TorchReference
from darkroom.images import prepare
from darkroom.networks import build
from darkroom.networks.network import Network
from darkroom.networks.weights import find_weights, load_pretrained
from darkroom.pipeline.defaults import LAST_LAYER_RECIPE
from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.training.last_layer import LastLayer
from tests.networks import pretrained

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
DIGITS = tuple("0123456789")
HALF = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)


class Real(NamedTuple):
    """A network, its card, and pictures that it has not seen, with their labels or masks."""

    network: Network
    card: ModelCard
    tensors: np.ndarray
    truth: np.ndarray
    seen: np.ndarray
    """Tensors that it was trained on; what a calibration may use."""
    seen_truth: np.ndarray = np.zeros(0, np.int64)
    """Their labels or masks."""

    def batch(self) -> list[ParityBatch]:
        names = [f"image-{row}" for row in range(len(self.truth))]
        return [ParityBatch(names, self.truth, self.tensors)]


def card_of(network: str, labels: tuple[str, ...], contract: Contract, **more: object) -> ModelCard:
    facts: dict[str, object] = {"task": "classification", "normalisation": HALF, **more}
    return ModelCard(
        labels=labels,
        network=network,
        contract=contract,
        created_at=now(),
        **facts,  # type: ignore[arg-type]
    )


def flowers(
    weights: str,
    shared_data: Path,
    folder: Path,
    *,
    per_class: int = 40,
    side: int = 224,
    share: float = 0.5,
    trained: bool = False,
) -> Real:
    """A pretrained MobileNetV2 whose last layer tells five flowers apart, learnt on a share."""
    facts = find_weights(weights, (pretrained.with_notes(folder / "weights", shared_data),))
    torch.manual_seed(0)
    size = (side, side)
    network = build(facts.network, channels=3, size=size, classes=len(FLOWERS), options=facts.options)
    load_pretrained(network, facts)
    contract = Contract(width_px=side, height_px=side, colour="rgb", resize="crop")
    card = card_of(facts.network, FLOWERS, contract, options=facts.options)
    tensors, truth = _photos(shared_data / "flowers", FLOWERS, per_class, contract)
    turns = np.floor(np.arange(len(truth) + 1) * share)
    known = turns[1:] > turns[:-1]
    fit = _train_last_layer if trained else _fit_last_layer
    fit(network.eval(), card, tensors[known], truth[known])
    return Real(network, card, tensors[~known], truth[~known], tensors[known], truth[known])


def digits(shared_data: Path, *, count: int = 300) -> Real:
    """A LeNet-5 after three quick epochs on 4,000 digits of MNIST."""
    images = _mnist(shared_data / "mnist/train-images-idx3-ubyte.gz", 16, 4000 * 784).reshape(-1, 28, 28, 1)
    labels = _mnist(shared_data / "mnist/train-labels-idx1-ubyte.gz", 8, 4000).astype(np.int64)
    held_out = _mnist(shared_data / "mnist/t10k-images-idx3-ubyte.gz", 16, count * 784)
    truth = _mnist(shared_data / "mnist/t10k-labels-idx1-ubyte.gz", 8, count).astype(np.int64)
    torch.manual_seed(0)
    network = build("lenet5", channels=1, size=(28, 28), classes=10, options={})
    grey = Normalisation(mean=(0.13,), std=(0.31,))
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for start in (*range(0, len(labels), 50),) * 3:
        rows = slice(start, start + 50)
        x = (torch.from_numpy(images[rows]).permute(0, 3, 1, 2) / 255 - 0.13) / 0.31
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), torch.from_numpy(labels[rows])).backward()
        optimiser.step()
    contract = Contract(width_px=28, height_px=28, colour="grey")
    card = card_of("lenet5", DIGITS, contract, normalisation=grey)
    return Real(network.eval(), card, held_out.reshape(-1, 28, 28, 1), truth, images[:500], labels[:500])


def people(name: str, shared_data: Path, *, steps: int, count: int = 24, side: int = 128) -> Real:
    """A network for masks after some steps on photos of people; 0 steps leave its weights random."""
    contract = Contract(width_px=side, height_px=side, colour="rgb", resize="squash")
    card = card_of(name, ("background", "person"), contract, task="segmentation")
    tensors, masks = _people(shared_data / "people", 2 * count, contract)
    torch.manual_seed(0)
    network = build(name, channels=3, size=(side, side), classes=2)
    _wake(network, tensors[:count], masks[:count], steps)
    held_out = slice(count, None)
    return Real(network.eval(), card, tensors[held_out], masks[held_out], tensors[:count], masks[:count])


def _photos(
    folder: Path, classes: tuple[str, ...], per_class: int, contract: Contract
) -> tuple[np.ndarray, np.ndarray]:
    found = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())[:per_class]
    ]
    tensors = np.stack([prepare(path.read_bytes(), contract) for path, _ in found])
    return tensors, np.array([label for _, label in found])


def _fit_last_layer(network: Network, card: ModelCard, tensors: np.ndarray, truth: np.ndarray) -> None:
    """Ridge regression from the embedding to the classes; the sharpness is that of a trained network."""
    embedding = TorchReference(network, card).run(tensors).embedding
    assert embedding is not None
    x = embedding.astype(np.float64)
    wanted = np.eye(len(card.labels))[truth] - 1 / len(card.labels)
    centre = x.mean(axis=0)
    gram = (x - centre) @ (x - centre).T  # fewer pictures than features
    weights = (x - centre).T @ np.linalg.solve(
        gram + 0.1 * np.trace(gram) / len(x) * np.eye(len(x)), wanted
    )
    head = network.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(8 * weights.T))
        head.bias.copy_(torch.from_numpy(-8 * centre @ weights))


def _train_last_layer(network: Network, card: ModelCard, tensors: np.ndarray, truth: np.ndarray) -> None:
    """Trains the last layer as `train_layers = last` does, on centred and scaled features."""
    embedding = TorchReference(network, card).run(tensors).embedding
    assert embedding is not None
    assert isinstance(network.head, nn.Linear)
    # timm begins with weights sixteen times as large, which no short training gets rid of, and which
    # answer to every rounding: a training takes these too.
    network.head.reset_parameters()
    features = embedding.astype(np.float64)
    spread = features.std(axis=0)
    layer = LastLayer(network, features.mean(axis=0), 1 / (spread + np.sqrt(np.square(spread).mean())))
    x, wanted = torch.from_numpy(embedding), torch.from_numpy(truth)
    epochs = int(LAST_LAYER_RECIPE["epochs"])
    optimiser = torch.optim.AdamW(
        layer.parameters(), lr=LAST_LAYER_RECIPE["learning_rate"], weight_decay=5e-4
    )
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(layer(x[rows]), wanted[rows]).backward()
            optimiser.step()
        falling.step()
    network.load_state_dict(layer.weights(network))


def _mnist(path: Path, head: int, count: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(head + count), np.uint8)[head:].copy()


def _people(folder: Path, count: int, contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    paths = sorted((folder / "images").iterdir())[:count]
    tensors = np.stack([prepare(path.read_bytes(), contract) for path in paths])
    size = (contract.width_px, contract.height_px)
    masks = [
        np.asarray(Image.open(folder / "masks" / f"{path.stem}.png").resize(size, Image.Resampling.NEAREST))
        for path in paths
    ]
    return tensors, (np.stack(masks) > 127).astype(np.uint8)


def _wake(network: Network, tensors: np.ndarray, masks: np.ndarray, steps: int) -> None:
    """Trains some steps, and lets normalisation layers know what they saw in any case."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.3
    optimiser = torch.optim.Adam(network.train().parameters(), lr=2e-3 if steps else 0.0)
    draw = np.random.default_rng(0)
    for _ in range(max(3, steps)):
        rows = draw.integers(0, len(masks), 6)
        x = torch.from_numpy(tensors[rows]).permute(0, 3, 1, 2) / 127.5 - 1
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), torch.from_numpy(masks[rows]).long()).backward()
        optimiser.step()
