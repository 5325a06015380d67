"""What a whole evaluation of 10,000 images costs over the forward pass alone, batch for batch the same.

    python benchmarks/evaluation.py [--images 10000] [--rounds 5] [--json] [--only mobilenetv2_035]

Interleaved: in each round the network answers all images alone (`predict`), then `evaluate_run` does all of
it: answers, every figure with its interval from 10,000 draws, curves with bands, calibration, costs at an
operating point, slices by four facts, and the files. No suspects, no saliency, no report. The ratio is that
of medians, and that of 20th percentiles.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from darkroom.evaluation.depth import Depth
from darkroom.evaluation.operating import Prices
from darkroom.evaluation.run import evaluate_run
from darkroom.evaluation.slices import in_quarters, named_column
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load, save
from darkroom.records import Contract, ModelCard, Normalisation, OperatingPoint, now

BAR = 1.2
NETWORKS = {"mobilenetv2_035": (96, 3, True), "lenet5": (28, 1, False)}
"""Side in pixels, channels, and whether the bar is held: LeNet answers 10,000 images in about half a
second, which is less than one interval from 10,000 draws takes."""
CLASSES = tuple(f"class {n}" for n in range(10))


class Images:
    """Random tensors that are repeated, so that the disk has no say."""

    def __init__(self, count, side, channels):
        generator = np.random.default_rng(0)
        self.pixels = generator.integers(0, 256, (512, side, side, channels), dtype=np.uint8)
        self.labels = generator.integers(0, len(CLASSES), count)
        self.image_ids = tuple(f"{n:064x}" for n in range(count))
        self.groups = None

    def gather(self, indices, out=None):
        return np.take(self.pixels, indices % len(self.pixels), axis=0, out=out)


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    held = True
    for network in NETWORKS:
        if options.only in ("", network):
            held &= _measure(network, options)
    return 0 if held else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--only", default="", help="one of the networks")
    return parser.parse_args()


def _measure(network, options) -> bool:
    side, channels, has_bar = NETWORKS[network]
    images = Images(options.images, side, channels)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Path(folder) / "r-1", network, side, channels)
        alone, whole = [], []
        for _ in range(options.rounds):
            alone.append(_timed(lambda: _forward(run, images)))
            whole.append(_timed(lambda: evaluate_run(run, images, draws=10_000, depth=_depth(images))))
    ratios = [float(np.quantile(whole, q) / np.quantile(alone, q)) for q in (0.5, 0.2)]
    line = {
        "name": f"evaluation.{network}.{options.images}",
        "value": round(ratios[0], 3),
        "at_20th_percentile": round(ratios[1], 3),
        "forward_s": round(float(np.median(alone)), 2),
        "beside_s": round(float(np.median(whole) - np.median(alone)), 2),
    }
    if has_bar:
        line |= {"bar": BAR, "holds": ratios[0] <= BAR}
    sys.stdout.write((json.dumps(line) if options.json else _words(line)) + "\n")
    return line.get("holds", True)


def _words(line) -> str:
    verdict = {True: "holds", False: "MISSED", None: "no bar"}[line.get("holds")]
    return (
        f"{line['name']:<40} {line['value']:.3f} of the forward pass ({line['forward_s']} s, and "
        f"{line['beside_s']} s beside it)  {verdict}"
    )


def _run(folder, network, side, channels):
    card = ModelCard(
        task="classification",
        labels=CLASSES,
        network=network,
        contract=Contract(width_px=side, height_px=side, colour="rgb" if channels == 3 else "grey"),
        normalisation=Normalisation(mean=(0.5,) * channels, std=(0.25,) * channels),
        created_at=now(),
    )
    torch.manual_seed(0)
    built = build(network, channels=channels, size=(side, side), classes=len(CLASSES))
    save(folder / "checkpoints" / "best.safetensors", built, card)
    return folder


def _depth(images) -> Depth:
    count = len(images.image_ids)
    columns = [
        named_column(f"fact {n}", [f"{place % (n + 2)}" for place in range(count)]) for n in range(3)
    ]
    columns.append(in_quarters("size", np.arange(count, dtype=float)))
    prices = Prices(np.ones((len(CLASSES), len(CLASSES))) - np.eye(len(CLASSES)), 0.3)
    return Depth(prices, OperatingPoint(temperature=1.5, not_sure_below=0.1), lambda _: columns)


def _forward(run, images):
    network, card = load(run / "checkpoints" / "best.safetensors")
    count = len(images.image_ids)
    batches = (images.gather(np.arange(start, min(start + 256, count))) for start in range(0, count, 256))
    return predict(ImageModel.of(network, card), batches)


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
