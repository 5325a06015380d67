"""A full disk in each writer of `darkroom run`: said in words, nothing half-written, and it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

from tests.tree import ROOT

DARKROOM = [sys.executable, "-m", "darkroom"]
CHANGES = {"epochs = 30": "epochs = 2", 'targets = ["onnx", "litert"]': 'targets = ["onnx"]'}
ONE_AT_A_TIME = {"DARKROOM_WORKERS": "1", "DARKROOM_THREADS": "1", "OMP_NUM_THREADS": "1"}
TIMINGS = {"duration_s", "images_per_second", "time_left_s"}


@pytest.mark.slow
def test_a_full_disk_is_said_and_gone_on_from_up_to_the_evaluation(tmp_path: Path) -> None:
    told = refused_and_compared(tmp_path, until="evaluate")
    assert len(told) > 50


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_is_said_and_gone_on_from_in_every_writer(tmp_path: Path) -> None:
    told = refused_and_compared(tmp_path, until="report")
    assert any("bundle.json" in one["refused"] for one in told)
    assert len(told) > 90


def refused_and_compared(folder: Path, *, until: str) -> list[dict[str, Any]]:
    """Refuses each kind of file once, checks what is said, and compares with an undisturbed run."""
    disturbed = project(folder)
    calm = folder / "calm"
    shutil.copytree(disturbed, calm)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bad_input.full_disk", disturbed, until],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    *told, last = map(json.loads, done.stdout.splitlines())
    assert (last["refused"], last["kind"]) == ("nothing", ""), last
    for one in told:
        assert one["kind"] == "StorageFailed", one
        assert one["hint"], one
        assert one["left"] == [], one
    run(calm, until)
    assert outcome(disturbed) == outcome(calm)
    return told


def project(folder: Path) -> Path:
    digits: Any = load_digits(n_class=3)
    for number in range(60):
        place = folder / "pictures" / str(digits.target[number]) / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15.9).astype(np.uint8)).save(place)
    words = ["init", "project", "--images", "pictures", "--clones", "1"]
    subprocess.run([*DARKROOM, *words], cwd=folder, check=True, capture_output=True)
    file = folder / "project" / "darkroom.toml"
    text = file.read_text()
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return folder / "project"


def run(place: Path, until: str) -> None:
    done = subprocess.run(
        [*DARKROOM, "run", "--until", until],
        cwd=place, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def environment() -> dict[str, str]:
    return {**os.environ, **ONE_AT_A_TIME}


def outcome(place: Path) -> dict[str, Any]:
    """Returns what decides whether two projects came to the same; times and ids left out."""
    folder = place / ".darkroom" / "runs" / "r-1"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    weights = load_file(folder / "checkpoints" / "best.safetensors")
    found: dict[str, Any] = {
        "weights": {name: value.tobytes() for name, value in weights.items()},
        "metrics": [{key: one for key, one in line.items() if key not in TIMINGS} for line in lines],
        "figures": json.loads((folder / "evaluation-test.json").read_text())["figures"],
        "files": sorted(path.relative_to(place).as_posix() for path in (place / "deliverables").rglob("*")),
        "facts": (place / "deliverables" / "04-dataset" / "facts.json").read_text(),
    }
    bundle = place / "deliverables" / "09-mobile" / "bundle"
    if bundle.exists():
        # The model file carries its card, with moments in it: what it answers is compared instead.
        parity = json.loads((bundle.parent / "parity.json").read_text())
        found["parity"] = [
            (file["target"], file["agreement"], file["max_abs"], file["flip_count"])
            for file in parity["files"]
        ]
        found["golden"] = (bundle / "golden" / "golden.json").read_bytes()
    return found
