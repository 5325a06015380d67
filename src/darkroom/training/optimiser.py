"""Optimisers by their recipe: fused kernels where the device has them, no decay on biases."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from darkroom.training.recipe import Recipe

__all__ = ["make_optimiser"]


def make_optimiser(recipe: Recipe, network: nn.Module, device: torch.device) -> Optimizer:
    """Makes the recipe's optimiser over the network's weights.

    Weight decay acts on matrices and kernels only: pulling biases and normalisation towards zero does
    not make a network simpler. Source: Goyal et al., Accurate, large minibatch SGD, 2017, section 5.3.
    """
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
    ]
    chosen = recipe.optimiser
    fused = True if device.type in ("cpu", "cuda") else None
    if chosen.name == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=chosen.momentum, fused=fused)
    kind = torch.optim.AdamW if chosen.name == "adamw" else torch.optim.Adam
    betas = (chosen.beta1, chosen.beta2)
    return kind(groups, lr=recipe.learning_rate, betas=betas, eps=chosen.epsilon, fused=fused)
