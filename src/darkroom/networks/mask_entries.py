"""The networks for masks, with their facts: LR-ASPP for phones, U-Net and DeepLabV3+ for servers."""

from __future__ import annotations

from typing import NamedTuple

from darkroom.networks.entry import NetworkEntry, NetworkOption
from darkroom.networks.timm_entries import PADDING, TIMM_ENTRIES

__all__ = ["BUILDERS", "DROPOUT", "MASK_ENTRIES", "Builder"]

DROPOUT = NetworkOption(
    default=0.0, low=0.0, high=0.9, help="Share of maps set to zero before the last layer while training."
)


class Builder(NamedTuple):
    """A way to make masks from an encoder's maps."""

    build: str
    """Import string."""
    source: str
    licence: str
    extra: str
    smallest_batch: int
    """Fewest pictures that go through it together while training."""


BUILDERS = {
    "lraspp": Builder(
        "darkroom.networks.lraspp:build_lraspp",
        "Howard et al., Searching for MobileNetV3, 2019, section 6.4",
        "Apache-2.0",
        "train",
        1,
    ),
    "unet": Builder(
        "darkroom.networks.encoder_decoder:build_unet",
        "Ronneberger, Fischer, Brox, U-Net: convolutional networks for biomedical image segmentation, 2015",
        "MIT",
        "segmentation",
        1,
    ),
    "deeplabv3plus": Builder(
        "darkroom.networks.encoder_decoder:build_deeplabv3plus",
        "Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation, "
        "2018",
        "MIT",
        "segmentation",
        2,
    ),
}
"""Before the slash of a network's name; behind it stands what timm calls the encoder."""


class _Row(NamedTuple):
    name: str
    summary: str
    parameters: int
    flops: int
    embedding_size: int


ROWS = (
    _Row("lraspp/mobilenetv2_035", "Masks on every phone, in real time.", 279_426, 199_987_200, 144),
    _Row("lraspp/mobilenetv2_100", "Masks on today's phones.", 1_894_210, 1_211_842_560, 160),
    _Row(
        "lraspp/mobilenetv3_small_100",
        "Masks on every phone; needs published weights.",
        1_075_026,
        312_250_368,
        152,
    ),
    _Row(
        "lraspp/mobilenetv3_large_100",
        "Masks on today's phones, as in the paper.",
        3_218_306,
        983_240_448,
        168,
    ),
    _Row("lraspp/resnet18", "Light decoder, plain encoder.", 11_308_354, 7_993_425_920, 256),
    _Row("unet/mobilenetv2_035", "Fine outlines with a small encoder.", 1_786_946, 4_417_656_832, 16),
    _Row("unet/resnet18", "Fine outlines; first choice on a server.", 14_328_354, 10_815_012_864, 16),
    _Row("unet/resnet50", "Fine outlines; a teacher.", 32_521_250, 21_283_995_648, 16),
    _Row(
        "deeplabv3plus/mobilenetv2_100", "Large and small things together.", 2_711_890, 2_238_578_688, 256
    ),
    _Row("deeplabv3plus/resnet18", "Large and small things together.", 12_329_554, 9_126_281_216, 256),
    _Row(
        "deeplabv3plus/resnet50",
        "Large and small things together; a teacher.",
        26_677_842,
        18_283_495_424,
        256,
    ),
)

WHOLE = {entry.name: entry for entry in TIMM_ENTRIES}


def _entry(row: _Row) -> NetworkEntry:
    kind, _, encoder = row.name.partition("/")
    builder, whole = BUILDERS[kind], WHOLE[encoder]
    padding = {"padding": PADDING} if "padding" in whole.options else {}
    return NetworkEntry(
        name=row.name,
        summary=row.summary,
        tasks=("segmentation",),
        build=builder.build,
        smallest_input_px=32,
        typical_input=(256, 256, 3),
        typical_classes=2,
        parameters=row.parameters,
        flops=row.flops,
        embedding_size=row.embedding_size,
        licence=builder.licence,
        source=f"{builder.source}; encoder: {whole.source}",
        options={"dropout": DROPOUT, **padding},
        fixed={"model": encoder},
        extra=builder.extra,
        weights=whole.weights,
        smallest_batch=builder.smallest_batch,
    )


MASK_ENTRIES = tuple(_entry(row) for row in ROWS)
"""All of them; an encoder is one of the table, so that its weights fit both."""
