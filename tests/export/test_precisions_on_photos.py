"""int8 keeps its accuracy: the bars, on networks of every kind that we ship, chosen on pictures of train.

Where fewer than 1,000 pictures were left out of training, those of train are pooled with them, as
`export verify` does.

More pictures, the larger MobileNetV2 and every recipe: benchmarks/precision_export.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.export import FileParity
from darkroom.export.calibration import choose_pictures, choose_pictures_of_masks, save_tensors
from darkroom.export.choice import choose
from darkroom.export.conversion import convert
from darkroom.export.losses import loss_of
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.reference import TorchReference
from tests.export import real
from tests.export.real import Real

pytestmark = [
    pytest.mark.slow,
    # torch's own tracer warns of what it does itself.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]

TARGETS = ("onnx", "litert")
MEAN_LOSS, FAR_END = 0.01, 0.02
"""Most that int8 may lose of the metric, and most that it may lose at the far end of its interval."""

LARGE, SIZES = 2_000_000, {True: 0.32, False: 0.45}
"""Most that an int8 file may be of the float32 file, from so many parameters on and below."""

ENOUGH = 1_000
"""Pictures from which on the far end decides."""

CHOOSING = 300
"""Pictures of train on which the recipe is chosen; fewer than `export convert` takes, to be quick."""


def kept_int8(found: Real, folder: Path) -> dict[str, tuple[FileParity, float]]:
    """Returns each target's kept int8 file, on pictures that had no say, and its share of float32."""
    if found.card.task == "segmentation":
        rows = choose_pictures_of_masks(lambda rows: found.seen_truth[rows], len(found.seen)).rows
    else:
        rows = choose_pictures(found.seen_truth).rows
    save_tensors(folder / "calibration.npy", found.seen[rows])
    done = convert(
        found.network,
        found.card,
        folder / "files",
        targets=TARGETS,
        precisions=("float32", "int8"),
        calibration=folder / "calibration.npy",
        every_recipe=True,
    )
    assert done.failures == ()
    reference = TorchReference(found.network, found.card)
    report = choose(verify(reference, found.card, done.files, _seen(found, CHOOSING), rounds=0), done.files)
    marks = {(one.target, one.precision, one.recipe): one.kept for one in report.candidates}
    kept = [one for one in done.files if marks[one.target, one.precision, one.recipe]]
    judged = [*found.batch(), *(_seen(found) if len(found.truth) < ENOUGH else [])]
    parity = verify(reference, found.card, kept, judged, rounds=0)
    sizes = {(file.target, file.precision): file.size_bytes for file in parity.files}
    return {
        file.target: (file, file.size_bytes / sizes[file.target, "float32"])
        for file in parity.files
        if file.precision == "int8"
    }


def _seen(found: Real, most: int | None = None) -> list[ParityBatch]:
    rows = np.linspace(0, len(found.seen) - 1, min(len(found.seen), most or len(found.seen))).astype(int)
    names = [f"seen-{row}" for row in rows]
    return [ParityBatch(names, found.seen_truth[rows], found.seen[rows], None, "train")]


def held(found: Real, folder: Path, *, least: float) -> None:
    share = SIZES[sum(one.numel() for one in found.network.parameters()) >= LARGE]
    files = kept_int8(found, folder)
    assert files.keys() == set(TARGETS)
    for file, of_float32 in files.values():
        assert file.failures == ()
        assert file.agreement >= 0.97
        loss = loss_of(file)
        assert loss is not None
        assert loss.value <= MEAN_LOSS
        assert loss.count < ENOUGH or loss.high <= FAR_END
        assert of_float32 <= share
        known = file.accuracy if file.pixels is None else file.pixels.miou
        assert known is not None
        assert known > least, "it must know something, or a small loss says little"


def test_digits_on_1500_pictures(tmp_path: Path, shared_data: Path) -> None:
    held(real.digits(shared_data, count=1500), tmp_path, least=0.9)


def test_1200_flowers_with_a_small_mobilenet(tmp_path: Path, shared_data: Path) -> None:
    weights = "mobilenetv2_035.keras_in1k_features"
    found = real.flowers(weights, shared_data, tmp_path, per_class=240, share=0.6, trained=True)
    held(found, tmp_path, least=0.8)


def test_pixels_of_people(tmp_path: Path, shared_data: Path) -> None:
    found = real.people("lraspp/mobilenetv2_100", shared_data, steps=40)
    held(found, tmp_path, least=0.4)
