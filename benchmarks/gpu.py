"""On a GPU: what the training loop costs over a bare one, with JPEG photos; AMP, torch.compile, two GPUs.

    python benchmarks/gpu.py [--data DIR] [--network mobilenetv2_100] [--rounds 10] [--json]

Photos are JPEG files that go through `dataset.freeze`, as a project has them. Epochs of both sides are
timed in turn, each up to the moment when the GPU is done; compared are medians and 20th percentiles.

- whole: our epoch: pictures from the rendering, random changes, forward, backward, step, loss, accuracy,
  and what is watched. Once with the pictures held on the GPU, once fetched batch by batch, as it is with
  more pictures than fit. bar: 0.85 of the bare loop, in each precision.
- bare: forward, backward and step on one batch that lies on the GPU.
- compile: the bare loop with torch.compile over the bare loop without; Darkroom does not compile.
- rendering: pictures a second from JPEG to tensors, which happens once; and after how many epochs that is
  less than a tenth of the time.
- processes: two GPUs over one, in pictures a second, where there are two.

Without a GPU it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import darkroom
from darkroom.datasets import render
from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import Contract
from darkroom.training import Augment, CardFacts, Recipe
from darkroom.training.bench import AUTOCAST, Bench, prepare
from darkroom.training.epoch import train_epoch
from darkroom.training.pixels import Pixels
from darkroom.training.reporter import Reporter
from darkroom.training.run_folder import read_metrics
from darkroom.training.watching import Watch

AUGMENT = Augment(rotate_deg=10, crop=0.3, flip="horizontal", brightness=0.1, contrast=0.15, saturation=0.2)
PRECISIONS = ("float32", "bfloat16", "float16")
WARM_UP, BATCH, LEAST_OVER_BARE = 2, 64, 0.85
CONTRACT = Contract(width_px=224, height_px=224, colour="rgb", resize="crop")


def main() -> int:
    options = _options()
    if not torch.cuda.is_available():
        sys.stderr.write(
            "There is no GPU that torch can use here, so nothing was measured. "
            "See: python -c 'import torch; print(torch.cuda.is_available(), torch.version.cuda)'\n"
        )
        return 2
    held = True
    with tempfile.TemporaryDirectory() as folder:
        for line in _lines(Path(folder), options):
            held &= line.get("holds", True)
            sys.stdout.write(json.dumps(line) + "\n" if options.json else _sentence(line))
            sys.stdout.flush()
    return 0 if held else 1


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with flowers/")
    parser.add_argument("--network", default="mobilenetv2_100", help="name in the table of networks")
    parser.add_argument("--rounds", type=int, default=10, help="epochs of each side")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _lines(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield {"name": "gpu.device", "value": torch.cuda.device_count(), "what": torch.cuda.get_device_name()}
    with _project(folder, options.data / "flowers") as project:
        workspace = project.workspace
        began = time.perf_counter()
        project.dataset.freeze(dataset="flowers", contract=CONTRACT, pictures="none")
        rendering_s = time.perf_counter() - began
        version = workspace.catalogue.datasets.get("flowers@1")
        rendering = render(workspace, version)
        facts = CardFacts(labels=version.classes, contract=version.contract, dataset=version.ref)
        speeds = {}
        for where, most_bytes in (("held", 1 << 30), ("by_batch", 0)):
            Pixels.__init__.__kwdefaults__["most_bytes"] = most_bytes
            for precision in PRECISIONS:
                bench = _bench(rendering, facts, options.network, precision, folder)
                ours, bare = _times(bench, folder / where / precision, options.rounds)
                speeds[where, precision] = len(bench.train) / np.median(ours)
                yield from _compared(f"{where}.{precision}", ours, bare)
        for precision in PRECISIONS[1:]:
            ratio = speeds["held", precision] / speeds["held", "float32"]
            yield _line(f"amp.{precision}_over_float32", ratio)
        yield from _compiled(rendering, facts, options, folder)
        count, speed = sum(version.counts.values()), speeds["by_batch", "bfloat16"]
        yield _line("rendering.pictures_per_second", count / rendering_s)
        yield _line("rendering.epochs_until_a_tenth", 10 * rendering_s / (version.counts["train"] / speed))
        yield from _several(project, options)


def _project(root: Path, photos: Path) -> darkroom.Project:
    if not photos.is_dir():
        raise SystemExit(f"No folder {photos}. Name the folder that holds flowers/: --data DIR")
    darkroom.outside(root).init(name="flowers", images=photos.resolve())
    project = darkroom.open(root / "flowers")
    project.source.add(folder=photos.resolve())
    return project


def _bench(rendering: Any, facts: CardFacts, network: str, precision: str, folder: Path) -> Bench:
    recipe = Recipe(
        network=network, epochs=9999, batch_size=BATCH, augment=AUGMENT, precision=precision, device="cuda"
    )  # fmt: skip
    device = torch.device("cuda")
    return prepare(rendering, recipe, 0, facts, device, FeatureStore(folder / "features"), NetworkStart())


def _times(bench: Bench, folder: Path, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the seconds of our epochs and of as many bare steps, in turn."""
    folder.mkdir(parents=True)
    watch, reporter = Watch(bench, folder), Reporter(bench.recipe, 1, None, None)
    bare = _bare(bench)
    next(bare)
    ours, theirs = [], []
    for epoch in range(1, rounds + WARM_UP + 1):
        ours.append(_seconds(lambda epoch=epoch: train_epoch(bench, epoch, reporter, watch)))
        theirs.append(_seconds(lambda: [next(bare) for _ in range(bench.steps_per_epoch)]))
    return np.array(ours[WARM_UP:]), np.array(theirs[WARM_UP:])


