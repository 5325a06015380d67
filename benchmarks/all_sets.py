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
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kept_lines import Pending, measure_all, options_of
from picture_folders import MNIST, QUICK_MNIST, few_pictures, shorten, write_mnist
from sets_page import page
from whole_runs import Took, make_project, run_project, weights_folder

import darkroom
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


class PictureSet(NamedTuple):
    """One set of pictures."""

    name: str
    what: str
    clones: int = 3
    make: Callable[[Path, Path, bool], Path] | None = None
    """Makes the folder of pictures, from the set's data; they are a folder already where there is none."""


def _mnist(data: Path, folder: Path, quick: bool) -> Path:
    return write_mnist(data, folder, QUICK_MNIST if quick else MNIST)


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
    clones = {"type": int, "default": 0, "help": "trainings of each set, whatever is usual"}
    options = options_of(__doc__ or "", "all_sets", [one.name for one in SETS], clones=clones)
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(options.data / "weights", Path(folder) / "weights")
        pending = [
            Pending(one.name, partial(_measure, one, options, Path(folder) / one.name, weights))
            for one in SETS
            if not options.only or one.name in options.only
        ]
        measure_all(options, pending, _page)
    return 0


def _page(kept: Mapping[str, Mapping[str, Any]]) -> str:
    return page([(one.what, kept[one.name]) for one in SETS if one.name in kept])


def _measure(one: PictureSet, options: argparse.Namespace, folder: Path, weights: Path) -> dict[str, Any]:
    folder.mkdir()
    data = options.data / one.name
    pictures = data
    if one.make is not None:
        pictures = one.make(data, folder / "pictures", options.quick)
    elif options.quick:
        pictures = few_pictures(data, folder / "pictures")
    root, clones = folder / one.name, options.clones or one.clones
    environment = make_project(root, pictures, weights, clones=clones)
    if options.quick:
        shorten(root / "darkroom.toml")
    took = run_project(root, environment)
    with darkroom.open(root) as project:
        line = _line(project.workspace, one, took, quick=options.quick)
    shutil.rmtree(folder, ignore_errors=True)
    return line


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
