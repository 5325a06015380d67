"""LR-ASPP: the light decoder of MobileNetV3, for masks on phones, on any encoder of timm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.errors import Unsupported
from darkroom.networks.encoders import encoder_of, map_facts
from darkroom.networks.mask_network import MaskNetwork

__all__ = ["LiteReducedAspp", "build_lraspp"]

INNER = 128
"""Channels of the branch that sees the whole picture. Source: Howard et al., 2019, figure 10."""

LOW, HIGH = 8, 16
"""Of the maps that are taken: pixels of the picture for one place of the map. Source: as above."""


class LiteReducedAspp(nn.Module):
    """Weighs a small map with what the whole picture shows, and joins it with a larger one.

    In the paper each of the two maps gets a last layer of its own, and their answers are added. Here both
    maps are joined and get one last layer, which computes the same: the sum over all channels is the sum of
    both sums. So the last layer is one layer, which can be replaced.

    Args:
        low: channels of the map that is larger.
        high: channels of the map that is smaller.
        dropout: share of channels set to zero while training.

    Source: Howard et al., Searching for MobileNetV3, 2019, section 6.4 and figure 10; pooled over the whole
    map instead of windows of 49×49, as torchvision's lraspp does.
    """

    def __init__(self, low: int, high: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(high, INNER, 1, bias=False), nn.BatchNorm2d(INNER), nn.ReLU()
        )
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(high, INNER, 1, bias=False), nn.Sigmoid()
        )
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Returns one map (N, 128 + low, h, w) of a larger and a smaller one."""
        low, high = maps
        seen = self.project(high) * self.weigh(high)
        seen = functional.interpolate(
            seen, size=(int(low.shape[2]), int(low.shape[3])), mode="bilinear", align_corners=False
        )
        return self.dropout(torch.cat([seen, low], 1))


def build_lraspp(
    *, channels: int, size: tuple[int, int], classes: int, model: str, dropout: float = 0.0, **options: Any
) -> MaskNetwork:
    """Builds LR-ASPP on an encoder by timm's name.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (height, width) in pixels; it takes any.
        classes: how many classes a pixel can have.
        model: what timm calls the encoder.
        dropout: share of channels set to zero before the last layer while training.
        **options: `padding`, where the encoder has it.

    Raises:
        Unsupported: the encoder gives no maps of the two sizes.
    """
    strides, counts = map_facts(model, HIGH)
    if LOW not in strides or strides[-1] not in (HIGH, 2 * HIGH):
        raise Unsupported(
            "network.no-maps",
            "Network {model} of timm gives maps of 1/{strides} of the picture's sides; LR-ASPP needs 1/8 "
            "and 1/16.",
            do="Choose another encoder. See: darkroom model networks",
            model=model,
            strides=", 1/".join(map(str, strides)),
        )
    low = strides.index(LOW)
    places = (low, len(strides) - 1)
    encoder = encoder_of(model, channels=channels, output_stride=HIGH, out_indices=places, **options)
    head = nn.Conv2d(INNER + counts[low], classes, 1)
    return MaskNetwork(encoder, LiteReducedAspp(counts[low], counts[-1], dropout), head, model=model)
