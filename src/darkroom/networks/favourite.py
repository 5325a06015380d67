"""Which of the weights at hand to begin with when nobody names any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from darkroom.networks.table import NETWORKS
from darkroom.networks.weights import list_weights
from darkroom.networks.weights_file import WeightsFacts

__all__ = ["FAVOURITE", "best_weights"]

FAVOURITE = "mobilenetv2_100"
"""Taken first when its weights are there: small enough for every phone, and 224 px photos take some
hundredths of a second."""


def best_weights(
    places: Sequence[Path], network: str | None = None
) -> tuple[WeightsFacts | None, tuple[str, ...]]:
    """Returns the weights to begin with, and the names of others; None where there are none.

    MobileNetV2 1.0 when it is there; else the network with most operations among those that cost no more
    than it; else the one with fewest.

    Args:
        places: where they are looked for; see `weights_places`.
        network: only weights of this one; else those of colour networks of the table.
    """
    found = [facts for facts in list_weights(places) if network in (None, facts.network)]
    if network is None:
        found = [
            facts for facts in found if facts.network in NETWORKS and len(facts.normalisation.mean) == 3
        ]
    affordable = NETWORKS[FAVOURITE].flops

    def rank(facts: WeightsFacts) -> tuple[bool, int]:
        flops = NETWORKS[facts.network].flops if facts.network in NETWORKS else 0
        return (flops > affordable, flops if flops > affordable else -flops)

    best = min(found, key=rank, default=None)
    return best, tuple(facts.name for facts in found if facts is not best)
