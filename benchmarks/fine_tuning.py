"""Fine-tuning: the last layer against decoding and one forward pass, and the whole loop against a bare one.

    python benchmarks/fine_tuning.py [--data DIR] [--json] [--photos 2500] [--rounds 5] [--device cpu]

Photos are those of flowers and trashnet, at 224 px, with MobileNetV2 1.0 (or --network).

- last.over_forward: JPEG files to a trained last layer after 30 epochs (rendering, features, training and
  their pages) over nothing but decoding, as many processes as cores, and one forward pass. At most 1.3.
- last.frozen_over_ours: what the usual way takes, over ours: decode once, then 30 epochs in each of which
  the frozen network runs and a last layer learns. Two of its epochs are timed and the rest is reckoned.
  At least 10.
- loop.over_bare: every layer learns. After each batch of `train()` a bare loop makes one step: forward,
  backward and a fused step on the same number of pictures that lie in memory. Ours is all the time
  outside these pauses, summed over each epoch. Bare over ours, medians and 20th percentiles, at least 0.9.

The first two are timed in turn, a round each, after one that warms up. --device cuda does the same on a
GPU, where the loop has random changes and is to reach 0.85; `benchmarks/gpu.py` looks further.
Without a GPU it says so and ends with 2.
"""

import argparse
import json
import math
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from whole_runs import WEIGHTS, weights_folder

import darkroom
from darkroom.datasets import render
from darkroom.images import prepare as decode
from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.records import Contract
from darkroom.settings import available_cores
from darkroom.training import Augment, CardFacts, Optimiser, Recipe
from darkroom.training.loop import train

SIDE_PX, EPOCHS, BATCH = 224, 30, 16
FROZEN_BATCH = {"cpu": 2, "cuda": 64}
"""Pictures at a time through the frozen network: what is fastest there, so that the rival loses nothing."""
CONTRACT = Contract(width_px=SIDE_PX, height_px=SIDE_PX, resize="crop")
MOST_OVER_FORWARD, LEAST_FASTER = 1.3, 10.0
LEAST_OVER_BARE = {"cpu": 0.9, "cuda": 0.85}
LOOP_PHOTOS, WARM_UP = 256, 1
AUGMENT = Augment(rotate_deg=10, crop=0.3, flip="horizontal", brightness=0.1, contrast=0.15)


def main() -> int:
    options = _options()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("There is no GPU that torch can use here, so nothing was measured.\n")
        return 2
    held = True
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), options)
        for line in (*bench.last_layer(), *bench.loop()):
            held &= line["holds"]
            sys.stdout.write(json.dumps(line) + "\n" if options.json else _sentence(line))
            sys.stdout.flush()
    return 0 if held else 1


