"""Which operations of a graph stay in floating point: those before the first weights, and after the last.

Before them stand the cast from uint8 and the normalisation, after them resizing of masks and softmax. They
cost little, hold no weights, and their numbers need more than 256 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Ends", "Step", "find_ends"]


class Step(NamedTuple):
    """One operation of a graph."""

    inputs: tuple[str, ...]
    """Names of the tensors that it reads."""
    outputs: tuple[str, ...]
    """Names of the tensors that it writes."""
    weighted: bool
    """Whether it multiplies with weights: a convolution, a dense layer."""


class Ends(NamedTuple):
    """Places of operations in the order of the graph."""

    outside: frozenset[int]
    """No weights come before them, or none after them."""
    first: frozenset[int]
    """Operations with weights before which there are none."""
    last: frozenset[int]
    """Operations with weights after which there are none."""


def find_ends(steps: Sequence[Step]) -> Ends:
    """Returns where a graph's weights begin and end.

    Args:
        steps: the operations; each comes after those whose tensors it reads.
    """
    behind = _reached(steps)
    ahead = _reached([Step(one.outputs, one.inputs, one.weighted) for one in reversed(steps)])[::-1]
    outside = {
        place
        for place, step in enumerate(steps)
        if not step.weighted and not (behind[place] and ahead[place])
    }
    weighted = [place for place, step in enumerate(steps) if step.weighted]
    return Ends(
        outside=frozenset(outside),
        first=frozenset(place for place in weighted if not behind[place]),
        last=frozenset(place for place in weighted if not ahead[place]),
    )


def _reached(steps: Sequence[Step]) -> list[bool]:
    """Returns of each step whether one with weights lies before it."""
    marked: set[str] = set()
    found = []
    for step in steps:
        before = any(name in marked for name in step.inputs)
        found.append(before)
        if before or step.weighted:
            marked |= set(step.outputs)
    return found
