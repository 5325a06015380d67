"""`darkroom run` on real photos with pretrained weights, against LogisticRegression on the same features.

    python benchmarks/transfer.py [--data DIR] [--json] [--only flowers:mobilenetv2_100]

For each set of photos and each network: `darkroom init` and `darkroom run` as a person would type them,
with what `init` picks: three clones, last layer, evaluation, ONNX and LiteRT files, parity, report. Then
scikit-learn's LogisticRegression is fitted to the embeddings of the same training pictures and asked about
the same test pictures. Compared are a clone's test accuracy (mean of the three) and that of
LogisticRegression, picture by picture.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from whole_runs import WEIGHTS, make_project, run_project, weights_folder

import darkroom
from darkroom.datasets import render
from darkroom.evaluation import load_predictions
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict_with_embedding
from darkroom.networks.saved import load
from darkroom.statistics import paired_difference, wilson

PHOTOS = ("flowers", "trashnet")
LEAST_DIFFERENCE, LEAST_ON_FLOWERS, MOST_S = -0.01, 0.85, 240.0
BATCH = 64


def main() -> int:
    chosen = options(__doc__)
    held = True
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(chosen.data / "weights", Path(folder) / "weights")
        for photos in PHOTOS:
            for network in WEIGHTS:
                if chosen.only in ("", f"{photos}:{network}"):
                    root = Path(folder) / f"{photos}-{network}"
                    environment = make_project(root, chosen.data / photos, weights, network=network)
                    took_s = run_project(root, environment).wall_s
                    lines = _compare(root, photos, network, took_s)
                    held &= all([_told(line, as_json=chosen.json) for line in lines])
    return 0 if held else 1


def options(page: str):
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=page.splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with photos and weights")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--only", default="", help="one set and network, as in flowers:mobilenetv2_100")
    return parser.parse_args()


def _compare(root: Path, photos: str, network: str, took_s: float) -> list[dict]:
    with darkroom.open(root) as project:
        workspace = project.workspace
        runs = [run.id for run in workspace.catalogue.runs.list()]
        version = workspace.catalogue.datasets.list()[0]
        rendering = render(workspace, version)
        model, _ = _model(workspace.runs_folder / runs[0])
        known, labels = _embedded(model, rendering.split("train"))
        asked, truth = _embedded(model, rendering.split("test"))
        usual = LogisticRegression(max_iter=5000).fit(known, labels).predict(asked) == truth
        answers = [load_predictions(workspace.runs_folder / run, "test").answers for run in runs]
        ours = np.mean([found == truth for found in answers], axis=0)
    accuracy, count = float(ours.mean()), len(truth)
    difference = paired_difference(ours, usual.astype(float), draws=10_000)
    lines = [
        _line(photos, network, "accuracy", accuracy, LEAST_ON_FLOWERS if photos == "flowers" else None,
              interval=_ends(wilson(accuracy * count, count))),
        _line(photos, network, "logistic_regression", float(usual.mean()), None,
              interval=_ends(wilson(float(usual.sum()), count))),
        _line(photos, network, "difference", difference.value, LEAST_DIFFERENCE,
              interval=_ends(difference)),
        _line(photos, network, "run_s", took_s, MOST_S if photos == "flowers" else None, least=False),
    ]  # fmt: skip
    return lines


def _model(run: Path):
    network, card = load(run / "checkpoints" / "best.safetensors")
    return ImageModel.of(network, card), card


def _embedded(model: ImageModel, split):
    batches = (
        split.gather(np.arange(start, min(start + BATCH, len(split))))
        for start in range(0, len(split), BATCH)
    )
    return predict_with_embedding(model, batches)[1], np.asarray(split.labels)


def _ends(interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


def _line(photos, network, what, value, bar, *, least=True, **more):
    line = {"name": f"transfer.{photos}.{network}.{what}", "value": round(value, 4), **more}
    if bar is not None:
        line |= {"bar": bar, "holds": bool(value >= bar if least else value <= bar)}
    return line


def _told(line: dict, *, as_json: bool) -> bool:
    if as_json:
        sys.stdout.write(json.dumps(line) + "\n")
    else:
        ends = "[{:.4f}, {:.4f}]".format(*line["interval"]) if "interval" in line else ""
        verdict = {True: "holds", False: "MISSED"}[line["holds"]] if "holds" in line else ""
        bar = f"bar {line['bar']}" if "bar" in line else ""
        sys.stdout.write(f"{line['name']:52s} {line['value']:9.4f} {ends:18s} {bar:10s} {verdict}\n")
    sys.stdout.flush()
    return line.get("holds", True)


if __name__ == "__main__":
    raise SystemExit(main())
