"""Trains a last layer in a process of its own: `python -m tests.training.last_child FOLDER WEIGHTS`."""

import sys
import tempfile
import time
from pathlib import Path

from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.training import Augment, Recipe
from darkroom.training.loop import train
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits

LAST = Recipe(
    weights="five",
    train_layers="last",
    epochs=15,
    learning_rate=0.1,
    threads=1,
    device="cpu",
)
VIEWS = LAST.model_copy(
    update={"feature_views": 3, "augment": Augment(rotate_deg=10, shift=0.1, noise=0.02)}
)


def make_weights(folder: Path) -> None:
    """Trains a LeNet on five of the digits and leaves its weights as `five`."""
    whole = digits(1000, 200)
    splits = {}
    for name in ("train", "val"):
        split = whole.split(name)
        few = split.labels < 5
        splits[name] = MemorySplit(split.images[few], split.labels[few])
    facts = FACTS.model_copy(update={"labels": tuple("01234")})
    recipe = Recipe(epochs=8, threads=1, device="cpu")
    with tempfile.TemporaryDirectory() as run:
        train(Path(run), rendering=MemoryRendering(**splits), recipe=recipe, seed=0, facts=facts)
        (Path(run) / "checkpoints/best.safetensors").rename(folder / "five.safetensors")


def main(folder: Path, weights: Path, pause_s: float = 0.0) -> None:
    """Trains the test's run; the pause keeps each epoch long enough to be hit."""

    def wait(done, total, figures):
        time.sleep(pause_s)

    start = NetworkStart(weights=find_weights("five", [weights]))
    recipe = VIEWS.model_copy(update={"dropout": 0.2, "epochs": 25})
    train(
        folder,
        rendering=digits(300, 100),
        recipe=recipe,
        seed=4,
        facts=FACTS,
        on_progress=wait,
        start=start,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), 0.02)
