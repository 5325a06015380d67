"""All models × formats × precisions in one table: parity, size, latency, what was left out and why.

    python benchmarks/all_formats.py [--data DIR] [--out docs/all-formats.md] [--only flowers-100,people]
        [--targets onnx,litert] [--again] [--quick] [--work DIR]

For each model: a project with what `init` picks, `darkroom run --until train` once (the U-Net's weights are
as good as random: two epochs on a few pictures), and from that one run the files of each format in every
precision that it knows, by every recipe, chosen on val as `darkroom export convert` chooses them and
compared as `darkroom export verify` compares them. Off a Mac the operations of Core ML are carried out one
by one; its files are asked about fewer pictures.

What came out of a format is added to results/all_formats.jsonl as soon as it is there, and what stands in
that file is not measured again: a call that was interrupted goes on with the next format. A trained project
is kept under --work until all its formats are measured. --again measures anew. The page is written after
each format.
--quick takes a few pictures and two epochs, keeps its lines and its page in a folder of its own, and only
shows that everything works.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from format_files import TARGETS, Remembered, measure_format
from formats_page import page
from kept_lines import Pending, measure_all, options_of
from picture_folders import QUICK_MNIST, MnistCounts, few_pictures, shorten, write_mnist
from whole_runs import make_project, run_project, weights_folder

import darkroom

DIGITS = MnistCounts(5_000, 1_000)
FEW = 12
"""A third of the pictures that the U-Net is measured on; it takes a quarter of a second for one."""


class Model(NamedTuple):
    """One model."""

    name: str
    what: str
    pictures: str
    """Folder of the data."""
    network: str = ""
    """Empty leaves it to `init`."""
    short: bool = False
    """Two epochs on a few pictures."""


MODELS = (
    Model("digits", "LeNet-5 on handwritten digits", "mnist", "lenet5"),
    Model("flowers-035", "MobileNetV2 0.35 on photos of five flowers", "flowers", "mobilenetv2_035"),
    Model("flowers-100", "MobileNetV2 1.0 on the same photos", "flowers", "mobilenetv2_100"),
    Model("people", "LR-ASPP on MobileNetV2 0.35: masks of people", "people", "lraspp/mobilenetv2_035"),
    Model("people-unet", "U-Net on ResNet-18, weights as good as random", "people", "unet/resnet18", True),
)


def main() -> int:
    names = [one.name for one in MODELS]
    kept = Path(tempfile.gettempdir()) / "darkroom-all-formats"
    options = options_of(
        __doc__ or "",
        "all_formats",
        names,
        targets={"default": ",".join(TARGETS), "help": "formats, parted by commas"},
        work={"type": Path, "default": kept, "help": "folder of the trained projects"},
    )
    options.targets = options.targets.split(",")
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        raise SystemExit(f"no format is called {', '.join(unknown)}; known: {', '.join(TARGETS)}")
    work = options.results.parent / "work" if options.quick else options.work
    work.mkdir(parents=True, exist_ok=True)
    measure_all(options, _pending(options, work), _page)
    return 0


def _pending(options: argparse.Namespace, work: Path) -> Iterator[Pending]:
    weights = work / "weights"
    if not weights.is_dir():
        weights_folder(options.data / "weights", weights)
    for one in MODELS:
        if options.only and one.name not in options.only:
            continue
        trained = Remembered(partial(_trained, one, options, work / one.name, weights))
        for target in options.targets:
            yield Pending(f"{one.name}.{target}", partial(_measure, one, trained, target, options.quick))
        if set(options.targets) == set(TARGETS):
            shutil.rmtree(work / one.name, ignore_errors=True)


def _measure(one: Model, trained: Remembered, target: str, quick: bool) -> dict[str, Any]:
    """Returns a line: one format of one model in all precisions."""
    project, run, train_s = trained()
    with darkroom.open(project) as found:
        line = measure_format(found.workspace, run, target)
    return {
        "name": f"all_formats.{one.name}.{target}",
        **line,
        "train_s": train_s,
        "hardly_trained": one.short,
        "quick": quick,
    }


def _trained(
    one: Model, options: argparse.Namespace, folder: Path, weights: Path
) -> tuple[Path, str, float]:
    """Returns a project, its trained run, and how long training it took; it goes on where it was."""
    root, environment = folder / one.name, {**os.environ, "DARKROOM_WEIGHTS": str(weights)}
    if not (root / "darkroom.toml").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_project(root, _pictures(one, options, folder), weights, network=one.network, clones=1)
        if options.quick or one.short:
            shorten(root / "darkroom.toml")
    run_project(root, environment, "--until", "train")
    with darkroom.open(root) as project:
        run = next(run for run in project.workspace.catalogue.runs.list() if run.state == "finished")
    sys.stderr.write(f"{one.name}: {run.id}, trained in {run.metrics['duration_s']:.0f} s\n")
    return root, run.id, round(run.metrics["duration_s"], 1)


def _pictures(one: Model, options: argparse.Namespace, folder: Path) -> Path:
    data = options.data / one.pictures
    if one.pictures == "mnist":
        return write_mnist(data, folder / "pictures", QUICK_MNIST if options.quick else DIGITS)
    if options.quick:
        return few_pictures(data, folder / "pictures")
    return few_pictures(data, folder / "pictures", FEW) if one.short else data


def _page(kept: Mapping[str, Mapping[str, Any]]) -> str:
    return page(
        [
            (one.what, [kept[name] for target in TARGETS if (name := f"{one.name}.{target}") in kept])
            for one in MODELS
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
