"""Every set of pictures trained with what `init` picks, in one table: figures, spread, time, parity, size.

    python benchmarks/all_sets.py [--data DIR] [--out docs/all-sets.md] [--only flowers,people] [--again]
        [--clones 3] [--quick]

For each set: `darkroom init` and `darkroom run` as a person would type them, with weights at hand, one set
after the other. What came out of a set is added to results/all_sets.jsonl as soon as it is there, and a set
that stands in that file is not measured again: a call that was interrupted goes on with the next set.
--again measures anew. The page is written from the newest line of each set, after each of them.
--quick takes a few pictures and two epochs, keeps its lines and its page in a folder of its own, and only
shows that everything works.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from mnist import read_mnist
from PIL import Image
from sets_page import page
from whole_runs import Took, make_project, run_project, weights_folder

import darkroom
from darkroom import atomic
from darkroom.evaluation import (
    Judged,
    MaskJudged,
    load_any_evaluation,
    load_mask_answers,
    load_predictions,
    mask_gates,
    quality_gates,
    summarise,
    summarise_masks,
)
from darkroom.export import ParityReport
from darkroom.operations.bundling import parity_path
from darkroom.operations.kept import kept_parity, kept_toml
from darkroom.records import Brief, DatasetVersion, Interval, Limits, Run
from darkroom.settings import available_cores
from darkroom.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "all_sets.jsonl"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "all-sets.md"
MNIST_TRAIN, MNIST_VAL = 50_000, 10_000
QUICK_EPOCHS, QUICK_PER_FOLDER, QUICK_MNIST = 2, 12, 400


class PictureSet(NamedTuple):
    """One set of pictures."""

    name: str
    what: str
    clones: int = 3
    make: Callable[[Path, Path, bool], Path] | None = None
    """Makes the folder of pictures, from the set's data; they are a folder already where there is none."""


