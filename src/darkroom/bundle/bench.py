"""Measure the model files of this bundle on this machine, and hold the golden vectors against them.

It needs Python 3.10 or newer, numpy, and for each kind of file its runtime: onnxruntime for .onnx,
ai-edge-litert or tflite-runtime for .tflite, executorch for .pte; nothing else. Size, time to load, latency
and memory are those of this machine. A .mlpackage is left out: Xcode measures it.

    python bench.py                              all files of this bundle, on one thread
    python bench.py models/shoes.tflite          this file alone
    python bench.py --threads 4 --rounds 500 --json measured.json
    python bench.py models/shoes.tflite --tensors tensors.npy --answers answers.npy

It ends with 1 where a file does not run or misses a golden vector, with 2 where it is not in a bundle.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = "golden/golden.json"

WARM_UP = 5
LONGEST_S = 60.0
"""Timing ends after this long even when not all rounds are done."""

MID_GREY = 127
"""Not 0: memory that was only asked for and never written is not resident."""

WITHIN = {"float32": 1e-4, "float16": 5e-3}
"""Largest difference from a golden probability, by precision; others are shown, and not judged by it."""
MASKS_WITHIN = 1e-2
ALIKE = 0.999
"""Smallest share of pixels with the class of the golden mask."""


class Onnx:
    """An .onnx file, opened with ONNX Runtime."""

    libraries = ("onnxruntime",)

    def __init__(self, path: Path, threads: int) -> None:
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.version = f"onnxruntime {runtime.__version__}"

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the probabilities of one tensor, (1, height, width, channels) uint8."""
        return np.asarray(self.session.run(["probabilities"], {"image": tensor})[0])


