"""Write a model as .pte: an ExecuTorch program for XNNPACK, one tensor at a time, with its facts inside."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from darkroom.bundle import contract_document
from darkroom.export.executorch_precision import in_precision
from darkroom.export.precisions import Recipe
from darkroom.export.quiet import quiet
from darkroom.export.unknown_operation import UnknownOperation, source_of
from darkroom.networks.image_model import ImageModel
from darkroom.records import ModelCard, canonical_json

__all__ = ["write"]

NOT_CORE = re.compile(r"Operator torch\._ops\.(\S+) is not in Core ATen opset")
WITHOUT_OUT = re.compile(r"Missing out variants: \{'([\w:.]+)'")


def write(model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> None:
    """Writes one file.

    Args:
        model: the model, ready to answer; its second output is written when it has one.
        card: its card.
        path: the file to write.
        recipe: how its numbers are written.

    Raises:
        UnknownOperation: neither XNNPACK nor ExecuTorch's own kernels know an operation.
    """
    with quiet():
        image = torch.zeros((1, *card.contract.shape), dtype=torch.uint8)
        traced = in_precision(model, image, recipe)
        program = _lowered(traced, _facts(card, recipe.precision))
        _check_kernels(program.executorch_program, traced)
        path.write_bytes(program.buffer)


def _lowered(traced: ExportedProgram, facts: dict[str, str]) -> Any:
    """Returns the program: what XNNPACK takes goes to XNNPACK, the rest to ExecuTorch's own kernels.

    Raises:
        UnknownOperation: an operation belongs to neither.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    try:
        return to_edge_transform_and_lower(
            traced, partitioner=[XnnpackPartitioner()], constant_methods=facts
        ).to_executorch()
    except Exception as error:  # its errors share no base but Exception
        found = NOT_CORE.search(str(error)) or WITHOUT_OUT.search(str(error))
        if found is None:
            raise
        raise UnknownOperation(found[1], source_of(traced.run_decompositions(), found[1])) from error


def _check_kernels(program: Any, traced: ExportedProgram) -> None:
    """Checks that ExecuTorch has a kernel for what XNNPACK left over.

    Raises:
        UnknownOperation: it has none; the file would load nowhere.
    """
    from executorch.runtime import Runtime

    known = Runtime.get().operator_registry.operator_names
    for plan in program.execution_plan:
        for operator in plan.operators:
            name = f"{operator.name}.{operator.overload}" if operator.overload else operator.name
            if name not in known:
                raise UnknownOperation(name, source_of(traced.run_decompositions(), name))


def _facts(card: ModelCard, precision: str) -> dict[str, str]:
    """Returns what the file says about itself: methods that take nothing and give a text."""
    return {
        "model_card": card.model_dump_json(),
        "labels": json.dumps(card.labels, ensure_ascii=False),
        "contract": canonical_json(contract_document(card.contract)),
        "licence": card.licence,
        "precision": precision,
    }
