"""Which networks can meet the brief's limits on size, memory and operations, before any is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from darkroom.records import DatasetVersion, Limits
from darkroom.records.numbers import number

if TYPE_CHECKING:
    from darkroom.networks import NetworkEntry

__all__ = ["COLUMNS", "LATENCY", "budget_rows"]

COLUMNS = ("network", "input", "as float32", "as int8", "operations", "latency on a phone", "the brief")

LATENCY = "unmeasured"
"""What is said of a phone's latency, whatever the network."""

OF_FLOAT32 = 0.27
"""Size of an int8 file by that of float32: a byte per weight, and scales and the card beside them."""


def budget_rows(
    networks: Iterable[NetworkEntry],
    limits: Limits,
    version: DatasetVersion | None,
    most_flops: int | None,
) -> tuple[tuple[str, ...], ...]:
    """Returns a row per network: input, estimated sizes, operations, and whether the brief can be met.

    Args:
        networks: entries of the table.
        limits: those of the brief.
        version: the dataset that they would be trained on; without one each stands at its typical input.
        most_flops: most operations for one picture.
    """
    from darkroom.tuning.candidates import estimated_bytes, estimated_flops

    rows = []
    for entry in networks:
        height, width, _ = entry.typical_input
        classes = entry.typical_classes
        if version is not None:
            height, width = version.contract.height_px, version.contract.width_px
            classes = len(version.classes)
        size, flops = estimated_bytes(entry, classes), estimated_flops(entry, (height, width))
        rows.append(
            (
                entry.name,
                f"{width}×{height} px",
                _megabytes(size),
                _megabytes(size * OF_FLOAT32),
                f"{number(flops / 1e6)} M",
                LATENCY,
                _standing(entry, version, limits, most_flops, size, flops),
            )
        )
    return tuple(rows)


def _standing(
    entry: NetworkEntry,
    version: DatasetVersion | None,
    limits: Limits,
    most_flops: int | None,
    size: int,
    flops: int,
) -> str:
    """Returns in words whether a network can meet the limits."""
    from darkroom.tuning.candidates import SLACK

    if version is not None and version.task not in entry.tasks:
        return f"no: it answers {', '.join(entry.tasks)}"
    if version is not None and min(version.contract.shape[:2]) < entry.smallest_input_px:
        return f"no: it needs {entry.smallest_input_px} px on each side"
    if most_flops is not None and flops > SLACK * most_flops:
        return f"no: {number(flops / 1e6)} M operations, at most {number(most_flops / 1e6)} M"
    bounds = [most for most in (limits.model_bytes, limits.memory_bytes) if most is not None]
    if not bounds:
        return "no limit on size" if most_flops is None else "can meet it"
    if size <= SLACK * min(bounds):
        return "can meet it"
    if size * OF_FLOAT32 <= SLACK * min(bounds):
        return "only with 8-bit weights"
    return f"no: even in 8 bits {_megabytes(size * OF_FLOAT32)}, at most {_megabytes(min(bounds))}"


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.2f} MB"
