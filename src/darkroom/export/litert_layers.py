"""Layers of a .tflite file: every tensor kept, run by LiteRT's own kernels without a delegate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from darkroom.export.layers import Layer

__all__ = ["layers"]


def layers(path: Path, tensors: np.ndarray) -> list[Layer]:
    """Returns what each operation gives for (N, height, width, channels) uint8.

    A delegate computes several operations in one and keeps nothing in between; so it is left out here, and
    the values may differ from a delegate's in the last digits. Quantised values come as what they mean.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_path=str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    made = [
        (index, operation["op_name"])
        for operation in interpreter._get_ops_details()
        for index in operation["outputs"]
        if index in details
    ]
    taken = interpreter.get_input_details()[0]["index"]
    values: dict[int, list[np.ndarray]] = {}
    for tensor in tensors:
        interpreter.set_tensor(taken, tensor[None])
        interpreter.invoke()
        for index, _ in made:
            found = _values(interpreter, details[index])
            if found is not None:
                values.setdefault(index, []).append(found)
    return [
        Layer(details[index]["name"], operation, np.concatenate(values[index]).astype(np.float32))
        for index, operation in made
        if len(values.get(index, ())) == len(tensors)
    ]


def _values(interpreter: Any, detail: dict[str, Any]) -> np.ndarray | None:
    """Returns a tensor as floating point numbers; None where it is no layer of a picture."""
    try:
        raw = interpreter.get_tensor(detail["index"])
    except ValueError:  # never computed: it belongs to another subgraph
        return None
    if raw.ndim < 2 or raw.shape[0] != 1:
        return None
    scales = detail["quantization_parameters"]["scales"]
    if raw.dtype.kind in "iu" and len(scales) == 1:
        zero = detail["quantization_parameters"]["zero_points"][0]
        return (raw.astype(np.float32) - zero) * scales[0]
    return raw if raw.dtype.kind == "f" else None
