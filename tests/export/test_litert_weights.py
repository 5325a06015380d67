"""A channel without weights keeps its bias in a .tflite file of int8, and in ONNX as well."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkroom.export import find
from darkroom.export.calibration import save_tensors
from darkroom.export.child import write_file
from darkroom.export.litert_weights import with_room
from darkroom.export.precisions import Recipe
from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.serving import open_session

HALF = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.mark.parametrize(("axis", "shape"), [(0, (4, 3, 3, 5)), (3, (1, 3, 3, 4))])
def test_a_weight_is_made_just_large_enough_for_the_bias(axis: int, shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    channels = np.moveaxis(weights, axis, 0)
    channels[1], channels[2] = 1e-30, 0
    bias, step = np.array([3, -2, 1, 0.5], np.float32), 2 / 255
    found = with_room(weights, bias, step, axis)
    assert found is not None
    made = np.moveaxis(found, axis, 0)
    assert np.array_equal(made[[0, 3]], channels[[0, 3]])
    steps = step * np.abs(made).reshape(4, -1).max(axis=1) / 127
    whole = bias / steps
    assert np.abs(whole).max() < 2**30 + 2**8
    moved = np.abs(made[1:3]).sum(axis=(1, 2, 3)) * 255 * step
    assert (moved < np.abs(bias[1:3]) / 30_000).all()


def test_weights_with_room_enough_stay() -> None:
    assert with_room(np.ones((2, 3), np.float32), np.array([1, -1], np.float32), 0.01, 0) is None


class Silent(Network):
    """Three of eight channels have no weights, only a bias that the next layer counts on."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(first, nn.ReLU6())
        self.head = nn.Linear(8, 4)
        assert first.bias is not None
        with torch.no_grad():
            first.weight[:2] = 1e-25
            first.weight[2] = 0
            first.bias[:3] = torch.tensor([2.0, 1.5, 1.0])

    def features(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x)).mean(dim=(2, 3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("target", ["litert", "onnx"])
@pytest.mark.parametrize("fit", [False, True])
def test_a_silent_channel_keeps_its_bias_in_int8(target: str, fit: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ImageModel(Silent(), HALF).eval()
    contract = Contract(width_px=12, height_px=10, colour="rgb")
    card = ModelCard(
        task="classification",
        labels=tuple("abcd"),
        network="silent",
        contract=contract,
        normalisation=HALF,
        created_at=now(),
    )
    pictures = np.random.default_rng(0).integers(0, 255, (20, *contract.shape), np.uint8)
    save_tensors(tmp_path / "calibration.npy", pictures)
    options = {"range": "minmax", "fitted": fit}
    recipe = Recipe(precision="int8", options=options, calibration=tmp_path / "calibration.npy")
    path = tmp_path / f"silent{find(target).suffix}"
    write_file(find(target), model, card, path, recipe)
    with torch.no_grad():
        exact = model(torch.from_numpy(pictures)).numpy()
    found = open_session(path).run(pictures).probabilities
    assert np.abs(found - exact).max() < 0.02
