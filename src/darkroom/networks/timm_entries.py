"""The networks that are taken from timm, with their facts; small ones first."""

from __future__ import annotations

from typing import NamedTuple

from darkroom.networks.entry import WHOLE_PICTURES, NetworkEntry, NetworkOption, OptionValue

__all__ = ["DROPOUT", "PADDING", "TIMM_ENTRIES", "TYPICAL_INPUT"]

TYPICAL_INPUT = (224, 224, 3)

DROPOUT = NetworkOption(
    default=0.0, low=0.0, high=0.9, help="Share of values set to zero before the last layer while training."
)
PADDING = NetworkOption(
    default="default",
    choices=("default", "same"),
    help="same: rows and columns are added as TensorFlow does; weights that come from there say so.",
)

V1 = "Howard et al., MobileNets: efficient convolutional neural networks for mobile vision, 2017"
V2 = "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018"
V3 = "Howard et al., Searching for MobileNetV3, 2019"
V4 = "Qin et al., MobileNetV4: universal models for the mobile ecosystem, 2024"
EFFICIENTNET = "Tan, Le, EfficientNet: rethinking model scaling for convolutional networks, 2019"
RESNET = "He, Zhang, Ren, Sun, Deep residual learning for image recognition, 2015"
CONVNEXT = "Liu et al., A ConvNet for the 2020s, 2022; this size is timm's"
VIT = "Steiner et al., How to train your ViT?, 2021"


class _Row(NamedTuple):
    """One line of the table."""

    name: str
    summary: str
    parameters: int
    flops: int
    embedding_size: int
    source: str
    weights: tuple[str, ...] = ()
    """Tags, after the name and a dot."""
    padding: bool = True
    """Whether it can be built with TensorFlow's padding."""
    width: float | None = None
    """For MobileNetV1: share of the channels."""


