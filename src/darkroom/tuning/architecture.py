"""What a network costs whatever its weights are: file, memory of a prediction, time of an answer, here."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from darkroom import atomic
from darkroom.export.conversion import convert
from darkroom.export.latency import time_in_turn
from darkroom.export.memory import measure_memory
from darkroom.networks.network import Network
from darkroom.records import Contract, Fact, ModelCard, Normalisation, Task, now
from darkroom.serving import open_session

__all__ = ["Architecture", "measure_architecture"]

TARGET = "onnx"
ROUNDS = 30


class Architecture(Fact):
    """What one network with one input takes."""

    model_bytes: float
    """Of its ONNX file in float32."""
    memory_bytes: float | None
    """Peak of one prediction on top of interpreter and library; None where it cannot be measured."""
    latency_ms: float
    """Median time of one answer on one thread, on this host."""


def measure_architecture(
    kept: Path,
    name: str,
    make: Callable[[], Network],
    contract: Contract,
    labels: tuple[str, ...],
    task: Task,
) -> Architecture:
    """Writes a network as an ONNX file before it is trained, and measures it; the result is kept.

    Args:
        kept: folder in which figures are kept, a file for each network and input.
        name: of the network.
        make: builds it.
        contract: of its input.
        labels: its classes.
        task: what it answers.

    Raises:
        DarkroomError: the network cannot be written, or the file does not run.
    """
    place = kept / f"{name.replace('/', '-')}-{contract.width_px}x{contract.height_px}.json"
    try:
        return Architecture.model_validate_json(place.read_bytes())
    except (OSError, ValidationError):
        pass
    channels = contract.channels
    card = ModelCard(
        task=task,
        labels=labels,
        network=name,
        contract=contract,
        normalisation=Normalisation(mean=(0.5,) * channels, std=(0.5,) * channels),
        created_at=now(),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = convert(make(), card, Path(folder), targets=(TARGET,)).files[0]
        memory = measure_memory(file.path, TARGET)
        session = open_session(file.path, threads=1)
        grey = np.full((1, *contract.shape), 127, np.uint8)
        [timing] = time_in_turn([session.run], grey, rounds=ROUNDS)
    found = Architecture(
        model_bytes=file.size_bytes,
        memory_bytes=None if memory is None else memory.added_bytes,
        latency_ms=timing["p50_ms"],
    )
    kept.mkdir(parents=True, exist_ok=True)
    atomic.write_text(place, json.dumps(found.model_dump()) + "\n")
    return found
