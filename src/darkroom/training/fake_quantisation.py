"""Round weights and activations to eight bits while a network trains, so that it learns to live with it.

The network goes on in floating point and its weights stay as they are; what flows through each layer is
rounded as an int8 file will round it. Gradients pass the rounding as if it were not there.

Source: Jacob and others, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference, CVPR 2018, sec. 3; Bengio, Léonard and Courville, 2013, for the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["round_activations", "round_weights", "rounds"]

WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""Layers whose weights and inputs are rounded."""

NORMALISED = (nn.BatchNorm2d,)
"""Layers whose outputs are rounded: what is added to another branch, or read by a layer without weights."""

LEVELS = 255


def rounds(network: nn.Module) -> nn.Module:
    """Makes a network round in every pass from now on, in training and in validation; returns it.

    Weights get a scale per output channel. Batch normalisation behind a convolution multiplies whole
    channels, so that rounding before it or after it is the same. An activation's range is that of the batch
    that it belongs to: there is nothing to keep, and a training that was stopped goes on as it was.
    """
    for layer in network.modules():
        if isinstance(layer, WEIGHTED):
            layer.register_forward_pre_hook(_before)
            layer.register_forward_hook(_after, always_call=True)
        elif isinstance(layer, NORMALISED):
            layer.register_forward_hook(_rounded)
    return network


def round_weights(weights: Tensor, axis: int) -> Tensor:
    """Returns weights on 255 steps about zero, of a size of its own for each channel.

    Args:
        weights: of a layer.
        axis: where its output channels lie.
    """
    others = [place for place in range(weights.ndim) if place != axis]
    step = weights.detach().abs().amax(dim=others, keepdim=True) / 127
    step = torch.where(step > 0, step, torch.ones_like(step))
    return _straight_through(weights, torch.round(weights.detach() / step) * step)


def round_activations(values: Tensor) -> Tensor:
    """Returns activations on 256 steps from their least to their largest value; zero is one of them."""
    exact = values.detach().float()
    low, high = exact.amin().clamp(max=0), exact.amax().clamp(min=0)
    step = ((high - low) / LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    zero = torch.round(-low / step)
    rounded = ((torch.round(exact / step) + zero).clamp(0, LEVELS) - zero) * step
    return _straight_through(values, rounded.to(values.dtype))


def _straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    return exact + (rounded - exact).detach()


def _before(layer: nn.Module, taken: tuple[Any, ...]) -> tuple[Any, ...]:
    """Puts rounded weights before the layer's own for this pass, and rounds what goes in."""
    weights = layer._parameters["weight"]
    assert weights is not None
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    layer.__dict__["weight"] = round_weights(weights, axis)
    return (round_activations(taken[0]), *taken[1:])


def _rounded(layer: nn.Module, taken: object, given: Tensor) -> Tensor:
    return round_activations(given)


def _after(layer: nn.Module, taken: object, given: object) -> None:
    layer.__dict__.pop("weight", None)
