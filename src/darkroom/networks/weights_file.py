"""One file of pretrained weights and its facts, read without torch: from itself or a TOML beside it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
from pydantic import Field, ValidationError, model_validator

from darkroom.errors import Damaged, InvalidConfig
from darkroom.networks.table import NETWORKS, TIMM, find
from darkroom.records import Config, Fact, ModelCard, Normalisation, content_id
from darkroom.records.refusal import validated

__all__ = ["HUB_FILE", "SUFFIX", "WeightsFacts", "WeightsNotes", "digest_of", "read_facts"]

SUFFIX = ".safetensors"
HUB_FILE = "model.safetensors"
"""What a folder from the hub calls its weights; its facts stand beside it in config.json."""

PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class WeightsNotes(Config):
    """What a TOML beside a file of weights may say; the file's own metadata may say the same."""

    network: str
    """Name in the table of networks, or "timm/NAME"."""
    mean: PerChannel
    """What was taken from each channel in the training, 0..1: RGB, or one number for grey."""
    std: PerChannel
    """What each channel was then divided by, 0..1."""
    input_px: Annotated[int, Field(ge=1, le=10_000)]
    """Side of the pictures of the training."""
    padding: Literal["default", "same"] = "default"
    """same: the weights come from TensorFlow."""
    licence: str = ""
    """Licence of the weights."""
    source: str = ""
    """Who made them, from which pictures."""
    classes: Annotated[int, Field(ge=0)] = 0
    """How many classes its last layer tells apart; 0 when it has none, or nobody knows."""
    labels: tuple[str, ...] = ()
    """Names of those classes."""
    sha256: str = ""
    """Of the file, if it should be held against it."""

    @model_validator(mode="after")
    def _channels_agree(self) -> WeightsNotes:
        if len(self.mean) != len(self.std) or len(self.mean) == 2:
            raise ValueError("mean and std each need one number for grey or three for RGB")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0, as it divides")
        return self


class WeightsFacts(Fact):
    """A file of pretrained weights."""

    name: str
    """What a recipe calls it."""
    network: str
    """Network that it fits."""
    path: Path
    """Where the file is."""
    sha256: str
    """Of the whole file."""
    normalisation: Normalisation
    """How its pictures were normalised."""
    input_px: int
    """Side of the pictures of its training."""
    padding: str = "default"
    """What the network's option `padding` must be."""
    licence: str = ""
    source: str = ""
    """Who made them, from which pictures."""
    classes: int = 0
    """How many classes its last layer tells apart; 0 when it has none, or nobody knows."""
    labels: tuple[str, ...] = ()
    embedding_size: int = 0
    """Length of the vector before the last layer; 0 where it has to be measured."""

    @property
    def content(self) -> str:
        """What of it decides a result: the file's bytes, and the facts with which they are used."""
        normalisation = {"mean": self.normalisation.mean, "std": self.normalisation.std}
        return content_id({"sha256": self.sha256, "padding": self.padding, **normalisation})

    @property
    def options(self) -> dict[str, str]:
        """What the network must be built with, so that the weights mean the same."""
        return {"padding": self.padding} if self.padding != "default" else {}

    def normalisation_for(self, channels: int) -> Normalisation:
        """Returns the normalisation for grey or RGB pictures; one number is the mean of three."""
        mean, std = self.normalisation.mean, self.normalisation.std
        if len(mean) == channels:
            return self.normalisation
        if channels == 1:
            mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
        else:
            mean, std = mean * channels, std * channels
        return self.normalisation.model_copy(update={"mean": mean, "std": std})


