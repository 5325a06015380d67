"""Hold the limits on files (parity, size, memory; latency as advice) against what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from darkroom.export.losses import DECIDES_FROM, METRIC, hold_loss, loss_of
from darkroom.export.precisions import PRECISIONS
from darkroom.export.report import FileParity
from darkroom.records import Gate, Limits, Task
from darkroom.records.numbers import number
from darkroom.serving import find as find_runtime

__all__ = ["bundle_gate", "file_gates", "unmeasured_files"]

UNMEASURED = "not measured yet: darkroom export verify"

BY_A_STAND_IN = (
    "not measured: something else answers here than on the device; on a Mac: darkroom export verify"
)
"""Of a file whose own runtime is not on this host, so that its time and memory here say nothing."""

UNITS: dict[str, Literal["share", "probability", "bytes", "ms"]] = {
    "parity_agreement": "share",
    "parity_max_abs": "probability",
    "parity_pixels": "share",
    "parity_margin": "probability",
    "model_bytes": "bytes",
    "bundle_bytes": "bytes",
    "memory_bytes": "bytes",
    "latency_ms": "ms",
}
"""The limits on files, and what each is measured in."""

OF_OTHER_PRECISIONS: dict[str, Literal["share", "probability", "bytes", "ms"]] = {
    "parity_float16_agreement": "share",
    "parity_float16_max_abs": "probability",
    "parity_int8_agreement": "share",
    "accuracy_loss": "share",
}
"""Those on files that are not float32; nothing is said about them where there is no such file."""


OF_CLASSES, OF_MASKS = ("parity_agreement", "parity_max_abs"), ("parity_pixels", "parity_margin")
"""Limits on parity; each task has its own."""


def file_gates(
    files: Sequence[FileParity], limits: Limits, task: Task = "classification"
) -> tuple[Gate, ...]:
    """Returns a gate per limit and file; which ones those for parity are follows from the precision."""
    return tuple(gate for file in files for gate in _of(file, limits, task))


def bundle_gate(size_bytes: int, limits: Limits) -> tuple[Gate, ...]:
    """Returns the gate of the bundle's size, if it is limited."""
    if limits.bundle_bytes is None:
        return ()
    return (_at_most("bundle_bytes", limits.bundle_bytes, "the bundle", size_bytes),)


def unmeasured_files(limits: Limits, task: Task = "classification") -> tuple[Gate, ...]:
    """Returns a gate per limit on files that says that there is nothing to hold it against yet."""
    return tuple(
        Gate(
            limit=name,
            bound=bound,
            at_most=name not in ("parity_agreement", "parity_pixels"),
            unit=unit,
            subject="the bundle" if name == "bundle_bytes" else "each file",
            verdict="not measured",
            note=UNMEASURED,
        )
        for name, unit in UNITS.items()
        if (bound := getattr(limits, name)) is not None
        and name not in (OF_CLASSES if task == "segmentation" else OF_MASKS)
    )


def _of(file: FileParity, limits: Limits, task: Task) -> Iterator[Gate]:
    stopped = not file.passes and not file.accuracy and not file.agreement
    precision = PRECISIONS.get(file.precision)
    if precision is not None and not precision.exact:
        yield from _of_another_precision(file, limits, task, stopped, half=precision.half)
    elif precision is not None and task == "segmentation":
        yield from _pixels(file, limits, stopped)
    elif precision is not None:
        yield _agreement(file, limits.parity_agreement)
        most = limits.parity_max_abs
        apart = None if stopped else file.max_abs
        yield _at_most("parity_max_abs", most, file.file, apart, note=_why(file, stopped))
    if limits.model_bytes is not None:
        yield _at_most("model_bytes", limits.model_bytes, file.file, file.size_bytes)
    if limits.memory_bytes is not None:
        yield _memory(file, limits.memory_bytes)
    if limits.latency_ms is not None:
        yield _latency(file, limits.latency_ms)


