"""What every network is: features, and a head that turns them into one number per class."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["Network"]


class Network(nn.Module):
    """A network in two parts, so that an embedding can be read and the last layer replaced.

    A subclass fills `head` and defines `features`.
    """

    head: nn.Module
    """Embedding (N, E) to logits (N, classes)."""

    def features(self, x: Tensor) -> Tensor:
        """Returns the embedding (N, E) of normalised pictures (N, C, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits (N, classes) of normalised pictures (N, C, H, W)."""
        return self.head(self.features(x))

    @property
    def parameter_count(self) -> int:
        """How many trained numbers it has."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return cast(Tensor, next(self.parameters())).device
