"""Optimisers by their recipe: fused kernels where the device has them, no decay on biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from darkroom.training.recipe import Recipe
from darkroom.training.unfreezing import LayerGroup

__all__ = ["make_optimiser"]

FUSED = {
    "sgd": ("cpu", "cuda"),
    "nag": ("cpu", "cuda"),
    "adam": ("cpu", "cuda"),
    "adamw": ("cpu", "cuda"),
    "adagrad": ("cpu",),
}
"""Devices for which torch has one kernel for the whole step; elsewhere torch takes its fastest other way,
on cuda all weights at once (foreach)."""


def make_optimiser(
    recipe: Recipe, network: nn.Module, device: torch.device, groups: Sequence[LayerGroup] = ()
) -> Optimizer:
    """Makes the recipe's optimiser over the network's weights.

    Args:
        recipe: how to train.
        network: what learns.
        device: where it is.
        groups: of layers, the last one first; each learns at `layers.rate_decay` times the rate of the
            group before, which stands in the optimiser's groups as `rate_share`. None learns at one rate.

    Weight decay acts on matrices and kernels only: pulling biases and normalisation towards zero does
    not make a network simpler. Source: Goyal et al., Accurate, large minibatch SGD, 2017, section 5.3.

    Source: nag: Sutskever et al., On the importance of initialization and momentum, 2013, as torch writes
    it. adam: Kingma, Ba, 2015. adamw: Loshchilov, Hutter, 2019. rmsprop: Hinton, Neural networks for
    machine learning, lecture 6e, 2012, without momentum. adagrad: Duchi, Hazan, Singer, 2011. adadelta:
    Zeiler, 2012.
    """
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    parts = _parts(recipe, trained)
    if groups:
        parts = [
            {**part, "rate_share": recipe.layers.rate_decay**depth}
            for depth, group in enumerate(groups)
            for part in _parts(recipe, group.weights)
        ]
    name = recipe.optimiser.name
    options = _options(recipe)
    if name in FUSED:
        options["fused"] = True if device.type in FUSED[name] else None
    return _KINDS[name](parts, lr=recipe.learning_rate, **options)


def _parts(recipe: Recipe, weights: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    return [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]


_KINDS: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "nag": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
}


def _options(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.optimiser
    match chosen.name:
        case "sgd":
            return {"momentum": chosen.momentum}
        case "nag":
            return {"momentum": chosen.momentum, "nesterov": True}
        case "rmsprop":
            return {"alpha": chosen.rms_decay, "eps": chosen.epsilon}
        case "adagrad":
            return {"eps": chosen.epsilon}
        case "adadelta":
            return {"rho": chosen.rho, "eps": chosen.adadelta_epsilon}
        case "adam" | "adamw":
            return {"betas": (chosen.beta1, chosen.beta2), "eps": chosen.epsilon}
