"""Save and load a network as safetensors, with its card in the file's metadata; no pickle is read.

The metadata hold `card` (the whole model card as JSON), the facts that other tools look for (`mean`,
`std`, `normalisation`, `labels`, `source`, `licence`), and `sha256` over the weights, so that a changed
file is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor

from darkroom import atomic
from darkroom.errors import Damaged, NotFound
from darkroom.networks.network import Network
from darkroom.networks.table import CUSTOM, build
from darkroom.records import ModelCard

__all__ = ["digest", "load", "load_card", "pack", "save", "unpack"]


def save(path: Path, network: Network | Mapping[str, Tensor], card: ModelCard) -> None:
    """Writes weights and card into one file, whole or not at all.

    Args:
        path: the file.
        network: the network, or its weights by name.
        card: its card.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    facts = {
        "format": "pt",
        "card": card.model_dump_json(),
        "normalisation": card.normalisation.kind,
        "mean": json.dumps(card.normalisation.mean),
        "std": json.dumps(card.normalisation.std),
        "labels": json.dumps(card.labels, ensure_ascii=False),
        "source": card.weights.source,
        "licence": card.licence,
    }
    weights = network.state_dict() if isinstance(network, Network) else network
    atomic.write_bytes(path, pack(weights, facts))


def load(path: Path) -> tuple[Network, ModelCard]:
    """Reads a saved network, on the processor and ready to answer, and its card.

    Raises:
        NotFound: there is no such file.
        Damaged: the file is cut, changed, or not one of ours.
    """
    tensors, facts = unpack(path)
    card = _card(path, facts)
    network = build(
        card.network,
        channels=card.contract.channels,
        size=(card.contract.height_px, card.contract.width_px),
        classes=len(card.labels),
        options=card.options,
        code=_code(path, card),
    )
    if card.normalisation.kind == "mean-image":
        network.mean_image = torch.zeros(card.contract.shape)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise _damaged(path, "its weights do not fit the network that its card names") from error
    return network.eval(), card


def _code(path: Path, card: ModelCard) -> Path | None:
    if card.network != CUSTOM.name:
        return None
    from darkroom.networks.custom import code_beside

    return code_beside(path, card.code_sha256)


def load_card(path: Path) -> ModelCard:
    """Reads only the card of a saved network.

    Raises:
        NotFound: there is no such file.
        Damaged: the file is cut, or not one of ours.
    """
    return _card(path, unpack(path)[1])


def pack(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
    """Returns tensors and facts as the bytes of a safetensors file with a checksum."""
    rows = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(rows, {**facts, "sha256": digest(rows)})


def unpack(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads what `pack` made.

    Raises:
        NotFound: there is no such file.
        Damaged: the file is cut or changed.
    """
    if not path.is_file():
        raise NotFound(
            "weights.missing",
            "No weights at {path}.",
            do="See the runs and what they left: darkroom model list; train anew: darkroom run",
            path=path,
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, "it is cut short or not a safetensors file") from error
    if "sha256" in facts and facts["sha256"] != digest(tensors):
        raise _damaged(path, "its weights are not those that were written")
    return tensors, facts


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Returns the sha256 over names, types, shapes and values of tensors in the processor's memory."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
            found.update(content)
    return found.hexdigest()


def _card(path: Path, facts: Mapping[str, str]) -> ModelCard:
    if "card" not in facts:
        raise _damaged(path, "it holds no model card")
    try:
        return ModelCard.model_validate_json(facts["card"])
    except ValidationError as error:
        raise _damaged(path, "its model card cannot be read") from error


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(
        "weights.damaged",
        "Cannot load {path}: {reason}.",
        do="Take another snapshot of the run, or train it again: darkroom model train --again …",
        path=path,
        reason=reason,
    )
