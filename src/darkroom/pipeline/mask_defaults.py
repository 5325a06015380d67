"""What `init` picks for a folder of pictures with masks: size, network, weights, recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from darkroom.errors import InvalidConfig
from darkroom.records import Contract, Image

if TYPE_CHECKING:
    from darkroom.networks.weights import WeightsFacts

__all__ = ["MASK_AUGMENT", "MASK_RECIPE", "choose_for_masks", "mask_contract"]

STEP_PX = 32
"""Sides are whole multiples: what an encoder halves five times stays whole."""

SIDE_PX = 224
"""The tensor has about as many pixels as a square of this side."""

SAME_SHAPE = 1.05
"""Up to this ratio between a picture's proportions and the tensor's, pictures are squashed; else padded."""

FAVOURITES = ("lraspp/mobilenetv2_035", "lraspp/mobilenetv2_100", "lraspp/resnet18")
"""Networks in the order in which they are taken when their weights are at hand: the quickest first."""

MASK_AUGMENT: dict[str, Any] = {
    "rotate_deg": 5.0,
    "zoom": 0.25,
    "shift": 0.1,
    "flip": "horizontal",
    "brightness": 0.15,
    "contrast": 0.2,
    "saturation": 0.3,
}

MASK_RECIPE: dict[str, Any] = {
    "epochs": 30,
    "batch_size": 16,
    "learning_rate": 0.003,
    "loss": {"dice_weight": 1.0},
    "augment": MASK_AUGMENT,
}
"""Measured on people and street scenes; see benchmarks/segmentation.py."""


def choose_for_masks(
    seen: Sequence[Image], places: Sequence[Path], *, network: str | None, weights: str | None
) -> tuple[Contract, dict[str, Any], tuple[str, ...]]:
    """Picks contract and recipe for masks, and says why in sentences.

    LR-ASPP with the smallest encoder whose weights are at hand, all layers trained, the picture's
    proportions kept.

    Args:
        seen: facts of some pictures.
        places: where pretrained weights are looked for.
        network: what a person asked for.
        weights: what a person asked for.

    Raises:
        NotFound: there is no such network, or there are no such weights.
        InvalidConfig: the network is not for masks, or the weights are for another.
    """
    name, facts = _network_and_weights(places, network, weights)
    contract = mask_contract(seen, grey=facts is not None and len(facts.normalisation.mean) == 1)
    size = f"{contract.width_px}×{contract.height_px} px"
    more = (
        ""
        if contract.resize == "squash"
        else "; what other proportions leave free is padded and not learnt"
    )
    if facts is not None:
        return (
            contract,
            {"network": name, "weights": facts.name, **MASK_RECIPE},
            (
                f"Masks: {name}, whose encoder begins with the pretrained weights {facts.name}, "
                f"at {size}{more}.",
            ),
        )
    return (
        contract,
        {"network": name, **MASK_RECIPE, "epochs": 3 * MASK_RECIPE["epochs"]},
        (
            f"Masks: {name}, trained from scratch at {size}{more}: no pretrained weights for it are at "
            "hand.",
            "With weights for its encoder, masks are far better after far fewer epochs: put "
            "NAME.safetensors and NAME.toml into weights/, or name their folder in DARKROOM_WEIGHTS. See: "
            "darkroom model weights",
        ),
    )


def _network_and_weights(
    places: Sequence[Path], network: str | None, weights: str | None
) -> tuple[str, WeightsFacts | None]:
    """Returns the network for masks, and the weights that its encoder begins with."""
    from darkroom.networks import find
    from darkroom.networks.table import layers_of
    from darkroom.networks.weights import find_weights

    facts = find_weights(weights, places) if weights else None
    if facts is not None and network is not None and layers_of(network) != layers_of(facts.network):
        raise InvalidConfig(
            "init.other-network",
            "The weights {weights} are for network {theirs}. Received: network {network}.",
            do="Leave one of the two out.",
            weights=facts.name,
            theirs=facts.network,
            network=network,
        )
    if facts is None:
        facts = _best_weights(places, network)
    name = network or (f"lraspp/{layers_of(facts.network)}" if facts else FAVOURITES[0])
    if "segmentation" not in find(name).tasks:
        raise InvalidConfig(
            "init.no-mask-network",
            "The folder holds masks, and network {network} answers for whole pictures.",
            do="Take one for masks, for example: --network lraspp/{network}",
            network=name,
        )
    return name, facts


def mask_contract(seen: Sequence[Image], *, grey: bool = False) -> Contract:
    """Returns a contract that keeps the proportions of most pictures.

    Args:
        seen: facts of some pictures.
        grey: whether the weights are for grey pictures.
    """
    ratios = [_upright_ratio(image) for image in seen]
    ratio = median(ratios)
    width_px = _whole(SIDE_PX * math.sqrt(ratio))
    height_px = _whole(width_px / ratio)
    of_tensor = width_px / height_px
    same = all(max(one / of_tensor, of_tensor / one) <= SAME_SHAPE for one in ratios)
    grey = grey or all(image.mode in ("1", "L", "LA", "I;16") for image in seen)
    return Contract(
        width_px=width_px,
        height_px=height_px,
        colour="grey" if grey else "rgb",
        resize="squash" if same else "fill",
    )


def _upright_ratio(image: Image) -> float:
    width_px, height_px = image.width_px, image.height_px
    return height_px / width_px if image.camera.orientation >= 5 else width_px / height_px


def _whole(side_px: float) -> int:
    return max(2, round(side_px / STEP_PX)) * STEP_PX


def _best_weights(places: Sequence[Path], network: str | None) -> WeightsFacts | None:
    from darkroom.networks.table import layers_of
    from darkroom.networks.weights import list_weights

    wanted = [layers_of(name) for name in ((network,) if network else FAVOURITES)]
    found = [facts for facts in list_weights(places) if layers_of(facts.network) in wanted]
    return min(found, key=lambda facts: wanted.index(layers_of(facts.network)), default=None)
