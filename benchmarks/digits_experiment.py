"""What clones of one network say about drawings that are unlike their training pictures.

    python benchmarks/digits_experiment.py [--mnist DIR] [--clones 5] [--epochs 30] [--hands 4]
        [--page docs/digits-experiment.md] [--json]

LeNet on MNIST, 4,500 pictures to train on and 1,500 to validate, with the settings of the old tutorial
(SGD, rate 0.01, divided by ten every third of the training). Three ways: (a) clones that differ by their
seed alone; (b) each of them trained on for as many epochs again; (c) a configuration that fails. Snapshots
of three epochs are asked about drawn digits under six conditions, through the same contract as MNIST. Every
clone sees the same drawings. What the domain check says about them: digits_domain.py, which writes the last
part of the page; it is kept here.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from drawn_digits import CONDITIONS, Condition, draw
from mnist import BESIDE, read_mnist
from PIL import Image

import darkroom
from darkroom.images import prepare
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load
from darkroom.records import Contract
from darkroom.statistics import spread

TRAIN, VAL = 4500, 1500
CONTRACT = Contract(width_px=28, height_px=28, colour="grey", resize="squash")
TUTORIAL: dict[str, Any] = {
    "network": "lenet5",
    "batch_size": 64,
    "learning_rate": 0.01,
    "weight_decay": 0.0005,
    "optimiser": {"name": "sgd", "momentum": 0.9},
    "schedule": {"name": "step", "warmup_epochs": 0, "step_factor": 0.1},
}
DOMAIN_PART = "## The domain check"
"""Heading of the part of the page that digits_domain.py writes."""

FAILING_RATE = 0.2
"""A rate twenty times too large."""


@dataclass(frozen=True)
class Answers:
    """What one snapshot of one clone says about all drawings of all conditions."""

    probabilities: dict[str, np.ndarray]
    """Condition → (drawings, 10) float32."""

    def accuracy(self, condition: str, truth: np.ndarray) -> float:
        """Share of drawings that it names rightly."""
        return float((self.probabilities[condition].argmax(1) == truth).mean())


def main() -> None:
    options = _options()
    drawings, truth = _drawings(options.hands)
    with tempfile.TemporaryDirectory() as folder:
        project = _project(Path(folder), options.mnist)
        epochs = (options.epochs // 3, options.epochs * 5 // 6, options.epochs)
        ways = _trained(project, options, epochs)
        answers = {
            way: {epoch: [_asked(project, run, epoch, drawings) for run in runs] for epoch in epochs}
            for way, runs in ways.items()
        }
        accuracies = {way: _val(project, runs) for way, runs in ways.items()}
        project.close()
    rows = list(_rows(answers, truth))
    if options.json:
        for row in rows:
            print(json.dumps(row))
    page = "\n".join(_page(options, rows, answers, truth, accuracies)) + "\n"
    if options.page:
        before = options.page.read_text(encoding="utf-8") if options.page.is_file() else ""
        _, heading, rest = before.partition(DOMAIN_PART)
        kept = f"\n{heading}{rest}" if heading else ""
        options.page.write_text(page.rstrip() + "\n" + kept, encoding="utf-8")
    elif not options.json:
        print(page)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mnist", type=Path, default=BESIDE, help="folder with MNIST's idx.gz files")
    parser.add_argument("--clones", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hands", type=int, default=4, help="drawings of each digit under each condition")
    parser.add_argument("--page", type=Path, help="file for the page with the tables")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _drawings(hands: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns tensors (10 · hands, 28, 28, 1) uint8 per condition, and the digits (10 · hands,)."""
    pairs = [(digit, hand) for digit in range(10) for hand in range(hands)]
    tensors = {
        condition.name: np.stack([_tensor(digit, hand, condition) for digit, hand in pairs])
        for condition in CONDITIONS
    }
    return tensors, np.array([digit for digit, _ in pairs])


