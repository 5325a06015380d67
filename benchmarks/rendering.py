"""Rendering a dataset against a bare loop of the same decoder and contract, and its memory as sets grow.

    python benchmarks/rendering.py [--data DIR] [--json] [--images 3000] [--rounds 7] [--sides 64,224]

Speed: each round renders the whole dataset with `render()`, then lets as many warm processes as there
are cores run nothing but `prepare(file.read_bytes(), contract)` over the same files, or the other way
round. The value is the ratio of the medians of images/s; the ratio of processor time beside it does not
depend on what else the machine is doing. 64 px is what `darkroom init` picks for photos without weights.

Memory: a project of 1,000 and one of 20,000 pictures are rendered, each by a fresh process; the value is
the ratio of the peaks of that process and its workers together.

Pictures are JPEGs of --data (photos, any folder), else synthetic ones; where there are too few of them,
copies with another comment inside make up the number.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from darkroom.datasets import freeze, render
from darkroom.images import prepare
from darkroom.records import Contract, Source, now
from darkroom.settings import Settings, available_cores
from darkroom.sources import scan_folder
from darkroom.workspace import PROJECT_FILE, Workspace

SPEED_BAR, MEMORY_BAR = 0.85, 1.1
SMALL, LARGE = 1000, 20_000
CLASSES = 4


def main() -> int:
    options = _options()
    if options.render_only:
        return _render_only(options.render_only)
    held = True
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        for side_px in map(int, options.sides.split(",")):
            held &= _speed(Path(scratch), options, side_px)
        if not options.no_memory:
            held &= _memory(Path(scratch), options)
    return 0 if held else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of JPEG photos; synthetic ones when not given")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--images", type=int, default=3000, help="pictures of the speed test")
    parser.add_argument("--rounds", type=int, default=7, help="times each of the two is run")
    parser.add_argument(
        "--sides", default="64,224", help="sides of the tensor of the speed test, in pixels"
    )
    parser.add_argument("--scratch", type=Path, help="where projects are made; the system's own by default")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory test out")
    parser.add_argument("--render-only", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _speed(scratch, options, side_px):
    root = _project(scratch / f"speed-{side_px}", options.data, options.images, side_px)
    cores = available_cores()
    with Workspace(root, settings=Settings(workers=cores)) as workspace:
        version = workspace.catalogue.datasets.get("bench")
        members = workspace.catalogue.datasets.members(version.ref)
        files = [file.path for file in workspace.image_files(m.image_id for m in members).values()]
        rates, busy = {"ours": [], "bare": []}, {"ours": [], "bare": []}
        with multiprocessing.get_context("spawn").Pool(cores) as pool:
            runs = {
                "ours": lambda: _rendered(workspace, version),
                "bare": lambda: pool.map(
                    _bare, [(files[i::cores], version.contract) for i in range(cores)], 1
                ),
            }
            for turn in range(options.rounds + 1):
                for name in sorted(runs, reverse=bool(turn % 2)):
                    shutil.rmtree(workspace.renderings, ignore_errors=True)
                    began, busy_before = time.perf_counter(), _busy_s()
                    runs[name]()
                    if turn:  # the first one warms both up
                        rates[name].append(len(files) / (time.perf_counter() - began))
                        busy[name].append(_busy_s() - busy_before)
    shutil.rmtree(root)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    best = {name: float(np.percentile(found, 80)) for name, found in rates.items()}
    return _tell(
        options,
        name=f"rendering.speed_over_bare_loop_{side_px}px",
        value=medians["ours"] / medians["bare"],
        bar=SPEED_BAR,
        holds=medians["ours"] / medians["bare"] >= SPEED_BAR,
        ratio_of_fastest_fifths=round(best["ours"] / best["bare"], 3),
        ratio_of_processor_time=_ratio(busy),
        images_per_s={name: round(found) for name, found in medians.items()},
        images=len(files),
        side_px=side_px,
        cores=cores,
        rounds=options.rounds,
        data="photos" if options.data else "synthetic",
    )


def _ratio(busy):
    used = statistics.median(busy["ours"])
    return round(statistics.median(busy["bare"]) / used, 3) if used else None


def _rendered(workspace, version):
    render(workspace, version)


def _busy_s():
    """Returns the processor time that this process and its children have used; 0 without /proc."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if os.getpid() in (int(path.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _bare(job):
    files, contract = job
    for file in files:
        prepare(Path(file).read_bytes(), contract)


def _memory(scratch, options):
    peaks = {}
    for number in (SMALL, LARGE):
        root = _project(scratch / f"memory-{number}", options.data, number, 64)
        peaks[number] = min(_peak_of_rendering(root) for _ in range(2))
        shutil.rmtree(root)
    ratio = peaks[LARGE] / peaks[SMALL]
    return _tell(
        options,
        name="rendering.peak_memory_growth",
        value=ratio,
        bar=MEMORY_BAR,
        holds=ratio <= MEMORY_BAR,
        peak_mib={str(number): round(peak / 2**20) for number, peak in peaks.items()},
    )


def _peak_of_rendering(root):
    """Renders in a fresh process; returns the most bytes that it and its workers held at one moment."""
    shutil.rmtree(root / ".darkroom" / "renderings", ignore_errors=True)
    command = [sys.executable, __file__, "--render-only", str(root)]
    process = subprocess.Popen(command)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident_bytes(process.pid))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(process.returncode)
    return peak


def _resident_bytes(pid):
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    return sum(rss for child, parent, rss in rows if pid in (child, parent)) * 1024


def _render_only(root):
    with Workspace(root) as workspace:
        render(workspace, workspace.catalogue.datasets.get("bench"))
    return 0


def _project(root, data, number, side_px):
    """Makes a project with a frozen dataset of so many pictures."""
    photos = _photos(data)
    for index in range(number):
        folder = root / "pictures" / f"class {index % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:06d}.jpg").write_bytes(_distinct(photos[index % len(photos)], index))
    (root / PROJECT_FILE).write_text('[project]\nname = "bench"\n')
    with Workspace(root) as workspace:
        sources = workspace.catalogue.sources
        source = sources.add(
            Source(
                id=sources.new_id(), kind="folder", path="pictures", format="class-folders", added_at=now()
            )
        )
        scan_folder(workspace, source)
        freeze(workspace, name="bench", contract=Contract(width_px=side_px, height_px=side_px))
    return root


def _photos(data):
    if data is None:
        return [_synthetic(seed) for seed in range(200)]
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    if not paths:
        raise SystemExit(f"No JPEG in {data}.")
    return [path.read_bytes() for path in paths]


def _synthetic(seed):
    """Returns a JPEG that costs about as much to decode as a photo of 340×256 pixels."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (16, 21, 3), np.uint8))
    pixels = np.asarray(small.resize((340, 256), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(pixels + rng.normal(0, 9, pixels.shape), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=88)
    return file.getvalue()


def _distinct(jpeg, number):
    """Puts a comment into a JPEG, so that its bytes differ and its pixels do not."""
    comment = f"copy {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _tell(options, *, value, **facts):
    facts = {"name": facts.pop("name"), "value": round(value, 3), **facts}
    if options.json:
        print(json.dumps(facts), flush=True)
    else:
        verdict = "holds" if facts["holds"] else "MISSED"
        print(f"{facts['name']}: {facts['value']} (bar {facts['bar']}, {verdict})")
        for key in facts.keys() - {"name", "value", "bar", "holds"}:
            print(f"    {key}: {facts[key]}")
    return facts["holds"]


if __name__ == "__main__":
    sys.exit(main())