def _bare(bench: Bench, compiled: bool = False) -> Iterator[None]:
    """Makes steps on one batch that lies on the GPU, in the bench's precision and with its optimiser."""
    another = prepare_like(bench)
    network: Any = torch.compile(another.network) if compiled else another.network
    network.train()
    x, labels = another.train.batch(torch.arange(BATCH, device=another.device))
    scaler, optimiser = another.scaler, another.optimiser
    while True:
        with another.precision():
            loss = functional.cross_entropy(network(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
        yield


def prepare_like(bench: Bench) -> Bench:
    """Returns a bench with a network and an optimiser of its own, on the same pictures."""
    import copy
    from dataclasses import replace

    from darkroom.training.optimiser import make_optimiser

    network = copy.deepcopy(bench.network)
    optimiser = make_optimiser(bench.recipe, network, bench.device)
    scaler = torch.amp.GradScaler("cuda", enabled=bench.arithmetic == "float16")
    assert bench.arithmetic in ("float32", *AUTOCAST)
    return replace(bench, network=network, learner=network, optimiser=optimiser, scaler=scaler)


def _seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _compared(name: str, ours: np.ndarray, bare: np.ndarray) -> Iterator[dict[str, Any]]:
    for what, figure in (("median", np.median), ("p20", lambda times: np.percentile(times, 20))):
        yield _line(f"whole.{name}.over_bare.{what}", figure(bare) / figure(ours), LEAST_OVER_BARE)


def _compiled(rendering: Any, facts: CardFacts, options: Any, folder: Path) -> Iterator[dict[str, Any]]:
    for precision in PRECISIONS[:2]:
        bench = _bench(rendering, facts, options.network, precision, folder)
        plain, compiled = _bare(bench), _bare(bench, compiled=True)
        times: dict[str, list[float]] = {"plain": [], "compiled": []}
        for _ in range(options.rounds + WARM_UP):
            for name, side in (("plain", plain), ("compiled", compiled)):
                times[name].append(_seconds(lambda side=side: [next(side) for _ in range(20)]))
        ratio = np.median(times["plain"][WARM_UP:]) / np.median(times["compiled"][WARM_UP:])
        yield _line(f"compile.{precision}.over_eager", ratio)


def _several(project: darkroom.Project, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields how much faster two GPUs are than one, by the epochs' own figures; nothing for one GPU."""
    if torch.cuda.device_count() < 2:
        return
    speeds = {}
    for processes in (1, 2):
        recipe = {
            "network": options.network, "epochs": 6, "batch_size": 2 * BATCH,
            "augment": AUGMENT.model_dump(),
        }  # fmt: skip
        found = project.model.train(
            dataset="flowers@1", recipe=recipe, processes=processes, again=True, seed=processes
        )
        points = read_metrics(project.workspace.runs_folder / found.run)
        speeds[processes] = float(np.median([point.images_per_second for point in points[2:]]))
    yield _line("processes.two_over_one", speeds[2] / speeds[1])


def _line(name: str, value: float, bar: float | None = None) -> dict[str, Any]:
    line: dict[str, Any] = {"name": f"gpu.{name}", "value": round(float(value), 3)}
    return line if bar is None else {**line, "bar": bar, "holds": bool(value >= bar)}


def _sentence(line: dict[str, Any]) -> str:
    verdict = {True: "holds", False: "MISSED"}[line["holds"]] if "holds" in line else line.get("what", "")
    bar = f"bar {line['bar']}" if "bar" in line else ""
    return f"{line['name']:48s} {line['value']:10.3f} {bar:9s} {verdict}\n"


if __name__ == "__main__":
    raise SystemExit(main())
