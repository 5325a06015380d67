"""Gradient norms of a training, looked at in a few steps of each epoch: they cost next to nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["LOOKS", "GradientNorms", "Norms"]

LOOKS = 8
"""Steps of an epoch in which the norms are taken. LeNet's take about 4 % of a step of 64 digits."""

FEW_PARTS, MANY_PARTS = 3, 12


class Norms(NamedTuple):
    """Gradient norms of one epoch."""

    usual: float
    """Median over the looks."""
    largest: float
    by_part: dict[str, float]
    """Root mean square over the looks of each part of the network."""


class GradientNorms:
    """Looks at the gradients before they are used.

    Args:
        learner: what is trained.
        steps_per_epoch: how often the weights change in an epoch.
    """

    def __init__(self, learner: nn.Module, steps_per_epoch: int) -> None:
        self._learner = learner
        looks = min(LOOKS, steps_per_epoch)
        self._due = frozenset(number * steps_per_epoch // looks for number in range(looks))
        self._parts: list[str] = []
        self._weights: list[Tensor] = []
        self._looks: list[Tensor] = []

    def begin_epoch(self) -> None:
        """Forgets the epoch before; takes what is trained now."""
        trained = [(name, one) for name, one in self._learner.named_parameters() if one.requires_grad]
        self._parts = part_names([name for name, _ in trained])
        self._weights = [weight for _, weight in trained]
        self._looks = []

    def is_due(self, step_in_epoch: int) -> bool:
        """Returns whether a step, from 0 on, is looked at."""
        return step_in_epoch in self._due

    def look(self, scale: float = 1.0) -> Tensor:
        """Takes the norms, and returns the norm of all gradients together, on the device.

        Args:
            scale: what the loss was multiplied by.
        """
        grads = [torch.zeros(()) if one.grad is None else one.grad for one in self._weights]
        norms = torch.stack(list(torch._foreach_norm(grads))) / scale
        self._looks.append(norms)
        return torch.linalg.vector_norm(norms)

    def result(self) -> Norms | None:
        """Returns the norms of the epoch; None where nothing finite was seen."""
        if not self._looks:
            return None
        looks = torch.stack(self._looks).double().cpu()  # (looks, weights)
        totals = looks.norm(dim=1)
        finite = totals.isfinite()
        if not bool(finite.any()):
            return None
        looks, totals = looks[finite], totals[finite]
        squares: dict[str, float] = {}
        for part, square in zip(self._parts, looks.square().mean(0).tolist(), strict=True):
            squares[part] = squares.get(part, 0.0) + square
        by_part = {part: float(f"{math.sqrt(square):.4g}") for part, square in squares.items()}
        return Norms(float(totals.median()), float(totals.max()), by_part)


def part_names(names: list[str]) -> list[str]:
    """Returns the part of the network that each weight belongs to: its outermost modules, a few of them."""
    modules = [name.rpartition(".")[0].split(".") for name in names]
    shallow, deep = ([".".join(path[:depth]) or "weights" for path in modules] for depth in (1, 2))
    return deep if len(set(shallow)) <= FEW_PARTS and len(set(deep)) <= MANY_PARTS else shallow
