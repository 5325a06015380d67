"""float32 against bfloat16: is the accuracy the same, and which is faster?

    python benchmarks/precision.py [--mnist DIR] [--epochs 10] [--seeds 5] [--only lenet5] [--json]

Each network is trained with the same seeds in float32 and in bfloat16, in turn, and asked about the same
test pictures. Compared are the answers, picture by picture and seed by seed: the interval of the
difference in accuracy is that of the mean over seeds (t over paired differences), beside a bootstrap over
pictures. The ratio of speeds is that of the medians over epochs, the two precisions seed by seed in turn.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from mnist import BESIDE, MemoryRendering, read_mnist

from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict_with_embedding
from darkroom.networks.saved import load
from darkroom.records import Contract
from darkroom.statistics import paired_difference, spread
from darkroom.training import CardFacts, Recipe
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics

NETWORKS = ("lenet5", "mobilenetv2_035")
TRAIN, TEST, BATCH = 6000, 5000, 256
FACTS = CardFacts(
    labels=tuple("0123456789"), contract=Contract(width_px=32, height_px=32, colour="grey"), dataset="mnist"
)
PRECISIONS = ("float32", "bfloat16")
MOST_LOST = 0.005
"""bfloat16 is good enough where the interval of its difference stays above minus this."""


def main() -> int:
    options = _options()
    held = True
    for network in NETWORKS:
        if options.only in ("", network):
            with tempfile.TemporaryDirectory() as folder:
                for line in _measure(Path(folder), network, options):
                    _tell(line, as_json=options.json)
                    held &= line.get("holds", True)
    return 0 if held else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, default=BESIDE, help="folder with MNIST's idx.gz files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="one network")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _measure(folder, network, options):
    known, asked = (
        _padded(options.mnist, part, count) for part, count in (("train", TRAIN), ("t10k", TEST))
    )
    rendering = MemoryRendering(*known)
    right, speeds = {name: [] for name in PRECISIONS}, {name: [] for name in PRECISIONS}
    for seed in range(options.seeds):
        for precision in PRECISIONS if seed % 2 == 0 else PRECISIONS[::-1]:
            recipe = Recipe(network=network, epochs=options.epochs, precision=precision, device="cpu")
            run = folder / f"{precision}-{seed}"
            train(run, rendering=rendering, recipe=recipe, seed=seed, facts=FACTS)
            right[precision].append(_answers(run, asked[0]) == asked[1])
            points = read_metrics(run)
            speeds[precision] += [point.images_per_second for point in points[1:] or points]
    yield from _lines(network, right, speeds, options)


def _answers(run, images):
    network, card = load(run / "checkpoints" / "last.safetensors")
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    return predict_with_embedding(ImageModel.of(network, card), batches)[0].argmax(axis=1)


def _padded(folder, part, count):
    """Returns pictures (N, 32, 32, 1) uint8 with a black border of two pixels, and labels (N,)."""
    images, labels = read_mnist(folder, part, count)
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))), labels


def _lines(network, right, speeds, options):
    usual, other = (np.array(right[name], float) for name in PRECISIONS)  # (seeds, pictures)
    by_seed = spread((other - usual).mean(axis=1).tolist())
    by_picture = paired_difference(other.mean(axis=0), usual.mean(axis=0), draws=10_000)
    about = {"seeds": options.seeds, "epochs": options.epochs, "test_pictures": usual.shape[1]}
    for name, found in zip(PRECISIONS, (usual, other), strict=True):
        yield _line(network, f"accuracy.{name}", found.mean(), **about)
    low = high = None
    if by_seed.interval is not None:
        low, high = by_seed.interval.low, by_seed.interval.high
    lost = {} if low is None else {"bar": -MOST_LOST, "holds": bool(low >= -MOST_LOST)}
    yield _line(network, "difference.over_seeds", by_seed.mean, interval=_ends(low, high), **lost, **about)
    yield _line(
        network,
        "difference.over_pictures",
        by_picture.value,
        interval=_ends(by_picture.low, by_picture.high),
        **about,
    )
    ratio = statistics.median(speeds["bfloat16"]) / statistics.median(speeds["float32"])
    yield _line(network, "speed_ratio", ratio, **about)


def _ends(low, high):
    return None if low is None else [round(float(low), 5), round(float(high), 5)]


def _line(network, what, value, **more):
    return {"name": f"precision.{network}.{what}", "value": round(float(value), 5), **more}


def _tell(line, *, as_json):
    if as_json:
        sys.stdout.write(json.dumps(line) + "\n")
    else:
        ends = "[{:+.4f}, {:+.4f}]".format(*line["interval"]) if line.get("interval") else ""
        verdict = {True: "holds", False: "MISSED"}[line["holds"]] if "holds" in line else ""
        sys.stdout.write(f"{line['name']:48s} {line['value']:9.4f} {ends:20s} {verdict}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
