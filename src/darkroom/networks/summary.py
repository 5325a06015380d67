"""The layers of a network with their shapes and sizes, as one picture goes through it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from darkroom.networks.network import Network

__all__ = ["LayerFacts", "embedding_size", "layers"]


class LayerFacts(NamedTuple):
    """One layer of a network."""

    name: str
    kind: str
    """Class of the layer."""
    output: tuple[int, ...]
    """Shape of what it gives for one picture."""
    parameters: int
    """Trained numbers."""


def embedding_size(network: Network, shape: tuple[int, int, int]) -> int:
    """Returns the length of the vector before the last layer.

    Args:
        network: the network.
        shape: (height, width, channels) of one picture.
    """
    was_training = network.training
    height, width, channels = shape
    try:
        with torch.inference_mode():
            return network.eval().features(torch.zeros(1, channels, height, width)).shape[1]
    finally:
        network.train(was_training)


def layers(network: Network, shape: tuple[int, int, int]) -> list[LayerFacts]:
    """Returns the layers that hold parameters or change shape, in the order in which they run.

    Args:
        network: the network.
        shape: (height, width, channels) of one picture.
    """
    found: list[LayerFacts] = []
    leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        count = sum(weights.numel() for weights in layer.parameters())
        found.append(LayerFacts(name, type(layer).__name__, tuple(output.shape[1:]), count))

    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: note(name, layer, output))
        for name, layer in leaves
    ]
    was_training = network.training
    try:
        with torch.inference_mode():
            height, width, channels = shape
            network.eval()(torch.zeros(1, channels, height, width))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return found
