"""Trains small networks as one of several processes, for the tests of shared batches."""

import shutil
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from darkroom.errors import Cancelled
from darkroom.networks import build
from darkroom.training import Augment, Loss, Recipe
from darkroom.training.distributed import joined
from darkroom.training.loop import train
from tests.training import squares
from tests.training.digits import FACTS, digits

SIZE = 2
OFTEN = {"threads": 1, "device": "cpu"}
LENET = Recipe(epochs=2, batch_size=32, **OFTEN)
CASES = {
    "plain": LENET,
    "drawn": LENET.model_copy(
        update={"dropout": 0.3, "augment": Augment(rotate_deg=10, shift=0.1, noise=0.02)}
    ),
    "masks": Recipe(
        network="lraspp/mobilenetv2_035",
        epochs=2,
        batch_size=8,
        learning_rate=1e-4,
        loss=Loss(dice_weight=1.0),
        **OFTEN,
    ),
}
"""A recipe for each thing that could differ: sums alone, random draws, a loss of the whole batch."""


def data_of(case):
    """Returns pictures and facts of a case; the last batch of most is a small one."""
    if case == "masks":
        return squares.rendering(18, 5), squares.FACTS
    return digits(224 if case == "plain" else 230, 61), FACTS


def step_of(network, team):
    """Returns loss, gradients and running statistics of a step in float64, where rounding is small."""
    draw = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    built = NETWORKS[network]().double().train()
    x, y = torch.randn(7, 1, 32, 32, generator=draw).double(), torch.randint(5, (7,), generator=draw)
    torch.manual_seed(2)
    loss = functional.cross_entropy(team.answers(built, x), y)
    loss.backward()
    running = {name: value for name, value in built.state_dict().items() if "running" in name}
    gradients = {name: weight.grad for name, weight in built.named_parameters() if weight.grad is not None}
    return loss.item(), {name: one.detach().numpy() for name, one in {**gradients, **running}.items()}


def _small():
    body = nn.Sequential(
        nn.Conv2d(1, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.4), nn.AdaptiveAvgPool2d(2)
    )  # fmt: skip
    head = nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 5))
    network = nn.Sequential(body, head)
    network.unused = nn.Parameter(torch.zeros(3))  # a network may have weights that a batch does not use
    return network


NETWORKS = {
    "small": _small,
    "mobilenetv2_035": lambda: build("mobilenetv2_035", channels=1, size=(32, 32), classes=5),
}


def train_case(case, folder, recipe=None, **more):
    rendering, facts = data_of(case)
    recipe = recipe or CASES[case]
    return train(folder, rendering=rendering, recipe=recipe, seed=4, facts=facts, **more)


def train_part(folder, rank, cases, networks):
    """Trains some cases as one process of two; the second one writes where nobody looks."""
    folder = Path(folder)
    own = folder if rank == 0 else folder / "second"
    with joined(rank, SIZE, folder / "meeting", "cpu") as team:
        losses = [train_case(case, own / case, team=team).best.val_loss for case in cases]
        return losses, {name: step_of(name, team) for name in networks}


def stop_and_go_on(folder, rank):
    """Stops a training after its first epoch, and goes on with it."""
    folder = Path(folder)
    own = folder / f"stopped-{rank}"
    with joined(rank, SIZE, folder / "meeting-to-stop", "cpu") as team:
        try:
            train_case("drawn", own, team=team, should_stop=_after_looks(14))
        except Cancelled:
            pass
        else:
            raise AssertionError("it was to be stopped")
    if rank == 0:
        shutil.copytree(own, folder / "went-on-0")
    (folder / "went-on-1").mkdir(exist_ok=True)
    state = folder / "stopped-0" / "resume.safetensors"
    if rank == 1:
        shutil.copy(state, folder / "went-on-1")
    with joined(rank, SIZE, folder / "meeting-again", "cpu") as team:
        return train_case("drawn", folder / f"went-on-{rank}", team=team).resumed_from


def _after_looks(most):
    """Says to stop in the second epoch, in every process between the same two batches."""
    looks = iter(range(most))
    return lambda: next(looks, None) is None
