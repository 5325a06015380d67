"""What every network is: features, and a head that turns them into one number per class."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["BodyNetwork", "Network"]


class Network(nn.Module):
    """A network in two parts, so that an embedding can be read and the last layer replaced.

    A subclass fills `head` and defines `features`.
    """

    head: nn.Module
    """Embedding (N, E) to logits (N, classes)."""

    code: Path | None = None
    """The user's Python file that defines it; a file of weights is of no use without."""
    mean_image: Tensor | None
    """(H, W, C) float32: the mean picture that is subtracted from every picture before the network sees it;
    None for other normalisations. It is kept here so that it lies in the same file as the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_image", None)

    def features(self, x: Tensor) -> Tensor:
        """Returns the embedding (N, E) of normalised pictures (N, C, H, W)."""
        raise NotImplementedError

    def answer(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the logits (N, classes) of what `features` gave for pictures of (height, width)."""
        return self.head(features)

    def embedding(self, features: Tensor) -> Tensor:
        """Returns one vector (N, E) for each picture, of what `features` gave."""
        return features

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


class BodyNetwork(Network):
    """A library's network whose last layer was taken out and is the head.

    Args:
        body: the library's network; it gives the embedding.
        head: what was its last layer.
        library_head: what the library calls that layer in its files of weights: "classifier", "fc", …
        first_layers: names in the body of the convolutions that see the picture.
    """

    def __init__(
        self, body: nn.Module, head: nn.Linear, *, library_head: str, first_layers: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.library_head = library_head
        self.first_layers = first_layers

    def features(self, x: Tensor) -> Tensor:
        """Returns the embedding (N, E) of normalised pictures (N, C, H, W)."""
        return self.body(x)
