"""bundle.json: how the list of a bundle's files is made, read and held against the files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from darkroom.errors import Damaged, NotFound, Unsupported
from darkroom.records import BundleFile, BundleManifest, content_id

__all__ = ["CARD", "CONTRACT", "GOLDEN", "MANIFEST", "MODELS", "README", "file_problem", "read_manifest"]

MANIFEST = "bundle.json"
CARD = "model-card.json"
CONTRACT = "contract.json"
README = "README.txt"
MODELS = "models"
GOLDEN = "golden"

MANIFEST_VERSION = 1
AT_ONCE_BYTES = 1 << 20


def manifest_id(manifest: dict[str, Any]) -> str:
    """Returns the id of a manifest: the sha256 of all of it but the id, the files' hashes among it."""
    return content_id({key: value for key, value in manifest.items() if key != "id"})


def read_manifest(folder: Path) -> BundleManifest:
    """Reads `bundle.json` and checks it against its own id.

    Raises:
        NotFound: the folder holds no bundle.
        Damaged: bundle.json is not what was written.
        Unsupported: a newer Darkroom wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(
            "bundle.missing",
            "{folder} is no bundle: it holds no bundle.json.",
            do="Make one: darkroom export convert --run RUN",
            folder=folder,
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(MANIFEST, folder, str(error)) from error
    refuse_newer(MANIFEST, version, MANIFEST_VERSION)
    if raw.get("id") != manifest_id(raw):
        raise damaged(MANIFEST, folder, "its content does not give its id")
    try:
        return BundleManifest.model_validate(raw)
    except ValidationError as error:
        raise damaged(MANIFEST, folder, str(error)) from error


def refuse_newer(file: str, version: object, known: int) -> None:
    """Refuses a file whose version is above the known one.

    Raises:
        Unsupported: a newer Darkroom wrote it.
    """
    if isinstance(version, int) and version > known:
        raise Unsupported(
            "bundle.newer",
            "{file} was written by a newer Darkroom: version {version}; this one reads up to {known}.",
            do="Update Darkroom: pip install --upgrade darkroom",
            file=file,
            version=version,
            known=known,
        )


def damaged(file: str, folder: Path, why: str) -> Damaged:
    """Returns the error for one file of a bundle that is not what was written."""
    return Damaged(
        "bundle.damaged",
        "{file} in the bundle {folder} is not what was written: {why}.",
        do="Copy the bundle again, or make it again: darkroom export convert --run RUN",
        file=file,
        folder=folder,
        why=why,
    )


def file_problem(folder: Path, file: BundleFile) -> str:
    """Returns what is wrong with one file of a bundle; empty when it is what was written."""
    place = PurePosixPath(file.path)
    if place.is_absolute() or ".." in place.parts:
        return "its path leads out of the bundle"
    if file.package and PurePosixPath(file.package) not in place.parents:
        return "it does not lie in the folder of its model"
    path = folder / file.path
    if not path.is_file():
        return "it is missing"
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"it has {size_bytes} bytes instead of {file.size_bytes}"
    return "" if file_hash(path) == file.sha256 else "its content changed"


def file_hash(path: Path) -> str:
    """Returns the sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(AT_ONCE_BYTES):
            digest.update(part)
    return digest.hexdigest()