def _options():
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with flowers, trashnet, weights")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--photos", type=int, default=2500, help="pictures for the last layer")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of the last layer; epochs of the loop"
    )
    parser.add_argument("--network", default="mobilenetv2_100", choices=list(WEIGHTS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--skip-last", action="store_true", help="measure the loop only")
    return parser.parse_args()


class _Bench:
    """A project of photos, and what is measured on it."""

    def __init__(self, folder, options):
        self.options, self.root = options, folder / "bench"
        self.cores = available_cores()
        self.device = torch.device(options.device)
        self.at_a_time = FROZEN_BATCH[options.device]
        places = weights_folder(options.data / "weights", folder / "weights")
        os.environ["DARKROOM_WEIGHTS"] = str(places)
        self.weights = WEIGHTS[options.network]
        self.start = NetworkStart(weights=find_weights(self.weights, [places]))
        self.files = _photos(options.data, folder / "photos", options.photos)
        self.root.mkdir()
        (self.root / "darkroom.toml").write_text('[project]\nname = "bench"\n')
        self.project = darkroom.open(self.root)
        self.project.source.add(folder=str(folder / "photos"))
        self.project.dataset.freeze(
            dataset="photos",
            contract=CONTRACT.model_dump(),
            plan={"test_share": 0.0, "val_share": 0.2},
            pictures="none",
        )
        self.version = self.project.workspace.catalogue.datasets.get("photos")

    def last_layer(self):
        """Yields the two bars of the last layer."""
        if self.options.skip_last:
            return
        times = {"ours": [], "forward": [], "frozen": []}
        with multiprocessing.get_context("spawn").Pool(self.cores) as pool:
            for turn in range(self.options.rounds + 1):
                runs = {"ours": self._ours, "forward": lambda: self._forward(pool)}
                for name in sorted(runs, reverse=bool(turn % 2)):
                    took = _timed(runs[name])
                    if turn:
                        times[name].append(took)
                if turn:
                    times["frozen"].append(self._frozen(pool))
        medians = {name: statistics.median(found) for name, found in times.items()}
        facts = {
            "photos": len(self.files),
            "epochs": EPOCHS,
            "seconds": {name: round(found, 2) for name, found in medians.items()},
            "rounds": self.options.rounds,
            "device": self.options.device,
            "cores": self.cores,
        }
        yield _line(
            "last.over_forward",
            medians["ours"] / medians["forward"],
            MOST_OVER_FORWARD,
            least=False,
            **facts,
        )
        yield _line("last.frozen_over_ours", medians["frozen"] / medians["ours"], LEAST_FASTER, **facts)

    def loop(self):
        """Yields the bar of the whole loop."""
        recipe = Recipe(
            network=self.options.network,
            weights=self.weights,
            epochs=self.options.rounds + WARM_UP,
            batch_size=BATCH,
            learning_rate=1e-4,
            optimiser=Optimiser(name="sgd"),
            augment=AUGMENT if self.options.device == "cuda" else Augment(),
            threads=self.cores,
            device=self.options.device,
        )
        pictures = _Some(render(self.project.workspace, self.version))
        batches = math.ceil(len(pictures.split("train")) / BATCH)
        rival = _Rival(self._bare_steps(), self.device, batches)
        with tempfile.TemporaryDirectory() as folder:
            train(
                Path(folder),
                rendering=pictures,
                recipe=recipe,
                seed=0,
                facts=_facts(self.version),
                on_progress=rival.after_epoch,
                should_stop=rival.after_step,
                start=self.start,
            )
        kept = slice(WARM_UP, WARM_UP + self.options.rounds)
        ours, bare = (np.array(times[kept]) for times in (rival.ours, rival.bare))
        for name, of in (("median", np.median), ("p20", lambda found: np.percentile(found, 20))):
            yield _line(
                f"loop.over_bare.{name}",
                float(of(bare) / of(ours)),
                LEAST_OVER_BARE[self.options.device],
                epoch_s={"ours": round(float(of(ours)), 3), "bare": round(float(of(bare)), 3)},
                batch=BATCH,
                device=self.options.device,
            )

    def _ours(self):
        workspace = self.project.workspace
        for folder in (workspace.renderings, workspace.features_folder):
            shutil.rmtree(folder, ignore_errors=True)
        self.project.model.train(
            dataset="photos",
            recipe={
                "network": self.options.network,
                "weights": self.weights,
                "train_layers": "last",
                "epochs": EPOCHS,
                "learning_rate": 0.001,
                "threads": self.cores,
                "device": self.options.device,
            },
            again=True,
        )

    def _forward(self, pool):
        """Decodes every file and runs the network once over all pictures."""
        self._pass(self._network(), self._decoded(pool))

    def _frozen(self, pool):
        """Returns what the usual way takes: decoding, then every epoch through the frozen network."""
        began = time.perf_counter()
        pictures, network = self._decoded(pool), self._network()
        decoded_s = time.perf_counter() - began
        head = torch.nn.Linear(network.head.in_features, 11).to(self.device)
        optimiser = torch.optim.AdamW(head.parameters(), lr=0.001)
        epochs = [_timed(lambda: self._frozen_epoch(network, head, optimiser, pictures)) for _ in range(2)]
        return decoded_s + EPOCHS * min(epochs)

    def _frozen_epoch(self, network, head, optimiser, pictures):
        labels = torch.zeros(len(pictures), dtype=torch.int64, device=self.device)
        for chosen in torch.randperm(len(pictures)).split(self.at_a_time):
            with torch.no_grad():
                features = network.features(self._normal(pictures[chosen.numpy()]))
            functional.cross_entropy(head(features), labels[: len(chosen)]).backward()
            optimiser.step()
            optimiser.zero_grad()

    def _pass(self, network, pictures):
        with torch.inference_mode():
            for start in range(0, len(pictures), self.at_a_time):
                network.features(self._normal(pictures[start : start + self.at_a_time]))
        _wait(self.device)

    def _normal(self, pictures):
        values = torch.from_numpy(pictures).to(self.device).float().mul_(2 / 255).sub_(1)
        return values.permute(0, 3, 1, 2)

    def _network(self):
        torch.set_num_threads(self.cores)
        network = self.start.network(
            self.options.network, channels=3, size=(SIDE_PX, SIDE_PX), classes=11, options={"dropout": 0.0}
        )
        return network.to(self.device).to(memory_format=torch.channels_last).eval()

    def _decoded(self, pool):
        parts = [(self.files[start :: self.cores], CONTRACT) for start in range(self.cores)]
        return np.concatenate(pool.map(_decode, parts, 1))

    def _bare_steps(self):
        network = self._network().train()
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)
        pictures = _decode((self.files[:BATCH], CONTRACT))
        x, y = self._normal(pictures), torch.arange(BATCH, device=self.device) % 11
        while True:
            functional.cross_entropy(network(x), y).backward()
            optimiser.step()
            optimiser.zero_grad()
            _wait(self.device)
            yield


class _Rival:
    """Runs the bare loop in the pauses of `train()`, and keeps the time of each, epoch by epoch."""

    def __init__(self, steps, device, batches):
        self._steps, self._device = steps, device
        self.ours, self.bare = [0.0], [0.0]
        self._of_epoch, self._batches = batches, 0
        self._resumed = time.perf_counter()

    def after_step(self):
        _wait(self._device)
        self.ours[-1] += time.perf_counter() - self._resumed
        if self._batches < self._of_epoch:  # validation asks too, and the bare loop has none
            torch.use_deterministic_algorithms(False)
            self.bare[-1] += _timed(lambda: next(self._steps))
            torch.use_deterministic_algorithms(True, warn_only=self._device.type != "cpu")
        self._batches += 1
        self._resumed = time.perf_counter()
        return False

    def after_epoch(self, done, total, figures):
        if "train_loss" in figures:
            self.ours.append(0.0)
            self.bare.append(0.0)
            self._batches = 0
            self._resumed = time.perf_counter()


class _Some:
    """The first pictures of train, and none to validate on: the bare loop does not validate either."""

    def __init__(self, rendering):
        from darkroom.training.stopwatch import Few

        self._train = Few(rendering, LOOP_PHOTOS)
        self._none = Few(rendering, 0)

    def split(self, name):
        return (self._train if name == "train" else self._none).split(name)


def _facts(version):
    return CardFacts(
        labels=version.classes, contract=version.contract, dataset=version.ref, dataset_id=version.id
    )


def _photos(data, folder, most):
    """Links the photos of both sets into class folders; returns the files."""
    found = []
    for photos in ("flowers", "trashnet"):
        for path in sorted((data / photos).rglob("*")):
            if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
                found.append((path, folder / path.parent.name / f"{photos}-{path.name}"))
    step = max(1.0, len(found) / most)
    chosen = [found[int(place * step)] for place in range(min(most, len(found)))]
    for path, link in chosen:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return [str(link) for _, link in chosen]


def _decode(job):
    files, contract = job
    return np.stack([decode(Path(file).read_bytes(), contract) for file in files])


def _timed(action):
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def _line(name, value, bar, *, least=True, **more):
    holds = value >= bar if least else value <= bar
    return {
        "name": f"fine_tuning.{name}",
        "value": round(value, 3),
        "bar": bar,
        "holds": bool(holds),
        **more,
    }


def _sentence(line):
    verdict = "holds" if line["holds"] else "MISSED"
    more = {name: value for name, value in line.items() if name not in ("name", "value", "bar", "holds")}
    return (
        f"{line['name']:40s} {line['value']:8.3f}  bar {line['bar']:5.2f}  {verdict}  {json.dumps(more)}\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
