"""Networks of timm without their last layers, as encoders that give maps of several sizes."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from darkroom.errors import Unsupported
from darkroom.networks.libraries import load_timm
from darkroom.networks.timm_network import as_timm_says

__all__ = ["encoder_of", "map_facts", "whole_names"]


def encoder_of(model: str, *, channels: int, output_stride: int = 32, **options: Any) -> Any:
    """Builds an encoder.

    Args:
        model: what timm calls the whole network.
        channels: 1 for grey, 3 for RGB.
        output_stride: pixels of the picture for one place of the smallest map; where the network cannot
            keep its maps that large, they are as small as it makes them.
        **options: `padding`, where the network has it; and what timm calls `out_indices`.

    Raises:
        Unsupported: it gives no maps.
    """
    map_facts(model)
    said = {"in_chans": channels, "features_only": True, **as_timm_says(options)}
    if _keeps_stride(model, output_stride):
        said["output_stride"] = output_stride
    return load_timm().create_model(model, **said)


@cache
def map_facts(model: str, output_stride: int = 32) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns of an encoder's maps how many pixels a place stands for, and the channels; the largest first.

    Raises:
        Unsupported: it gives no maps of falling sizes.
    """
    said = {"output_stride": output_stride} if _keeps_stride(model, output_stride) else {}
    timm = load_timm()
    try:
        with torch.device("meta"):
            facts = timm.create_model(model, features_only=True, **said).feature_info
    except Exception as error:  # each kind of network fails in its own way
        raise _without_maps(model, f"timm says: {error}") from error
    strides = tuple(facts.reduction())
    if len(set(strides)) < 2:
        raise _without_maps(model, "all of its maps are of one size")
    return strides, tuple(facts.channels())


@cache
def _keeps_stride(model: str, output_stride: int) -> bool:
    if output_stride == 32:
        return False  # as it is made anyway, and not every network knows the word
    timm = load_timm()
    try:
        with torch.device("meta"):
            timm.create_model(model, features_only=True, output_stride=output_stride)
    except Exception:  # as above
        return False
    return True


def whole_names(model: str) -> frozenset[str]:
    """Returns the names of all weights that timm's network has, also of layers that encoders lack."""
    timm = load_timm()
    with torch.device("meta"):
        return frozenset(timm.create_model(model).state_dict())


def _without_maps(model: str, why: str) -> Unsupported:
    return Unsupported(
        "network.no-encoder",
        "Network {model} of timm cannot be an encoder for masks: {why}.",
        do="Choose another encoder. See: darkroom model networks",
        model=model,
        why=why,
    )
