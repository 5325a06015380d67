"""Facts of any network of timm, measured when somebody names it."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from darkroom.errors import NotFound
from darkroom.networks.entry import WHOLE_PICTURES, NetworkEntry, NetworkOption
from darkroom.networks.libraries import load_timm
from darkroom.networks.timm_entries import DROPOUT, PADDING
from darkroom.networks.timm_network import TimmNetwork, build_timm

__all__ = ["measure", "unknown_to_timm"]


@cache
def measure(model: str) -> NetworkEntry:
    """Returns the facts of a network that timm knows; no memory is taken for its weights.

    Args:
        model: what timm calls it, without a tag.

    Raises:
        NotFound: timm has none of that name.
        Unsupported: it does not end in one dense layer.
    """
    timm = load_timm()
    if "." in model or not timm.is_model(model):
        raise unknown_to_timm(model, timm)
    known = timm.get_pretrained_cfg(model)
    side = known.input_size[1] if known is not None else 224
    network = _on_paper(model, side)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        embedding = network.features(torch.zeros(1, 3, side, side, device="meta"))
        network.head(embedding)
    return NetworkEntry(
        name=f"timm/{model}",
        summary="Measured when it was asked for; not tried by Darkroom.",
        tasks=WHOLE_PICTURES,
        build="darkroom.networks.timm_network:build_timm",
        smallest_input_px=_smallest_px(model, side),
        typical_input=(side, side, 3),
        typical_classes=1000,
        parameters=network.parameter_count,
        flops=counter.get_total_flops(),
        embedding_size=embedding.shape[1],
        licence="see timm",
        source="see timm",
        options=_options(model, side),
        fixed={"model": model},
        library="timm",
        weights=tuple(name for name in timm.list_pretrained(f"{model}.*")),
    )


def _on_paper(model: str, side: int, **options: Any) -> TimmNetwork:
    with torch.device("meta"):
        return build_timm(channels=3, size=(side, side), classes=1000, model=model, **options).eval()


def _smallest_px(model: str, side: int) -> int:
    """Returns the first of a few sides that the network takes."""
    for smaller in (32, 64, 75, 96, 128, 160, 192):
        try:
            with torch.inference_mode():
                _on_paper(model, smaller).features(torch.zeros(1, 3, smaller, smaller, device="meta"))
        except Exception:  # each network fails in its own way where nothing is left to convolve
            continue
        return smaller
    return side


def _options(model: str, side: int) -> dict[str, NetworkOption]:
    """Returns the options that timm takes for this network; it refuses the others with a TypeError."""
    found: dict[str, NetworkOption] = {}
    for name, option in (("dropout", DROPOUT), ("padding", PADDING)):
        try:
            _on_paper(model, side, **{name: option.default})
        except TypeError:
            continue
        found[name] = option
    return found


def unknown_to_timm(model: str, timm: Any, *, prefix: str = "timm/") -> NotFound:
    """Returns the error for a name that timm does not know, with the nearest that it does."""
    names = [name for name in timm.list_models() if name[:1] == model[:1]]
    found = difflib.get_close_matches(model.partition(".")[0], names, n=1, cutoff=0.5)
    return NotFound(
        "network.unknown-to-timm",
        "timm has no network {model!r}.{nearest}",
        do='A tag after a dot names weights: network = "{prefix}NAME", weights = "NAME.TAG".',
        model=model,
        nearest=f' Did you mean "{prefix}{found[0]}"?' if found else "",
        prefix=prefix,
    )
