"""Write a bundle: whole or not at all, with a hash for every file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from darkroom.atomic import write_folder
from darkroom.bundle.attached import SCRIPT, attached
from darkroom.bundle.contract_json import contract_document
from darkroom.bundle.golden import GoldenVectors
from darkroom.bundle.manifest import (
    CARD,
    CONTRACT,
    GOLDEN,
    MANIFEST,
    MODELS,
    README,
    file_hash,
    manifest_id,
    read_manifest,
)
from darkroom.bundle.model_file import ExtraFile, ModelFile, copy_model, parts_of, size_of
from darkroom.bundle.readme import readme
from darkroom.bundle.snippets import FOLDER as SNIPPETS
from darkroom.errors import Invalid, NotFound
from darkroom.records import BundleFile, BundleManifest, ModelCard, now

__all__ = ["replace_files", "write_bundle"]


def write_bundle(
    folder: Path,
    *,
    name: str,
    card: ModelCard,
    models: Sequence[ModelFile],
    golden: GoldenVectors,
    extra: Sequence[ExtraFile] = (),
) -> BundleManifest:
    """Writes a bundle; it takes the place of one that lies there.

    Args:
        folder: where it goes.
        name: what the project is called.
        card: facts of the model; its contract becomes `contract.json`.
        models: converted files, copied into `models/`.
        golden: golden vectors under the card's contract.
        extra: further files.

    Raises:
        Invalid: labels, outputs, golden vectors or file names do not fit together.
        NotFound: a model file is not there.
        StorageFailed: the disk refuses; what lay there before is untouched.
    """
    _check(card, models, golden, extra)
    with write_folder(folder) as aside:
        about = _fill(aside, name, card, models, golden, extra)
        files = _listed(aside, about)
        head = BundleManifest(
            id="",
            name=name,
            run=card.run,
            dataset=card.dataset,
            task=card.task,
            created_at=now(),
            files=files,
        ).model_dump(mode="json")
        content = head | {"id": manifest_id(head)}
        _write_json(aside / MANIFEST, content)
    return BundleManifest.model_validate(content)


def replace_files(folder: Path, files: Mapping[str, bytes]) -> BundleManifest:
    """Gives some files of a bundle another content, or takes them out; the id of the bundle changes.

    Args:
        folder: the bundle; it is replaced as a whole.
        files: place in the bundle → content; empty takes the file out.

    Returns:
        The new manifest.

    Raises:
        NotFound: the folder holds no bundle.
        Damaged: bundle.json is not what was written.
        StorageFailed: the disk refuses; the bundle is as it was.
    """
    manifest = read_manifest(folder)
    with write_folder(folder) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        for place, data in files.items():
            if data:
                (aside / place).write_bytes(data)
            else:
                (aside / place).unlink(missing_ok=True)
        (aside / MANIFEST).unlink()
        about = {
            file.path: {
                "role": file.role,
                "target": file.target,
                "precision": file.precision,
                "package": file.package,
            }
            for file in manifest.files
        }
        changed = manifest.model_copy(update={"id": "", "files": _listed(aside, about)})
        head = changed.model_dump(mode="json")
        content = head | {"id": manifest_id(head)}
        _write_json(aside / MANIFEST, content)
    return BundleManifest.model_validate(content)


def _fill(
    aside: Path,
    name: str,
    card: ModelCard,
    models: Sequence[ModelFile],
    golden: GoldenVectors,
    extra: Sequence[ExtraFile],
) -> dict[str, dict[str, str]]:
    """Writes all files but the manifest; returns what the manifest says of each beside its hash."""
    about = {CARD: {"role": "card"}, CONTRACT: {"role": "contract"}, README: {"role": "readme"}}
    (aside / MODELS).mkdir()
    for model in models:
        place = f"{MODELS}/{model.path.name}"
        copy_model(model.path, aside / place)
        facts = {"role": "model", "target": model.target, "precision": model.precision}
        about |= _of_model(place, model.path, facts)
    golden.write(aside / GOLDEN, card.labels)
    for more in (*attached(card, models), *extra):
        path = aside / more.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(more.data)
        about[more.path] = {"role": more.role}
    _write_json(aside / CARD, card.model_dump(mode="json"))
    _write_json(aside / CONTRACT, contract_document(card.contract))
    (aside / README).write_text(readme(name, card, models), encoding="utf-8")
    return about


def _of_model(place: str, model: Path, facts: dict[str, str]) -> dict[str, dict[str, str]]:
    """Returns what the manifest says of each file of a model."""
    if not model.is_dir():
        return {place: facts}
    inside = (part.relative_to(model).as_posix() for part in parts_of(model))
    return {f"{place}/{name}": {**facts, "package": place} for name in inside}


def _listed(folder: Path, about: dict[str, dict[str, str]]) -> tuple[BundleFile, ...]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return tuple(
        BundleFile(
            path=place,
            sha256=file_hash(path),
            size_bytes=path.stat().st_size,
            **about.get(place, {"role": "golden"}),
        )
        for place, path in sorted(paths.items())
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(
    card: ModelCard, models: Sequence[ModelFile], golden: GoldenVectors, extra: Sequence[ExtraFile]
) -> None:
    if len(set(card.labels)) != len(card.labels):
        raise Invalid(
            "bundle.label-twice", "A label stands twice in the card: {labels}.", labels=card.labels
        )
    for model in models:
        if not size_of(model.path):
            raise NotFound(
                "bundle.no-such-file", "There is no model file {path} to bundle.", path=model.path
            )
        _check_outputs(model.path.name, model.outputs, card)
    for vector in golden.vectors:
        _check_outputs(f"Golden vector {vector.name}", vector.outputs, card)
    if golden.contract != card.contract:
        raise Invalid(
            "bundle.contract", "The golden vectors were made under another contract than the card's."
        )
    _check_names(models, extra)


def _check_outputs(what: str, outputs: int | None, card: ModelCard) -> None:
    if outputs is not None and outputs != len(card.labels):
        raise Invalid(
            "bundle.labels",
            "{what} answers with {outputs} probabilities, but the card has {labels} labels.",
            do="Convert the model that the card belongs to.",
            what=what,
            outputs=outputs,
            labels=len(card.labels),
        )


def _check_names(models: Sequence[ModelFile], extra: Sequence[ExtraFile]) -> None:
    ours = {MANIFEST, CARD, CONTRACT, README, SCRIPT}
    places = [f"{MODELS}/{model.path.name}" for model in models] + [more.path for more in extra]
    for place in places:
        parts = PurePosixPath(place)
        taken = place in ours or parts.parts[0] in (GOLDEN, SNIPPETS) or places.count(place) > 1
        if taken or parts.is_absolute() or ".." in parts.parts:
            raise Invalid(
                "bundle.place", "A bundle cannot hold a file at {place!r}: the place is taken.", place=place
            )
