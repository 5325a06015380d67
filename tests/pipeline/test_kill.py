"""`kill -9` at any moment of a run, then run again: the same result, and nothing half-written."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

DARKROOM = [sys.executable, "-m", "darkroom"]
RECIPE = ("epochs = 30", "epochs = 4")
CLONES = 2

TIMINGS = {"duration_s", "images_per_second", "time_left_s"}


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_result(tmp_path):
    compare_killed_with_undisturbed(tmp_path, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_killed_at_twenty_random_moments_ends_in_the_same_result(tmp_path):
    compare_killed_with_undisturbed(tmp_path, kills=20)


def compare_killed_with_undisturbed(folder: Path, *, kills: int) -> None:
    calm, disturbed = project(folder, "calm"), project(folder, "disturbed")
    started = time.monotonic()
    run(calm)
    whole_s = time.monotonic() - started
    moments = random.Random(kills)
    for _ in range(kills):
        kill_after(disturbed, moments.uniform(0.2, 1.0) * whole_s / 2)
    run(disturbed)
    assert outcome(disturbed) == outcome(calm)
    assert not list((disturbed / ".darkroom").rglob(".aside-*"))
    assert not list((disturbed / "deliverables").rglob(".aside-*"))
    states = {run["state"] for run in catalogued_runs(disturbed)}
    assert states == {"finished"}


def project(folder: Path, name: str) -> Path:
    pictures = folder / "pictures"
    if not pictures.exists():
        digits = load_digits()
        for number in range(400):
            place = pictures / str(digits.target[number]) / f"{number:04d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[number] * 15.9).astype(np.uint8)).save(place)
    words = ["init", name, "--images", "pictures", "--clones", str(CLONES)]
    subprocess.run([*DARKROOM, *words], cwd=folder, check=True, capture_output=True)
    file = folder / name / "darkroom.toml"
    text = file.read_text()
    assert RECIPE[0] in text
    file.write_text(text.replace(*RECIPE).replace(f'name = "{name}"', 'name = "same"'))
    return folder / name


def run(place: Path) -> None:
    done = subprocess.run([*DARKROOM, "run"], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def kill_after(place: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [*DARKROOM, "run"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def catalogued_runs(place: Path) -> list[dict]:
    done = subprocess.run(
        [*DARKROOM, "model", "list", "--json"], cwd=place, capture_output=True, text=True, check=True
    )
    columns = ("id", "state", "dataset", "network", "seed", "accuracy", "when")
    return [dict(zip(columns, row, strict=True)) for row in json.loads(done.stdout)["rows"]]


def outcome(place: Path) -> dict:
    """Returns what decides whether two projects came to the same result; times and ids left out."""
    found: dict = {}
    runs = {row["seed"]: row["id"] for row in catalogued_runs(place)}
    assert len(runs) == CLONES
    for seed, name in runs.items():
        folder = place / ".darkroom" / "runs" / name
        weights = load_file(folder / "checkpoints" / "best.safetensors")
        found[f"weights {seed}"] = {key: value.tobytes() for key, value in weights.items()}
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found[f"metrics {seed}"] = [
            {key: value for key, value in line.items() if key not in TIMINGS} for line in lines
        ]
        found[f"figures {seed}"] = json.loads((folder / "evaluation-test.json").read_text())["figures"]
    bundle = place / "deliverables" / "09-mobile" / "bundle"
    found["files"] = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*"))
    found["contract"] = (bundle / "contract.json").read_text()
    parity = json.loads((place / "deliverables" / "09-mobile" / "parity.json").read_text())
    found["parity"] = [(file["target"], file["agreement"], file["flip_count"]) for file in parity["files"]]
    return found
