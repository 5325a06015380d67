"""Where a training runs, and what makes it repeatable there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic as _deterministic

from darkroom.errors import Unsupported
from darkroom.settings import available_cores

__all__ = [
    "check_precision",
    "choose_device",
    "default_threads",
    "derive_seed",
    "device_count",
    "device_name",
    "exact_dtype",
    "reproducible",
]

deterministic: Any = _deterministic  # its attributes are made when it is imported

MOST_THREADS = 8
"""More threads than this slow small batches down."""


def choose_device(name: str) -> torch.device:
    """Returns the device of that name; "auto" takes the first there is of cuda, mps, cpu.

    Raises:
        Unsupported: the machine has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        raise Unsupported(
            "device.missing",
            "This machine, or this build of torch, has no device {device}. Present: {present}.",
            do='Set device = "auto" in the recipe.',
            device=name,
            present=", ".join(device for device, there in present.items() if there),
        )
    return torch.device(name)


def device_count(device: str) -> int:
    """Returns how many devices of a kind there are; a processor counts as one."""
    return torch.cuda.device_count() if device == "cuda" else 1


def check_precision(device: torch.device, precision: str) -> None:
    """Makes sure that the device can train in a precision.

    Raises:
        Unsupported: float16 anywhere but on cuda.
    """
    if precision == "float16" and device.type != "cuda":
        raise Unsupported(
            "device.no-float16",
            "Precision float16 trains on cuda only; this training is on {device}.",
            do="Set precision = bfloat16 or float32 in the recipe.",
            device=device.type,
        )


def device_name(device: torch.device) -> str:
    """Returns the device as a person would call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def exact_dtype(device: torch.device) -> torch.dtype:
    """Returns the widest floating-point type of a device; mps has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def default_threads() -> int:
    """Returns how many threads a training takes when nobody says."""
    return min(available_cores(), MOST_THREADS)


def derive_seed(seed: int, *purpose: object) -> int:
    """Returns the seed of one purpose, so that no two purposes share a row of random numbers.

    Because the epoch is part of the purpose, a resumed training draws what it would have drawn.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """Sets threads, deterministic kernels and exact float32, and puts back what was before.

    On the processor the result is the same to the last bit, for the same number of threads.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by deterministic cuBLAS
    threads_before = torch.get_num_threads()
    deterministic_before = torch.are_deterministic_algorithms_enabled()
    warning_before = torch.is_deterministic_algorithms_warn_only_enabled()
    fill_before = deterministic.fill_uninitialized_memory
    tf32_before = torch.backends.cudnn.allow_tf32
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
            deterministic.fill_uninitialized_memory = False  # costs time, and nothing here reads it
            torch.backends.cudnn.allow_tf32 = False
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(deterministic_before, warn_only=warning_before)
            deterministic.fill_uninitialized_memory = fill_before
            torch.backends.cudnn.allow_tf32 = tf32_before