def _tensor(digit: int, hand: int, condition: Condition) -> np.ndarray:
    file = io.BytesIO()
    draw(digit, hand, condition).save(file, "PNG")
    return prepare(file.getvalue(), CONTRACT)


def _project(folder: Path, mnist: Path) -> Any:
    """Makes a project over the first pictures of MNIST, split as the tutorial did."""
    images, labels = read_mnist(mnist, count=TRAIN + VAL)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        place = (
            folder / "pictures" / ("train" if number < TRAIN else "val") / str(label) / f"{number:05d}.png"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.squeeze(2)).save(place)
    (folder / "darkroom.toml").write_text('schema_version = 1\n[project]\nname = "experiment"\n')
    project = darkroom.open(folder)
    source = project.source.add(folder=folder / "pictures", format="class-folders")
    project.dataset.freeze(
        dataset="mnist",
        sources=(source.source,),
        contract=CONTRACT.model_dump(),
        plan={"test_share": 0.0},
        pictures="none",
    )
    return project


def _trained(project: Any, options: argparse.Namespace, epochs: tuple[int, ...]) -> dict[str, list[str]]:
    """Trains the three ways; returns the runs of each."""
    every = int(np.gcd.reduce(epochs))
    schedule = {**TUTORIAL["schedule"], "step_epochs": max(1, options.epochs // 3)}
    recipe = {**TUTORIAL, "epochs": options.epochs, "snapshot_every": every, "schedule": schedule}
    seeds = range(options.clones)
    first = [project.model.train(dataset="mnist@1", recipe=recipe, seed=seed).run for seed in seeds]
    second = [
        project.model.train(dataset="mnist@1", recipe=recipe, seed=100 + seed, start_from=run).run
        for seed, run in zip(seeds, first, strict=True)
    ]
    failing = {**recipe, "learning_rate": FAILING_RATE}
    third = [project.model.train(dataset="mnist@1", recipe=failing, seed=seed).run for seed in seeds]
    return {"a": first, "b": second, "c": third}


def _asked(project: Any, run: str, epoch: int, drawings: dict[str, np.ndarray]) -> Answers:
    """Asks one snapshot about all drawings."""
    folder = project.workspace.runs_folder / run / "checkpoints"
    network, card = load(folder / f"epoch-{epoch:03d}.safetensors")
    model = ImageModel.of(network, card)
    return Answers({name: predict(model, [tensors]) for name, tensors in drawings.items()})


def _val(project: Any, runs: list[str]) -> list[float]:
    return [project.workspace.catalogue.runs.get(run).metrics["val.accuracy"] for run in runs]


def _rows(answers: dict[str, dict[int, list[Answers]]], truth: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yields the figures of each condition, way and snapshot, with the spread over the clones."""
    for condition in CONDITIONS:
        for way, by_epoch in answers.items():
            for epoch, clones in by_epoch.items():
                found = [one.accuracy(condition.name, truth) for one in clones]
                said = np.stack([one.probabilities[condition.name].argmax(1) for one in clones])
                sure = [_confidently_wrong(one.probabilities[condition.name], truth) for one in clones]
                yield {
                    "condition": condition.name,
                    "way": way,
                    "epoch": epoch,
                    "mean": round(statistics.fmean(found), 4),
                    "sd": round(spread(found).sd or 0.0, 4),
                    "min": min(found),
                    "max": max(found),
                    "all_agree": round(float((said == said[0]).all(axis=0).mean()), 4),
                    "sure_and_wrong": round(statistics.fmean(sure), 4),
                    "clones": len(clones),
                    "drawings": len(truth),
                }


def _confidently_wrong(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Share of drawings answered wrongly with a probability of 0.9 or more."""
    return float(((probabilities.argmax(1) != truth) & (probabilities.max(1) >= 0.9)).mean())


WAYS = {
    "a": "clones that differ by their seed alone",
    "b": "each clone of (a) trained on for as many epochs again, from its best epoch",
    "c": f"the same with a learning rate of {FAILING_RATE:g} instead of {TUTORIAL['learning_rate']:g}",
}


def _page(
    options: argparse.Namespace,
    rows: list[dict[str, Any]],
    answers: dict[str, dict[int, list[Answers]]],
    truth: np.ndarray,
    accuracies: dict[str, list[float]],
) -> Iterator[str]:
    yield "# The tutorial experiment: what clones say about drawn digits"
    yield ""
    yield "Written by `benchmarks/digits_experiment.py`; nothing in the tables is typed by hand."
    yield ""
    yield f"LeNet-5 on MNIST, {TRAIN:,} pictures to train on, {VAL:,} to validate, {options.epochs} epochs,"
    yield f"{options.clones} clones of each way:"
    yield ""
    for way, sentence in WAYS.items():
        found = accuracies[way]
        yield (
            f"- **({way})** {sentence}: validation accuracy of the best epochs "
            f"{statistics.fmean(found):.4f} in the mean, from {min(found):.4f} to {max(found):.4f}."
        )
    yield ""
    yield f"Each snapshot is asked about the same {len(truth)} drawings per condition, ten digits by"
    yield f"{options.hands} hands, which go through the same contract as MNIST: grey, squashed to 28×28."
    yield "Colours become grey, so that red on white and blue on yellow are dark digits on a light sheet:"
    yield "the opposite of what was learnt. Guessing names one in ten. The accuracy on the validation"
    yield "pictures, which hardly differs between the clones of (a), says nothing of all this; the spread"
    yield "between the clones does."
    yield ""
    yield from _accuracy_table(rows)
    yield from _sureness_table(rows, options.epochs)
    yield from _one_drawing(answers["a"][options.epochs], truth)


def _accuracy_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys((row["way"], row["epoch"]) for row in rows))
    yield "## Drawings named rightly: mean over the clones ± sd, [worst clone, best clone]"
    yield ""
    yield "| condition | " + " | ".join(f"({way}) epoch {epoch}" for way, epoch in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for condition in CONDITIONS:
        cells = {(r["way"], r["epoch"]): r for r in rows if r["condition"] == condition.name}
        yield f"| {condition.name} | " + " | ".join(_cell(cells[column]) for column in columns) + " |"
    yield ""


def _cell(row: dict[str, Any]) -> str:
    return f"{row['mean']:.2f} ± {row['sd']:.2f} [{row['min']:.2f}, {row['max']:.2f}]"


def _sureness_table(rows: list[dict[str, Any]], epoch: int) -> Iterator[str]:
    yield f"## At epoch {epoch}: how often all clones say the same, and how often one is sure and wrong"
    yield ""
    yield "Sure means a probability of 0.9 or more."
    yield ""
    yield "| condition | (a) all agree | (a) sure and wrong | (b) all agree | (b) sure and wrong |"
    yield "|---|---|---|---|---|"
    for condition in CONDITIONS:
        found = {r["way"]: r for r in rows if r["condition"] == condition.name and r["epoch"] == epoch}
        cells = [f"{found[way][key]:.2f}" for way in "ab" for key in ("all_agree", "sure_and_wrong")]
        yield f"| {condition.name} | " + " | ".join(cells) + " |"
    yield ""


def _one_drawing(clones: list[Answers], truth: np.ndarray) -> Iterator[str]:
    """Yields what each clone says about one drawing, the first "3", under each condition."""
    index = int(np.flatnonzero(truth == 3)[0])
    yield '## One drawing, a "3" by the first hand: what each clone of (a) says, and how surely'
    yield ""
    yield "| condition | " + " | ".join(f"clone {number + 1}" for number in range(len(clones))) + " |"
    yield "|---|" + "---|" * len(clones)
    for condition in CONDITIONS:
        said = [one.probabilities[condition.name][index] for one in clones]
        yield f"| {condition.name} | " + " | ".join(f"{p.argmax()} ({p.max():.0%})" for p in said) + " |"


if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_PROGRESS", "0")
    main()