ROWS = (
    _Row(
        "mobilenetv1_025",
        "Smallest of all; microcontrollers and very old phones.",
        470_072,
        82_060_544,
        256,
        V1,
        width=0.25,
    ),
    _Row(
        "mobilenetv1_050", "Plain layers that every chip runs.", 1_331_592, 298_994_176, 512, V1, width=0.5
    ),
    _Row(
        "mobilenetv1_075", "Plain layers that every chip runs.", 2_585_560, 650_800_896, 768, V1, width=0.75
    ),
    _Row(
        "mobilenetv1_100",
        "Plain layers that every chip runs, also in int8.",
        4_231_976,
        1_137_480_704,
        1024,
        V1,
        ("ra4_e3600_r224_in1k",),
        width=1.0,
    ),
    _Row(
        "mobilenetv2_035",
        "Small and quick on every phone; first choice for easy tasks.",
        1_677_128,
        118_571_616,
        1280,
        V2,
    ),
    _Row("mobilenetv2_050", "Small phones.", 1_968_680, 194_263_680, 1280, V2, ("lamb_in1k",)),
    _Row(
        "mobilenetv2_100",
        "Phones; well supported everywhere, also in int8.",
        3_504_872,
        601_548_544,
        1280,
        V2,
        ("ra_in1k",),
    ),
    _Row(
        "mobilenetv2_140",
        "Phones with room for accuracy.",
        6_108_776,
        1_164_391_648,
        1792,
        V2,
        ("ra_in1k",),
    ),
    _Row(
        "mobilenetv3_small_050",
        "Fewest operations of all; loses accuracy in int8.",
        1_593_224,
        48_377_376,
        1024,
        V3,
        ("lamb_in1k",),
    ),
    _Row("mobilenetv3_small_100", "Quick on phones.", 2_542_856, 113_020_800, 1024, V3, ("lamb_in1k",)),
    _Row(
        "mobilenetv3_large_100",
        "Accurate on phones.",
        5_483_032,
        433_179_520,
        1280,
        V3,
        ("ra_in1k", "miil_in21k_ft_in1k", "ra4_e3600_r224_in1k"),
    ),
    _Row(
        "mobilenetv4_conv_small",
        "Newer phones; quick on processor and accelerator alike.",
        3_774_024,
        372_011_136,
        1280,
        V4,
        ("e2400_r224_in1k", "e1200_r224_in1k"),
    ),
    _Row(
        "mobilenetv4_conv_medium",
        "Newer phones, more accurate.",
        9_715_512,
        1_655_299_968,
        1280,
        V4,
        ("e500_r224_in1k", "e500_r256_in1k"),
    ),
    _Row(
        "lcnet_050",
        "Quick on desktop processors.",
        1_880_856,
        89_462_016,
        1280,
        "Cui et al., PP-LCNet: a lightweight CPU convolutional neural network, 2021",
        ("ra2_in1k",),
    ),
    _Row(
        "efficientnet_lite0",
        "Accurate on phones; made for int8.",
        4_652_008,
        770_375_104,
        1280,
        f"{EFFICIENTNET}; lite: without squeeze-and-excitation",
        ("ra_in1k",),
    ),
    _Row(
        "efficientnet_b0",
        "Accurate for its size; slower on phones than its operations suggest.",
        5_288_548,
        771_629_504,
        1280,
        EFFICIENTNET,
        ("ra_in1k", "ra4_e3600_r224_in1k"),
    ),
    _Row(
        "regnety_002",
        "Small, for servers.",
        3_162_996,
        399_028_160,
        368,
        "Radosavovic et al., Designing network design spaces, 2020",
        ("pycls_in1k",),
        padding=False,
    ),
    _Row(
        "repvgg_a0",
        "Plain 3×3 convolutions; quick on GPUs.",
        9_108_968,
        3_025_162_240,
        1280,
        "Ding et al., RepVGG: making VGG-style ConvNets great again, 2021",
        ("rvgg_in1k",),
        padding=False,
    ),
    _Row(
        "resnet18",
        "The sound start on a server; forgiving to train.",
        11_689_512,
        3_628_146_688,
        512,
        RESNET,
        ("a1_in1k", "tv_in1k"),
        padding=False,
    ),
    _Row(
        "resnet34",
        "As resnet18, more accurate.",
        21_797_672,
        7_327_522_816,
        512,
        RESNET,
        ("a1_in1k", "tv_in1k"),
        padding=False,
    ),
    _Row(
        "resnet50",
        "A teacher, and the yardstick of papers.",
        25_557_032,
        8_178_368_512,
        2048,
        RESNET,
        ("a1_in1k", "tv2_in1k", "tv_in1k"),
        padding=False,
    ),
    _Row(
        "convnext_atto",
        "Modern and small, for servers.",
        3_695_520,
        1_094_664_960,
        320,
        CONVNEXT,
        ("d2_in1k",),
        padding=False,
    ),
    _Row(
        "convnext_nano",
        "A teacher of moderate size.",
        15_593_560,
        4_891_056_640,
        640,
        CONVNEXT,
        ("in12k_ft_in1k", "d1h_in1k"),
        padding=False,
    ),
    _Row(
        "vit_tiny_patch16_224",
        "Smallest transformer; only with pretrained weights.",
        5_717_416,
        2_507_366_400,
        192,
        VIT,
        ("augreg_in21k_ft_in1k",),
        padding=False,
    ),
    _Row(
        "vit_small_patch16_224",
        "A teacher; good embeddings, only with pretrained weights.",
        22_050_664,
        9_197_764_608,
        384,
        VIT,
        ("augreg_in21k_ft_in1k", "dino"),
        padding=False,
    ),
)


def _entry(row: _Row) -> NetworkEntry:
    wide = row.width is not None
    fixed: dict[str, OptionValue] = {"width": row.width} if row.width is not None else {"model": row.name}
    return NetworkEntry(
        name=row.name,
        summary=row.summary,
        tasks=WHOLE_PICTURES,
        build=f"darkroom.networks.timm_network:{'build_mobilenetv1' if wide else 'build_timm'}",
        smallest_input_px=32,
        typical_input=TYPICAL_INPUT,
        typical_classes=1000,
        parameters=row.parameters,
        flops=row.flops,
        embedding_size=row.embedding_size,
        licence="Apache-2.0",
        source=row.source,
        options={"dropout": DROPOUT, **({"padding": PADDING} if row.padding else {})},
        fixed=fixed,
        library="timm",
        weights=tuple(f"{row.name}.{tag}" for tag in row.weights),
    )


TIMM_ENTRIES = tuple(_entry(row) for row in ROWS)
"""All of them; timm is under Apache-2.0. Published weights whose licence forbids trade are left out."""
