"""The table of networks: what each one is, with its facts, before any of it is loaded.

To add a network: write its file (or name the library's builder) and add an entry here; `tests/networks`
then measures the facts, saves, loads and runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from darkroom.errors import InvalidConfig, NotFound, nearest
from darkroom.records import Task

if TYPE_CHECKING:
    from darkroom.networks.network import Network

__all__ = ["NETWORKS", "NetworkEntry", "NetworkOption", "build", "find"]

OptionValue = float | int | str | bool


@dataclass(frozen=True, kw_only=True)
class NetworkOption:
    """One thing that a network can be built with."""

    default: OptionValue
    """Also says the type."""
    help: str
    """What it does, in a sentence."""
    low: float | None = None
    """Smallest number allowed."""
    high: float | None = None
    """Largest number allowed."""
    choices: tuple[str, ...] = ()
    """Words allowed; empty for numbers."""


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A network and its facts; figures hold at `typical_input` and `typical_classes`."""

    name: str
    """What a recipe calls it."""
    summary: str
    """What it is good for, in a sentence."""
    tasks: tuple[Task, ...]
    """What it can be trained to answer."""
    build: str
    """Import string "module:function" of `(channels, size, classes, **options) -> Network`."""
    smallest_input_px: int
    """Shortest side that it takes."""
    typical_input: tuple[int, int, int]
    """(height, width, channels)."""
    typical_classes: int
    """Classes for which the figures hold."""
    parameters: int
    """Trained numbers."""
    flops: int
    """Floating-point operations for one picture, a multiplication and an addition counted as two."""
    embedding_size: int
    """Length of the vector before the last layer."""
    licence: str
    """Licence of the code and, where there are any, of the weights."""
    source: str
    """Where it was described."""
    options: Mapping[str, NetworkOption] = field(default_factory=dict)
    """What it can be built with."""
    extra: str = "train"
    """Optional dependencies that it needs: `pip install darkroom[…]`."""
    weights: tuple[str, ...] = ()
    """Names of pretrained weights that exist for it."""


NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry
    for entry in (
        NetworkEntry(
            name="lenet5",
            summary="Small pictures of simple shapes (digits, signs, stamps); trains in a minute.",
            tasks=("classification",),
            build="darkroom.networks.lenet:build_lenet5",
            smallest_input_px=12,
            typical_input=(28, 28, 1),
            typical_classes=10,
            parameters=61_706,
            flops=833_040,
            embedding_size=84,
            licence="Apache-2.0",
            source="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document "
            "recognition, 1998, fig. 2",
            options={
                "dropout": NetworkOption(
                    default=0.0,
                    low=0.0,
                    high=0.9,
                    help="Share of values set to zero before each dense layer while training.",
                ),
            },
        ),
    )
}
"""All networks by name."""


def find(name: str) -> NetworkEntry:
    """Returns the entry of a network.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in NETWORKS:
        raise NotFound(
            "network.unknown",
            "No network {name!r}. Known: {known}.{nearest}",
            name=name,
            known=", ".join(sorted(NETWORKS)),
            nearest=nearest(name, NETWORKS),
        )
    return NETWORKS[name]


def build(
    name: str,
    *,
    channels: int,
    size: tuple[int, int],
    classes: int,
    options: Mapping[str, OptionValue] | None = None,
) -> Network:
    """Builds a network with fresh weights, drawn from torch's generator.

    Args:
        name: a name of the table.
        channels: 1 for grey, 3 for RGB.
        size: (height, width) of its input in pixels.
        classes: how many answers it tells apart.
        options: what the entry's `options` name; the rest takes its default.

    Raises:
        NotFound: no network of that name.
        InvalidConfig: the size is too small, or an option is unknown or out of bounds.
    """
    entry = find(name)
    if min(size) < entry.smallest_input_px:
        raise InvalidConfig(
            "network.input-too-small",
            "Network {name} needs at least {least} px on each side. Received: {width}×{height} px.",
            do="Raise width_px and height_px in the contract.",
            name=name,
            least=entry.smallest_input_px,
            width=size[1],
            height=size[0],
        )
    module, function = entry.build.split(":")
    maker = getattr(import_module(module), function)
    return maker(channels=channels, size=size, classes=classes, **_filled(entry, options or {}))


def _filled(entry: NetworkEntry, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    for name, value in given.items():
        if name not in entry.options:
            raise InvalidConfig(
                "network.option-unknown",
                "Network {network} has no option {name!r}. Known: {known}.{nearest}",
                network=entry.name,
                name=name,
                known=", ".join(sorted(entry.options)) or "none",
                nearest=nearest(name, entry.options),
            )
        _check(entry.name, name, entry.options[name], value)
    return {name: given.get(name, option.default) for name, option in entry.options.items()}


def _check(network: str, name: str, option: NetworkOption, value: OptionValue) -> None:
    if option.choices:
        fits = value in option.choices
        expected = " or ".join(option.choices)
    elif isinstance(option.default, bool):
        fits, expected = isinstance(value, bool), "true or false"
    else:
        low = float("-inf") if option.low is None else option.low
        high = float("inf") if option.high is None else option.high
        fits = isinstance(value, int | float) and low <= value <= high
        expected = f"{low:g} to {high:g}"
    if not fits:
        raise InvalidConfig(
            "network.option-bounds",
            "Option {name} of network {network}: expected {expected}. Received: {value!r}.",
            network=network,
            name=name,
            expected=expected,
            value=value,
        )
