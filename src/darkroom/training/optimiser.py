"""Optimisers by their recipe: fused kernels where the device has them, no decay on biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from darkroom.training.recipe import Recipe

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


def make_optimiser(recipe: Recipe, network: nn.Module, device: torch.device) -> Optimizer:
    """Makes the recipe's optimiser over the network's weights.

    Weight decay acts on matrices and kernels only: pulling biases and normalisation towards zero does
    not make a network simpler. Source: Goyal et al., Accurate, large minibatch SGD, 2017, section 5.3.

    Source: nag: Sutskever et al., On the importance of initialization and momentum, 2013, as torch writes
    it. adam: Kingma, Ba, 2015. adamw: Loshchilov, Hutter, 2019. rmsprop: Hinton, Neural networks for
    machine learning, lecture 6e, 2012, without momentum. adagrad: Duchi, Hazan, Singer, 2011. adadelta:
    Zeiler, 2012.
    """
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
    ]
    name = recipe.optimiser.name
    options = _options(recipe)
    if name in FUSED:
        options["fused"] = True if device.type in FUSED[name] else None
    return _KINDS[name](groups, lr=recipe.learning_rate, **options)


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
