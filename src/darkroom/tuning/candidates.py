"""Networks of the table that can hold the limits of the brief, told apart before any of them is trained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from darkroom.networks import NETWORKS, NetworkEntry, find
from darkroom.records import Limits, Task

__all__ = ["Candidates", "Frame", "estimated_bytes", "estimated_flops", "family_of", "filter_networks"]

BYTES_OF_A_WEIGHT = 4
"""float32, as exported files hold it."""

SLACK = 1.05
"""A network is left out only where its estimate is this much beyond a limit; the trial itself is exact."""

WIDTH = re.compile(r"^(?P<family>.+)_(?P<width>\d{3})$")
"""MobileNets end with a hundred times their width: mobilenetv2_035."""


class Frame(NamedTuple):
    """What every candidate has to fit into."""

    task: Task
    classes: int
    sides: tuple[tuple[int, int], ...]
    """(height, width) of the inputs that the search may take, the smallest first."""
    limits: Limits
    most_flops: int | None


class Candidates(NamedTuple):
    """Networks that stay, with the weights they begin with, and why others do not."""

    weights: dict[str, str]
    """Network → name of pretrained weights; empty for fresh ones."""
    filtered: dict[str, str]
    """Network → the reason."""


def filter_networks(
    names: Iterable[str], frame: Frame, weights: Mapping[str, str] | None = None
) -> Candidates:
    """Returns the networks that fit the task, the input and the limits, and why the others do not.

    Args:
        names: networks of the table, or "timm/NAME".
        frame: what they have to fit into.
        weights: pretrained weights at hand by network, where trials begin with some; None: fresh ones.

    Raises:
        NotFound: a name is not in the table.
    """
    found, filtered = dict[str, str](), dict[str, str]()
    for name in dict.fromkeys(names):
        why = _misfit(find(name), frame)
        if not why and weights is not None and name not in weights:
            why = "no pretrained weights of it are on this machine, and trials begin with some"
        if why:
            filtered[name] = why
        else:
            found[name] = weights[name] if weights is not None else ""
    return Candidates(found, filtered)


def estimated_bytes(entry: NetworkEntry, classes: int) -> int:
    """Returns about how large a float32 file of a network is, its last layer cut to so many classes."""
    spare = (entry.typical_classes - classes) * (entry.embedding_size + 1)
    return BYTES_OF_A_WEIGHT * max(0, entry.parameters - spare)


def estimated_flops(entry: NetworkEntry, side: tuple[int, int]) -> int:
    """Returns about how many operations a picture of (height, width) px takes, by its pixels."""
    height, width, _ = entry.typical_input
    return int(entry.flops * (side[0] * side[1]) / (height * width))


def family_of(network: str) -> dict[float, str]:
    """Returns the networks that differ from one by their width alone, by width; empty where it has none."""
    mine = WIDTH.match(network)
    if mine is None:
        return {}
    found = {name: WIDTH.match(name) for name in NETWORKS}
    alike = {
        int(match["width"]) / 100: name
        for name, match in found.items()
        if match is not None and match["family"] == mine["family"]
    }
    return dict(sorted(alike.items())) if len(alike) > 1 else {}


def _misfit(entry: NetworkEntry, frame: Frame) -> str:
    """Returns why a network cannot be a trial; empty where it can."""
    if frame.task not in entry.tasks:
        return f"it is for {', '.join(entry.tasks)}, and the dataset is for {frame.task}"
    smallest = min(min(side) for side in frame.sides)
    if smallest < entry.smallest_input_px:
        return f"it needs {entry.smallest_input_px} px on each side, and inputs go down to {smallest} px"
    if not entry.parameters:
        return ""  # the user's own: nobody knows before it is built
    size, limits = estimated_bytes(entry, frame.classes), frame.limits
    if limits.model_bytes is not None and size > SLACK * limits.model_bytes:
        return f"about {size:,} bytes; model_bytes allows {limits.model_bytes:,}"
    if limits.memory_bytes is not None and size > SLACK * limits.memory_bytes:
        return f"its weights alone take about {size:,} bytes; memory_bytes allows {limits.memory_bytes:,}"
    flops = min(estimated_flops(entry, side) for side in frame.sides)
    if frame.most_flops is not None and flops > SLACK * frame.most_flops:
        return f"about {flops:,} operations a picture; most_flops allows {frame.most_flops:,}"
    return ""
