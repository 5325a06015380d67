"""Write an ONNX graph in another precision than float32; what goes in and what comes out stays the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.export.calibration import load_tensors
from darkroom.export.float_parts import Ends, Step, find_ends
from darkroom.export.onnx_weights import to_dynamic_int8, to_float16, to_weight_int8, weights_of
from darkroom.export.precisions import Recipe
from darkroom.export.ranges import ranges_of, spreads_of

__all__ = ["folded", "rewritten"]

OF_WHOLE_NUMBERS = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operations that are computed in int8; normalisations over the picture, softmax and others stay float."""


def rewritten(exported: Callable[[], Any], recipe: Recipe) -> Any:
    """Returns a model (ModelProto) in the precision of a recipe.

    Args:
        exported: gives the model (ModelProto) in float32, any batch.
        recipe: which precision, and how.

    Raises:
        Invalid: calibration tensors are needed, and there are none that fit.
    """
    model = _shared(recipe, "folded.onnx", lambda: folded(exported()))
    if recipe.precision == "float16":
        to_float16(model.graph)
    elif recipe.precision == "weight-int8":
        to_weight_int8(model.graph)
    elif recipe.precision == "dynamic-int8":
        to_dynamic_int8(model.graph)
    else:
        model = _int8(model, recipe)
    _tidy(model)
    return model


def folded(proto: Any) -> Any:
    """Returns the model with constants computed and batch normalisation inside the convolutions."""
    import onnx
    import onnxruntime

    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    for place, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{place}"
    return model


def _int8(model: Any, recipe: Recipe) -> Any:
    """Returns the model with weights and activations of eight bits, in the form QDQ of ONNX.

    Both are signed. Weights have a scale per channel, activations one scale; where a Relu or a Clip
    follows, its range is the one that counts.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    shape = tuple(one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    tensors = load_tensors(recipe.calibration, shape)
    ends = _ends(model.graph)
    spreads = spreads_of(recipe.shared_path("spreads.npz"), lambda: _watched(model, ends), tensors)
    ranges: dict[str, Any] = {
        name: (np.array(low, np.float32), np.array(high, np.float32))
        for name, (low, high) in ranges_of(spreads, recipe.options.get("range", "minmax")).items()
    }
    left = set(ends.outside)
    left |= ends.first if "first" in recipe.options.get("float", ()) else frozenset()
    left |= ends.last if "last" in recipe.options.get("float", ()) else frozenset()
    nodes = list(model.graph.node)
    quantiser = QDQQuantizer(
        model,
        True,
        False,
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, ranges),
        [],
        [nodes[place].name for place in sorted(left)],
        [name for name in OF_WHOLE_NUMBERS if name not in recipe.options.get("float", ())],
        {"WeightSymmetric": True, "ActivationSymmetric": False},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    return quantiser.model.model


def _ends(graph: Any) -> Ends:
    weighted = {one.node.name for one in weights_of(graph)}
    steps = [Step(tuple(one.input), tuple(one.output), one.name in weighted) for one in graph.node]
    return find_ends(steps)


def _watched(model: Any, ends: Ends) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Returns what answers a picture with all tensors between the first weights and the last."""
    import onnx
    import onnxruntime
    from onnx import TensorProto

    watched = onnx.shape_inference.infer_shapes(model)
    floats = {
        one.name
        for one in (*watched.graph.value_info, *watched.graph.output)
        if one.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    inside = [one for place, one in enumerate(watched.graph.node) if place not in ends.outside]
    used = {name for one in inside for name in (*one.input, *one.output)} & floats
    names = sorted(used)
    del watched.graph.output[:]
    for name in names:
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, ["CPUExecutionProvider"])
    taken = session.get_inputs()[0].name

    def answer(picture: np.ndarray) -> dict[str, np.ndarray]:
        found = session.run(names, {taken: picture})
        return {name: np.asarray(values) for name, values in zip(names, found, strict=True)}

    return answer


def _shared(recipe: Recipe, name: str, make: Callable[[], Any]) -> Any:
    """Returns a model that the recipes of one request share; makes it where it is not there yet."""
    import onnx

    path = recipe.shared_path(name)
    if path is None:
        return make()
    if not path.is_file():
        aside = path.with_name(f"{recipe.precision}-{recipe.name}-{path.name}")
        aside.write_bytes(make().SerializeToString(deterministic=True))
        aside.replace(path)
    return onnx.load(path)


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return options


def _tidy(model: Any) -> None:
    """Removes constants and operator sets that nothing uses, and facts that only the rewriting needed."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    domains = {node.domain for node in graph.node} | {""}
    sets = [one for one in model.opset_import if one.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(sets)
    del model.metadata_props[:]
