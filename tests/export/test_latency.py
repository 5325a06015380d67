"""Timing: in turn, warm, and bounded."""

from __future__ import annotations

import time

import numpy as np
import pytest

from darkroom.export import latency


def test_answers_are_timed_in_turn_after_a_warm_up() -> None:
    asked: list[str] = []
    first, second = latency.time_in_turn(
        [lambda _: asked.append("a"), lambda _: asked.append("b")], np.zeros(1), rounds=4
    )
    warm = latency.WARM_UP
    assert "".join(asked) == "a" * warm + "b" * warm + "ab" * 4
    assert first["rounds"] == second["rounds"] == 4


def test_a_slower_answer_has_a_longer_latency() -> None:
    slow, fast = latency.time_in_turn([lambda _: time.sleep(0.01), lambda _: None], np.zeros(1), rounds=5)
    assert slow["p50_ms"] >= 10 > fast["p50_ms"]
    assert slow["p95_ms"] >= slow["p50_ms"]


def test_timing_ends_when_its_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LONGEST_S", 0.05)
    (found,) = latency.time_in_turn([lambda _: time.sleep(0.02)], np.zeros(1), rounds=1000)
    assert found["rounds"] < 10


def test_the_host_is_named_with_its_cores() -> None:
    assert latency.host().endswith("cores")