class LiteRt:
    """A .tflite file, opened with LiteRT or its forerunner."""

    libraries = ()

    def __init__(self, path: Path, threads: int) -> None:
        module, self.version = _litert()
        self.interpreter: Any = module.Interpreter(model_path=str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        outputs = self.interpreter.get_output_details()
        named = [one for one in outputs if one["name"] == "probabilities"]
        self.output = (named or outputs)[0]["index"]

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the probabilities of one tensor, (1, height, width, channels) uint8."""
        self.interpreter.set_tensor(self.input, tensor)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output)


class ExecuTorch:
    """A .pte file, opened with ExecuTorch's runtime, which takes torch's tensors."""

    libraries = ("torch", "executorch.extension.pybindings.portable_lib", "executorch.runtime")
    sized = False

    def __init__(self, path: Path, threads: int) -> None:
        self.torch = import_module("torch")
        if not ExecuTorch.sized:  # all programs of a process share one pool, sized before the first
            import_module("executorch.extension.pybindings.portable_lib")._unsafe_reset_threadpool(threads)
            ExecuTorch.sized = True
        runtime = import_module("executorch.runtime").Runtime.get()
        self.program = runtime.load_program(str(path))  # its methods live no longer than it does
        self.method = self.program.load_method("forward")
        self.version = f"executorch {_version_of('executorch')}"

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the probabilities of one tensor, (1, height, width, channels) uint8."""
        return self.method.execute([self.torch.from_numpy(np.ascontiguousarray(tensor))])[0].numpy()


RUNTIMES: dict[str, type[Onnx] | type[LiteRt] | type[ExecuTorch]] = {
    ".onnx": Onnx,
    ".tflite": LiteRt,
    ".pte": ExecuTorch,
}


def main(arguments: list[str]) -> int:
    """Measures what the arguments ask for; returns the exit code."""
    wanted = _arguments(arguments)
    if wanted.memory_of:
        return _say_memory(Path(wanted.bundle), Path(wanted.memory_of))
    bundle = Path(wanted.bundle)
    named = [Path(one) for one in wanted.files]
    lacking = [name for name in ("bundle.json", GOLDEN) if not (bundle / name).is_file()]
    if lacking and not (named and wanted.tensors):
        sys.stderr.write(f"{bundle} is no bundle: it holds no {lacking[0]}. Say where: --bundle FOLDER\n")
        return 2
    paths = named or _runnable(_files_of(bundle))
    if wanted.tensors and paths:
        return _answer(paths[0], Path(wanted.tensors), Path(wanted.answers), wanted.threads)
    rows = _measured(bundle, paths, wanted.threads, wanted.rounds)
    _show(rows, wanted.threads)
    if wanted.json:
        facts = {"host": _host(), "threads": wanted.threads, "files": rows}
        Path(wanted.json).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row["problem"] for row in rows) or not rows else 0


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", help="model files; all of the bundle when none is given")
    parser.add_argument(
        "--bundle", default=str(Path(__file__).resolve().parent), help="folder of the bundle"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads that one answer may use")
    parser.add_argument("--rounds", type=int, default=100, help="how often each file is asked, in turn")
    parser.add_argument("--json", default="", help="file to write the figures to")
    parser.add_argument(
        "--tensors", default="", help=".npy of (N, height, width, channels) uint8 to answer"
    )
    parser.add_argument("--answers", default="answers.npy", help="where the answers to --tensors go")
    parser.add_argument("--memory-of", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _files_of(bundle: Path) -> list[Path]:
    """Returns the model files of a bundle; a .mlpackage, which is a folder, counts once."""
    listed = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["files"]
    places = ["/".join(one["path"].split("/")[:2]) for one in listed if one["role"] == "model"]
    return [bundle / place for place in dict.fromkeys(places)]


def _runnable(paths: list[Path]) -> list[Path]:
    """Returns the files that have a runtime here; says which are left out."""
    for path in paths:
        if path.suffix not in RUNTIMES:
            sys.stdout.write(f"{path.name}  left out: this script runs {', '.join(RUNTIMES)}\n")
    return [path for path in paths if path.suffix in RUNTIMES]


def _precisions(bundle: Path) -> dict[str, str]:
    listed = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["files"]
    return {one["path"].split("/")[1]: one["precision"] for one in listed if one["role"] == "model"}


def _measured(bundle: Path, paths: list[Path], threads: int, rounds: int) -> list[dict[str, Any]]:
    """Returns the figures of each file; they are timed in turn, so that a busy moment meets all alike."""
    index = json.loads((bundle / GOLDEN).read_text(encoding="utf-8"))
    precisions = _precisions(bundle)
    rows: list[dict[str, Any]] = []
    opened: list[tuple[dict[str, Any], Any]] = []
    for path in paths:
        precision = precisions.get(path.name, "float32")
        row: dict[str, Any] = {"file": path.name, "precision": precision, "problem": ""}
        row["size_bytes"] = _size_bytes(path)
        rows.append(row)
        try:
            model = _opened(path, threads)
            row["runtime"] = model.version
            row["load_ms"] = _time_loading(path, threads)
            row.update(_golden(bundle / "golden", index, model, precision))
        except Exception as error:  # runtimes share no base but Exception
            row["problem"] = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            continue
        opened.append((row, model))
    tensor = np.full((1, *index["tensor_shape"]), MID_GREY, np.uint8)
    for row, times in zip([row for row, _ in opened], _time(opened, tensor, rounds), strict=True):
        row["latency_p50_ms"] = float(np.percentile(times, 50))
        row["latency_p95_ms"] = float(np.percentile(times, 95))
        row["rounds"] = len(times)
    for path, row in zip(paths, rows, strict=True):
        row["memory_bytes"] = None if "latency_p50_ms" not in row else _memory(bundle, path)
    return rows


def _opened(path: Path, threads: int) -> Any:
    if path.suffix not in RUNTIMES:
        known = ", ".join(RUNTIMES)
        raise ValueError(f"left out: this script runs files that end in {known}")
    return RUNTIMES[path.suffix](path, threads)


def _time_loading(path: Path, threads: int) -> float:
    """Returns how long loading takes, the median of three; the library is loaded already."""
    took_ms = []
    for _ in range(3):
        began = time.perf_counter()
        _opened(path, threads)
        took_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took_ms)


def _time(opened: list[tuple[dict[str, Any], Any]], tensor: np.ndarray, rounds: int) -> list[list[float]]:
    for _, model in opened:
        for _ in range(WARM_UP):
            model.run(tensor)
    took_ms: list[list[float]] = [[] for _ in opened]
    ends = time.perf_counter() + LONGEST_S
    for _ in range(max(1, rounds)):
        for times, (_, model) in zip(took_ms, opened, strict=True):
            began = time.perf_counter()
            model.run(tensor)
            times.append((time.perf_counter() - began) * 1e3)
        if time.perf_counter() > ends:
            break
    return took_ms


def _golden(folder: Path, index: dict[str, Any], model: Any, precision: str) -> dict[str, Any]:
    """Returns how far the answers to the golden tensors lie from what is written."""
    largest, alike, missed = 0.0, 1.0, []
    for vector in index["vectors"]:
        tensor = np.fromfile(folder / vector["tensor"], np.uint8).reshape(1, *index["tensor_shape"])
        answer = model.run(tensor)[0]
        apart, same = _apart(folder, vector, answer)
        largest, alike = max(largest, apart), min(alike, same)
        within = MASKS_WITHIN if "mask" in vector else WITHIN.get(precision, 0.0)
        held = precision not in WITHIN or (apart <= within and same >= ALIKE)
        if not (held and np.isfinite(answer).all()):
            missed.append(vector["name"])
    problem = f"golden vectors missed: {', '.join(missed)}" if missed else ""
    masks = {"golden_pixels_alike": alike} if any("mask" in one for one in index["vectors"]) else {}
    return {"golden": len(index["vectors"]), "golden_max_abs": largest, **masks, "problem": problem}


def _apart(folder: Path, vector: dict[str, Any], answer: np.ndarray) -> tuple[float, float]:
    """Returns the largest difference of a probability, and the share of pixels with the same class."""
    if "mask" not in vector:
        return _largest(answer - np.asarray(vector["probabilities"], np.float32)), 1.0
    pixels = np.array(vector["pixels"], np.float64)
    found = answer[pixels[:, 0].astype(int), pixels[:, 1].astype(int)]
    mask = np.fromfile(folder / vector["mask"], np.uint8).reshape(answer.shape[:2])
    return _largest(found - pixels[:, 2:]), float((answer.argmax(axis=-1) == mask).mean())


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max()) if np.isfinite(difference).all() else float("inf")


