"""Notice where two stages name the network differently: one describes it, another one trains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from darkroom.errors import InvalidConfig
from darkroom.operation import swept
from darkroom.records import StageEntry

__all__ = ["disagreements"]

TRAINING = ("model.train", "model.clone")


class _Named(NamedTuple):
    """A network with the weights that it begins with, as a stage names them."""

    network: str
    weights: str

    @property
    def words(self) -> str:
        return f"{self.network} with weights {self.weights}" if self.weights else self.network


def disagreements(entries: Sequence[StageEntry]) -> Iterator[str]:
    """Yields a sentence for each stage that describes a network which no stage trains on its dataset.

    Args:
        entries: the stages of darkroom.toml.
    """
    for entry in entries:
        if entry.operation != "model.describe":
            continue
        trainings = [
            other
            for other in entries
            if other.operation in TRAINING and other.request.get("dataset") == entry.request.get("dataset")
        ]
        described = {_named(values) for values in _requests(entry)}
        trained = {
            _named(values.get("recipe")): other for other in trainings for values in _requests(other)
        }
        if trained and not described & trained.keys():
            named, other = next(iter(trained.items()))
            yield (
                f'Stage "{entry.name}" describes {", ".join(sorted(one.words for one in described))}, but '
                f'"{other.name}" trains {named.words}, so the page of the network shows one that is not '
                "trained. Write the same network and weights in both stages of darkroom.toml."
            )


def _requests(entry: StageEntry) -> list[dict[str, Any]]:
    """Returns the requests of a stage, one per combination of its sweep; none where the sweep is wrong."""
    try:
        return [values for _, values in swept(entry.request, entry.sweep)]
    except InvalidConfig:
        return []


def _named(values: object) -> _Named:
    """Returns the network of a request or of a recipe; what is left out has the recipe's default."""
    given = values if isinstance(values, Mapping) else {}
    network = given["network"] if "network" in given else _default_network()
    return _Named(str(network), str(given.get("weights", "")))


def _default_network() -> str:
    from darkroom.training import Recipe

    return Recipe().network
