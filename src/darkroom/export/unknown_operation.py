"""An operation of a network that a format or its runtime lacks, with the layer that asks for it."""

from __future__ import annotations

import re

from torch.export import ExportedProgram

__all__ = ["UnknownOperation", "source_of"]


class UnknownOperation(Exception):
    """A converter does not know an operation.

    Args:
        operation: as the converter or torch calls it.
        source: the lines of the network's source that torch noted for it; empty where it noted none.
    """

    def __init__(self, operation: str, source: str = "") -> None:
        super().__init__(f"{operation}\n{source}")
        self.operation, self.source = operation, source


def source_of(program: ExportedProgram, operation: str) -> str:
    """Returns the lines of source that torch noted for the first use of an operation; "" where unknown.

    Args:
        program: the exported network.
        operation: its name with or without "aten" and the overload: "aten::_linalg_svd.U", "linalg_svd".
    """
    bare = re.sub(r"^aten(::|\.)", "", operation).partition(".")[0].strip("_")
    for node in program.graph.nodes:
        if node.op == "call_function" and re.search(rf"\b_*{re.escape(bare)}\b", str(node.target)):
            return node.meta.get("stack_trace") or ""
    return ""
