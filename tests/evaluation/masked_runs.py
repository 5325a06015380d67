"""Runs that answer masks, for tests: networks with random weights on drawn squares."""

import numpy as np
import torch

from darkroom.networks import build
from darkroom.networks.saved import save
from darkroom.records import ModelCard, Normalisation, now
from tests.training.squares import FACTS, HEIGHT, WIDTH, squares

NETWORK = "lraspp/mobilenetv2_035"
LABELS = FACTS.labels


def split(count=7, seed=3):
    """Returns pictures with masks and ids."""
    found = squares(count, seed)
    found.image_ids = tuple(f"{number:064x}" for number in range(count))
    found.groups = (None,) * count
    return found


def card(run="r-1", **more):
    return ModelCard(
        task="segmentation",
        labels=LABELS,
        network=NETWORK,
        contract=FACTS.contract,
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        run=run,
        epoch=1,
        dataset="squares@1",
        dataset_id="abc",
        created_at=now(),
        **more,
    )


def network(seed=0):
    """Returns a network whose answers differ from place to place."""
    torch.manual_seed(seed)
    found = build(NETWORK, channels=3, size=(HEIGHT, WIDTH), classes=3).eval()
    with torch.no_grad():
        features = found.features(torch.randn(4, 3, HEIGHT, WIDTH))
        mean, spread = features.mean((0, 2, 3)), features.std((0, 2, 3)) + 1e-6
        found.head.weight.div_(spread[None, :, None, None])
        found.head.bias.copy_(-(found.head.weight[:, :, 0, 0] @ mean))
    return found


def run_folder(folder, seed=0, run="r-1"):
    """Writes a run; returns its folder."""
    save(folder / run / "checkpoints" / "best.safetensors", network(seed), card(run))
    return folder / run


def answers_of(folder, images):
    """Returns what the run's network answers, straight away: (N, H, W)."""
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.saved import load

    model = ImageModel.of(*load(folder / "checkpoints" / "best.safetensors"))
    with torch.inference_mode():
        return model(torch.from_numpy(images.images)).argmax(-1).numpy().astype(np.uint8)
