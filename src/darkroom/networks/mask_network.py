"""What every network for masks is: an encoder, a decoder, and a head that answers for each place."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks.network import Network

__all__ = ["MaskNetwork"]


class MaskNetwork(Network):
    """A network that gives one number per class for each pixel.

    Args:
        encoder: layers of timm that give maps of several sizes, (N, E, h, w) each, the largest first.
        decoder: makes one map of them.
        head: map (N, E, h, w) to one number per class and place (N, classes, h, w).
        model: what timm calls the encoder.
    """

    encoder: Any
    head: nn.Module

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, *, model: str) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.model = model
        self._at_rest = False

    def features(self, x: Tensor) -> Tensor:
        """Returns the map before the last layer (N, E, h, w) of normalised pictures (N, C, H, W)."""
        return self.decoder(self.encoder(x))

    def answer(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the logits (N, classes, H, W) of a map (N, E, h, w), stretched to a size in pixels."""
        logits = self.head(features)
        if tuple(logits.shape[2:]) == size:
            return logits
        return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    def embedding(self, features: Tensor) -> Tensor:
        """Returns the mean of a map (N, E, h, w) over its places, (N, E)."""
        return features.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits (N, classes, H, W) of normalised pictures (N, C, H, W)."""
        return self.answer(self.features(x), (int(x.shape[2]), int(x.shape[3])))

    @property
    def timm_layers(self) -> nn.Module:
        """The encoder as timm made it, with timm's names of weights."""
        return self.encoder

    def rest_encoder(self) -> None:
        """Keeps the encoder as it is while the rest is trained, its batch statistics too."""
        self._at_rest = True
        self.encoder.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> MaskNetwork:
        """Sets how layers behave; an encoder at rest stays as in use."""
        super().train(mode)
        if self._at_rest:
            self.encoder.eval()
        return self
