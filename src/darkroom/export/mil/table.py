"""The table of operations of MIL, each with the function that carries it out.

Source: the specification of each operation in coremltools, converters/mil/mil/ops/defs. To add one: write a
function whose parameters are called as the operation's, and give it a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from darkroom.export.mil import arithmetic, layers, resizing, shapes

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, Callable[..., Any]] = {
    **arithmetic.OPERATIONS,
    **layers.OPERATIONS,
    **resizing.OPERATIONS,
    **shapes.OPERATIONS,
}
"""All operations by their name in a file."""
