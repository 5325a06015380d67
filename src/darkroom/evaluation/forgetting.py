"""Take single pictures out of what a run's evaluations left behind; the figures stay, and say so."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from darkroom import atomic
from darkroom.errors import Damaged, NotFound
from darkroom.evaluation.mask_answers import load_mask_answers, packed, save_mask_answers
from darkroom.evaluation.must_pass import forget_must_pass
from darkroom.evaluation.predictions import Predictions, load_predictions, save_predictions
from darkroom.evaluation.record import Judgement
from darkroom.evaluation.run import load_any_evaluation

__all__ = ["forget_answers"]

NOTE = "A picture was forgotten after this evaluation: the figures still count it, the lists do not."


def forget_answers(run_folder: Path, image_ids: Collection[str]) -> list[Path]:
    """Removes pictures from the predictions and the lists of mistakes of a run.

    What cannot be read is deleted: evaluating the run again makes it anew.

    Args:
        run_folder: the run.
        image_ids: the pictures.

    Returns:
        The files that were changed or deleted.
    """
    gone = frozenset(image_ids)
    changed: list[Path] = []
    for path in sorted(run_folder.glob("predictions-*.json")):
        changed += _without_rows(run_folder, path, gone)
    for path in sorted(run_folder.glob("evaluation-*.json")):
        changed += _without_mistakes(run_folder, path, gone)
    for path in sorted(run_folder.glob("error-groups-*.json")):
        if any(image_id in path.read_text("utf-8", "replace") for image_id in gone):
            path.unlink(missing_ok=True)
            changed.append(path)
    return changed + forget_must_pass(run_folder, gone)


def _without_rows(run_folder: Path, path: Path, gone: frozenset[str]) -> list[Path]:
    split = path.stem.removeprefix("predictions-")
    if path.with_suffix(".masks").exists():
        return _without_masks(run_folder, path, gone)
    try:
        found = load_predictions(run_folder, split)
    except Damaged:
        path.with_suffix(".npy").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return [path]
    kept = np.array([image_id not in gone for image_id in found.image_ids], bool)
    if kept.all():
        return []
    groups = found.groups
    save_predictions(
        run_folder,
        split,
        Predictions(
            tuple(image_id for image_id in found.image_ids if image_id not in gone),
            found.labels[kept],
            None if groups is None else tuple(g for g, keep in zip(groups, kept, strict=True) if keep),
            found.probabilities[kept],
            None if found.brightness is None else found.brightness[kept],
        ),
    )
    return [path, path.with_suffix(".npy")]


def _without_masks(run_folder: Path, path: Path, gone: frozenset[str]) -> list[Path]:
    split, files = path.stem.removeprefix("predictions-"), [path, path.with_suffix(".npy")]
    files.append(path.with_suffix(".masks"))
    try:
        found = load_mask_answers(run_folder, split)
        places = [place for place, image_id in enumerate(found.image_ids) if image_id not in gone]
        if len(places) == len(found.image_ids):
            return []
        masks = [packed(found.mask(place)) for place in places]
    except (NotFound, Damaged):
        for file in files:
            file.unlink(missing_ok=True)
        return [path]
    groups = found.groups
    kept = found._replace(
        image_ids=tuple(found.image_ids[place] for place in places),
        groups=None if groups is None else tuple(groups[place] for place in places),
        counts=found.counts[places],
        ends=np.cumsum([len(mask) for mask in masks], dtype=np.int64),
    )
    save_mask_answers(run_folder, split, kept, masks)
    return files


def _without_mistakes(run_folder: Path, path: Path, gone: frozenset[str]) -> list[Path]:
    split = path.stem.removeprefix("evaluation-")
    try:
        found = load_any_evaluation(run_folder, split)
    except Damaged:
        path.unlink(missing_ok=True)
        return [path]
    sha256 = _hash(run_folder / found.predictions) if found.predictions else ""
    worst = tuple(one for one in found.worst if one.image_id not in gone)
    if sha256 == found.predictions_sha256 and worst == found.worst:
        return []
    changes = {"worst": worst, "predictions_sha256": sha256, "notes": _noted(found)}
    text = found.model_copy(update=changes).model_dump_json(indent=1)
    atomic.write_text(path, text + "\n")
    return [path]


def _noted(evaluation: Judgement) -> tuple[str, ...]:
    return evaluation.notes if NOTE in evaluation.notes else (*evaluation.notes, NOTE)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
