"""How often is a diagnosis right? Trainings with a planted fault, and healthy ones, over several seeds.

    python benchmarks/diagnosis.py [--data DIR] [--sets digits,mnist,fashion,flowers] [--seeds 3] [--json]

Each training is an ordinary run of a project of its own: 30 % of the labels flipped, the learning rate
times 100 and a hundredth of it, 50 training pictures, a network that is too small, no regularisation, and
nothing at all. A planted fault counts as told where its verdict is found; every other verdict counts as
false, but for the companions that are stated with the plant.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from whole_runs import weights_folder

import darkroom

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
LABELS, HIGH, LOW = "labels look wrong", "learning rate too high", "learning rate too low"
FEW, SMALL, HEART = "too few images", "network too small", "overfitting for lack of regularisation"
TINY = """
import torch


def build(*, channels, size, classes):
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(16 * channels, 2),
        torch.nn.ReLU(), torch.nn.Linear(2, classes),
    )
"""
MOVED = {"rotate_deg": 10.0, "zoom": 0.1, "shift": 0.1}


class Plant(NamedTuple):
    """A fault, or none."""

    name: str
    expected: str
    """The verdict that has to be found; "looks healthy" of a training without fault."""
    also: frozenset = frozenset()
    """Verdicts that may be found too, as the fault brings them along."""
    flipped: float = 0.0
    pictures: int = 0
    """Training pictures; 0 takes all."""
    recipe: dict = {}
    sets: tuple = ("digits", "mnist", "fashion", "flowers")


PLANTS = (
    Plant("healthy", "looks healthy", sets=("digits", "mnist", "flowers")),
    Plant("30 % of the labels flipped", LABELS, flipped=0.3),
    Plant("learning rate × 100", HIGH, recipe={"rate": 100.0}),
    Plant("learning rate ÷ 100", LOW, recipe={"rate": 0.01}),
    Plant("50 pictures", FEW, frozenset({HEART}), pictures=50),
    Plant("network of two hidden units", SMALL, frozenset({LOW}), recipe={"tiny": True},
          sets=("digits", "mnist", "fashion")),
    Plant("no regularisation", HEART, frozenset({FEW}), pictures=300, recipe={"bare": True},
          sets=("digits", "mnist", "fashion")),
)  # fmt: skip


class Kind(NamedTuple):
    """A set of pictures and the recipe that suits it."""

    contract: dict
    recipe: dict


PLAIN = {"network": "lenet5", "epochs": 25, "learning_rate": 0.002, "weight_decay": 0.01, "augment": MOVED}
KINDS = {
    "digits": Kind({"width_px": 16, "height_px": 16, "colour": "grey"}, PLAIN),
    "mnist": Kind({"width_px": 28, "height_px": 28, "colour": "grey"}, PLAIN),
    "fashion": Kind({"width_px": 28, "height_px": 28, "colour": "grey"}, {**PLAIN, "epochs": 40}),
    "flowers": Kind(
        {"width_px": 224, "height_px": 224, "colour": "rgb", "resize": "crop"},
        {
            **{"network": "mobilenetv2_035", "epochs": 25, "learning_rate": 0.002, "weight_decay": 0.01},
            **{"train_layers": "last", "weights": "mobilenetv2_035.keras_in1k_features", "batch_size": 32},
        },
    ),
}


def main() -> int:
    """Runs the plants and prints a table."""
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.sets.split(","):
            for plant in PLANTS:
                if kind in plant.sets and options.only in plant.name:
                    rows += _run_plant(kind, plant, options, Path(folder))
    return _table(rows, as_json=options.json)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=BESIDE, help="folder with mnist-png, fashion-mnist-sample, …"
    )
    parser.add_argument("--sets", default="digits,mnist,fashion", help="of digits, mnist, fashion, flowers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="plants whose name holds this")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each diagnosis's short trainings")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _run_plant(kind, plant, options, folder):
    """Returns one row for each seed: kind, plant, seed, verdicts found, those that are false."""
    rows = []
    for seed in range(options.seeds):
        place = folder / f"{kind}-{plant.name.replace(' ', '-').replace('÷', 'by')}-{seed}"
        with _project(place, kind, plant, seed, options.data) as project:
            project.dataset.freeze(
                dataset="planted",
                contract=KINDS[kind].contract,
                plan=_shares(place, plant),
                pictures="none",
            )
            run = _trained(project, kind, plant, seed, place)
            found = project.model.diagnose(run=run, minutes=options.minutes)
        names = set(found.found)
        false = names - {plant.expected} - plant.also
        rows.append((kind, plant.name, plant.expected, seed, sorted(names), sorted(false)))
        said = "told" if plant.expected in names else "missed"
        print(
            f"{kind:8} {plant.name:30} seed {seed}: {said}; {', '.join(sorted(names)) or 'nothing'}",
            file=sys.stderr,
        )
        shutil.rmtree(place)
    return rows


def _project(place, kind, plant, seed, data):
    """Writes the pictures of a plant, with wrong labels where it has them, and opens a project on them."""
    place.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    by_class = _pictures(kind, data)
    names = sorted(by_class)
    for name in names:
        for number, source in enumerate(by_class[name]):
            label = name
            if draw.random() < plant.flipped:
                label = names[(names.index(name) + draw.integers(1, len(names))) % len(names)]
            target = (
                place
                / "photos"
                / label
                / f"{name}-{number:04d}{source.suffix if isinstance(source, Path) else '.png'}"
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                shutil.copy(source, target)
            else:
                Image.fromarray(source).save(target)
    (place / "darkroom.toml").write_text('[project]\nname = "planted"\n')
    if (data / "weights").is_dir():
        weights_folder(data / "weights", place / "weights")
    project = darkroom.open(place)
    project.source.add(folder=str(place / "photos"))
    return project


def _pictures(kind, data):
    """Returns pictures by class: files, or arrays."""
    if kind == "digits":
        bunch = load_digits()
        images = (bunch.images * 15.9).astype(np.uint8)
        return {str(digit): list(images[bunch.target == digit]) for digit in range(10)}
    folder = data / {"mnist": "mnist-png", "fashion": "fashion-mnist-sample", "flowers": "flowers"}[kind]
    return {one.name: sorted(one.iterdir()) for one in sorted(folder.iterdir()) if one.is_dir()}


def _shares(place, plant):
    count = sum(1 for _ in (place / "photos").glob("*/*"))
    if not plant.pictures:
        return {"test_share": 0.1, "val_share": 0.25}
    return {"test_share": 0.1, "val_share": 1 - plant.pictures / (0.9 * count)}


def _trained(project, kind, plant, seed, place):
    recipe = {**KINDS[kind].recipe}
    planted = dict(plant.recipe)
    recipe["learning_rate"] = recipe["learning_rate"] * planted.pop("rate", 1.0)
    if planted.pop("tiny", False):
        (place / "tiny.py").write_text(TINY)
        recipe |= {"network": "custom", "network_file": "tiny.py"}
    if planted.pop("bare", False):
        recipe |= {"augment": {}, "weight_decay": 0.0, "epochs": 60}
    if plant.pictures:
        recipe["epochs"] = 200 if plant.pictures <= 50 else 60  # about as many steps as of other plants
    try:
        project.model.train(dataset="planted@1", recipe=recipe, seed=seed)
    except darkroom.errors.Invalid as error:
        if error.id != "training.not-finite":
            raise
    return "r-1"


def _table(rows, *, as_json):
    """Prints how often each plant was told, and how often a false verdict came with it."""
    by_plant = defaultdict(list)
    for row in rows:
        by_plant[row[0], row[1], row[2]].append(row)
    held = True
    if not as_json:
        print("| pictures | planted | verdict | told | false verdicts |\n|---|---|---|---:|---|")
    for (kind, plant, expected), found in by_plant.items():
        told = sum(expected in row[4] for row in found)
        false = [name for row in found for name in row[5]]
        held &= told == len(found) and not false
        if as_json:
            facts = {
                "set": kind,
                "planted": plant,
                "verdict": expected,
                "told": told,
                "of": len(found),
                "false": false,
            }
            print(json.dumps(facts))
        else:
            counted = ", ".join(f"{name} ({false.count(name)})" for name in sorted(set(false))) or "none"
            print(f"| {kind} | {plant} | {expected} | {told} of {len(found)} | {counted} |")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