def _pixels(file: FileParity, limits: Limits, stopped: bool) -> Iterator[Gate]:
    yield _agreement(file, limits.parity_pixels, "parity_pixels")
    pixels = file.pixels
    note = _why(file, stopped)
    if pixels is not None and not stopped:
        note = (
            f"lead of PyTorch's answer over the next where the file answers otherwise: "
            f"{number(pixels.largest_margin, 2)}; largest difference of a probability: "
            f"{number(file.max_abs, 2)}"
        )
    largest = None if stopped or pixels is None else max(pixels.largest_margin, file.max_abs)
    yield _at_most("parity_margin", limits.parity_margin, file.file, largest, note=note)


def _of_another_precision(
    file: FileParity, limits: Limits, task: Task, stopped: bool, *, half: bool
) -> Iterator[Gate]:
    """Yields the gates of a file whose numbers are coarser than PyTorch's."""
    if half:
        yield _agreement(file, limits.parity_float16_agreement, "parity_float16_agreement")
        apart = None if stopped else file.max_abs
        most = limits.parity_float16_max_abs
        yield _at_most("parity_float16_max_abs", most, file.file, apart, note=_why(file, stopped))
        return
    yield _agreement(file, limits.parity_int8_agreement, "parity_int8_agreement")
    loss = loss_of(file)
    if loss is None or stopped:
        yield _at_most("accuracy_loss", limits.accuracy_loss, file.file, None, note=_why(file, stopped))
        return
    standing = hold_loss(loss, limits)
    beyond = loss.high if loss.value <= limits.accuracy_loss else loss.value
    notes = {
        "fail": f"from {DECIDES_FROM:,} pictures on the far end of the interval decides"
        if loss.value <= limits.accuracy_loss
        else "",
        "not enough evidence": f"the loss measured is within the limit, the end of its interval is not; "
        f"with {DECIDES_FROM:,} pictures and more that end decides",
    }
    yield Gate(
        limit="accuracy_loss",
        bound=limits.accuracy_loss,
        at_most=True,
        subject=file.file,
        value=loss.value,
        interval=loss,
        verdict=standing,
        missed_by=beyond - limits.accuracy_loss if standing == "fail" else None,
        note="; ".join(part for part in (f"of {METRIC[task]}", notes.get(standing, "")) if part),
    )


def _agreement(file: FileParity, least: float, limit: str = "parity_agreement") -> Gate:
    fails = file.agreement < least
    return Gate(
        limit=limit,
        bound=least,
        subject=file.file,
        value=file.agreement,
        verdict="fail" if fails else "pass",
        missed_by=least - file.agreement if fails else None,
        note=f"{file.flip_count} answers differ" if file.flip_count else "",
    )


def _memory(file: FileParity, most: int) -> Gate:
    if file.memory is None:
        note = BY_A_STAND_IN if find_runtime(file.target).stand_in else UNMEASURED
        return _at_most("memory_bytes", most, file.file, None, note=note)
    note = f"on top of {file.memory.baseline_bytes:,} bytes of interpreter and library, on this host"
    return _at_most("memory_bytes", most, file.file, file.memory.added_bytes, note=note)


def _latency(file: FileParity, most: float) -> Gate:
    gate = _at_most("latency_ms", most, file.file, file.latency and file.latency.p50_ms)
    slower = gate.verdict == "fail"
    note = f"{'slower' if slower else 'not slower'} than wished, on this host; a phone is unmeasured"
    if file.latency is None:
        note = BY_A_STAND_IN if find_runtime(file.target).stand_in else "not timed"
    return gate.model_copy(
        update={"verdict": "advisory", "decides": False, "missed_by": None, "note": note}
    )


def _at_most(limit: str, most: float, subject: str, value: float | None, *, note: str = "") -> Gate:
    fails = value is not None and value > most
    return Gate(
        limit=limit,
        bound=most,
        at_most=True,
        unit=UNITS[limit] if limit in UNITS else OF_OTHER_PRECISIONS[limit],
        subject=subject,
        value=value,
        verdict="not measured" if value is None else "fail" if fails else "pass",
        missed_by=value - most if value is not None and fails else None,
        note=note,
    )


def _why(file: FileParity, stopped: bool) -> str:
    return file.failures[0].rstrip(".") if stopped and file.failures else ""
