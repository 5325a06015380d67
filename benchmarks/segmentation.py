"""`darkroom run` on photos with masks and pretrained weights: people against background, and street scenes.

    python benchmarks/segmentation.py [--data DIR] [--json] [--only people] [--clones 1]

For each set: `darkroom init` as a person would type it, with what `init` picks (LR-ASPP on MobileNetV2
0.35), and `darkroom run --until train`. Then the run with the best mean IoU on val answers for val and for
test, and the intervals are drawn over pictures. The time is that of the run: reading, rendering, training.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from whole_runs import make_project, run_project, weights_folder

import darkroom
from darkroom.datasets import render
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load
from darkroom.tasks.overlap import confusion_of, iou_of, mean_iou, pixel_accuracy

SETS = ("people", "camvid")
LEAST_PERSON_IOU, MOST_S = 0.80, 1200.0
DRAWS = 2000
BATCH = 16


def main() -> int:
    options = _options()
    held = True
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_folder(options.data / "weights", Path(folder) / "weights")
        for name in SETS:
            if options.only in ("", name):
                root = Path(folder) / name
                environment = make_project(root, options.data / name, weights, clones=options.clones)
                took = run_project(root, environment, "--until", "train")
                for line in _figures(root, name, took.wall_s, took.cpu_s):
                    held &= _told(line, as_json=options.json)
    return 0 if held else 1


def _options():
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with photos and weights")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--only", default="", choices=("", *SETS), help="one set")
    parser.add_argument("--clones", type=int, default=1, help="how many trainings of each")
    return parser.parse_args()


def _figures(root: Path, name: str, took_s: float, cpu_s: float) -> list[dict]:
    with darkroom.open(root) as project:
        workspace = project.workspace
        runs = [run for run in workspace.catalogue.runs.list() if run.state == "finished"]
        chosen = project.model.select(runs=tuple(run.id for run in runs), by="val.miou").run
        version = workspace.catalogue.datasets.list()[0]
        rendering = render(workspace, version)
        found = load(workspace.runs_folder / chosen / "checkpoints" / "best.safetensors")
        confusions = {split: _confusions(found, rendering.split(split)) for split in ("val", "test")}
    lines = []
    for split, confusion in confusions.items():
        drawn = _drawn(confusion)
        lines += [
            _line(name, f"{split}.miou", mean_iou(confusion.sum(0)), [mean_iou(one) for one in drawn]),
            _line(name, f"{split}.pixel_accuracy", pixel_accuracy(confusion.sum(0)),
                  [pixel_accuracy(one) for one in drawn]),
        ]  # fmt: skip
        of_draws = iou_of(drawn)
        for place, label in enumerate(version.classes):
            bar = LEAST_PERSON_IOU if (split, label) == ("test", "person") else None
            value = float(iou_of(confusion.sum(0))[place])
            lines.append(_line(name, f"{split}.iou.{label}", value, of_draws[:, place], bar))
    lines.append(_line(name, "run_s", took_s, None, MOST_S, least=False))
    lines.append(_line(name, "run_cpu_s", cpu_s, None))
    return lines


def _confusions(found, split) -> np.ndarray:
    """Returns the confusion of each picture (N, C, C)."""
    model = ImageModel.of(*found)
    classes, parts = len(found[1].labels), []
    for start in range(0, len(split), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(split)))
        answers = predict(model, [split.gather(chosen)]).argmax(3)
        parts.append(confusion_of(split.gather_masks(chosen), answers, classes))
    return np.concatenate(parts)


def _drawn(confusion: np.ndarray) -> np.ndarray:
    """Returns the confusions of pictures drawn with replacement, (draws, C, C)."""
    draw = np.random.default_rng(0)
    counts = draw.multinomial(len(confusion), np.full(len(confusion), 1 / len(confusion)), DRAWS)
    return np.tensordot(counts, confusion, 1)


def _line(name, what, value, drawn, bar=None, *, least=True) -> dict:
    line = {"name": f"segmentation.{name}.{what}", "value": round(float(value), 4)}
    if drawn is not None:
        line["interval"] = [round(float(end), 4) for end in np.nanquantile(drawn, [0.025, 0.975])]
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
        sys.stdout.write(f"{line['name']:44s} {line['value']:10.4f} {ends:18s} {bar:10s} {verdict}\n")
    sys.stdout.flush()
    return line.get("holds", True)


if __name__ == "__main__":
    raise SystemExit(main())
