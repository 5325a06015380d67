"""The benchmarks read MNIST in one place, keep what they measured, and say what they cannot measure."""

from __future__ import annotations

import gzip
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tree import ROOT

BENCHMARKS = ROOT / "benchmarks"


def test_idx_files_are_read_in_one_place() -> None:
    readers = [path.name for path in BENCHMARKS.glob("*.py") if "ubyte.gz" in path.read_text("utf-8")]
    assert readers == ["mnist.py"]


def test_what_was_written_as_idx_is_read(tmp_path: Path) -> None:
    pictures = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 2051, 3, 28, 28) + pictures.tobytes())
    with gzip.open(tmp_path / "t10k-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 2049, 3) + bytes([7, 1, 9]))
    read_mnist = runpy.run_path(str(BENCHMARKS / "mnist.py"))["read_mnist"]
    images, labels = read_mnist(tmp_path, "t10k", 2)
    assert (images.shape, images.dtype, labels.dtype) == ((2, 28, 28, 1), np.uint8, np.int64)
    assert np.array_equal(images[..., 0], pictures[:2])
    assert labels.tolist() == [7, 1]


LINE = {
    "name": "all_sets.flowers", "figure": "accuracy", "value": 0.8754, "interval": [0.83, 0.91],
    "clones": [0.87, 0.88], "sd": 0.0071, "churn": 0.0625, "of_first": {"macro F1": [0.8701, 0.82, 0.9]},
    "pictures": {"train": 720, "val": 240, "test": 240}, "classes": 5, "network": "mobilenetv2_100",
    "recipe": "224×224 rgb, last layer", "parameters": 2230277, "wall_s": 123.4, "cpu_s": 200.0,
    "train_s": [2.5, 2.6], "missed": False, "quick": False, "measured": "2026-11-21", "machine": "here",
    "parity": [
        {"target": "onnx", "agreement": 1.0, "differing": 0, "max_abs": 2e-7, "size_bytes": 8_900_000,
         "passes": True},
        {"target": "litert", "agreement": 0.9958, "differing": 1, "max_abs": 3e-4, "size_bytes": 9_000_000,
         "passes": False},
    ],
}  # fmt: skip


def test_the_page_of_all_sets_says_what_its_lines_say() -> None:
    page = runpy.run_path(str(BENCHMARKS / "sets_page.py"))["page"]([("photos of flowers", LINE)])
    for said in (
        "| **flowers**: photos of flowers | 720, 240, 240 | 5 | accuracy 0.875 [0.830, 0.910] |",
        "0.007, 0.870 to 0.880 | 6.2% |",
        "| 2.1 min | 3.3 min | 2 s, 3 s |",
        "litert 0.9958 (1), largest difference 0.0003: **fails**",
        "onnx 8.90 MB, litert 9.00 MB",
        "Files that do not pass: flowers.",
        "macro F1 | 0.870 [0.820, 0.900]",
    ):
        assert said in page, said
    assert "--quick" not in page


def test_a_set_that_was_measured_is_not_measured_again_and_half_a_line_counts_for_nothing(
    tmp_path: Path,
) -> None:
    kept_lines = runpy.run_path(str(BENCHMARKS / "kept_lines.py"))
    kept, add = kept_lines["kept_lines"], kept_lines["add_line"]
    results = tmp_path / "all_sets.jsonl"
    assert kept(results) == {}
    add(results, LINE)
    with results.open("a", encoding="utf-8") as file:
        file.write('{"name": "all_sets.trashnet", "value": 0.')
    assert list(kept(results)) == ["flowers"]
    add(results, {**LINE, "value": 0.9})
    assert kept(results)["flowers"]["value"] == 0.9
    assert len(results.read_text("utf-8").splitlines()) == 2


def test_without_a_gpu_the_benchmark_of_gpus_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("There is no GPU that torch can use here")


PLAIN_FILE = {
    "precision": "float32", "recipe": "plain", "kept": True, "runtime": "onnxruntime 1",
    "size_bytes": 250_000, "agreement": 1.0, "differing": 0, "margin": None, "max_abs": 2e-7,
    "loss": [0.0, 0.0, 0.0], "on_test": None, "load_ms": 1.0, "p50_ms": 0.25, "p95_ms": 0.3,
    "memory_bytes": 5_000_000, "failures": [],
}  # fmt: skip
INT8_FILE = {
    **PLAIN_FILE, "precision": "int8", "recipe": "entropy", "kept": False, "size_bytes": 75_000,
    "agreement": 0.96, "differing": 40, "max_abs": 0.2, "loss": [0.004, -0.001, 0.009],
    "on_test": [240, 0.95], "p50_ms": None, "p95_ms": None, "memory_bytes": None,
    "failures": ["It answers 40 of 1,000 images otherwise."],
}  # fmt: skip
FORMATS_LINE = {
    "name": "all_formats.digits.onnx", "target": "onnx", "network": "lenet5", "parameters": 61_706,
    "task": "classification", "metric": "accuracy", "side_px": [28, 28], "images": 1000,
    "pool": "1,000 of test", "reference": 0.975, "reference_ms": 1.25, "words": [], "convert_s": 60.0,
    "verify_s": 60.0, "train_s": 9.0, "hardly_trained": False, "quick": False, "measured": "2026-11-21",
    "machine": "here", "host": "Linux, 2 cores", "load": 1.5, "files": [PLAIN_FILE, INT8_FILE],
    "failed": [["float16", "The converter ended."]],
}  # fmt: skip


def formats_page(monkeypatch: pytest.MonkeyPatch, **changes: object) -> str:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    write = runpy.run_path(str(BENCHMARKS / "formats_page.py"))["page"]
    return write([("LeNet-5 on digits", [{**FORMATS_LINE, **changes}]), ("another model", [])])


def test_the_page_of_all_formats_says_what_its_lines_say(monkeypatch: pytest.MonkeyPatch) -> None:
    page = formats_page(monkeypatch)
    for said in (
        "## LeNet-5 on digits",
        "lenet5, 61,706 parameters, 28×28 px. PyTorch, right on 97.5%; it takes 1.2 ms. Pictures: 1,000 of",
        "| ONNX | float32 | 0.25 MB | 1.00 | 1 | 1,000 | all are | 2e-07 | +0.00 [+0.00, +0.00] | "
        "0.25, 0.30 | 5.0 MB | passes |",
        "| ONNX | int8 (entropy) | 0.07 MB | 0.30 | 0.96 | 1,000 | 0.95 | 0.2 | +0.40 [−0.10, +0.90] | — | "
        "— | left out; here it **fails**: It answers 40 of 1,000 images otherwise. |",
        "included): 1.5 to 1.5.",
        "- ONNX float16 could not be written: The converter ended.",
    ):
        assert said in page, said
    assert "--quick" not in page
    missing = "**Not measured yet**: LeNet-5 on digits as LiteRT, ExecuTorch, Core ML; another model."
    assert missing in page
    assert "## another model" not in page


def test_the_page_of_all_formats_says_which_bars_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    page = formats_page(monkeypatch)
    assert "| ONNX | float32 | same 1, at least 1; max 2e-07, at most 0.0001 | holds |" in page
    missed = "| ONNX | int8 | **same 0.96, at least 0.97**; loses 0.40 points, at most 1; far end 0.90"
    assert f"{missed}, at most 2; 0.300 of float32, at most 0.45 | **misses** |" in page
    few = formats_page(monkeypatch, images=500, files=[{**INT8_FILE, "agreement": 0.99}])
    assert "far end 0.90, at most 2 with 1,000 pictures; here n = 500 | not decided |" in few
    assert "int8 |" not in formats_page(monkeypatch, hardly_trained=True).partition("## LeNet")[0]
