"""Keep the bias of channels that have hardly any weights, when a .tflite file becomes int8.

Training can leave a channel without weights; what it answers is its bias, and later layers count on it. In
int8 a bias is a whole number of 32 bits whose step is that of the input times that of the weights. Weights
of next to nothing make a step of next to nothing, and the largest whole number then stands for a bias of
next to nothing. The quantiser cuts off there and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["lifted", "with_room"]

LARGEST = 2.0**30
"""Largest whole number of a bias: half of what 32 bits hold, as products are added to it."""


class _Places(NamedTuple):
    """Where an operation has what."""

    taken: int
    weights: int
    bias: int
    axis: int
    """Of the weights, along which the output channels lie."""


def lifted(content: bytes, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """Returns a float32 file in which every bias fits into 32 bits once weights and inputs have eight.

    Where the weights of a channel are too small for its bias, one of them is made just large enough. That
    moves an answer by less than a thirty-thousandth of the bias.

    Args:
        content: the file, without metadata.
        ranges: least and largest value of activations, by name.
    """
    from ai_edge_litert.tools import flatbuffer_utils
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as files

    known = qtyping.BuiltinOperator
    places = {
        known.CONV_2D: _Places(0, 1, 2, 0),
        known.DEPTHWISE_CONV_2D: _Places(0, 1, 2, 3),
        known.FULLY_CONNECTED: _Places(0, 1, 2, 0),
        known.TRANSPOSE_CONV: _Places(2, 1, 3, 0),
    }
    model: Any = files.read_model(bytearray(content))
    part = model.subgraphs[0]
    changed = False
    for operator in part.operators:
        place = places.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if place is None or len(operator.inputs) <= place.bias or operator.inputs[place.bias] < 0:
            continue
        taken, weights, bias = (part.tensors[operator.inputs[one]] for one in place[:3])
        parts: list[Any] = [files.get_tensor_data(one, model.buffers) for one in (weights, bias)]
        low, high = ranges.get(files.get_tensor_name(taken), (0.0, 0.0))
        if any(one is None or one.dtype != np.float32 for one in parts) or high <= low:
            continue
        found = with_room(parts[0], parts[1], (high - low) / 255, place.axis)
        if found is not None:
            model.buffers[weights.buffer].data = np.frombuffer(found.tobytes(), np.uint8)
            changed = True
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if changed else content


def with_room(weights: np.ndarray, bias: np.ndarray, step: float, axis: int) -> np.ndarray | None:
    """Returns weights whose steps let each bias fit; None where they do already.

    Args:
        weights: of an operation.
        bias: (channels,).
        step: of its input.
        axis: along which the output channels lie.
    """
    by_channel = np.moveaxis(weights, axis, 0)
    largest = np.abs(by_channel).reshape(len(by_channel), -1).max(axis=1)
    least = 127 * np.abs(bias.ravel()).astype(np.float64) / (step * LARGEST)
    silent = np.flatnonzero(largest < least)
    if not len(silent):
        return None
    found = weights.copy()
    first = (silent, *[0] * (weights.ndim - 1))
    np.moveaxis(found, axis, 0)[first] = least[silent]
    return found
