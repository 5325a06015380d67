"""The last layer against LogisticRegression, with every picture asked about once: five folds.

    python benchmarks/transfer_folds.py [--data DIR] [--json] [--only trashnet:mobilenetv2_100]

`transfer.py` asks about the test pictures of one split, some 250 of them, and knows the difference to
within three points. Here the train, val and test pictures are dealt into five folds. For each fold three
clones are trained on the others with what `init` picks, by the same `darkroom.training`, a tenth of the
known pictures serving as val; LogisticRegression is fitted to the features of the same pictures, val among
them. Both are asked about the fold. The features are computed once.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from transfer import PHOTOS, _told, options
from whole_runs import WEIGHTS, make_project, weights_folder

import darkroom
from darkroom.datasets import render
from darkroom.features import project_store
from darkroom.networks.saved import load
from darkroom.operations.starting import start_of
from darkroom.statistics import paired_difference, wilson
from darkroom.training import CardFacts, Recipe
from darkroom.training.last_layer import embedders, feature_network
from darkroom.training.loop import train

FOLDS, CLONES, LEAST_DIFFERENCE = 5, 3, -0.01


class Pictures:
    """Some pictures of a version's train, val and test, as one split."""

    def __init__(self, splits, places: np.ndarray):
        self._splits, self._places = splits, places
        self._starts = np.cumsum([0, *(len(split) for split in splits)])
        ids = [image_id for split in splits for image_id in split.image_ids]
        groups = [group for split in splits for group in split.groups]
        self.image_ids = tuple(ids[place] for place in places)
        self.groups = tuple(groups[place] for place in places)
        self.labels = np.concatenate([split.labels for split in splits])[places]
        self.shape = splits[0].shape

    def __len__(self) -> int:
        return len(self._places)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((len(indices), *self.shape), np.uint8) if out is None else out
        for row, place in enumerate(self._places[indices]):
            split = int(np.searchsorted(self._starts, place, side="right")) - 1
            self._splits[split].gather(np.array([place - self._starts[split]]), out=out[row : row + 1])
        return out


class Dealt:
    """What a training takes for a rendering."""

    def __init__(self, train: Pictures, val: Pictures):
        self._of = {"train": train, "val": val}

    def split(self, name: str) -> Pictures:
        return self._of[name]


def main() -> int:
    chosen, held = options(__doc__), True
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(chosen.data / "weights", Path(folder) / "weights")
        for photos in PHOTOS:
            for network in WEIGHTS:
                if chosen.only in ("", f"{photos}:{network}"):
                    root = Path(folder) / f"{photos}-{network}"
                    os.environ.update(make_project(root, chosen.data / photos, weights, network=network))
                    for found in compare(root, f"{photos}.{network}"):
                        held &= _told(found, as_json=chosen.json)
    return 0 if held else 1


def compare(root: Path, name: str):
    with darkroom.open(root) as project:
        workspace = project.workspace
        recipe = Recipe.model_validate(
            next(stage for stage in workspace.project.stage if stage.name == "train").request["recipe"]
        )
        project.run(until="prepare")
        version = workspace.catalogue.datasets.list()[0]
        rendering = render(workspace, version)
        splits = [rendering.split(split) for split in ("train", "val", "test")]
        everything = Pictures(splits, np.arange(sum(map(len, splits))))
        start = start_of(workspace, recipe.network, None, recipe.weights)
        facts = CardFacts(labels=version.classes, contract=version.contract, dataset=version.ref)
        store = project_store(workspace, recipe.network)
        network, normalisation = feature_network(
            recipe, version.contract, len(version.classes), start, everything
        )
        plain = embedders(network, recipe, version.contract, normalisation, start)[0]
        features = store.of(everything, plain).array
        labels = everything.labels
        ours, usual = np.zeros(len(labels)), np.zeros(len(labels))
        dealt = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, labels)
        for number, (known, asked) in enumerate(dealt):
            fitted = LogisticRegression(max_iter=5000).fit(features[known], labels[known])
            usual[asked] = fitted.predict(features[asked]) == labels[asked]
            parts = train_test_split(known, test_size=0.1, stratify=labels[known], random_state=number)
            pictures = Dealt(*(Pictures(splits, part) for part in parts))
            for seed in range(CLONES):
                folder = root / "folds" / f"{number}-{seed}"
                train(
                    folder,
                    rendering=pictures,
                    recipe=recipe,
                    seed=seed,
                    facts=facts,
                    start=start,
                    features=store,
                )
                best, _ = load(folder / "checkpoints" / "best.safetensors")
                head = {name: part.detach().numpy() for name, part in best.head.state_dict().items()}
                logits = features[asked] @ head["weight"].T + head["bias"]
                ours[asked] += (logits.argmax(axis=1) == labels[asked]) / CLONES
            sys.stderr.write(f"{name}: fold {number + 1} of {FOLDS}\n")
    count, difference = len(labels), paired_difference(ours, usual, draws=10_000)
    for what, value in (("accuracy", ours.mean()), ("logistic_regression", usual.mean())):
        ends = wilson(float(value) * count, count)
        yield line(name, what, float(value), [ends.low, ends.high], pictures=count)
    yield line(
        name,
        "difference",
        difference.value,
        [difference.low, difference.high],
        bar=LEAST_DIFFERENCE,
        holds=bool(difference.value >= LEAST_DIFFERENCE),
    )


def line(name: str, what: str, value: float, ends: list[float], **more) -> dict:
    return {
        "name": f"transfer_folds.{name}.{what}",
        "value": round(value, 4),
        "interval": [round(end, 4) for end in ends],
        **more,
    }


if __name__ == "__main__":
    raise SystemExit(main())
