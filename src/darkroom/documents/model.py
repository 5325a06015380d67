"""The page of a model: what the network is made of, and what happens to a picture before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from darkroom.documents.facts import Layer
from darkroom.documents.page import html
from darkroom.networks import NetworkEntry
from darkroom.records import Contract, ModelCard

__all__ = ["model_page"]


def model_page(
    *,
    project: str,
    network: NetworkEntry,
    contract: Contract,
    labels: Sequence[str],
    parameters: int,
    layers: Sequence[Layer] = (),
    options: Mapping[str, object] | None = None,
    card: ModelCard | None = None,
) -> bytes:
    """Returns the page of a network, ready to train or trained.

    Args:
        project: name of the project.
        network: its entry in the table.
        contract: what its pictures go through.
        labels: names of the classes.
        parameters: trained numbers of the network as it was built.
        layers: its layers, from the picture to the answer.
        options: what it was built with.
        card: of a trained model.
    """
    return html(
        "model",
        project=project,
        network=network,
        contract=contract,
        labels=labels,
        parameters=parameters,
        layers=layers,
        largest=max([1, *(layer.parameters for layer in layers)]),
        options=options or (card.options if card else {}),
        card=card,
        normalisation=card.normalisation if card else None,
    )
