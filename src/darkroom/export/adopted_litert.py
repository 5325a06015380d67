"""Write a .tflite file from elsewhere anew, with its adaptation as operations of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from darkroom.errors import Unsupported
from darkroom.export.foreign import Adaptation
from darkroom.export.tflite_metadata import METADATA_NAME, check_labels, parsed_model, with_metadata
from darkroom.records import ModelCard

__all__ = ["precision_of", "write"]

KIND, CODE, OPTION = schema.TensorType, schema.BuiltinOperator, schema.BuiltinOptions


def write(original: Path, adaptation: Adaptation, card: ModelCard, path: Path, precision: str) -> None:
    """Writes the file: uint8 pixels in, float32 probabilities out, with names, labels and card.

    Raises:
        Unsupported: a label has a line break, or masks come with the classes first.
    """
    check_labels(card)
    if adaptation.classes_first:
        raise Unsupported(
            "adopt.classes-first",
            "{path} gives masks as (N, classes, height, width), which is not adopted from .tflite files.",
            do="Convert it with the classes last.",
            path=original,
        )
    model = parsed_model(original.read_bytes())
    graph = _Graph(model)
    image = _before(graph, adaptation, card.contract.shape)
    answer = _after(graph, adaptation, card)
    graph.seal(image, answer)
    path.write_bytes(with_metadata(_bytes(model), card, precision))


def precision_of(original: Path) -> str:
    """Returns what the weights of a .tflite file are written as."""
    model = parsed_model(original.read_bytes())
    tensors = model.subgraphs[0].tensors
    full = [one for one in tensors if model.buffers[one.buffer].data is not None]
    small = (KIND.INT8, KIND.UINT8)
    if any(_quantised(one) and one.type in small for one in tensors if one not in full):
        return "int8"
    if any(_quantised(one) and one.type in small for one in full):
        return "dynamic-int8"
    return "float16" if any(one.type == KIND.FLOAT16 for one in full) else "float32"


def _quantised(tensor: Any) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None


class _Graph:
    """The first graph of a model, to which operations are added in front and behind."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.first: list[Any] = []
        self.last: list[Any] = []

    def tensor(
        self,
        name: str,
        kind: int,
        shape: Sequence[int],
        *,
        data: np.ndarray | None = None,
        quantised: Any = None,
    ) -> int:
        """Adds a tensor, with its values where they are known; returns its number."""
        made: Any = schema.TensorT()
        made.name, made.type, made.shape = name.encode(), kind, list(shape)
        made.buffer, made.quantization = 0, quantised
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: np.ndarray) -> int:
        """Adds known numbers."""
        kind = KIND.FLOAT32 if values.dtype == np.float32 else KIND.INT32
        return self.tensor(name, kind, values.shape, data=values)

    def add(
        self,
        code: int,
        inputs: Sequence[int],
        output: int,
        *,
        options: Any = None,
        kind: int = 0,
        first: bool = False,
    ) -> int:
        """Adds an operation in front of or behind the graph; returns its output."""
        made: Any = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self._code(code), list(inputs), [output]
        made.builtinOptions, made.builtinOptionsType = options, kind
        (self.first if first else self.last).append(made)
        return output

    def seal(self, image: int, answer: int) -> None:
        """Puts the operations in their places; the graph then has one input and one output, as ours."""
        self.graph.operators = [*self.first, *self.graph.operators, *self.last]
        self.graph.inputs, self.graph.outputs = [image], [answer]
        signature: Any = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs, signature.outputs = [_named("image", image)], [_named("probabilities", answer)]
        self.model.signatureDefs = [signature]
        self.model.metadata = [one for one in self.model.metadata or [] if one.name != METADATA_NAME]

    def _code(self, code: int) -> int:
        for place, known in enumerate(self.model.operatorCodes):
            # Files from before 2021 have the code in the older field alone, and 0 in the newer one.
            if max(known.builtinCode, known.deprecatedBuiltinCode) == code and known.customCode is None:
                return place
        made: Any = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1


def _named(name: str, index: int) -> Any:
    made: Any = schema.TensorMapT()
    made.name, made.tensorIndex = name.encode(), index
    return made


