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
    """Returns the layers that do something, in the order in which they begin.

    The parameters of all of them together are those of the network: a module that holds weights of its own
    counts as a layer, whatever lies inside it, as the batch normalisations of timm do.

    Args:
        network: the network.
        shape: (height, width, channels) of one picture.
    """
    found: dict[str, LayerFacts] = {}
    working = [(name, layer) for name, layer in network.named_modules() if _works(layer)]

    def begin(name: str, layer: nn.Module) -> None:
        count = sum(weights.numel() for weights in _own(layer))
        found.setdefault(name, LayerFacts(name, type(layer).__name__, (), count))

    def end(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            found[name] = found[name]._replace(output=tuple(output.shape[1:]))

    hooks = [
        hook
        for name, layer in working
        for hook in (
            layer.register_forward_pre_hook(lambda layer, _, name=name: begin(name, layer)),
            layer.register_forward_hook(lambda _, __, output, name=name: end(name, output)),
        )
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
    return list(found.values())


def _own(layer: nn.Module) -> list[nn.Parameter]:
    """Returns the parameters that a module holds itself, not those of modules inside it."""
    return list(layer.parameters(recurse=False))


def _works(layer: nn.Module) -> bool:
    """Returns whether a module is shown: it holds weights, or it is a leaf that changes values."""
    return bool(_own(layer)) or not (list(layer.children()) or isinstance(layer, nn.Identity | nn.Dropout))
