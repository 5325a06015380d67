"""Write a .tflite file in another precision than float32; what goes in and what comes out stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from darkroom.export.calibration import load_tensors
from darkroom.export.float_parts import Ends, Step, find_ends
from darkroom.export.litert_weights import lifted
from darkroom.export.precisions import Recipe
from darkroom.export.ranges import ranges_of, spreads_of

__all__ = ["rewritten"]

HALF = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "EMBEDDING_LOOKUP")
"""Operations whose weights can be stored as float16."""


def rewritten(content: bytes, shape: tuple[int, ...], recipe: Recipe) -> bytes:
    """Returns a float32 file in the precision of a recipe.

    Args:
        content: the file, without metadata.
        shape: (height, width, channels) of its input.
        recipe: which precision, and how.

    Raises:
        Invalid: calibration tensors are needed, and there are none that fit.
    """
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe import dynamic_wi8_afp32, weight_only_wi8_afp32

    if recipe.precision == "float16":
        return _done(Quantizer(content, _half()))
    if recipe.precision == "weight-int8":
        return _done(Quantizer(content, weight_only_wi8_afp32()))
    if recipe.precision == "dynamic-int8":
        return _done(Quantizer(content, dynamic_wi8_afp32()))
    tensors = load_tensors(recipe.calibration, shape)
    graph = _Graph(content)
    ranges = ranges_of(
        spreads_of(recipe.shared_path("spreads.npz"), lambda: _watched(content, graph), tensors),
        recipe.options.get("range", "minmax"),
    )
    content = lifted(content, ranges)
    quantiser = Quantizer(content, _static(graph, recipe))
    return _done(quantiser, _statistics(quantiser, content, tensors, ranges))


class _Graph:
    """What a .tflite file computes, as far as it decides what stays in floating point."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_quantizer import qtyping
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils as files

        model: Any = files.read_model(bytearray(content))  # the generated classes say less than they hold
        part = model.subgraphs[0]
        self.scopes, steps = [], []
        weighted = {
            qtyping.BuiltinOperator.CONV_2D,
            qtyping.BuiltinOperator.DEPTHWISE_CONV_2D,
            qtyping.BuiltinOperator.FULLY_CONNECTED,
            qtyping.BuiltinOperator.TRANSPOSE_CONV,
        }
        for operator in part.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            names = [
                tuple(files.get_tensor_name(part.tensors[place]) for place in places if place >= 0)
                for places in (operator.inputs, operator.outputs)
            ]
            steps.append(Step(names[0], names[1], code in weighted))
            self.scopes.append(files.get_op_scope(operator, part.tensors))
        self.ends: Ends = find_ends(steps)
        inside = [step for place, step in enumerate(steps) if place not in self.ends.outside]
        self.watched = frozenset(name for step in inside for name in (*step.inputs, *step.outputs))
        self.constants = frozenset(
            files.get_tensor_name(one)
            for one in part.tensors
            if files.get_tensor_data(one, model.buffers) is not None
        )


def _half() -> list[dict[str, Any]]:
    """Returns the quantiser's recipe for weights as float16."""
    weights = {"num_bits": 16, "dtype": "FLOAT", "symmetric": True, "granularity": "TENSORWISE"}
    config = {
        "weight_tensor_config": weights,
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
        "skip_checks": False,
        "min_weight_elements": 0,
    }
    return [
        {"regex": ".*", "operation": name, "algorithm_key": "float_casting", "op_config": config}
        for name in HALF
    ]


def _static(graph: _Graph, recipe: Recipe) -> list[dict[str, Any]]:
    """Returns the quantiser's recipe for int8: everything but what stays in floating point."""
    from ai_edge_quantizer.recipe import static_wi8_ai8

    left = set(graph.ends.outside)
    left |= graph.ends.first if "first" in recipe.options.get("float", ()) else frozenset()
    left |= graph.ends.last if "last" in recipe.options.get("float", ()) else frozenset()
    plain = {"algorithm_key": "no_quantize", "op_config": {}}
    scopes = [f"^{re.escape(graph.scopes[place])}$" for place in sorted(left)]
    return [
        *static_wi8_ai8(),
        *({"regex": ".*", "operation": name, **plain} for name in ("SOFTMAX", "INPUT", "OUTPUT")),
        *({"regex": scope, "operation": "*", **plain} for scope in scopes),
    ]


def _watched(content: bytes, graph: _Graph) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Returns what answers a picture with all tensors between the first weights and the last."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        # A delegate keeps its tensors to itself.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    wanted = {
        one["name"]: one["index"]
        for one in interpreter.get_tensor_details()
        if one["name"] in graph.watched - graph.constants and one["dtype"] is np.float32
    }

    def answer(picture: np.ndarray) -> dict[str, np.ndarray]:
        interpreter.set_tensor(taken, picture)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in wanted.items()}

    return answer


def _statistics(
    quantiser: Any, content: bytes, tensors: np.ndarray, ranges: Mapping[str, tuple[float, float]]
) -> Any:
    """Returns what the quantiser knows of each tensor after one picture, with the ranges in their place."""
    from ai_edge_litert.interpreter import Interpreter

    ((signature, ends),) = Interpreter(model_content=content).get_signature_list().items()
    found = quantiser.calibrate({signature: [{ends["inputs"][0]: tensors[:1]}]}, num_threads=1)
    for tensor, (low, high) in ranges.items():
        known = found.get(tensor)
        if known and "min" in known:
            known["min"] = np.full_like(known["min"], low, np.float32)
            known["max"] = np.full_like(known["max"], high, np.float32)
    return found


def _done(quantiser: Any, statistics: Any = None) -> bytes:
    found = quantiser.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(found.quantized_model)
