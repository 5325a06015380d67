"""The memory of one prediction, measured in a process of its own, and the gates of files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from darkroom.export import FileParity, Latency, MemoryUse
from darkroom.export.gates import bundle_gate, file_gates, unmeasured_files
from darkroom.export.memory import measure_memory
from darkroom.records import Limits, missed_gates
from tests.export.tiny import write_tiny

MEGABYTE = 1_000_000


def test_memory_grows_by_what_a_model_holds_while_it_answers(tmp_path: Path) -> None:
    small = measure_memory(write_tiny(tmp_path / "small.onnx"), "onnx")
    large = measure_memory(write_tiny(tmp_path / "large.onnx", shape=(2000, 2000, 3)), "onnx")
    assert small is not None
    assert large is not None
    assert small.baseline_bytes == pytest.approx(large.baseline_bytes, rel=0.1)
    pixels = 2000 * 2000 * 3
    assert large.added_bytes - small.added_bytes > 5 * pixels  # uint8 in, float32 after the cast
    assert large.added_bytes - small.added_bytes < 12 * pixels


def test_a_file_that_does_not_answer_is_left_unmeasured(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08")
    assert measure_memory(tmp_path / "cut.onnx", "onnx") is None


def compared(**more: object) -> FileParity:
    facts = {"file": "m.onnx", "target": "onnx", "precision": "float32", "size_bytes": 900, "runtime": "x"}
    return FileParity.model_validate({**facts, "agreement": 1.0, "accuracy": 0.9, **more})


def test_each_limit_on_files_is_a_gate_of_each_file() -> None:
    limits = Limits(model_bytes=1000, memory_bytes=5 * MEGABYTE, latency_ms=1)
    use = MemoryUse(baseline_bytes=60 * MEGABYTE, peak_bytes=66 * MEGABYTE)
    latency = Latency(p50_ms=3, p95_ms=4, threads=1, rounds=9)
    gates = {gate.limit: gate for gate in file_gates([compared(memory=use, latency=latency)], limits)}
    assert {name: gate.verdict for name, gate in gates.items()} == {
        "parity_agreement": "pass",
        "parity_max_abs": "pass",
        "model_bytes": "pass",
        "memory_bytes": "fail",
        "latency_ms": "advisory",
    }
    assert gates["memory_bytes"].missed_by == MEGABYTE
    assert (
        "on top of 60,000,000 bytes of interpreter and library, on this host" in gates["memory_bytes"].note
    )
    assert "slower than wished, on this host" in gates["latency_ms"].note
    assert missed_gates(gates.values()) == (gates["memory_bytes"],)


def test_what_was_not_measured_is_no_miss() -> None:
    gates = file_gates([compared()], Limits(memory_bytes=1, latency_ms=1))
    assert [gate.verdict for gate in gates[-2:]] == ["not measured", "advisory"]
    assert missed_gates(gates) == ()


@pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac Core ML itself answers, and is measured")
def test_what_a_stand_in_answers_is_said_to_need_a_mac() -> None:
    gates = file_gates([compared(target="coreml")], Limits(memory_bytes=1, latency_ms=1))
    assert [gate.verdict for gate in gates[-2:]] == ["not measured", "advisory"]
    assert all("on a Mac" in gate.note for gate in gates[-2:]), "verifying here again would measure nothing"


def test_a_file_that_stopped_misses_parity() -> None:
    stopped = compared(agreement=0.0, accuracy=0.0, failures=("It stopped while answering.",))
    agreement, apart = file_gates([stopped], Limits())
    assert (agreement.verdict, apart.verdict) == ("fail", "not measured")
    assert "It stopped" in apart.note


def test_other_precisions_have_gates_of_their_own() -> None:
    gates = file_gates([compared(precision="float16", agreement=0.5)], Limits())
    assert [(gate.limit, gate.verdict) for gate in gates] == [
        ("parity_float16_agreement", "fail"),
        ("parity_float16_max_abs", "pass"),
    ]


def test_the_bundle_is_held_as_a_whole() -> None:
    assert bundle_gate(100, Limits()) == ()
    (gate,) = bundle_gate(1500, Limits(bundle_bytes=1000))
    assert (gate.verdict, gate.missed_by) == ("fail", 500)
    assert gate.sentence == "bundle bytes ≤ 1,000: fail, the bundle has 1,500; missed by 500."


def test_before_files_are_compared_their_limits_are_listed_as_not_measured() -> None:
    gates = unmeasured_files(Limits(bundle_bytes=9))
    assert [gate.limit for gate in gates] == ["parity_agreement", "parity_max_abs", "bundle_bytes"]
    assert {gate.verdict for gate in gates} == {"not measured"}
