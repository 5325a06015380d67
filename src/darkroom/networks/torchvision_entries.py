"""The networks that are taken from torchvision, with their facts."""

from __future__ import annotations

from darkroom.networks.entry import WHOLE_PICTURES, NetworkEntry, NetworkOption
from darkroom.networks.timm_entries import TYPICAL_INPUT

__all__ = ["TORCHVISION_ENTRIES"]

DROPOUT = NetworkOption(
    default=0.0, low=0.0, high=0.9, help="Share of values set to zero between dense layers while training."
)


def _entry(
    name: str, summary: str, source: str, *, figures: tuple[int, int, int], smallest_input_px: int
) -> NetworkEntry:
    parameters, flops, embedding_size = figures
    return NetworkEntry(
        name=name,
        summary=summary,
        tasks=WHOLE_PICTURES,
        build="darkroom.networks.torchvision_network:build_torchvision",
        smallest_input_px=smallest_input_px,
        typical_input=TYPICAL_INPUT,
        typical_classes=1000,
        parameters=parameters,
        flops=flops,
        embedding_size=embedding_size,
        licence="BSD-3-Clause",
        source=source,
        options={"dropout": DROPOUT},
        fixed={"model": name},
        library="torchvision",
    )


TORCHVISION_ENTRIES = (
    _entry(
        "alexnet",
        "History: where deep learning on photos began.",
        "Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks, "
        "2012, in the one-tower form of Krizhevsky, One weird trick, 2014",
        figures=(61_100_840, 1_428_376_960, 4096),
        smallest_input_px=63,
    ),
    _entry(
        "vgg16",
        "History: 3×3 convolutions all the way; 138 million weights.",
        "Simonyan, Zisserman, Very deep convolutional networks for large-scale image recognition, 2014, "
        "configuration D",
        figures=(138_357_544, 30_940_528_640, 4096),
        smallest_input_px=32,
    ),
    _entry(
        "googlenet",
        "History: branches of several filter sizes side by side.",
        "Szegedy et al., Going deeper with convolutions, 2014; with batch normalisation",
        figures=(6_624_904, 2_996_752_384, 1024),
        smallest_input_px=32,
    ),
)
"""All of them. torchvision's code is under BSD-3-Clause."""
