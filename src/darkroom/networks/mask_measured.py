"""Facts of a network for masks on any encoder of timm, measured when somebody names it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
from torch.utils.flop_counter import FlopCounterMode

from darkroom.networks.entry import NetworkEntry, NetworkOption
from darkroom.networks.libraries import load_timm
from darkroom.networks.mask_entries import BUILDERS, DROPOUT
from darkroom.networks.timm_entries import PADDING
from darkroom.networks.timm_measured import unknown_to_timm

__all__ = ["measure"]


@cache
def measure(kind: str, model: str) -> NetworkEntry:
    """Returns the facts of a network for masks; no memory is taken for its weights.

    Args:
        kind: "lraspp", "unet" or "deeplabv3plus".
        model: what timm calls the encoder, without a tag.

    Raises:
        NotFound: timm has none of that name.
        Unsupported: it cannot be an encoder.
        MissingExtra: segmentation-models-pytorch is not installed, and this kind needs it.
    """
    timm = load_timm()
    if "." in model or not timm.is_model(model):
        raise unknown_to_timm(model, timm, prefix=f"{kind}/")
    builder = BUILDERS[kind]
    module, function = builder.build.split(":")
    build = getattr(import_module(module), function)
    with torch.device("meta"):
        network = build(channels=3, size=(256, 256), classes=2, model=model).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        features = network.features(torch.zeros(1, 3, 256, 256, device="meta"))
        network.answer(features, (256, 256))
    return NetworkEntry(
        name=f"{kind}/{model}",
        summary="Measured when it was asked for; not tried by Darkroom.",
        tasks=("segmentation",),
        build=builder.build,
        smallest_input_px=64,
        typical_input=(256, 256, 3),
        typical_classes=2,
        parameters=network.parameter_count,
        flops=counter.get_total_flops(),
        embedding_size=int(features.shape[1]),
        licence=f"{builder.licence}; encoder: see timm",
        source=f"{builder.source}; encoder: see timm",
        options={"dropout": DROPOUT, **_padding(build, model)},
        fixed={"model": model},
        extra=builder.extra,
        weights=tuple(timm.list_pretrained(f"{model}.*")),
        smallest_batch=builder.smallest_batch,
    )


def _padding(build: Callable[..., object], model: str) -> dict[str, NetworkOption]:
    try:
        with torch.device("meta"):
            build(channels=3, size=(256, 256), classes=2, model=model, padding="same")
    except TypeError:
        return {}
    return {"padding": PADDING}
