"""A small classifier like that of `tiny.py`, written as .tflite files from elsewhere come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["HEIGHT", "WIDTH", "write_classes", "write_float", "write_quantised"]

HEIGHT, WIDTH = 4, 6
KIND, CODE, OPTION = schema.TensorType, schema.BuiltinOperator, schema.BuiltinOptions


class _Model:
    """A graph that is put together by hand."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[Any] = []

    def tensor(
        self,
        name: str,
        kind: int,
        shape: Sequence[int],
        data: np.ndarray | None = None,
        quantised: tuple[float, int] | None = None,
    ) -> int:
        made: Any = schema.TensorT()
        made.name, made.type, made.shape, made.buffer = name.encode(), kind, list(shape), 0
        if quantised is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [quantised[0]], [quantised[1]]
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def add(self, code: int, inputs: Sequence[int], output: int, options: Any = None, kind: int = 0) -> int:
        known: Any = schema.OperatorCodeT()
        # As files of before 2021: the newer field is used for what the older one cannot hold.
        known.builtinCode, known.deprecatedBuiltinCode = code if code > 127 else 0, min(code, 127)
        known.version = 1
        self.codes.append(known)
        made: Any = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes) - 1, list(inputs), [output]
        made.builtinOptions, made.builtinOptionsType = options, kind
        self.operators.append(made)
        return output

    def write(
        self, path: Path, inputs: Sequence[int], outputs: Sequence[int], *, behind: bool = False
    ) -> Path:
        """Writes the file; with `behind` the known numbers lie after the model, as for large ones."""
        graph: Any = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs, graph.name = list(inputs), list(outputs), b"main"
        model: Any = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes, model.description = self.codes, b"by hand"
        content, known = _packed(model), b""
        if behind:
            for _ in range(2):  # the length of the model is known once it was written
                known = self._move_behind(len(content))
                content = _packed(model)
        path.write_bytes(content + known)
        return path

    def _move_behind(self, end: int) -> bytes:
        """Lets the buffers say that they lie after the end of the model; returns what lies there."""
        moved = b""
        for buffer in self.buffers[1:]:
            buffer.kept = buffer.data if buffer.data is not None else buffer.kept
            buffer.data, buffer.offset, buffer.size = None, end + len(moved), len(buffer.kept)
            moved += bytes(buffer.kept)
        return moved

    def means(self, image: int) -> int:
        """Adds the mean over rows and columns."""
        options: Any = schema.ReducerOptionsT()
        options.keepDims = False
        axes = self.tensor("axes", KIND.INT32, (2,), np.array([1, 2], np.int32))
        made = self.tensor("means", KIND.FLOAT32, (1, 3))
        return self.add(CODE.MEAN, [image, axes], made, options, OPTION.ReducerOptions)

    def softmax(self, scores: int) -> int:
        options: Any = schema.SoftmaxOptionsT()
        options.beta = 4.0
        made = self.tensor("answer", KIND.FLOAT32, (1, 3))
        return self.add(CODE.SOFTMAX, [scores], made, options, OPTION.SoftmaxOptions)


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write_float(path: Path, *, scores: bool = False, code: int | None = None, behind: bool = False) -> Path:
    """A float32 input, (pixel / 127.5 - 1); softmax of the means, or with `scores` the means themselves.

    `code` is the number of an operation that takes the softmax's place; `behind`: see `_Model.write`.
    """
    model = _Model()
    image = model.tensor("input", KIND.FLOAT32, (1, HEIGHT, WIDTH, 3))
    means = model.means(image)
    if code is not None:
        answer = model.add(code, [means], model.tensor("answer", KIND.FLOAT32, (1, 3)))
        return model.write(path, [image], [answer])
    return model.write(path, [image], [means if scores else model.softmax(means)], behind=behind)


def write_quantised(path: Path, *, signed: bool = False) -> Path:
    """A quantised input, (pixel - 128) / 128, and a quantised answer of 1/256 a step, (1, 1, 1, 3)."""
    model = _Model()
    kind, zero = (KIND.INT8, 0) if signed else (KIND.UINT8, 128)
    image = model.tensor("input", kind, (1, HEIGHT, WIDTH, 3), quantised=(1 / 128, zero))
    floats = model.tensor("floats", KIND.FLOAT32, (1, HEIGHT, WIDTH, 3))
    model.add(CODE.DEQUANTIZE, [image], floats, schema.DequantizeOptionsT(), OPTION.DequantizeOptions)
    answer = model.softmax(model.means(floats))
    row: Any = schema.ReshapeOptionsT()
    row.newShape = [1, 1, 1, 3]
    shape = model.tensor("shape", KIND.INT32, (4,), np.array([1, 1, 1, 3], np.int32))
    wide = model.tensor("wide", KIND.FLOAT32, (1, 1, 1, 3))
    model.add(CODE.RESHAPE, [answer, shape], wide, row, OPTION.ReshapeOptions)
    small = model.tensor("small", KIND.UINT8, (1, 1, 1, 3), quantised=(1 / 256, 0))
    model.add(CODE.QUANTIZE, [wide], small, schema.QuantizeOptionsT(), OPTION.QuantizeOptions)
    return model.write(path, [image], [small])


def write_classes(path: Path, *, small: bool = False) -> Path:
    """A float32 input, and the number of the largest channel of each pixel as int64, or a small uint8."""
    model = _Model()
    image = model.tensor("input", KIND.FLOAT32, (1, HEIGHT, WIDTH, 3))
    axis = model.tensor("axis", KIND.INT32, (), np.array(3, np.int32))
    options: Any = schema.ArgMaxOptionsT()
    options.outputType = KIND.INT64
    classes = model.tensor("classes", KIND.INT64, (1, HEIGHT, WIDTH))
    model.add(CODE.ARG_MAX, [image, axis], classes, options, OPTION.ArgMaxOptions)
    if small:
        cast: Any = schema.CastOptionsT()
        cast.inDataType, cast.outDataType = KIND.INT64, KIND.UINT8
        bytes_ = model.tensor("bytes", KIND.UINT8, (1, HEIGHT, WIDTH))
        classes = model.add(CODE.CAST, [classes], bytes_, cast, OPTION.CastOptions)
    return model.write(path, [image], [classes])
