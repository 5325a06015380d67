"""AlexNet, VGG-16 and GoogLeNet of torchvision, with their last layer as a head of its own."""

from __future__ import annotations

from typing import cast

from torch import nn

from darkroom.networks.libraries import load_torchvision
from darkroom.networks.network import BodyNetwork

__all__ = ["build_torchvision"]

FIRST_LAYERS = {"alexnet": "features.0", "vgg16": "features.0", "googlenet": "conv1.conv"}
LAST_LAYERS = {"alexnet": "classifier.6", "vgg16": "classifier.6", "googlenet": "fc"}


def build_torchvision(
    *, channels: int, size: tuple[int, int], classes: int, model: str, dropout: float
) -> BodyNetwork:
    """Builds a network by torchvision's name.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (height, width) in pixels; they take any that is large enough.
        classes: how many answers it tells apart.
        model: "alexnet", "vgg16" or "googlenet".
        dropout: share of values set to zero while training, before the dense layers.
    """
    load_torchvision()
    from torchvision import models

    # GoogLeNet's two side heads only served its training and are no part of the file that leaves.
    more = {"aux_logits": False, "init_weights": True} if model == "googlenet" else {}
    body = getattr(models, model)(weights=None, num_classes=classes, dropout=dropout, **more)
    if channels != 3:
        _see(body, FIRST_LAYERS[model], channels)
    head = cast(nn.Linear, body.get_submodule(LAST_LAYERS[model]))
    body.set_submodule(LAST_LAYERS[model], nn.Identity())
    return BodyNetwork(body, head, library_head=LAST_LAYERS[model], first_layers=(FIRST_LAYERS[model],))


def _see(body: nn.Module, name: str, channels: int) -> None:
    """Replaces the first convolution by one for so many channels."""
    old = cast(nn.Conv2d, body.get_submodule(name))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    body.set_submodule(name, new)
