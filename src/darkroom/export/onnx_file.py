"""Write a model as .onnx: any batch, with its card, labels and contract as metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from darkroom.bundle import contract_document
from darkroom.export.fitted_weights import in_recipe
from darkroom.export.precisions import PLAIN, Recipe
from darkroom.networks.image_model import ImageModel
from darkroom.records import ModelCard, canonical_json

__all__ = ["OPSET", "write"]

OPSET = 18
"""Version of the operator set: the one torch writes without converting, read since ONNX Runtime 1.14."""

IR_VERSION = 8
"""Version of the file's own shape that belongs to this opset. Source: ONNX, docs/Versioning.md."""


def write(model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> None:
    """Writes one file.

    Args:
        model: the model, ready to answer; its second output is written when it has one.
        card: its card.
        path: the file to write.
        recipe: how its numbers are written.

    Raises:
        Invalid: it needs calibration tensors, and there are none that fit.
    """
    import onnx

    if recipe.precision == "float32":
        proto = _exported(model, card)
    else:
        from darkroom.export.onnx_precisions import rewritten

        proto = rewritten(lambda: _exported(in_recipe(model, card.contract.shape, recipe), card), recipe)
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version = "darkroom", ""
    proto.doc_string = f"{card.task}: {', '.join(card.labels)}"
    onnx.helper.set_model_props(proto, _facts(card, recipe))
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _exported(model: ImageModel, card: ModelCard) -> Any:
    """Returns the model in ONNX's operations, of any batch, in float32."""
    outputs = ["probabilities", *(["embedding"] if model.with_embedding else [])]
    traced = torch.export.export(
        model,
        (torch.zeros((2, *card.contract.shape), dtype=torch.uint8),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    proto = _translated(traced, outputs).model_proto
    _strip(proto)
    return proto


def _translated(traced: torch.export.ExportedProgram, outputs: list[str]) -> torch.onnx.ONNXProgram:
    """Returns the graph in ONNX's operations.

    Raises:
        RuntimeError: an operation is unknown; it quotes the line of the network's source.
    """
    try:
        program = torch.onnx.export(
            traced,
            dynamo=True,
            input_names=["image"],
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        found = re.search(r"translating node %(\w+)", str(error.__cause__ or error))
        nodes = {node.name: node for node in traced.run_decompositions().graph.nodes}
        if found is None or found[1] not in nodes:
            raise
        raise RuntimeError(nodes[found[1]].meta.get("stack_trace", "")) from error
    assert program is not None
    return program


def _facts(card: ModelCard, recipe: Recipe) -> dict[str, str]:
    return {
        "model_card": card.model_dump_json(),
        "labels": json.dumps(card.labels, ensure_ascii=False),
        "contract": canonical_json(contract_document(card.contract)),
        "licence": card.licence,
        "precision": recipe.precision,
        **({} if recipe.name == PLAIN else {"recipe": recipe.name}),
    }


def _strip(proto: Any) -> None:
    """Removes what the exporter noted for debugging: it names files of this machine."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in proto.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
