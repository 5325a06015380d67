"""Trains in a process of its own, so that a test can kill it: `python -m tests.training.child FOLDER`."""

import sys
import time
from pathlib import Path

from darkroom.training import Augment, Recipe
from darkroom.training.loop import train
from tests.training.digits import FACTS, digits

RECIPE = Recipe(
    epochs=12,
    dropout=0.2,
    augment=Augment(rotate_deg=10, shift=0.1, noise=0.02),
    snapshot_every=5,
    threads=1,
    device="cpu",
)


def main(folder: Path, pause_s: float = 0.0) -> None:
    """Trains the test's run; the pause keeps each epoch long enough to be hit."""

    def wait(done, total, figures):
        time.sleep(pause_s)

    train(folder, rendering=digits(300, 100), recipe=RECIPE, seed=4, facts=FACTS, on_progress=wait)


if __name__ == "__main__":
    main(Path(sys.argv[1]), 0.02)
