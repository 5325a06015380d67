"""Models for the tests: trained in a second, with faults planted on request.

As a script it writes a file per fault: `python -m tests.export.models target weights grey-weights folder`,
and a file by each recipe with the word `recipes` at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkroom.errors import DarkroomError
from darkroom.export import EXPORTERS, find
from darkroom.export.child import write_file
from darkroom.export.parity import ParityBatch
from darkroom.export.precisions import Recipe
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel, normalise, scale_and_shift
from darkroom.networks.network import Network
from darkroom.networks.saved import load
from darkroom.records import Contract, ModelCard, now
from darkroom.training.normalisation import normalisation_of

FLOAT32 = Recipe(precision="float32")

QUICK = ("onnx", "litert")
"""Targets that every test run covers; the libraries of the others take seconds to load."""

TARGETS = [pytest.param(target, marks=() if target in QUICK else pytest.mark.slow) for target in EXPORTERS]
"""All targets, for a test's parameters; the others than `QUICK` in the full run only."""

COLOURS = {"red": (190, 90, 80), "grün": (90, 160, 80), "blue": (80, 90, 190), "grey": (120, 120, 120)}


class Trained(NamedTuple):
    network: Network
    card: ModelCard
    images: np.ndarray
    labels: np.ndarray

    def batches(self, size: int = 50) -> list[ParityBatch]:
        return [
            ParityBatch(
                [f"image-{row}" for row in range(start, min(start + size, len(self.labels)))],
                self.labels[start : start + size],
                self.images[start : start + size],
            )
            for start in range(0, len(self.labels), size)
        ]


def colours() -> Trained:
    """A LeNet-5 that tells noisy colours apart, 24×20 px."""
    contract = Contract(width_px=24, height_px=20, colour="rgb", resize="fill")
    return _trained(contract, tuple(COLOURS), np.array(list(COLOURS.values())))


def stripes() -> Trained:
    """A LeNet-5 that tells three greys apart, 16×28 px."""
    contract = Contract(width_px=16, height_px=28, colour="grey")
    return _trained(contract, ("dark", "middle", "light"), np.array([[60], [128], [190]]))


KINDS = ("mean-pixel", "mean-image", "none")
"""Normalisations beside mean-std."""


def normalised(kind: str) -> Trained:
    """A LeNet-5 that tells noisy colours apart, 18×14 px, with another normalisation."""
    contract = Contract(width_px=18, height_px=14, colour="rgb")
    return _trained(contract, tuple(COLOURS), np.array(list(COLOURS.values())), kind)


class _Split(NamedTuple):
    images: np.ndarray
    labels: np.ndarray

    @property
    def image_ids(self) -> list[str]:
        return [f"image-{row}" for row in range(len(self.labels))]

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.images.shape
        return height, width, channels

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return np.take(self.images, indices, axis=0, out=out, mode="clip")


def _trained(
    contract: Contract, labels: tuple[str, ...], means: np.ndarray, kind: str = "mean-std"
) -> Trained:
    random = np.random.default_rng(0)
    truth = random.integers(0, len(labels), 300)
    noise = random.normal(0, 40, (len(truth), *contract.shape))
    images = np.clip(means[truth][:, None, None, :] + noise, 0, 255).astype(np.uint8)
    normalisation, mean_image = normalisation_of(kind, _Split(images, truth), "")
    torch.manual_seed(0)
    network = build(
        "lenet5", channels=contract.channels, size=contract.shape[:2], classes=len(labels), options={}
    )
    network.mean_image = mean_image
    _fit(
        network,
        normalise(torch.from_numpy(images), *scale_and_shift(normalisation, mean_image)),
        torch.from_numpy(truth),
    )
    card = ModelCard(
        task="classification",
        labels=labels,
        network="lenet5",
        contract=contract,
        normalisation=normalisation,
        run="r-1",
        dataset="colours@1",
        licence="CC-BY-4.0",
        intended_use="Tell colours apart, «exactly».",
        created_at=now(),
    )
    return Trained(network.eval(), card, images, truth)


