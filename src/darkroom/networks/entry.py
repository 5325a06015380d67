"""What the table says about a network, and what one can be built with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from darkroom.errors import InvalidConfig, among
from darkroom.records import Task

__all__ = ["WHOLE_PICTURES", "NetworkEntry", "NetworkOption", "OptionValue", "filled"]

OptionValue = float | int | str | bool

WHOLE_PICTURES: tuple[Task, ...] = ("classification", "multi-label")
"""What a network can answer that gives one number per class for the whole picture."""


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
    """Import string "module:function" of `(channels, size, classes, **fixed, **options) -> Network`."""
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
    """Licence of the code; pretrained weights have their own."""
    source: str
    """Where it was described."""
    options: Mapping[str, NetworkOption] = field(default_factory=dict)
    """What it can be built with."""
    fixed: Mapping[str, OptionValue] = field(default_factory=dict)
    """What its builder is told beside the options, always the same."""
    library: str = ""
    """Package whose code it is, so that another version of it may answer otherwise; empty for our own."""
    extra: str = "train"
    """Optional dependencies that it needs: `pip install darkroom[…]`."""
    smallest_batch: int = 1
    """Fewest pictures that go through it together while training."""
    weights: tuple[str, ...] = ()
    """Tags of published pretrained weights that a company may use: "mobilenetv2_100.ra_in1k"."""


def filled(entry: NetworkEntry, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Returns all options of a network: those given, the rest with their defaults.

    Raises:
        InvalidConfig: an option is unknown or out of bounds.
    """
    for name, value in given.items():
        if name not in entry.options:
            raise InvalidConfig(
                "network.option-unknown",
                'Network {network} has no option "{name}". Known: {known}.{nearest}',
                do="See the networks: darkroom model networks",
                network=entry.name,
                **among(name, entry.options),
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
            do="See what the network takes: darkroom model describe --help",
            network=network,
            name=name,
            expected=expected,
            value=value,
        )
