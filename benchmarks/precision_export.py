"""What do smaller files lose? Every recipe of every precision, against PyTorch, on real pictures.

    python benchmarks/precision_export.py [--data DIR] [--only flowers100] [--quick] [--json]

Four networks: a LeNet on MNIST digits, MobileNetV2 0.35 and 1.0 with their last layer on flowers, LR-ASPP
on people. Each is trained on one part of the pictures; there the ranges are found and the recipe is chosen.
The figures are of the other part, which had no say; where that has fewer than 1,000 pictures, of both parts
pooled, as `export verify` does, with those of the other part beside them ("unseen"). Bars: float16 and int8
as the default brief has them, the mean loss of int8 at most one point, and sizes.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from darkroom.bundle import size_of
from darkroom.export.calibration import choose_pictures, choose_pictures_of_masks, save_tensors
from darkroom.export.choice import choose
from darkroom.export.conversion import convert
from darkroom.export.losses import DECIDES_FROM, loss_of
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.reference import TorchReference

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.export import real  # noqa: E402

BESIDE = ROOT.parent / "shared" / "data"
PRECISIONS = ("float32", "float16", "weight-int8", "dynamic-int8", "int8")
MEAN_LOSS = 0.01
"""Most that int8 may lose of the metric."""
SIZES = {True: 0.32, False: 0.45}
"""Most that a file of int8 may be of the float32 file, with 2 M parameters and more, and with fewer."""


def main() -> int:
    options = _options()
    held = True
    for name, make in NETWORKS.items():
        if options.only in ("", name):
            with tempfile.TemporaryDirectory() as folder:
                for line in _measure(name, make, Path(folder), options):
                    print(json.dumps(line) if options.json else _spoken(line), flush=True)
                    held &= line.get("holds", True)
    return 0 if held else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=BESIDE, help="folder with flowers, people, mnist, weights"
    )
    parser.add_argument("--only", default="", help=f"one of {', '.join(NETWORKS)}")
    parser.add_argument("--targets", default="onnx,litert")
    parser.add_argument("--quick", action="store_true", help="few pictures, for a look")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _digits(data, folder, *, quick):
    return real.digits(data, count=1000 if quick else 5000)


def _flowers(weights):
    def make(data, folder, *, quick):
        per_class, share = (60, 1 / 2) if quick else (240, 0.6)
        return real.flowers(weights, data, folder, per_class=per_class, share=share, trained=True)

    return make


def _people(data, folder, *, quick):
    steps, count = (40, 30) if quick else (200, 250)
    return real.people("lraspp/mobilenetv2_100", data, steps=steps, count=count, side=160)


NETWORKS = {
    "digits": _digits,
    "flowers035": _flowers("mobilenetv2_035.keras_in1k_features"),
    "flowers100": _flowers("mobilenetv2_100.tf2_ptq_dequant_in1k"),
    "people": _people,
}


def _measure(name, make, folder, options):
    found = make(options.data, folder, quick=options.quick)
    calibration = folder / "calibration.npy"
    save_tensors(calibration, found.seen[_calibrating(found)])
    targets = tuple(options.targets.split(","))
    wanted = {"targets": targets, "precisions": PRECISIONS, "every_recipe": True}
    done = convert(found.network, found.card, folder / "files", calibration=calibration, **wanted)
    for one in done.failures:
        yield {"name": f"{name}.{one.target}.{one.precision}", "failed": one.message, "holds": False}
    reference = TorchReference(found.network, found.card)
    chosen = verify(
        reference, found.card, done.files, _pictures(found.seen, found.seen_truth, "val"), rounds=0
    )
    report = choose(chosen, done.files)
    said = {
        (one.target, one.precision): one.recipe
        for one in report.candidates
        if one.kept and one.precision != "float32"
    }
    parity = verify(reference, found.card, done.files, _judged(found), rounds=60)
    recipes = {file.path.name: file for file in done.files}
    plain = {one.target: size_of(one.path) for one in done.files if one.precision == "float32"}
    for file in parity.files:
        recipe = recipes[file.file].recipe
        yield _line(name, found, file, recipe, parity, plain, said)


def _calibrating(found):
    if found.card.task == "segmentation":
        return choose_pictures_of_masks(lambda rows: found.seen_truth[rows], len(found.seen)).rows
    return choose_pictures(found.seen_truth).rows


def _judged(found):
    yield from _pictures(found.tensors, found.truth, "test")
    if len(found.truth) < DECIDES_FROM:
        yield from _pictures(found.seen, found.seen_truth, "train")


def _pictures(tensors, truth, split):
    for start in range(0, len(truth), 32):
        rows = slice(start, start + 32)
        yield ParityBatch([f"{split}-{start}"] * len(truth[rows]), truth[rows], tensors[rows], None, split)


def _line(name, found, file, recipe, parity, plain, said):
    loss, share = loss_of(file), file.size_bytes / plain[file.target]
    kept = file.precision == "float32" or said.get((file.target, file.precision)) == recipe
    held = {"parity": file.passes}
    if file.precision == "int8":
        large = found.network.parameter_count >= 2_000_000
        held["mean loss"] = loss is not None and loss.value <= MEAN_LOSS
        held["size"] = share <= SIZES[large]
    return {
        "name": f"{name}.{file.target}.{file.precision}.{recipe}",
        "value": round(share, 4),
        "unit": "size of float32",
        "size_bytes": file.size_bytes,
        "agreement": round(file.agreement, 5),
        "loss": loss and [round(one, 5) for one in (loss.value, loss.low, loss.high)],
        **_unseen(file),
        "max_abs": float(f"{file.max_abs:.3g}"),
        "latency_ms": file.latency and round(file.latency.p50_ms, 3),
        "reference_ms": parity.reference_latency and round(parity.reference_latency.p50_ms, 3),
        "pictures": parity.image_count,
        "decides": parity.image_count >= DECIDES_FROM,
        "reference": round(parity.reference_accuracy, 4),
        "kept": kept,
        "failures": list(file.failures),
        **({"bar": ", ".join(held), "holds": all(held.values())} if kept else {}),
    }


def _unseen(file):
    """Returns agreement and loss on pictures it was not trained on, where others were pooled with them."""
    part = next((one for one in file.by_split if one.split == "test"), None)
    if part is None or part.difference is None:
        return {}
    gained = part.difference
    loss = [round(-one, 5) for one in (gained.value, gained.high, gained.low)]
    return {"unseen": {"pictures": part.count, "agreement": round(part.agreement, 5), "loss": loss}}


def _spoken(line):
    if "failed" in line:
        return f"{line['name']}: {line['failed']}"
    loss = "" if line["loss"] is None else "loss {:+.2%} ({:+.2%} to {:+.2%})".format(*line["loss"])
    verdict = "" if "holds" not in line else " holds" if line["holds"] else f" MISSES {line['failures']}"
    return (
        f"{line['name']}: {line['value']:.3f} of float32 ({line['size_bytes']:,} bytes), agreement "
        f"{line['agreement']:.4f}, {loss}, {line['latency_ms']} ms{verdict}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
