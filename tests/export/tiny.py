"""A classifier of a few operations, written as .onnx in a millisecond, and the same in numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.serving import Answer

CONTRACT = Contract(width_px=6, height_px=4, colour="rgb", resize="squash")
CARD = ModelCard(
    task="classification",
    labels=("red", "green", "blue"),
    network="tiny",
    contract=CONTRACT,
    normalisation=Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    created_at=now(),
)


class Numpy:
    """Softmax over the mean of each colour / 16, in float32."""

    title = "numpy"
    threads = 1

    def run(self, tensors: np.ndarray) -> Answer:
        scores = tensors.astype(np.float32).mean(axis=(1, 2)) / np.float32(16)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return Answer(powers / powers.sum(axis=1, keepdims=True), scores)


def write_tiny(
    path: Path,
    *,
    card: ModelCard | None = CARD,
    labels: tuple[str, ...] | None = CARD.labels,
    scale: float = 16.0,
    last: str = "Softmax",
    domain: str = "",
    shape: tuple[int, int, int] = CONTRACT.shape,
    kind: int = TensorProto.UINT8,
) -> Path:
    """Writes the model; `last` takes the place of the softmax."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "scale"], ["embedding"]),
        helper.make_node(last, ["embedding"], ["probabilities"], domain=domain),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", kind, ["batch", *shape])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", shape[2]]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", shape[2]]),
        ],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    facts = {} if labels is None else {"labels": json.dumps(labels)}
    if card is not None:
        facts["model_card"] = card.model_dump_json()
    helper.set_model_props(model, facts)
    onnx.save(model, path)
    return path
