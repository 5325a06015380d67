"""What files take on this host, measured in turn; a file that does not run is said and stops no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.export import ConvertedFile
from darkroom.export.bench import measure
from tests.export.tiny import CONTRACT, write_tiny

TENSOR = np.zeros((1, *CONTRACT.shape), np.uint8)


def test_each_file_is_measured_and_a_broken_one_is_said(tmp_path: Path) -> None:
    sound = write_tiny(tmp_path / "sound.onnx")
    (tmp_path / "cut.onnx").write_bytes(sound.read_bytes()[:40])
    files = [ConvertedFile(path=tmp_path / name, target="onnx") for name in ("cut.onnx", "sound.onnx")]
    done: list[tuple[int, int]] = []
    found = measure(files, TENSOR, threads=1, rounds=7, on_done=lambda *step: done.append(step))
    cut, whole = found.files
    assert "not an ONNX model" in cut.problem
    assert (cut.latency, cut.memory, cut.load_ms) == (None, None, None)
    assert cut.size_bytes == 40
    assert whole.problem == ""
    assert whole.latency is not None
    assert (whole.latency.rounds, whole.latency.threads) == (7, 1)
    assert 0 < whole.latency.p50_ms <= whole.latency.p95_ms
    assert whole.load_ms is not None
    assert whole.load_ms > 0
    assert whole.memory is not None
    assert whole.runtime.startswith("onnxruntime ")
    assert done == [(1, 2), (2, 2)]
    table = found.table()
    assert [row[0] for row in table.rows] == ["cut.onnx", "sound.onnx"]
    assert "not an ONNX model" in table.rows[0][-1]
    assert table.title.endswith("1 thread")