def _before(graph: _Graph, how: Adaptation, shape: tuple[int, int, int]) -> int:
    """Adds what makes the file's input of the pixels; returns the new input."""
    taken = graph.graph.inputs[0]
    if how.signed:
        before = graph.graph.tensors[taken].quantization
        moved: Any = schema.QuantizationParametersT()
        moved.scale, moved.zeroPoint = list(before.scale), [int(zero) + 128 for zero in before.zeroPoint]
        image = graph.tensor("image", KIND.UINT8, (1, *shape), quantised=moved)
        graph.add(
            CODE.QUANTIZE,
            [image],
            taken,
            options=schema.QuantizeOptionsT(),
            kind=OPTION.QuantizeOptions,
            first=True,
        )
        return image
    if not how.scale:
        return taken
    image = graph.tensor("image", KIND.UINT8, (1, *shape))
    cast: Any = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = KIND.UINT8, KIND.FLOAT32
    numbers = graph.tensor("image_float", KIND.FLOAT32, (1, *shape))
    graph.add(CODE.CAST, [image], numbers, options=cast, kind=OPTION.CastOptions, first=True)
    scaled = graph.tensor("image_scaled", KIND.FLOAT32, (1, *shape))
    scale = graph.constant("image_scale", np.array(how.scale, np.float32))
    graph.add(
        CODE.MUL, [numbers, scale], scaled, options=schema.MulOptionsT(), kind=OPTION.MulOptions, first=True
    )
    shift = graph.constant("image_shift", np.array(how.shift, np.float32))
    graph.add(
        CODE.ADD, [scaled, shift], taken, options=schema.AddOptionsT(), kind=OPTION.AddOptions, first=True
    )
    return image


def _after(graph: _Graph, how: Adaptation, card: ModelCard) -> int:
    """Adds what makes float32 probabilities of the file's answer; returns the new output."""
    answer, shape = graph.graph.outputs[how.output_index], how.output.shape
    if how.finish == "classes":
        return _one_hot(graph, answer, how, card.contract.shape)
    if how.output.scale:
        numbers = graph.tensor("answer_float", KIND.FLOAT32, shape)
        answer = graph.add(
            CODE.DEQUANTIZE,
            [answer],
            numbers,
            options=schema.DequantizeOptionsT(),
            kind=OPTION.DequantizeOptions,
        )
    wanted = (1, *card.contract.shape[:2], how.classes) if how.is_mask else (1, how.classes)
    if shape != wanted:
        answer = _reshaped(graph, answer, wanted)
    if how.finish == "softmax":
        softmax: Any = schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        made = graph.tensor("answer_softmax", KIND.FLOAT32, wanted)
        return graph.add(CODE.SOFTMAX, [answer], made, options=softmax, kind=OPTION.SoftmaxOptions)
    if how.finish == "sigmoid":
        return graph.add(CODE.LOGISTIC, [answer], graph.tensor("answer_sigmoid", KIND.FLOAT32, wanted))
    return answer


def _one_hot(graph: _Graph, answer: int, how: Adaptation, shape: tuple[int, int, int]) -> int:
    size = (1, *shape[:2])
    if how.output.shape != size:
        answer = _reshaped(graph, answer, size, kind=graph.graph.tensors[answer].type)
    kind = graph.graph.tensors[answer].type
    if kind not in (KIND.INT32, KIND.INT64):
        cast: Any = schema.CastOptionsT()
        cast.inDataType, cast.outDataType = kind, KIND.INT32
        made = graph.tensor("answer_numbers", KIND.INT32, size)
        answer = graph.add(CODE.CAST, [answer], made, options=cast, kind=OPTION.CastOptions)
    options: Any = schema.OneHotOptionsT()
    options.axis = -1
    depth = graph.constant("class_count", np.array(how.classes, np.int32))
    on, off = (
        graph.constant(name, np.array(value, np.float32)) for name, value in (("one", 1), ("nought", 0))
    )
    made = graph.tensor("answer_classes", KIND.FLOAT32, (*size, how.classes))
    return graph.add(
        CODE.ONE_HOT, [answer, depth, on, off], made, options=options, kind=OPTION.OneHotOptions
    )


def _reshaped(graph: _Graph, answer: int, shape: Sequence[int], kind: int = KIND.FLOAT32) -> int:
    options: Any = schema.ReshapeOptionsT()
    options.newShape = list(shape)
    wanted = graph.constant("answer_shape", np.array(shape, np.int32))
    made = graph.tensor("answer_reshaped", kind, shape)
    return graph.add(CODE.RESHAPE, [answer, wanted], made, options=options, kind=OPTION.ReshapeOptions)


def _bytes(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
