"""All models × formats × precisions in one table: parity, size, latency, what was left out and why.

    python benchmarks/all_formats.py [--data DIR] [--out docs/all-formats.md] [--only flowers-100,people]
        [--again] [--quick]

For each model: a project with what `init` picks (one training; the U-Net is trained for two epochs on a few
pictures, which is hardly more than random weights), `darkroom export convert` into every format in every
precision, and `darkroom export verify`, as a person would type them. What came out of a model is added to
results/all_formats.jsonl as soon as it is there, and a model that stands in that file is not measured
again: a call that was interrupted goes on with the next one. --again measures anew. The page is written
after each.
--quick takes a few pictures and two epochs, keeps its lines and its page in a folder of its own, and only
shows that everything works.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from all_sets import _few as few
from all_sets import _mnist as write_mnist
from all_sets import _shorten as shorten
from formats_page import page
from whole_runs import DARKROOM, LIMIT_MISSED, make_project, run_project, weights_folder

import darkroom
from darkroom import atomic
from darkroom.export.losses import loss_of
from darkroom.export.report import FileParity
from darkroom.operations.bundling import parity_path
from darkroom.operations.kept import kept_parity
from darkroom.operations.precision_choice import kept_precisions
from darkroom.settings import available_cores
from darkroom.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "all_formats.jsonl"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "all-formats.md"
TARGETS = "onnx,litert,executorch,coreml"
PRECISIONS = "float32,float16,dynamic-int8,weight-int8,int8,palette6,palette4"


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
    Model("flowers-100", "MobileNetV2 1.0 on the same", "flowers", "mobilenetv2_100"),
    Model("people", "LR-ASPP on MobileNetV2 1.0: masks of people", "people"),
    Model("people-unet", "U-Net on ResNet-18, hardly trained", "people", "unet/resnet18", True),
)


def main() -> int:
    options = _options()
    kept = _kept(options.results)
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(options.data / "weights", Path(folder) / "weights")
        for one in MODELS:
            if (options.only and one.name not in options.only) or (one.name in kept and not options.again):
                continue
            sys.stderr.write(f"{one.name} …\n")
            line = _measure(one, options, Path(folder) / one.name, weights)
            shutil.rmtree(Path(folder) / one.name, ignore_errors=True)
            kept[one.name] = line
            _add(options.results, line)
            sys.stdout.write(json.dumps(line) + "\n")
            atomic.write_text(options.out, _page(kept))
    atomic.write_text(options.out, _page(kept))
    missing = [one.name for one in MODELS if one.name not in kept]
    sys.stderr.write(f"{options.out}{'; missing: ' + ', '.join(missing) if missing else ''}\n")
    return 0


def _page(kept: dict[str, dict[str, Any]]) -> str:
    return page([(one.what, kept[one.name]) for one in MODELS if one.name in kept])


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with the pictures and weights/")
    parser.add_argument("--out", type=Path, default=None, help="the page")
    parser.add_argument("--results", type=Path, default=None, help="file of the lines that are kept")
    parser.add_argument("--only", default="", help="models to measure, parted by commas")
    parser.add_argument("--again", action="store_true", help="measure models anew that are there already")
    parser.add_argument("--quick", action="store_true", help="a few pictures, two epochs")
    options = parser.parse_args()
    aside = Path(tempfile.mkdtemp(prefix="all-formats-")) if options.quick else None
    options.results = options.results or (aside / "all_formats.jsonl" if aside else RESULTS)
    options.out = options.out or (aside / "all-formats.md" if aside else PAGE)
    options.only = [name for name in options.only.split(",") if name]
    unknown = set(options.only) - {one.name for one in MODELS}
    if unknown:
        parser.error(f"no model {', '.join(unknown)}; known: {', '.join(one.name for one in MODELS)}")
    return options


def _kept(results: Path) -> dict[str, dict[str, Any]]:
    """Returns the newest line of each model; half a line, of a call that was killed, counts for nothing."""
    lines = results.read_text("utf-8").split("\n")[:-1] if results.is_file() else []
    return {found["name"].partition(".")[2]: found for found in map(json.loads, lines)}


def _add(results: Path, line: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    before = results.read_text("utf-8") if results.is_file() else ""
    whole = before[: before.rfind("\n") + 1]  # what follows was cut off by a kill
    atomic.write_text(results, whole + json.dumps(line, ensure_ascii=False) + "\n")


def _measure(one: Model, options: argparse.Namespace, folder: Path, weights: Path) -> dict[str, Any]:
    folder.mkdir()
    data = options.data / one.pictures
    pictures = data
    if one.pictures == "mnist":
        pictures = write_mnist(data, folder / "pictures", options.quick)
    elif options.quick or one.short:
        pictures = few(data, folder / "pictures")
    root = folder / one.name
    environment = make_project(root, pictures, weights, network=one.network, clones=1)
    if options.quick or one.short:
        shorten(root / "darkroom.toml")
    run_project(root, environment, "--until", "train")
    with darkroom.open(root) as project:
        run = next(run.id for run in project.workspace.catalogue.runs.list() if run.state == "finished")
    convert = ["convert", "--run", run, "--targets", TARGETS, "--precision", PRECISIONS]
    converted = _darkroom(root, environment, *convert)
    verified = _darkroom(root, environment, "verify")
    with darkroom.open(root) as project:
        return _line(project.workspace, one, converted, verified, quick=options.quick)


def _darkroom(root: Path, environment: dict[str, str], *words: str) -> dict[str, Any]:
    """Runs an operation on bundles; a missed limit is no reason to stop, any other failure is."""
    done = subprocess.run(
        [*DARKROOM, "export", *words, "--json"], cwd=root, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, LIMIT_MISSED):
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout)


def _line(
    workspace: Workspace, one: Model, converted: dict[str, Any], verified: dict[str, Any], *, quick: bool
) -> dict[str, Any]:
    bundle = workspace.catalogue.bundles.list()[-1]
    report = kept_parity(parity_path(workspace, bundle.id))
    tried = kept_precisions(workspace, bundle.id)
    card = json.loads((workspace.root / bundle.path / "model-card.json").read_text("utf-8"))
    held = {(file.target, file.precision) for file in report.files}
    left_out = [
        {
            "target": candidate.target,
            "precision": candidate.precision,
            "recipe": candidate.recipe,
            "size_bytes": candidate.size_bytes,
            "agreement": candidate.agreement,
            "loss": None if candidate.loss is None else candidate.loss.value,
            "why": list(candidate.missed),
        }
        for candidate in (tried.candidates if tried is not None else ())
        if (candidate.target, candidate.precision) not in held
    ]
    return {
        "name": f"all_formats.{one.name}",
        "network": card["network"],
        "parameters": card["parameters"],
        "task": card["task"],
        "images": report.image_count,
        "reference": report.reference_accuracy,
        "reference_ms": report.reference_latency and report.reference_latency.p50_ms,
        "files": [_file(file) for file in report.files],
        "left_out": left_out,
        "refused": [row for row in converted["rows"] if not row[2]],
        "passed": verified["passed"],
        "quick": quick,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {available_cores()} cores",
        "host": report.host,
    }


def _file(file: FileParity) -> dict[str, Any]:
    loss = loss_of(file)
    return {
        "file": file.file,
        "target": file.target,
        "precision": file.precision,
        "runtime": file.runtime,
        "size_bytes": file.size_bytes,
        "agreement": file.agreement,
        "max_abs": file.max_abs,
        "loss": None if loss is None else [loss.value, loss.low, loss.high],
        "load_ms": file.load_ms,
        "p50_ms": file.latency and file.latency.p50_ms,
        "p95_ms": file.latency and file.latency.p95_ms,
        "memory_bytes": file.memory and file.memory.added_bytes,
        "failures": list(file.failures),
    }


if __name__ == "__main__":
    raise SystemExit(main())
