"""Holds Python's path against the contract in plain integers, on the oldest, a middle, the newest Pillow.

    python benchmarks/contract.py             a table
    python benchmarks/contract.py --json      one object per line: name, value, bar, holds

Versions of Pillow that are not installed here are fetched by pip into a folder of their own. Beside the
differences it prints how fast the whole way from a JPEG to the tensor is, over a bare Pillow loop of the
same two passes: interleaved picture by picture, each side first in turn. `spread` is the bare loop's 80th
over its 20th percentile; far above 1 the machine was busy and the ratio says little.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from darkroom.images import Decoded, apply_contract, prepare, reference_steps
from darkroom.records import Contract

ROOT = Path(__file__).resolve().parent.parent
MIDDLE = "12.2.0"
"""The first line of versions in which one call of resize chooses the order of its passes by the shape."""

CASES = 432
"""Three times each of six shapes, three channel counts, four modes and two colours."""

SPEED_BAR = 0.9
ROUNDS = 400
NOT_FETCHED = 3


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--cases", type=int, default=CASES, help="pictures per version of Pillow")
    parser.add_argument("--pillow", nargs="*", default=None, help="versions, instead of the three")
    parser.add_argument("--folder", type=Path, default=None, help="keep fetched versions here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(compare(asked.cases)))
        return 0
    with tempfile.TemporaryDirectory() as aside:
        results = list(measure(asked.pillow, asked.cases, asked.folder or Path(aside)))
    for result in results:
        print(
            json.dumps(result)
            if asked.json
            else "{name:40} {value:>10} (bar {bar}) {holds}".format(**result)
        )
    return 0 if all(result["holds"] for result in results) else 1


def measure(versions: list[str] | None, cases: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the differences per version and, when no version was named, the speed."""
    for version in three_versions() if versions is None else versions:
        found = run_worker(version, cases, folder)
        assert found["pillow"] == version, f"asked for Pillow {version}, ran {found['pillow']}"
        name = f"contract.differences.pillow-{version}"
        yield {
            "name": name,
            "value": found["differing"],
            "bar": 0,
            "holds": not found["differing"],
            **found,
        }
    if versions is None:
        yield from speed()


def three_versions() -> list[str]:
    """Returns the oldest version allowed, a middle one, and the one that the tests ran with."""
    allowed = re.search(r'"pillow>=([\d.]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = re.search(r"^pillow==([\d.]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert allowed
    assert pinned
    oldest = allowed[1] + ".0" * (2 - allowed[1].count("."))
    return [oldest, MIDDLE, pinned[1]]


def run_worker(version: str, cases: int, folder: Path) -> dict[str, Any]:
    """Compares in a fresh interpreter that sees one version of Pillow."""
    environment = dict(os.environ)
    if version != PIL.__version__:
        place = folder / f"pillow-{version}"
        fetch(version, place)
        environment["PYTHONPATH"] = str(place)
    command = [sys.executable, __file__, "--worker", "--cases", str(cases)]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(answer)


def fetch(version: str, place: Path) -> None:
    """Installs one version of Pillow, alone, into a folder; ends the program when that is not possible."""
    if (place / "PIL").is_dir():
        return
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    ]
    command += ["--target", str(place), f"pillow=={version}"]
    if subprocess.run(command, env=environment, check=False).returncode:
        print(f"Pillow {version} could not be fetched.", file=sys.stderr)
        sys.exit(NOT_FETCHED)


def compare(cases: int) -> dict[str, Any]:
    """Counts the pictures of which any step differs from the reference, with this interpreter's Pillow."""
    differing: list[str] = []
    worst = 0
    for number in range(cases):
        pixels, contract, orientation = case(number)
        decoded = Decoded.from_pixels(pixels, orientation=orientation)
        steps = apply_contract(decoded, contract, trace=True).steps
        expected = reference_steps(pixels, contract, orientation=orientation)
        for step, (name, reference) in zip(steps, expected, strict=True):
            if not np.array_equal(step.pixels, reference):
                worst = max(worst, int(np.abs(step.pixels.astype(int) - reference).max()))
                differing.append(f"{pixels.shape} {contract} {name}")
                break
    return {
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "pictures": cases,
        "differing": len(differing),
        "worst": worst,
        "first": differing[:3],
    }


def case(number: int) -> tuple[np.ndarray, Contract, int]:
    """Draws one picture and contract; numbers in a row go through all combinations."""
    random = np.random.default_rng(number)
    shape, rest = number % 6, number // 6
    channels, mode = (1, 3, 4)[rest % 3], ("squash", "crop", "fill", "half_crop")[rest // 3 % 4]
    across, down, width, height = (int(n) for n in random.integers(1, 160, 4))
    if shape == 0:
        width = 1
    elif shape == 1:
        height = 1
    elif shape == 2:  # upscale
        width, height = max(1, across // 3), max(1, down // 4)
    elif shape == 3:  # h − h′ > 2(w − w′): where Pillow's own order of passes turns
        width, height = across + 1, down + 3 + int(random.integers(1, 900))
    elif shape == 4:
        width, height = int(random.integers(300, 1400)), int(random.integers(300, 1100))
    contract = Contract(
        width_px=across,
        height_px=down,
        resize=mode,
        colour=("rgb", "grey")[rest // 12 % 2],
        alpha_colour=tuple(random.integers(0, 256, 3).tolist()),
        pad_colour=tuple(random.integers(0, 256, 3).tolist()),
        enhance=tuple(random.permutation(["invert", "autocontrast", "median3"])[: random.integers(0, 4)]),
    )
    pixels = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels, contract, int(random.integers(1, 9))


def speed() -> Iterator[dict[str, Any]]:
    """Times decode and contract over a bare loop, on a 500×400 JPEG to 224×224."""
    y, x = np.indices((400, 500))
    waves = [127 + 120 * np.sin(x / a) * np.cos(y / b) for a, b in ((9, 31), (23, 12), (40, 7))]
    grain = np.random.default_rng(0).normal(0, 6, (400, 500, 3))
    buffer = BytesIO()
    pixels = np.clip(np.stack(waves, axis=2) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    data, contract = buffer.getvalue(), Contract(width_px=224, height_px=224, resize="crop")
    assert np.array_equal(bare(data), prepare(data, contract))
    ours, theirs = [], []
    for number in range(ROUNDS):
        # Always the same side first would let one side take what a busy machine interrupts.
        for side in (0, 1) if number % 2 else (1, 0):
            if side:
                ours.append(timed(prepare, data, contract))
            else:
                theirs.append(timed(bare, data))
    spread = round(quantile(theirs, 0.8) / quantile(theirs, 0.2), 3)
    for figure, share in (("median", 0.5), ("20th-percentile", 0.2)):
        ratio = round(quantile(theirs, share) / quantile(ours, share), 3)
        name = f"contract.speed-over-bare-pillow.{figure}"
        yield {
            "name": name,
            "value": ratio,
            "bar": SPEED_BAR,
            "holds": ratio >= SPEED_BAR,
            "spread": spread,
        }
    value = round(quantile(ours, 0.5) * 1e3, 3)
    yield {"name": "contract.ms-per-photo", "value": value, "bar": None, "holds": True}


def bare(data: bytes) -> np.ndarray:
    """What anybody would write for the middle 400×400 of this one JPEG."""
    image = Image.open(BytesIO(data)).convert("RGB").crop((50, 0, 450, 400))
    two = image.resize((224, 400), Image.Resampling.BILINEAR).resize((224, 224), Image.Resampling.BILINEAR)
    return np.array(two)


def timed(function: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


if __name__ == "__main__":
    sys.exit(main())
