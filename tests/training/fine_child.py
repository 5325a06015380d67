"""Fine-tunes in a process of its own: `python -m tests.training.fine_child FOLDER WEIGHTS`."""

import sys
import time
from pathlib import Path

from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.training import Augment, Layers, Mixing, Recipe
from darkroom.training.loop import train
from tests.training.digits import FACTS, digits

GRADUAL = Recipe(
    weights="five",
    train_layers="gradual",
    layers=Layers(groups=3, open_every=1, head_epochs=8, head_rate=0.1, rate_decay=0.5),
    epochs=4,
    threads=1,
    device="cpu",
)
ALL_OF_IT = GRADUAL.model_copy(
    update={
        "sampling": "balanced",
        "mixing": Mixing(mixup=0.4, cutmix=1.0),
        "augment": Augment(shift=0.1),
        "epochs": 12,
    }
)


def main(folder: Path, weights: Path, pause_s: float = 0.0, stop_after: int = 0) -> None:
    """Trains the test's run; the pause keeps each epoch long enough to be hit."""
    asked = 0

    def wait(done, total, figures):
        time.sleep(pause_s)

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return 0 < stop_after < asked

    train(
        folder,
        rendering=digits(300, 100),
        recipe=ALL_OF_IT,
        seed=4,
        facts=FACTS,
        on_progress=wait,
        should_stop=stop,
        start=NetworkStart(weights=find_weights("five", [weights])),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), 0.02)