def _mnist(data: Path, folder: Path, quick: bool) -> Path:
    """Writes MNIST as PNG in folders of splits and classes; the last 10,000 of its train part are val."""
    counts = (QUICK_MNIST, QUICK_MNIST // 4) if quick else (MNIST_TRAIN, MNIST_VAL)
    images, labels = read_mnist(data, "train", sum(counts))
    test_images, test_labels = read_mnist(data, "t10k", QUICK_MNIST // 4 if quick else None)
    parts = {
        "train": (images[: counts[0]], labels[: counts[0]]),
        "val": (images[counts[0] :], labels[counts[0] :]),
        "test": (test_images, test_labels),
    }
    for split, (pictures, digits) in parts.items():
        for digit in range(10):
            (folder / split / str(digit)).mkdir(parents=True)
        for number, (pixels, digit) in enumerate(zip(pictures[..., 0], digits.tolist(), strict=True)):
            Image.fromarray(pixels).save(folder / split / str(digit) / f"{number:05d}.png")
    return folder


SETS = (
    PictureSet("flowers", "photos of five flowers"),
    PictureSet("trashnet", "waste, six classes, one of them rare"),
    PictureSet("sign-digits", "hands that show 0 to 9"),
    PictureSet("mnist", "handwritten digits; 5,000 of its 10,000 test pictures", make=_mnist),
    PictureSet("fashion-mnist-sample", "clothes, 72 of each kind"),
    PictureSet("people", "masks: the person in street photos", clones=1),
    PictureSet("camvid", "masks: street scenes, eleven classes", clones=1),
)
"""Masks are trained once, for the sake of time; `--clones 3` trains three."""


def main() -> int:
    options = _options()
    results, out = options.results, options.out
    kept = _kept(results)
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(options.data / "weights", Path(folder) / "weights")
        for one in SETS:
            if (options.only and one.name not in options.only) or (one.name in kept and not options.again):
                continue
            sys.stderr.write(f"{one.name} …\n")
            line = _measure(one, options, Path(folder) / one.name, weights)
            shutil.rmtree(Path(folder) / one.name, ignore_errors=True)
            kept[one.name] = line
            _add(results, line)
            sys.stdout.write(json.dumps(line) + "\n")
            atomic.write_text(
                out, page([(name.what, kept[name.name]) for name in SETS if name.name in kept])
            )
    atomic.write_text(out, page([(name.what, kept[name.name]) for name in SETS if name.name in kept]))
    missing = [one.name for one in SETS if one.name not in kept]
    sys.stderr.write(f"{out}{'; missing: ' + ', '.join(missing) if missing else ''}\n")
    return 0


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with the sets and weights/")
    parser.add_argument("--out", type=Path, default=None, help="the page, or the folder for all-sets.md")
    parser.add_argument("--results", type=Path, default=None, help="file of the lines that are kept")
    parser.add_argument("--only", default="", help="sets to measure, parted by commas")
    parser.add_argument("--again", action="store_true", help="measure sets anew that are there already")
    parser.add_argument("--clones", type=int, default=0, help="trainings of each set, whatever is usual")
    parser.add_argument("--quick", action="store_true", help="a few pictures, two epochs")
    options = parser.parse_args()
    aside = Path(tempfile.mkdtemp(prefix="all-sets-")) if options.quick else None
    options.results = options.results or (aside / "all_sets.jsonl" if aside else RESULTS)
    options.out = options.out or (aside / "all-sets.md" if aside else PAGE)
    options.out = options.out / "all-sets.md" if options.out.is_dir() else options.out
    options.only = [name for name in options.only.split(",") if name]
    unknown = set(options.only) - {one.name for one in SETS}
    if unknown:
        known = ", ".join(one.name for one in SETS)
        parser.error(f"no set {', '.join(sorted(unknown))}; known: {known}")
    return options


def _kept(results: Path) -> dict[str, dict[str, Any]]:
    """Returns the newest line of each set; half a line, of a call that was killed, counts for nothing."""
    kept: dict[str, dict[str, Any]] = {}
    lines = results.read_text("utf-8").split("\n")[:-1] if results.is_file() else []
    for line in lines:
        found = json.loads(line)
        kept[found["name"].partition(".")[2]] = found
    return kept


def _add(results: Path, line: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    before = results.read_text("utf-8") if results.is_file() else ""
    whole = before[: before.rfind("\n") + 1]  # what follows was cut off by a kill
    atomic.write_text(results, whole + json.dumps(line, ensure_ascii=False) + "\n")


def _measure(one: PictureSet, options: argparse.Namespace, folder: Path, weights: Path) -> dict[str, Any]:
    folder.mkdir()
    data = options.data / one.name
    pictures = data
    if one.make is not None:
        pictures = one.make(data, folder / "pictures", options.quick)
    elif options.quick:
        pictures = _few(data, folder / "pictures")
    root, clones = folder / one.name, options.clones or one.clones
    environment = make_project(root, pictures, weights, clones=clones)
    if options.quick:
        _shorten(root / "darkroom.toml")
    took = run_project(root, environment)
    with darkroom.open(root) as project:
        return _line(project.workspace, one, took, quick=options.quick)


def _few(data: Path, folder: Path) -> Path:
    """Copies the first pictures of each class, or of each folder of pictures with masks."""
    if (data / "classes.txt").is_file():
        kept = sorted((data / "images").iterdir())[: 3 * QUICK_PER_FOLDER]
        for part, suffixes in (("images", None), ("masks", ".png")):
            (folder / part).mkdir(parents=True)
            for path in kept:
                name = path.name if suffixes is None else path.stem + suffixes
                shutil.copy(data / part / name, folder / part / name)
        shutil.copy(data / "classes.txt", folder)
        return folder
    for label in sorted(path for path in data.iterdir() if path.is_dir()):
        (folder / label.name).mkdir(parents=True)
        for path in sorted(label.iterdir())[:QUICK_PER_FOLDER]:
            shutil.copy(path, folder / label.name)
    return folder


def _shorten(project: Path) -> None:
    lines = project.read_text("utf-8").split("\n")
    short = [f"epochs = {QUICK_EPOCHS}" if line.startswith("epochs = ") else line for line in lines]
    project.write_text("\n".join(short), encoding="utf-8")


def _line(workspace: Workspace, one: PictureSet, took: Took, *, quick: bool) -> dict[str, Any]:
    runs = sorted(
        (run for run in workspace.catalogue.runs.list() if run.state == "finished"),
        key=lambda run: run.seed,
    )
    version = workspace.catalogue.datasets.get(runs[0].dataset)
    bundle = workspace.catalogue.bundles.list()[0]
    recipe = kept_toml(workspace.runs_folder / runs[0].id / "config.toml")["recipe"]
    return {
        "name": f"all_sets.{one.name}",
        **_figures(workspace, runs, version),
        "pictures": {split: version.counts.get(split, 0) for split in ("train", "val", "test")},
        "classes": len(version.classes),
        "network": recipe["network"],
        "recipe": _recipe_in_words(recipe, version),
        "parameters": _parameters(workspace, runs[0]),
        "wall_s": round(took.wall_s, 1),
        "cpu_s": round(took.cpu_s, 1),
        "train_s": [round(run.metrics["duration_s"], 1) for run in runs],
        "parity": _parity(kept_parity(parity_path(workspace, bundle.id))),
        "missed": took.missed,
        "quick": quick,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {available_cores()} cores",
    }


def _figures(workspace: Workspace, runs: Sequence[Run], version: DatasetVersion) -> dict[str, Any]:
    """Returns what decides on test: the mean over clones, what could move it, and the spread."""
    folders = [workspace.runs_folder / run.id for run in runs]
    found = [load_any_evaluation(folder, "test") for folder in folders]
    more: dict[str, list[float]] = {}
    if version.task == "segmentation":
        answers = [load_mask_answers(folder, "test") for folder in folders]
        judged = [MaskJudged(*pair) for pair in zip(found, answers, strict=True)]
        gate = mask_gates(Brief(limits=Limits(miou=0.0)), judged, alike=True)[-1]
        clones, figure = summarise_masks(found, answers), "mean IoU"
        spread = clones.miou
        more["pixel accuracy"] = _ends(found[0].figures.pixel_accuracy)
        shown = [row for row in found[0].figures.classes if row.iou is not None]
        more |= {f"IoU of {row.label}": _ends(row.iou) for row in shown}
    else:
        answers = [load_predictions(folder, "test") for folder in folders]
        judged = [Judged(*pair) for pair in zip(found, answers, strict=True)]
        gate = quality_gates(Brief(limits=Limits(accuracy=0.0)), judged, alike=True)[-1]
        clones, figure = summarise(found, answers), "accuracy"
        spread = clones.accuracy
        more["macro F1"] = _ends(found[0].figures.macro_f1)
    assert gate.interval is not None
    return {
        "figure": figure,
        "value": round(gate.interval.value, 4),
        "interval": _ends(gate.interval)[1:],
        "clones": [round(value, 4) for value in spread.values],
        "sd": None if spread.sd is None else round(spread.sd, 4),
        "churn": None if clones.churn is None else round(clones.churn, 4),
        "of_first": more,
    }


def _ends(interval: Interval) -> list[float]:
    return [round(end, 4) for end in (interval.value, interval.low, interval.high)]


def _recipe_in_words(recipe: dict[str, Any], version: DatasetVersion) -> str:
    contract = version.contract
    size = f"{contract.width_px}×{contract.height_px} {contract.colour}"
    begun = f"weights {recipe['weights']}" if recipe.get("weights") else "from scratch"
    layers = "all layers"
    if recipe["train_layers"] == "last":
        layers = f"last layer on {recipe['feature_views']} views"
    optimiser = recipe["optimiser"]["name"]
    return (
        f"{size}, {begun}, {layers}, {recipe['epochs']} epochs, {optimiser} {recipe['learning_rate']:g}, "
        f"batches of {recipe['batch_size']}"
    )


def _parameters(workspace: Workspace, run: Run) -> int:
    card = json.loads((workspace.runs_folder / run.id / "model-card.json").read_text("utf-8"))
    return card["parameters"]


def _parity(report: ParityReport) -> list[dict[str, Any]]:
    return [
        {
            "target": file.target,
            "agreement": file.agreement,
            "differing": file.flip_count,
            "max_abs": file.max_abs,
            "size_bytes": file.size_bytes,
            "passes": file.passes,
        }
        for file in report.files
    ]


if __name__ == "__main__":
    raise SystemExit(main())
