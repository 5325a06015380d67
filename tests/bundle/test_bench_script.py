"""The script in a bundle measures it where there is no Darkroom, and finds an answer that changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors, ModelFile, write_bundle
from darkroom.serving import open_session
from tests.export import tiny, tiny_masks, tiny_tflite

BLOCKED = "raise ImportError('there is no Darkroom here')\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and beside it a way to no Darkroom."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "nothing" / "darkroom").mkdir(parents=True)
    (folder / "nothing" / "darkroom" / "__init__.py").write_text(BLOCKED)
    path = tiny.write_tiny(folder / "tiny.onnx")
    golden = GoldenVectors.synthetic(tiny.CONTRACT)
    golden = golden.answered(open_session(path).run(golden.tensors).probabilities)
    write_bundle(
        folder / "b-1",
        name="tiny",
        card=tiny.CARD,
        models=[ModelFile(path, "onnx", "float32")],
        golden=golden,
    )
    return folder / "b-1"


def elsewhere(bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in a process that cannot import Darkroom."""
    environment = {**os.environ, "PYTHONPATH": str(bundle.parent / "nothing")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(bundle / "bench.py"), *words],
        env=environment, cwd=bundle.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_there_is_no_darkroom_in_such_a_process(bundle: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(bundle.parent / "nothing")}
    run = subprocess.run(
        [sys.executable, "-c", "import darkroom"], env=environment, capture_output=True, check=False
    )
    assert b"there is no Darkroom here" in run.stderr


def test_the_script_measures_and_holds_the_golden_vectors(bundle: Path) -> None:
    run = elsewhere(bundle, "--rounds", "5", "--json", "measured.json")
    assert run.returncode == 0, run.stdout + run.stderr
    measured = json.loads((bundle.parent / "measured.json").read_text())
    [file] = measured["files"]
    assert (measured["threads"], file["file"], file["rounds"], file["problem"]) == (1, "tiny.onnx", 5, "")
    assert file["size_bytes"] == (bundle / "models" / "tiny.onnx").stat().st_size
    assert 0 < file["latency_p50_ms"] <= file["latency_p95_ms"]
    assert file["load_ms"] > 0
    assert file["memory_bytes"] > 0
    assert (file["golden"], file["golden_max_abs"] < 1e-6) == (12, True)
    assert "another machine is unmeasured" in run.stdout


def test_an_answer_that_changed_ends_the_script_with_1(bundle: Path, tmp_path: Path) -> None:
    other = tiny.write_tiny(tmp_path / "tiny.onnx", scale=15.0)
    run = elsewhere(bundle, str(other), "--rounds", "2")
    assert run.returncode == 1
    assert "PROBLEM: golden vectors missed: odd-size" in run.stdout


def test_a_file_without_its_runtime_is_said_and_the_others_are_measured(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.mlpackage").mkdir()
    run = elsewhere(
        bundle, str(tmp_path / "x.mlpackage"), str(bundle / "models/tiny.onnx"), "--rounds", "2"
    )
    assert run.returncode == 1
    assert "left out: this script runs files that end in .onnx, .tflite, .pte" in run.stdout
    assert "answers in" in run.stdout


def test_quantised_masks_are_shown_and_not_judged_unless_they_are_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    for scale, code in ((tiny_masks.SCALE / 2, 0), (0.0, 1)):
        folder = tmp_path / str(scale)
        folder.mkdir()
        file = tiny_masks.write_tiny(folder / "masks-int8.onnx", scale=scale)
        write_bundle(
            folder / "b-1",
            name="masks",
            card=tiny_masks.CARD,
            models=[ModelFile(file, "onnx", "int8")],
            golden=tiny_masks.golden(),
        )
        run = elsewhere(folder / "b-1", "--rounds", "1")
        assert (run.returncode, "PROBLEM" in run.stdout) == (code, bool(code)), run.stdout + run.stderr


def test_a_core_ml_file_of_the_bundle_is_left_out_and_is_no_problem(bundle: Path, tmp_path: Path) -> None:
    package = tmp_path / "tiny.mlpackage"
    package.mkdir()
    (package / "Manifest.json").write_text("{}")
    models = [
        ModelFile(bundle / "models/tiny.onnx", "onnx", "float32"),
        ModelFile(package, "coreml", "float16"),
    ]
    golden = GoldenVectors.read(bundle / "golden")
    write_bundle(tmp_path / "b-2", name="tiny", card=tiny.CARD, models=models, golden=golden)
    run = elsewhere(tmp_path / "b-2", "--rounds", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "tiny.mlpackage  left out: this script runs .onnx, .tflite, .pte" in run.stdout


def test_outside_of_a_bundle_it_says_what_it_needs(bundle: Path, tmp_path: Path) -> None:
    run = elsewhere(bundle, str(bundle / "models/tiny.onnx"), "--bundle", str(tmp_path))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"{tmp_path} is no bundle: it holds no bundle.json. Say where: --bundle FOLDER\n"


def test_it_answers_given_tensors_with_either_runtime(bundle: Path, tmp_path: Path) -> None:
    tensors = np.random.default_rng(0).integers(0, 256, (3, *tiny.CONTRACT.shape), np.uint8)
    np.save(tmp_path / "tensors.npy", tensors)
    file = tiny_tflite.write_quantised(tmp_path / "tiny.tflite")
    for path in (file, bundle / "models/tiny.onnx"):
        run = elsewhere(
            bundle, str(path), "--tensors", str(tmp_path / "tensors.npy"),
            "--answers", str(tmp_path / "answers.npy"),
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        answers = np.load(tmp_path / "answers.npy")
        assert (answers.dtype, len(answers)) == (np.float32, 3)
    expected = open_session(bundle / "models/tiny.onnx").run(tensors).probabilities
    np.testing.assert_array_equal(answers, expected)
