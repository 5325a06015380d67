"""Rewrite the weights of an ONNX graph: as float16, as int8, as int8 with activations quantised on the fly.

Weights get a scale per output channel; the channel with the largest weights then does not decide how finely
the others are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Weight", "quantised", "to_dynamic_int8", "to_float16", "to_weight_int8", "weights_of"]

LARGEST_HALF = 65_504.0
"""Largest float16. Source: IEEE 754-2019, binary16."""


class Weight(NamedTuple):
    """Weights of one operation."""

    node: Any
    """The operation (NodeProto)."""
    name: str
    """Of the initialiser."""
    axis: int
    """Where the output channels lie."""


def weights_of(graph: Any) -> list[Weight]:
    """Returns the operations with weights, in order; weights that are no float32 constants are left out."""
    from onnx import TensorProto

    constants = {one.name: one for one in graph.initializer if one.data_type == TensorProto.FLOAT}
    found = []
    for node in graph.node:
        if len(node.input) < 2 or node.input[1] not in constants:
            continue
        if node.op_type == "Conv":
            found.append(Weight(node, node.input[1], 0))
        elif node.op_type == "ConvTranspose" and _attribute(node, "group", 1) == 1:
            found.append(Weight(node, node.input[1], 1))
        elif node.op_type == "Gemm":
            found.append(Weight(node, node.input[1], 0 if _attribute(node, "transB", 0) else 1))
        elif node.op_type == "MatMul" and len(constants[node.input[1]].dims) == 2:
            found.append(Weight(node, node.input[1], 1))
    return found


def quantised(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights as int8 in −127 … 127 and the scale of each channel (channels,) float32."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    largest = np.abs(values).max(axis=others)
    scales = (largest / 127).astype(np.float32)
    scales[scales == 0] = 1.0  # nothing there, or so little that float32 has no step for it
    shape = [-1 if place == axis else 1 for place in range(values.ndim)]
    whole = np.clip(np.round(values / scales.reshape(shape)), -127, 127).astype(np.int8)
    return whole, scales


def to_float16(graph: Any) -> None:
    """Stores weights as float16, and casts them back where they are read.

    The runtime casts once, when the file is opened; it then computes in float32 as before.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for name in dict.fromkeys(one.name for one in weights_of(graph)):
        initialiser = _initialiser(graph, name)
        values = numpy_helper.to_array(initialiser)
        if np.abs(values).max(initial=0.0) > LARGEST_HALF:
            continue
        initialiser.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
        )
    _insert(graph, 0, casts)


def to_weight_int8(graph: Any, *, but: frozenset[str] = frozenset()) -> None:
    """Stores weights as int8 with a scale per channel, and makes float32 of them where they are read.

    Args:
        graph: the graph, changed in place.
        but: names of weights that stay as they are.
    """
    from onnx import helper, numpy_helper

    made = []
    axes = {one.name: one.axis for one in weights_of(graph) if one.name not in but}
    for name, axis in axes.items():
        initialiser = _initialiser(graph, name)
        whole, scales = quantised(numpy_helper.to_array(initialiser), axis)
        initialiser.CopyFrom(numpy_helper.from_array(whole, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scale"))
        parts = [f"{name}.int8", f"{name}.scale"]
        made.append(helper.make_node("DequantizeLinear", parts, [name], f"{name}.float", axis=axis))
    _insert(graph, 0, made)


def to_dynamic_int8(graph: Any) -> None:
    """Lets operations with weights multiply whole numbers; their inputs are quantised picture by picture.

    A convolution of single channels (depthwise) stays in floating point with int8 weights: the runtimes
    know no fast one of whole numbers whose input range is found while it runs.
    """
    constants = {one.name for one in graph.initializer}
    weights = [one for one in weights_of(graph) if _can_be_dynamic(one.node, constants)]
    once = {one.name for one in weights if sum(one.name == other.name for other in weights) == 1}
    dynamic = [one for one in weights if one.name in once]
    to_weight_int8(graph, but=frozenset(once))
    for one in dynamic:
        place = next(place for place, node in enumerate(graph.node) if node == one.node)
        nodes = list(_whole_number_steps(graph, one))
        del graph.node[place]
        _insert(graph, place, nodes)


def _can_be_dynamic(node: Any, constants: set[str]) -> bool:
    if node.op_type == "Conv":
        biased = len(node.input) > 2 and bool(node.input[2])
        return _attribute(node, "group", 1) == 1 and (not biased or node.input[2] in constants)
    if node.op_type == "Gemm":
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
        return all(_attribute(node, name, value) == value for name, value in plain.items())
    return node.op_type == "MatMul"


def _whole_number_steps(graph: Any, weight: Weight) -> Iterator[Any]:
    """Yields the steps that take the place of one operation; its int8 weights are added to the graph.

    With x ≈ sx·(qx − zx) and w ≈ sw·qw the sum of products is sx·sw·Σ(qx − zx)·qw, sw of each channel.
    """
    from onnx import TensorProto, helper, numpy_helper

    node, name = weight.node, weight.name
    initialiser = _initialiser(graph, name)
    values = numpy_helper.to_array(initialiser)
    whole, scales = quantised(values, weight.axis)
    convolution = node.op_type == "Conv"
    if not convolution and weight.axis == 0:
        whole = np.ascontiguousarray(whole.T)
    shape = (1, -1, *[1] * (values.ndim - 2)) if convolution else (-1,)
    # Unsigned with its middle at 128: the signed kind is not read by every version of the runtime.
    shifted = (whole.astype(np.int16) + 128).astype(np.uint8)
    initialiser.CopyFrom(numpy_helper.from_array(shifted, f"{name}.uint8"))
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(128, np.uint8), f"{name}.middle"),
            numpy_helper.from_array(scales.reshape(shape), f"{name}.scale"),
        ]
    )
    at = f"{node.output[0]}.dynamic"
    yield helper.make_node("DynamicQuantizeLinear", [node.input[0]], [f"{at}.q", f"{at}.s", f"{at}.z"])
    kept = list(node.attribute) if convolution else []
    product = helper.make_node(
        "ConvInteger" if convolution else "MatMulInteger",
        [f"{at}.q", f"{name}.uint8", f"{at}.z", f"{name}.middle"],
        [f"{at}.sum"],
    )
    product.attribute.extend(kept)
    yield product
    yield helper.make_node("Cast", [f"{at}.sum"], [f"{at}.float"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [f"{at}.s", f"{name}.scale"], [f"{at}.scale"])
    biased = len(node.input) > 2 and bool(node.input[2])
    product_name = f"{at}.product" if biased else node.output[0]
    yield helper.make_node("Mul", [f"{at}.float", f"{at}.scale"], [product_name])
    if biased:
        bias = node.input[2]
        if convolution:
            values = numpy_helper.to_array(_initialiser(graph, bias)).reshape(shape)
            bias = f"{at}.bias"
            graph.initializer.append(numpy_helper.from_array(values, bias))
        yield helper.make_node("Add", [product_name, bias], [node.output[0]])


def _attribute(node: Any, name: str, default: float) -> float:
    from onnx import helper

    found = next((one for one in node.attribute if one.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _initialiser(graph: Any, name: str) -> Any:
    return next(one for one in graph.initializer if one.name == name)


def _insert(graph: Any, place: int, nodes: list[Any]) -> None:
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*rest[:place], *nodes, *rest[place:]])