def read_facts(path: Path, name: str, notes: Path | None = None) -> WeightsFacts:
    """Reads the facts of one file.

    Args:
        path: the file.
        name: what it is called.
        notes: a TOML that says its facts; None when there is none.

    Raises:
        Damaged: the file is cut, or not a safetensors file, or not the one that the TOML means.
        InvalidConfig: facts are missing, unknown, or not what was expected.
        NotFound: the facts name a network that nobody knows.
    """
    said = _said_by_file(path)
    if notes is not None:
        said |= _said_by_toml(notes)
    if not said:
        raise InvalidConfig(
            "weights.no-facts",
            "Nothing says what {path} holds: for which network, with which normalisation.",
            do="Write {toml} beside it, with network, mean, std and input_px. See: "
            "docs/guide/networks-and-weights.md",
            path=path,
            toml=f"{name}.toml",
        )
    facts = validated(
        WeightsNotes,
        said,
        where=str(notes or path),
        explained="docs/guide/networks-and-weights.md",
    )
    if not facts.network.startswith(TIMM):
        find(facts.network)
    digest = digest_of(path)
    if facts.sha256 and facts.sha256 != digest:
        raise Damaged(
            "weights.not-that-file",
            "{path} is not the file that {notes} means: sha256 {found}, expected {expected}.",
            do="Fetch the file again, or take sha256 out of the TOML if the file is right.",
            path=path,
            notes=notes or "its metadata",
            found=digest,
            expected=facts.sha256,
        )
    return WeightsFacts(
        **facts.model_dump(exclude={"mean", "std", "sha256"}),
        name=name,
        path=path,
        sha256=digest,
        normalisation=Normalisation(mean=facts.mean, std=facts.std, source=f"weights {name}"),
        embedding_size=NETWORKS[facts.network].embedding_size if facts.network in NETWORKS else 0,
    )


def _said_by_file(path: Path) -> dict[str, Any]:
    """Returns the facts in a file's metadata, or those that the hub put beside it."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise Damaged(
            "weights.unreadable",
            "Cannot read {path}: it is cut short, or not a safetensors file.",
            do="Fetch it again.",
            path=path,
        ) from error
    if "card" in metadata:
        return _said_by_card(metadata["card"], path)
    if "network" in metadata:
        return {name: _plain(metadata[name]) for name in WeightsNotes.model_fields if name in metadata}
    config = path.with_name("config.json")
    return _said_by_hub(config) if path.name == HUB_FILE and config.is_file() else {}


def _plain(text: str) -> Any:
    """Returns what a text in the metadata stands for: a list or number as JSON, else the text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(found, dict) else found


def _said_by_card(text: str, path: Path) -> dict[str, Any]:
    """Returns the facts of weights that Darkroom trained."""
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise Damaged(
            "weights.card-unreadable",
            "The model card in {path} cannot be read.",
            do="Take the file as training wrote it, from the run or the bundle that it came from.",
            path=path,
        ) from error
    return {
        "network": card.network,
        "mean": card.normalisation.mean,
        "std": card.normalisation.std,
        "input_px": min(card.contract.width_px, card.contract.height_px),
        "padding": card.options.get("padding", "default"),
        "licence": card.licence,
        "source": f"run {card.run} on {card.dataset}",
        "classes": len(card.labels),
        "labels": card.labels,
    }


def _said_by_hub(config: Path) -> dict[str, Any]:
    """Returns the facts in the config.json that timm writes for the hub."""
    try:
        whole = json.loads(config.read_text("utf-8"))
        facts = whole.get("pretrained_cfg", whole)
        network = whole["architecture"]
        return {
            "network": network if network in NETWORKS else TIMM + network,
            "mean": facts["mean"],
            "std": facts["std"],
            "input_px": facts["input_size"][-1],
            "licence": facts.get("license") or "",
            "source": facts.get("origin_url") or facts.get("hf_hub_id") or "the hub",
            "classes": whole.get("num_classes", facts.get("num_classes", 0)),
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidConfig(
            "weights.hub-facts",
            "Cannot read the facts in {config}: {reason}.",
            do="Fetch the folder again, or write a TOML with the facts. See: "
            "docs/guide/networks-and-weights.md",
            config=config,
            reason=f"{type(error).__name__} {error}",
        ) from error


def _said_by_toml(notes: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(notes.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidConfig(
            "weights.notes-unreadable",
            "{notes} is not TOML: {reason}.",
            do="Mend that line. What belongs into the file: docs/guide/networks-and-weights.md",
            notes=notes,
            reason=str(error).rstrip("."),
        ) from error
    return said


def digest_of(path: Path) -> str:
    """Returns the sha256 of a file, in hex; read again only when size or time of change are others."""
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest(path: Path, size_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
