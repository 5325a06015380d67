"""Put pretrained weights into a network, and say in words why they do not fit."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from darkroom.errors import Damaged, InvalidConfig, NotFound
from darkroom.networks.encoders import whole_names
from darkroom.networks.libraries import load_timm
from darkroom.networks.mask_network import MaskNetwork
from darkroom.networks.network import BodyNetwork, Network
from darkroom.networks.weights_file import WeightsFacts

__all__ = ["load_into"]

BODY, HEAD, ENCODER = "body.", "head.", "encoder."
COUNTER = "num_batches_tracked"
"""Batches that a normalisation layer has seen; many files leave it out, and nothing depends on it."""


def load_into(network: Network, facts: WeightsFacts) -> None:
    """Fills all of a network but its head; see `darkroom.networks.weights.load_pretrained`."""
    tensors = _read(facts)
    tensors.pop("mean_image", None)  # of a run of ours; belongs to its pictures, not to the network
    if isinstance(network, MaskNetwork):
        _load_encoder(network, tensors, facts)
        return
    library = isinstance(network, BodyNetwork)
    ours = all(name.startswith((BODY, HEAD)) for name in tensors)
    target: nn.Module = network.body if isinstance(network, BodyNetwork) else network
    if isinstance(network, BodyNetwork) and not ours:
        tensors = _as_library_reads(tensors, network)
        head = network.library_head + "."
    else:
        head = HEAD
    tensors = {
        name.removeprefix(BODY) if library and ours else name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(head)
    }
    wanted = {
        name: tensor for name, tensor in target.state_dict().items() if library or not name.startswith(HEAD)
    }
    if isinstance(network, BodyNetwork):
        _see_as_network_does(tensors, wanted, network.first_layers)
    _refuse_misfit(tensors, wanted, facts)
    target.load_state_dict(tensors, strict=False)


def _load_encoder(network: MaskNetwork, tensors: dict[str, Tensor], facts: WeightsFacts) -> None:
    """Fills the layers that look at the picture; of a whole network for masks, all but its last layer."""
    if any(name.startswith(ENCODER) for name in tensors):
        wanted = {name: one for name, one in network.state_dict().items() if not name.startswith(HEAD)}
        tensors = {name: one for name, one in tensors.items() if not name.startswith(HEAD)}
        target: nn.Module = network
    else:
        target = network.timm_layers
        wanted = target.state_dict()
        tensors = {name.removeprefix(BODY): one for name, one in tensors.items()}
        # An encoder goes without the layers behind its last map; what no layer has is refused.
        behind = whole_names(network.model) - wanted.keys()
        gone = {name for name in tensors if name in behind or name.startswith(HEAD)}
        tensors = {name: one for name, one in tensors.items() if name not in gone}
        tensors = {_as_encoder_says(name, wanted): one for name, one in tensors.items()}
        _see_as_network_does(tensors, wanted, _first_layers(wanted))
    _refuse_misfit(tensors, wanted, facts)
    target.load_state_dict(tensors, strict=False)


def _as_encoder_says(name: str, wanted: Mapping[str, Tensor]) -> str:
    """Returns the name of a weight in an encoder, where timm calls stages.0 stages_0."""
    flat = name.replace(".", "_", 1)
    return flat if name not in wanted and flat in wanted else name


def _first_layers(wanted: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Returns the name of the convolution that sees the picture: the first that there is."""
    first = next((name for name, one in wanted.items() if one.ndim == 4), "")
    return (first.removesuffix(".weight"),) if first else ()


def _read(facts: WeightsFacts) -> dict[str, Tensor]:
    try:
        content = facts.path.read_bytes()
    except OSError as error:
        raise NotFound(
            "weights.gone",
            "The weights {path} are gone: {reason}.",
            do="Put the file back. See: darkroom model weights",
            path=facts.path,
            reason=error.strerror or error,
        ) from error
    if hashlib.sha256(content).hexdigest() != facts.sha256:
        raise Damaged(
            "weights.changed",
            "{path} was changed since it was looked up.",
            do="Run the same command again.",
            path=facts.path,
        )
    return safetensors.torch.load(content)


def _as_library_reads(tensors: dict[str, Tensor], network: BodyNetwork) -> dict[str, Tensor]:
    """Returns weights as the network's file in timm would: position tables resized, old names renewed."""
    module = sys.modules.get(type(network.body).__module__)
    translate = getattr(module, "checkpoint_filter_fn", None)
    return tensors if translate is None else translate(tensors, network.body)


def _see_as_network_does(
    tensors: dict[str, Tensor], wanted: Mapping[str, Tensor], first_layers: tuple[str, ...]
) -> None:
    """Fits weights for RGB to grey pictures and the other way round.

    Source: timm, models/_manipulate.py, adapt_input_conv: grey takes the sum over the colours.
    """
    for name in (f"{layer}.weight" for layer in first_layers):
        given, expected = tensors.get(name), wanted.get(name)
        if given is None or expected is None or given.ndim != 4 or given.shape[1] == expected.shape[1]:
            continue
        if {given.shape[1], expected.shape[1]} == {1, 3}:
            tensors[name] = _other_channels(given, expected.shape[1])


def _other_channels(weight: Tensor, channels: int) -> Tensor:
    if weight.shape[1] == 1:
        return weight.expand(-1, channels, -1, -1) / channels
    load_timm()
    from timm.models import adapt_input_conv

    adapted: Any = adapt_input_conv(channels, weight)
    return adapted


def _refuse_misfit(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], facts: WeightsFacts
) -> None:
    """Refuses weights of another network, or of another width, and says what differs."""
    absent = [name for name in wanted if name not in tensors and not name.endswith(COUNTER)]
    strange = [name for name in tensors if name not in wanted]
    shapes = [
        f"{name} is {_spoken(tensors[name])} and should be {_spoken(wanted[name])}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    differences = [
        *([f"{len(absent)} are absent, {_some(absent)}"] if absent else []),
        *([f"{len(strange)} belong to no layer, {_some(strange)}"] if strange else []),
        *([f"{len(shapes)} have another shape, {_some(shapes)}"] if shapes else []),
    ]
    if differences:
        raise InvalidConfig(
            "weights.misfit",
            "The weights {name} do not fit network {network}. Of {count} arrays, {differences}.",
            do="Name the network that they belong to, in the recipe and in the facts of the weights.",
            name=facts.name,
            network=facts.network,
            count=len(wanted),
            differences="; ".join(differences),
        )
    broken = next((name for name, tensor in tensors.items() if _is_broken(tensor)), None)
    if broken is not None:
        raise Damaged(
            "weights.not-finite",
            "The weights {name} hold numbers that are not finite, in {array}.",
            do="Fetch the file again.",
            name=facts.name,
            array=broken,
        )


def _is_broken(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:2])}{' …' if len(names) > 2 else ''}"


def _spoken(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
