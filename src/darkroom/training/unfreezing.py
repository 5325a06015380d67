"""Layers that open one group after the other, from the last one down, each group with its own rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from darkroom.networks.mask_network import MaskNetwork
from darkroom.networks.network import Network
from darkroom.training.recipe import Recipe

__all__ = ["LayerGroup", "SMALLEST_BATCH", "Unfreezing", "layer_groups", "opening_epochs", "uses_groups"]

SMALLEST_BATCH = 16
"""With fewer pictures in a batch its mean and deviation are too rough to learn with.

Source: Wu, He, Group normalization, 2018, figure 1: the error grows below 16 pictures.
"""


class LayerGroup(NamedTuple):
    """Layers that learn together."""

    weights: tuple[nn.Parameter, ...]
    normalisations: tuple[nn.Module, ...]
    """Those of the layers that keep batch statistics."""


def layer_groups(network: Network, groups: int, shape: tuple[int, int, int]) -> list[LayerGroup]:
    """Returns the layers of a network in groups by depth: the last layer, then from above the others.

    Args:
        network: classification, or masks, where the decoder belongs to the last layer.
        groups: into how many those before the last layer are cut; fewer where there are fewer layers.
        shape: (height, width, channels) of a picture.
    """
    body: nn.Module | None = network.encoder if isinstance(network, MaskNetwork) else None
    inside = (
        set(body.modules()) if body is not None else set(network.modules()) - set(network.head.modules())
    )
    ordered = [one for one in _in_order(network, shape) if any(True for _ in one.parameters(recurse=False))]
    below = [one for one in ordered if one in inside]
    top = [one for one in ordered if one not in inside]
    return [_group(top), *(_group(part) for part in reversed(_cut(below, groups)) if part)]


def opening_epochs(recipe: Recipe, groups: int, *, of_masks: bool) -> list[int]:
    """Returns the epoch with which each group begins to learn, from 1 on; the last layer's comes first.

    Args:
        recipe: how to train.
        groups: how many there are, with that of the last layer.
        of_masks: whether the last layers have to begin in the run itself.
    """
    if recipe.train_layers != "gradual":
        return [1] * groups
    every = recipe.layers.open_every
    return [1, *(1 + every * (depth + of_masks) for depth in range(groups - 1))]


def uses_groups(recipe: Recipe) -> bool:
    """Says whether a training treats its groups of layers in different ways."""
    layers = recipe.layers
    return recipe.train_layers == "gradual" or (
        recipe.train_layers == "all" and (layers.rate_decay < 1 or layers.batch_statistics == "keep")
    )


class Unfreezing:
    """Opens groups of layers as the epochs come; what is closed costs no gradient and stays as it is.

    Closed layers keep their batch statistics. Dropout acts in all of them. Where an epoch stands alone
    decides what is open, so that a resumed training needs no state.

    Args:
        groups: see `layer_groups`.
        recipe: how to train.
        of_masks: whether the last layers have to begin in the run itself.

    Source: Howard, Ruder, Universal language model fine-tuning for text classification, 2018, sections 3.2
    (discriminative rates) and 3.3 (gradual unfreezing).
    """

    def __init__(self, groups: Sequence[LayerGroup], recipe: Recipe, *, of_masks: bool) -> None:
        self.groups = tuple(groups)
        self.opens = opening_epochs(recipe, len(groups), of_masks=of_masks)
        gradual = recipe.train_layers == "gradual"
        auto = "keep" if gradual and recipe.batch_size < SMALLEST_BATCH else "learn"
        chosen = recipe.layers.batch_statistics
        self.statistics = auto if chosen == "auto" else chosen
        """"learn" or "keep": what becomes of the batch statistics of open groups."""

    def begin_epoch(self, epoch: int) -> None:
        """Opens what is due; call it after the network was set to train."""
        for group, opens in zip(self.groups, self.opens, strict=True):
            for weight in group.weights:
                weight.requires_grad_(epoch >= opens)
            for layer in group.normalisations:
                layer.train(epoch >= opens and self.statistics == "learn")


def _group(layers: Iterable[nn.Module]) -> LayerGroup:
    layers = list(layers)
    weights = dict.fromkeys(weight for layer in layers for weight in layer.parameters(recurse=False))
    return LayerGroup(tuple(weights), tuple(layer for layer in layers if isinstance(layer, _BatchNorm)))


def _cut(layers: Sequence[nn.Module], groups: int) -> list[list[nn.Module]]:
    """Returns layers in parts with about as many matrices or kernels each; normalisations follow theirs."""
    wide = [any(weight.ndim > 1 for weight in layer.parameters(recurse=False)) for layer in layers]
    parts: list[list[nn.Module]] = [[] for _ in range(max(1, min(groups, sum(wide))))]
    seen = 0
    for layer, is_wide in zip(layers, wide, strict=True):
        parts[max(0, seen + is_wide - 1) * len(parts) // max(1, sum(wide))].append(layer)
        seen += is_wide
    return parts


def _in_order(network: Network, shape: tuple[int, int, int]) -> list[nn.Module]:
    """Returns all modules in the order in which a picture first reaches them.

    One that is not called, as its weights are used by the module around it, counts with that one.
    """
    reached: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: object) -> None:
        reached.setdefault(module, len(reached))

    height, width, channels = shape
    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, channels, height, width, device=network.device))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    named = dict(network.named_modules())

    def place(name: str) -> int:
        while named[name] not in reached:
            name = name.rpartition(".")[0]
        return reached[named[name]]

    return [named[name] for name in sorted(named, key=place)]
