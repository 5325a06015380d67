"""Write an .onnx file from elsewhere anew, with its adaptation as operations of the graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from darkroom.bundle import contract_document
from darkroom.export.foreign import Adaptation
from darkroom.records import ModelCard, canonical_json

__all__ = ["precision_of", "whole_bytes", "write"]

CALIBRATED = frozenset(("QLinearConv", "QLinearMatMul", "QuantizeLinear"))
"""Operations of files whose activations have ranges that were found beforehand."""

DYNAMIC = frozenset(("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"))
"""Those of files that find them while they run."""

MARK, MARK_OF_ITS_OWN = "darkroom_", "own_"
"""Before the names of what is added and of what was there, so that none meets another."""

FLOAT, INT8, INT32, INT64, FLOAT16 = 1, 3, 6, 7, 10
"""Source: onnx.proto, TensorProto.DataType."""

Step: TypeAlias = "tuple[str, list[str], dict[str, Any]]"
"""An operation, what it takes beside the value before, its options."""


def write(original: Path, adaptation: Adaptation, card: ModelCard, path: Path, precision: str) -> None:
    """Writes the file: uint8 pixels in, float32 probabilities out, with labels and card."""
    import onnx
    from onnx import TensorProto, compose, helper

    model = compose.add_prefix(onnx.load(original), MARK_OF_ITS_OWN)
    graph, inner = model.graph, MARK_OF_ITS_OWN + adaptation.input.name
    nodes = [*_before(helper, adaptation, inner), *graph.node, *_after(helper, adaptation)]
    del graph.node[:]
    graph.node.extend(nodes)
    batch = adaptation.input.shape[0] if adaptation.input.shape[0] > 0 else "batch"
    sides = list(card.contract.shape[:2]) if adaptation.is_mask else []
    weights = [one for one in graph.input if one.name != inner]  # files of old list them as inputs too
    taken = helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, *card.contract.shape])
    given = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, [batch, *sides, adaptation.classes]
    )
    del graph.input[:], graph.output[:], model.metadata_props[:]
    graph.input.extend([taken, *weights])
    graph.output.append(given)
    graph.initializer.extend(_constants(adaptation))
    helper.set_model_props(model, _facts(card, precision))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _facts(card: ModelCard, precision: str) -> dict[str, str]:
    """Returns what the file says of itself, as those that are converted here do."""
    return {
        "model_card": card.model_dump_json(),
        "labels": json.dumps(card.labels, ensure_ascii=False),
        "contract": canonical_json(contract_document(card.contract)),
        "licence": card.licence,
        "precision": precision,
    }


def precision_of(original: Path) -> str:
    """Returns what the weights of an .onnx file are written as."""
    import onnx

    model = onnx.load(original)
    kinds = {node.op_type for node in model.graph.node}
    if kinds & CALIBRATED:
        return "int8"
    if kinds & DYNAMIC:
        return "dynamic-int8"
    if "DequantizeLinear" in kinds:
        return "weight-int8"
    halves = onnx.TensorProto.FLOAT16
    return "float16" if any(one.data_type == halves for one in model.graph.initializer) else "float32"


def whole_bytes(original: Path) -> bytes:
    """Returns an .onnx file as one file, with the weights that lie beside it."""
    import onnx

    model = onnx.load(original, load_external_data=False)
    outside = onnx.TensorProto.EXTERNAL
    if any(one.data_location == outside for one in model.graph.initializer):
        return onnx.load(original).SerializeToString()
    return original.read_bytes()


def _before(helper: Any, how: Adaptation, inner: str) -> list[Any]:
    """Returns the operations that make the file's input of `image`."""
    steps: list[Step] = []
    if how.scale:
        steps += [("Cast", [], {"to": FLOAT}), ("Mul", [f"{MARK}scale"], {}), ("Add", [f"{MARK}shift"], {})]
        steps += [("Cast", [], {"to": FLOAT16})] if how.input.dtype == "float16" else []
    elif how.signed:
        steps += [("Cast", [], {"to": INT32}), ("Sub", [f"{MARK}half"], {}), ("Cast", [], {"to": INT8})]
    if how.channels_first:
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    return _chain(helper, steps or [("Identity", [], {})], "image", inner, "before")


def _chain(helper: Any, steps: Sequence[Step], first: str, last: str, name: str) -> list[Any]:
    """Returns operations in a row, from one value to another."""
    nodes = []
    for place, (operation, more, options) in enumerate(steps):
        made = last if place == len(steps) - 1 else f"{MARK}{name}_{place}_value"
        nodes.append(
            helper.make_node(operation, [first, *more], [made], name=f"{MARK}{name}_{place}", **options)
        )
        first = made
    return nodes


def _after(helper: Any, how: Adaptation) -> list[Any]:
    """Returns the operations that make `probabilities` of the file's answer."""
    steps: list[Step] = []
    if how.finish == "classes":
        steps += [
            ("Reshape", [f"{MARK}size"], {}),
            ("Cast", [], {"to": INT64}),  # the runtime counts classes in few other kinds of numbers
            ("OneHot", [f"{MARK}count", f"{MARK}values"], {"axis": -1}),
        ]
    elif how.classes_first:
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    elif not how.is_mask and len(how.output.shape) != 2:
        steps.append(("Reshape", [f"{MARK}row"], {}))
    steps += [("Cast", [], {"to": FLOAT})] if how.finish != "classes" else []
    if how.finish == "softmax":
        # Behind the Transpose: before opset 13 a softmax takes all axes from this one on together.
        steps.append(("Softmax", [], {"axis": 3 if how.is_mask else 1}))
    elif how.finish == "sigmoid":
        steps.append(("Sigmoid", [], {}))
    return _chain(helper, steps, MARK_OF_ITS_OWN + how.output.name, "probabilities", "after")


def _constants(how: Adaptation) -> list[Any]:
    from onnx import numpy_helper

    values: dict[str, np.ndarray] = {}
    if how.scale:
        values |= {"scale": np.array(how.scale, np.float32), "shift": np.array(how.shift, np.float32)}
    if how.signed:
        values["half"] = np.array(128, np.int32)
    if how.finish == "classes":
        values |= {
            "size": np.array([-1, *how.size], np.int64),
            "count": np.array(how.classes, np.int64),
            "values": np.array([0, 1], np.float32),
        }
    elif not how.is_mask and len(how.output.shape) != 2:
        values["row"] = np.array([-1, how.classes], np.int64)
    return [numpy_helper.from_array(value, f"{MARK}{name}") for name, value in values.items()]
