"""What each layer of a model gives for some tensors, whichever format it is in."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darkroom.errors import DarkroomError, Unsupported

__all__ = ["GIVERS", "Layer", "layers_of"]


class Layer(NamedTuple):
    """One layer, with its values."""

    name: str
    """As the file, or the network, calls it."""
    operation: str
    """What it computes, as its format calls it."""
    values: np.ndarray
    """(N, …) float32."""


GIVERS = {
    "onnx": "darkroom.export.onnx_layers:layers",
    "litert": "darkroom.export.litert_layers:layers",
    "coreml": "darkroom.export.coreml_layers:layers",
}
"""Import strings "module:function" of `(path, tensors) -> list[Layer]`, per format."""


def layers_of(target: str, path: Path, tensors: np.ndarray) -> list[Layer]:
    """Returns the layers of a model file in the order in which they run.

    Args:
        target: its format.
        path: the file.
        tensors: (N, height, width, channels) uint8.

    Raises:
        Unsupported: this format hands out no layers, or its runtime refuses.
    """
    if target not in GIVERS:
        raise Unsupported(
            "layers.not-given",
            "Files for {target} hand out no layers: their graph runs as a whole. So it is told that "
            "answers differ, and not from which layer on.",
            do="Compare another format of the same network, too, whose layers may show the cause: "
            "darkroom export diff --target onnx",
            target=target,
        )
    module, function = GIVERS[target].split(":")
    found: Any = getattr(import_module(module), function)
    try:
        return found(path, tensors)
    except DarkroomError:
        raise
    except Exception as error:  # runtimes share no base but Exception
        raise Unsupported(
            "layers.refused",
            "The runtime for {target} hands out no layers of {path}: {reason}",
            do="Compare another format of the same network, too: its layers may show the cause.",
            target=target,
            path=path.name,
            reason=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
        ) from error
