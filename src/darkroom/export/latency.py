"""Time answers to one tensor, in turn, so that a busy moment of this host meets all alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

__all__ = ["host", "Timing", "time_in_turn", "time_loading"]

WARM_UP = 5
LONGEST_S = 20.0
"""Timing ends after this long even when not all rounds are done."""


class Timing(TypedDict):
    """How long answers took."""

    p50_ms: float
    p95_ms: float
    rounds: int


def time_in_turn(
    answerers: Sequence[Callable[[np.ndarray], object]], tensor: np.ndarray, *, rounds: int
) -> list[Timing]:
    """Returns how long each takes for one tensor; each round asks each of them once.

    Args:
        answerers: what is timed.
        tensor: (1, height, width, channels) uint8.
        rounds: how often each is asked, after a warm-up.
    """
    for answer in answerers:
        for _ in range(WARM_UP):
            answer(tensor)
    took_ms: list[list[float]] = [[] for _ in answerers]
    ends = time.perf_counter() + LONGEST_S
    for _ in range(rounds):
        for times, answer in zip(took_ms, answerers, strict=True):
            began = time.perf_counter_ns()
            answer(tensor)
            times.append((time.perf_counter_ns() - began) / 1e6)
        if time.perf_counter() > ends:
            break
    return [
        Timing(
            p50_ms=float(np.percentile(times, 50)),
            p95_ms=float(np.percentile(times, 95)),
            rounds=len(times),
        )
        for times in took_ms
    ]


def time_loading(load: Callable[[], object], *, times: int = 3) -> float:
    """Returns the median of how long loading takes, in milliseconds; its library is loaded already."""
    took_ms = []
    for _ in range(times):
        began = time.perf_counter_ns()
        load()
        took_ms.append((time.perf_counter_ns() - began) / 1e6)
    return statistics.median(took_ms)


def host() -> str:
    """Returns this machine in words: system, processor, cores."""
    return f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count() or 1} cores"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
