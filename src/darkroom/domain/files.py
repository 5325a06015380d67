"""The two files of a sketch: `sketch.json` in words and ids, `rows.npz` in numbers; no pickle.

Ids stand in plain text, so that whoever forgets a picture finds the files that know it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from darkroom import atomic
from darkroom.domain.neighbours import FeatureSpace
from darkroom.domain.properties import PROPERTIES
from darkroom.domain.sketch import SKETCH_VERSION, Rows, Sketch, SketchFacts
from darkroom.errors import Damaged, NotFound, Unsupported

__all__ = ["FACTS", "FOLDER", "ROWS", "read_sketch", "sketch_files", "write_sketch"]

FOLDER = "domain"
"""Name of the folder in a run and in a bundle."""

FACTS, ROWS = "sketch.json", "rows.npz"

MOST_BYTES = 64 << 20
"""A larger file is no sketch."""


def sketch_files(sketch: Sketch) -> dict[str, bytes]:
    """Returns the two files by name; the facts are given the hash of the rows."""
    rows = _packed(sketch.rows)
    facts = sketch.facts.model_copy(update={"rows_sha256": hashlib.sha256(rows).hexdigest()})
    text = json.dumps(facts.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return {FACTS: f"{text}\n".encode(), ROWS: rows}


def write_sketch(folder: Path, sketch: Sketch) -> None:
    """Writes a sketch, whole or not at all; it takes the place of one that lies there.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    with atomic.write_folder(folder) as aside:
        for name, data in sketch_files(sketch).items():
            (aside / name).write_bytes(data)


def read_sketch(folder: Path) -> Sketch:
    """Reads a sketch.

    Raises:
        NotFound: the folder holds none.
        Damaged: a file is cut, changed, or not one of ours.
        Unsupported: a newer Darkroom wrote it.
    """
    path = folder / FACTS
    if not path.is_file():
        raise NotFound(
            "domain.no-sketch",
            "There is no sketch of the training pictures in {folder}.",
            do="Make one: darkroom model domain --run RUN",
            folder=folder,
        )
    facts = _facts(path)
    rows_path = folder / ROWS
    if not rows_path.is_file() or rows_path.stat().st_size > MOST_BYTES:
        raise _damaged(rows_path, "it is missing, or too large")
    data = rows_path.read_bytes()
    if hashlib.sha256(data).hexdigest() != facts.rows_sha256:
        raise _damaged(rows_path, "its content changed")
    try:
        return Sketch(facts, _unpacked(data, facts))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(rows_path, str(error)) from error


def _facts(path: Path) -> SketchFacts:
    try:
        raw = json.loads(path.read_bytes())
        version = raw["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if isinstance(version, int) and version > SKETCH_VERSION:
        raise Unsupported(
            "domain.newer",
            "{path} was written by a newer Darkroom: version {version}; this one reads up to {known}.",
            do="Update Darkroom: pip install --upgrade darkroom",
            path=path,
            version=version,
            known=SKETCH_VERSION,
        )
    try:
        return SketchFacts.model_validate(raw)
    except ValidationError as error:
        raise _damaged(path, str(error)) from error


def _packed(rows: Rows) -> bytes:
    arrays = {"measured": rows.measured.astype(np.float32)}
    if rows.features is not None and rows.space is not None:
        arrays["features"] = rows.features.astype(np.float32)
        # Rounded already when they were learned; half the size.
        arrays |= {
            "centre": rows.space.centre.astype(np.float16),
            "axes": rows.space.axes.astype(np.float16),
        }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpacked(data: bytes, facts: SketchFacts) -> Rows:
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = {name: held[name].astype(np.float32) for name in held.files}
    count = len(facts.image_ids)
    _expect(arrays["measured"].shape, (count, len(PROPERTIES)))
    if not facts.feature_size:
        return Rows(arrays["measured"])
    axes = arrays["axes"]
    _expect(axes.shape, (facts.feature_size, axes.shape[1] if axes.ndim == 2 else -1))
    _expect(arrays["centre"].shape, (facts.feature_size,))
    _expect(arrays["features"].shape, (count, axes.shape[1] + 1))
    return Rows(arrays["measured"], arrays["features"], FeatureSpace(arrays["centre"], axes))


def _expect(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(f"an array has the shape {found} instead of {expected}")


def _damaged(path: Path, why: str) -> Damaged:
    return Damaged(
        "domain.damaged",
        "{path} is not the sketch that was written: {why}.",
        do="Make it again: darkroom model domain --run RUN",
        path=path,
        why=why,
    )
