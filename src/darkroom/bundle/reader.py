"""Read a bundle, once every file in it has shown that it is what was written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from darkroom.bundle.contract_json import contract_of
from darkroom.bundle.golden import GoldenVectors
from darkroom.bundle.manifest import (
    CARD,
    CONTRACT,
    GOLDEN,
    damaged,
    file_problem,
    read_manifest,
    refuse_newer,
)
from darkroom.errors import Invalid, NotFound
from darkroom.records import BundleFile, BundleManifest, BundleModel, Contract, ModelCard

__all__ = ["Bundle", "read_bundle"]

CARD_VERSION = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files were checked."""

    folder: Path
    manifest: BundleManifest
    card: ModelCard
    contract: Contract

    @property
    def golden(self) -> GoldenVectors:
        """The golden vectors, read from the disk at each look."""
        return GoldenVectors.read(self.folder / GOLDEN)

    @property
    def models(self) -> tuple[BundleModel, ...]:
        """The models, each a file or a folder."""
        return self.manifest.models

    def of_role(self, role: str) -> tuple[BundleFile, ...]:
        """Returns the files that play a role: "domain", "report", …; none where the bundle has none."""
        return tuple(file for file in self.manifest.files if file.role == role)

    def model_path(self, target: str = "", precision: str = "") -> Path:
        """Returns the first model of a target and a precision, a file or a folder; empty means any.

        Raises:
            NotFound: the bundle holds no such model.
        """
        for model in self.models:
            if target in ("", model.target) and precision in ("", model.precision):
                return self.folder / model.path
        raise NotFound(
            "bundle.no-model",
            "The bundle {folder} holds no {target} {precision} model. It holds: {known}.",
            do="Convert one: darkroom export convert --run RUN",
            folder=self.folder,
            target=target or "matching",
            precision=precision,
            known=", ".join(f"{model.target} {model.precision}" for model in self.models) or "none",
        )


def read_bundle(folder: Path) -> Bundle:
    """Reads a bundle and checks every file against its hash.

    Raises:
        NotFound: the folder holds no bundle.
        Damaged: a file is not what was written; the message names it.
        Unsupported: a newer Darkroom wrote it.
        Invalid: its labels and the answers in its golden vectors do not fit together.
    """
    manifest = read_manifest(folder)
    for file in manifest.files:
        problem = file_problem(folder, file)
        if problem:
            raise damaged(file.path, folder, problem)
    card, contract = _card(folder), _contract(folder)
    if card.contract != contract:
        raise damaged(CONTRACT, folder, "it is not the card's contract")
    bundle = Bundle(folder, manifest, card, contract)
    _check_labels(bundle)
    return bundle


def _card(folder: Path) -> ModelCard:
    try:
        raw = json.loads((folder / CARD).read_text(encoding="utf-8"))
        refuse_newer(CARD, raw.get("schema_version"), CARD_VERSION)
        return ModelCard.model_validate(raw)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(CARD, folder, str(error)) from error


def _contract(folder: Path) -> Contract:
    try:
        return contract_of(json.loads((folder / CONTRACT).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(CONTRACT, folder, str(error)) from error


def _check_labels(bundle: Bundle) -> None:
    _check_masks(bundle)
    given = {vector.outputs for vector in bundle.golden.vectors if vector.outputs is not None}
    if given - {len(bundle.card.labels)}:
        raise Invalid(
            "bundle.golden-labels",
            "Golden vectors of {folder} answer with {outputs} probabilities; the card has {labels} labels.",
            do="Make the bundle again: darkroom export convert --run RUN",
            folder=bundle.folder,
            outputs=max(given),
            labels=len(bundle.card.labels),
        )


def _check_masks(bundle: Bundle) -> None:
    """Refuses golden masks in a bundle for another task, and classes in them that have no label."""
    masks = bundle.card.task == "segmentation"
    for vector in bundle.golden.vectors:
        if vector.outputs is None:
            continue
        if (vector.mask is not None) != masks:
            raise damaged(f"{GOLDEN}/{vector.name}", bundle.folder, "its answer is of another task")
        if vector.mask is not None and int(vector.mask.mask.max()) >= len(bundle.card.labels):
            raise damaged(
                f"{GOLDEN}/{vector.name}.mask",
                bundle.folder,
                f"it holds class {int(vector.mask.mask.max())}, and the card has {len(bundle.card.labels)} "
                "labels",
            )