def _fit(network: Network, inputs: Tensor, truth: Tensor) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(25):
        rows = slice(step % 5 * 60, step % 5 * 60 + 60)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inputs[rows]), truth[rows]).backward()
        optimiser.step()


class _DoubleSoftmax(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.head(x), dim=1)


class _SingularValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x[:, None, :].expand(-1, 4, -1))


Fault = Callable[[Network, ModelCard], tuple[Network, ModelCard]]


def sound(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    return network, card


def bgr(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.weight = nn.Parameter(first.weight[:, [2, 1, 0]].contiguous())
    return network, card


def wrong_mean(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    shifted = card.normalisation.model_copy(update={"mean": (0.485, 0.456, 0.406)})
    return network, card.model_copy(update={"normalisation": shifted})


def double_softmax(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    network.head = _DoubleSoftmax(network.head)
    return network, card


def swapped_outputs(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    head = network.head
    assert isinstance(head, nn.Linear)
    head.weight = nn.Parameter(head.weight[[1, 0, 2, 3]].contiguous())
    head.bias = nn.Parameter(head.bias[[1, 0, 2, 3]].contiguous())
    return network, card


def swapped_labels(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    return network, card.model_copy(update={"labels": ("grün", "red", "blue", "grey")})


def unknown_operation(network: Network, card: ModelCard) -> tuple[Network, ModelCard]:
    network.head = _SingularValues()
    return network, card


FAULTS: dict[str, Fault] = {
    fault.__name__: fault for fault in (bgr, wrong_mean, double_softmax, swapped_outputs, swapped_labels)
}


def write_all(target: str, weights: Path, grey: Path, folder: Path) -> None:
    exporter = find(target)
    network, card = load(grey)
    write_file(exporter, ImageModel.of(network, card), card, folder / f"grey{exporter.suffix}", FLOAT32)
    for kind in KINDS:
        network, card = load(weights.with_name(kind))
        path = folder / f"{kind}{exporter.suffix}"
        write_file(exporter, ImageModel.of(network, card), card, path, FLOAT32)
    for plant in (sound, *FAULTS.values(), unknown_operation):
        network, card = plant(*load(weights))
        path = folder / f"{plant.__name__}{exporter.suffix}"
        try:
            write_file(exporter, ImageModel.of(network, card, with_embedding=True), card, path, FLOAT32)
        except DarkroomError as error:
            path.with_suffix(".json").write_text(json.dumps(error.as_dict()))
    write_recipes(target, weights, folder, first_recipes(target))


def first_recipes(target: str) -> list[Recipe]:
    """Returns the first recipe of each precision but float32."""
    exporter = find(target)
    return [exporter.recipes(precision)[0] for precision in exporter.precisions[1:]]


def further_recipes(target: str) -> list[Recipe]:
    """Returns the others."""
    exporter = find(target)
    return [one for precision in exporter.precisions[1:] for one in exporter.recipes(precision)[1:]]


def write_recipes(target: str, weights: Path, folder: Path, recipes: Sequence[Recipe]) -> None:
    """Writes a file by each recipe; and int8 without its calibration pictures."""
    exporter = find(target)
    network, card = load(weights)
    calibration = weights.with_name("calibration.npy")
    shared = folder / "shared"
    shared.mkdir()
    for recipe in recipes:
        path = folder / precision_file(target, recipe)
        whole = recipe.with_places(calibration, shared)
        write_file(exporter, ImageModel.of(network, card, with_embedding=True), card, path, whole)
    try:
        path = folder / f"uncalibrated{exporter.suffix}"
        write_file(exporter, ImageModel.of(network, card), card, path, Recipe(precision="int8"))
    except DarkroomError as error:
        path.with_suffix(".json").write_text(json.dumps(error.as_dict()))


def precision_file(target: str, recipe: Recipe) -> str:
    """Returns what the file by a recipe is called."""
    return f"{recipe.precision}-{recipe.name}{find(target).suffix}"


if __name__ == "__main__":
    target, weights, grey, folder = sys.argv[1], *map(Path, sys.argv[2:5])
    if sys.argv[5:] == ["recipes"]:
        write_recipes(target, weights, folder, further_recipes(target))
    else:
        write_all(target, weights, grey, folder)
