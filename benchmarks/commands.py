"""Times what a person waits for: help, status over a large catalogue, a run that has nothing to do."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

DARKROOM = [sys.executable, "-m", "darkroom"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installed package has its bytecode; with that variable each command would compile every module."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--times", type=int, default=7, help="how often each command is timed")
    parser.add_argument("--status-images", type=int, default=100_000)
    parser.add_argument("--run-files", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = [
            ("darkroom --help", timed(["--help"], root, options.times), 0.5),
            ("darkroom model train --help", timed(["model", "train", "--help"], root, options.times), 0.8),
        ]
        small = project(root / "small", options.run_files)
        rows.append((f"second run, {options.run_files:,} files", timed(["run"], small, options.times), 3.0))
        large = project(root / "large", options.status_images)
        rows.append(
            (f"status, {options.status_images:,} images", timed(["status"], large, options.times), 1.0)
        )
    for name, value, bar in rows:
        show(name, value, bar, as_json=options.json)


def darkroom(words: list[str], folder: Path) -> None:
    subprocess.run([*DARKROOM, *words], cwd=folder, check=True, capture_output=True, env=ENVIRONMENT)


def timed(words: list[str], folder: Path, times: int) -> float:
    """Returns the median wall time of a command in seconds, after one that is not counted."""
    took = []
    for _ in range(times + 1):
        started = time.perf_counter()
        darkroom(words, folder)
        took.append(time.perf_counter() - started)
    return statistics.median(took[1:])


def project(folder: Path, count: int) -> Path:
    """Makes a project over many small pictures and collects and freezes them."""
    pictures = folder / "pictures"
    generator = np.random.default_rng(0)
    for number in range(count):
        place = pictures / f"class-{number % 10}" / f"{number // 1000:03d}" / f"{number:06d}.png"
        if number % 10_000 < 10 or not place.parent.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(place)
    words = ["init", "project", "--images", "pictures"]
    darkroom(words, folder)
    keep_first_stages(folder / "project" / "darkroom.toml")
    subprocess.run(
        [*DARKROOM, "run"], cwd=folder / "project", check=True, capture_output=True, env=ENVIRONMENT
    )
    return folder / "project"


def keep_first_stages(path: Path) -> None:
    """Cuts darkroom.toml after the stage `prepare`: training would time the network."""
    stages = path.read_text().split("[[stage]]")
    path.write_text("[[stage]]".join(stages[:3]))


def show(name: str, value: float, bar: float, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"name": name, "value": round(value, 3), "bar": bar, "holds": value < bar}))
    else:
        print(f"{name:<36} {value:6.2f} s   bar {bar:.1f} s   {'holds' if value < bar else 'MISSED'}")


if __name__ == "__main__":
    main()