def _answer(path: Path, tensors: Path, answers: Path, threads: int) -> int:
    model, given, found = _opened(path, threads), np.load(tensors, mmap_mode="r"), None
    for place, tensor in enumerate(given):
        answer = model.run(np.array(tensor)[None])[0]
        if found is None:
            shape = (len(given), *answer.shape)
            found = np.lib.format.open_memmap(answers, mode="w+", dtype=np.float32, shape=shape)
        found[place] = answer
    return 0


def _memory(bundle: Path, path: Path) -> int | None:
    """Returns what one answer takes beside the library, in a process of its own; None where unknown."""
    with tempfile.TemporaryFile() as words:
        script = str(Path(__file__).resolve())
        command = [sys.executable, script, "--bundle", str(bundle), "--memory-of", str(path)]
        ended = subprocess.run(command, stdout=words, stderr=subprocess.DEVNULL, check=False)
        words.seek(0)
        said = words.read().decode(errors="replace").split()
    return int(said[-1]) if ended.returncode == 0 and said and said[-1].isdigit() else None


def _say_memory(bundle: Path, path: Path) -> int:
    runtime = RUNTIMES[path.suffix]
    for library in runtime.libraries:
        import_module(library)
    if runtime is LiteRt:
        _litert()
    before = _resident(forget=True)
    model = _opened(path, 1)
    index = json.loads((bundle / GOLDEN).read_text(encoding="utf-8"))
    model.run(np.full((1, *index["tensor_shape"]), MID_GREY, np.uint8))
    sys.stdout.write(f"{max(0, _resident() - before)}\n")
    return 0


def _resident(*, forget: bool = False) -> int:
    """Returns the largest resident memory so far, or with `forget` the present one, in bytes."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.is_file():
        return _largest_resident()
    name = "VmHWM"
    if forget:
        try:
            clear.write_text("5")  # Source: proc(5): 5 resets the peak resident set size
            name = "VmRSS"
        except OSError:
            pass
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _largest_resident() -> int:
    try:
        import resource
    except ImportError as error:  # Windows has none
        raise SystemExit(1) from error
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _litert() -> tuple[Any, str]:
    for module, package in (
        ("ai_edge_litert.interpreter", "ai-edge-litert"),
        ("tflite_runtime.interpreter", "tflite-runtime"),
    ):
        try:
            return import_module(module), f"{package} {_version_of(package)}"
        except ImportError:
            continue
    raise ImportError("there is no runtime for .tflite: pip install ai-edge-litert")


def _version_of(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _size_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(one.stat().st_size for one in files if one.is_file())


def _host() -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count() or 1} cores"
    return f"{machine}, Python {platform.python_version()}"


def _show(rows: list[dict[str, Any]], threads: int) -> None:
    say = sys.stdout.write
    say(f"{_host()}; {threads} thread{'s' if threads > 1 else ''}; another machine is unmeasured\n")
    for row in rows:
        say(f"{row['file']}  {row['precision']}  {row['size_bytes'] / 1e6:.2f} MB\n")
        if "load_ms" in row and "latency_p50_ms" in row:
            memory = row["memory_bytes"]
            said = "not measured" if memory is None else f"{memory / 1e6:.1f} MB beside the library"
            say(
                f"  {row['runtime']}: loads in {row['load_ms']:.1f} ms, answers in "
                f"{row['latency_p50_ms']:.2f} ms (p50), {row['latency_p95_ms']:.2f} ms (p95), "
                f"{row['rounds']} rounds; memory {said}\n"
                f"  golden vectors: {row['golden']}, largest difference {row['golden_max_abs']:.2g}\n"
            )
        if row["problem"]:
            say(f"  PROBLEM: {row['problem']}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
