"""The table of networks: what each one is, with its facts, before any of it is loaded.

To add a network: write its file (or name the library's builder) and add an entry in one of the lists of
entries; `tests/networks` then measures the facts, saves, loads and runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import InvalidConfig, NotFound, among
from darkroom.networks.entry import WHOLE_PICTURES, NetworkEntry, NetworkOption, OptionValue, filled
from darkroom.networks.mask_entries import BUILDERS, MASK_ENTRIES
from darkroom.networks.timm_entries import DROPOUT, TIMM_ENTRIES
from darkroom.networks.torchvision_entries import TORCHVISION_ENTRIES

if TYPE_CHECKING:
    from darkroom.networks.network import Network

__all__ = [
    "CODE_FILE",
    "CUSTOM",
    "NETWORKS",
    "TIMM",
    "NetworkEntry",
    "NetworkOption",
    "build",
    "check_input",
    "find",
    "layers_of",
    "library_of",
]

LENET5 = NetworkEntry(
    name="lenet5",
    summary="Small pictures of simple shapes (digits, signs, stamps); trains in a minute.",
    tasks=WHOLE_PICTURES,
    build="darkroom.networks.lenet:build_lenet5",
    smallest_input_px=12,
    typical_input=(28, 28, 1),
    typical_classes=10,
    parameters=61_706,
    flops=833_040,
    embedding_size=84,
    licence="Apache-2.0",
    source="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998, "
    "fig. 2",
    options={
        "dropout": NetworkOption(
            default=0.0,
            low=0.0,
            high=0.9,
            help="Share of values set to zero before each dense layer while training.",
        ),
    },
)

NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry for entry in (LENET5, *TIMM_ENTRIES, *TORCHVISION_ENTRIES, *MASK_ENTRIES)
}
"""All networks by name."""

CUSTOM = NetworkEntry(
    name="custom",
    summary="A network of the user's own, from a Python file.",
    tasks=WHOLE_PICTURES,
    build="darkroom.networks.custom:build_custom",
    smallest_input_px=1,
    typical_input=(224, 224, 3),
    typical_classes=1000,
    parameters=0,
    flops=0,
    embedding_size=0,
    licence="",
    source="the user",
    options={"dropout": DROPOUT},
)
"""Stands for what the file named by the recipe defines; its figures are those of no network."""

CODE_FILE = "network.py"
"""What the user's file is called in a run's folder."""

TIMM = "timm/"
"""Before the name of any other network of timm."""


def find(name: str) -> NetworkEntry:
    """Returns the entry of a network; what does not stand in the table but is timm's is measured.

    Raises:
        NotFound: there is none of that name.
        Unsupported: timm's network of that name is not one that Darkroom can train.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if name == CUSTOM.name:
        return CUSTOM
    if name.startswith(TIMM):
        from darkroom.networks.timm_measured import measure

        return measure(name.removeprefix(TIMM))
    kind, _, encoder = name.partition("/")
    if kind in BUILDERS and encoder:
        from darkroom.networks.mask_measured import measure as measure_for_masks

        return measure_for_masks(kind, encoder)
    raise NotFound(
        "network.unknown",
        'No network "{name}". Known: {known}, and timm/NAME for any other of timm.{nearest}',
        do="See: darkroom model networks",
        **among(name, sorted(NETWORKS)),
    )


def layers_of(name: str) -> str:
    """Returns what timm calls the layers that look at the picture: weights are called by it."""
    return name.rpartition("/")[2]


def library_of(name: str) -> tuple[str, ...]:
    """Returns the package whose code a network is, without loading it; none for our own or the user's."""
    if name.startswith(TIMM):
        return ("timm",)
    library = NETWORKS[name].library if name in NETWORKS else ""
    return (library,) if library else ()


def check_input(entry: NetworkEntry, size: tuple[int, int]) -> None:
    """Makes sure that a network takes pictures of a size.

    Args:
        entry: the network.
        size: (height, width) in pixels.

    Raises:
        InvalidConfig: they are too small.
    """
    if min(size) < entry.smallest_input_px:
        raise InvalidConfig(
            "network.input-too-small",
            "Network {name} needs at least {least} px on each side. Received: {width}×{height} px.",
            do="Raise width_px and height_px in the contract.",
            name=entry.name,
            least=entry.smallest_input_px,
            width=size[1],
            height=size[0],
        )


def build(
    name: str,
    *,
    channels: int,
    size: tuple[int, int],
    classes: int,
    options: Mapping[str, OptionValue] | None = None,
    code: Path | None = None,
) -> Network:
    """Builds a network with fresh weights, drawn from torch's generator.

    Args:
        name: a name of the table.
        channels: 1 for grey, 3 for RGB.
        size: (height, width) of its input in pixels.
        classes: how many answers it tells apart.
        options: what the entry's `options` name; the rest takes its default.
        code: the user's file, for the network "custom".

    Raises:
        NotFound: no network of that name.
        InvalidConfig: the size is too small, or an option is unknown or out of bounds.
    """
    entry = find(name)
    check_input(entry, size)
    module, function = entry.build.split(":")
    maker = getattr(import_module(module), function)
    if entry is CUSTOM:
        given = {name: value for name, value in (options or {}).items() if value}
        return maker(code=code, channels=channels, size=size, classes=classes, options=given)
    return maker(
        channels=channels, size=size, classes=classes, **entry.fixed, **filled(entry, options or {})
    )
