"""Layers of a .mlpackage: what each operation of its program gives, carried out in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from darkroom.export.coreml_session import WEIGHTS, read_program
from darkroom.export.layers import Layer
from darkroom.export.mil import MILProgram
from darkroom.export.quiet import quiet

__all__ = ["layers"]


def layers(path: Path, tensors: np.ndarray) -> list[Layer]:
    """Returns what each operation gives for (N, height, width, channels) uint8.

    On a Mac, too: Core ML itself hands out nothing between input and output.
    """
    with quiet():
        program = MILProgram(read_program(path), path / WEIGHTS)
    found: dict[str, list[np.ndarray]] = {}
    kinds: dict[str, str] = {}

    def watch(kind: str, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and value.is_floating_point() and value.ndim >= 2 and len(value) == 1:
            kinds[name] = kind
            found.setdefault(name, []).append(value.float().numpy().copy())

    for tensor in tensors:
        program.run(np.ascontiguousarray(tensor.transpose(2, 0, 1)[None], np.float32), watch)
    return [
        Layer(name, kinds[name], np.concatenate(values))
        for name, values in found.items()
        if len(values) == len(tensors)
    ]
