"""Layers of an .onnx file: every value of the graph made an output, with no optimisation in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.export.layers import Layer

__all__ = ["layers"]


def layers(path: Path, tensors: np.ndarray) -> list[Layer]:
    """Returns what each node gives for (N, height, width, channels) uint8."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    known = {output.name for output in model.graph.output}
    made = [(name, node.op_type) for node in model.graph.node for name in node.output if name]
    for name, _ in made:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))  # the runtime infers its type
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [name for name, _ in made]
    values = session.run(names, {session.get_inputs()[0].name: tensors})
    return [
        Layer(name, operation, np.asarray(value, np.float32))
        for (name, operation), value in zip(made, values, strict=True)
        if _of_pictures(value, len(tensors))
    ]


def _of_pictures(value: object, count: int) -> bool:
    """Returns whether a value holds floating point numbers for each picture."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind == "f"
        and value.ndim >= 2
        and value.shape[0] == count
    )
