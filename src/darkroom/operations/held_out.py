"""What was said of pictures by something that had not seen them: fits without a fold, or runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid, InvalidConfig
from darkroom.operations.vectors import Known, joined, start_vectors
from darkroom.records import DatasetVersion, Interval, Split
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

__all__ = ["HeldOut", "by_features", "by_runs"]

RUN_SPLITS: tuple[Split, ...] = ("val", "test", "field", "must-pass")
"""Splits that no training learns from."""


class HeldOut(NamedTuple):
    """Probabilities of N pictures, each given without having seen the picture."""

    image_ids: Sequence[str]
    splits: Sequence[str]
    """(N,) the split of each."""
    groups: Sequence[str | None]
    labels: np.ndarray
    """(N,) int64."""
    probabilities: np.ndarray
    """(N, C) float32."""
    words: str
    """What gave them."""
    remarks: tuple[str, ...] = ()

    def accuracy(self, seed: int) -> Interval:
        """Returns how often the most probable class is the label."""
        from darkroom.features.reduction import blocks
        from darkroom.statistics import bootstrap_interval

        right = np.empty(len(self.labels))
        for part in blocks(len(right)):
            right[part] = self.probabilities[part].argmax(1) == self.labels[part]
        return bootstrap_interval(right, self.groups, seed=seed)


def by_features(
    workspace: Workspace,
    version: DatasetVersion,
    known: Known,
    splits: Sequence[Split],
    scratch: Path,
    *,
    folds: int,
    seed: int,
) -> HeldOut:
    """Returns what a logistic regression says of each picture, fitted without the picture's fold.

    Args:
        workspace: the project.
        version: the dataset.
        known: what gives the features.
        splits: the pictures.
        scratch: a folder for large arrays.
        folds: parts that are held out in turn.
        seed: of sharing them out.

    Raises:
        Invalid: there are too few pictures.
        NotFound: there is no such network, or no such weights.
    """
    from darkroom.features.logistic import out_of_fold
    from darkroom.features.reduction import reduced

    def reading(done: int, total: int) -> None:
        workspace.report("reading features", done=done, total=total, unit="images", stops=True)

    def fitting(done: int, total: int) -> None:
        workspace.report("fitting without each fold", done=done, total=total, unit="fits", stops=True)

    pictures = joined(workspace, version, splits)
    vectors = start_vectors(workspace, version, pictures, known)
    rows = reduced(vectors, scratch, on_done=reading)
    classes = len(version.classes)
    found = out_of_fold(
        rows, pictures.labels, classes, pictures.groups, scratch, folds=folds, seed=seed, on_done=fitting
    )
    return HeldOut(
        pictures.image_ids,
        [pictures.names[code] for code in pictures.codes.tolist()],
        pictures.groups,
        pictures.labels,
        found.probabilities,
        f"logistic regression on {known.words}, {folds} folds",
    )


def by_runs(
    workspace: Workspace, version: DatasetVersion, runs: Sequence[str], splits: Sequence[Split]
) -> HeldOut:
    """Returns what runs answered to the pictures that they had held out, averaged over runs.

    Labels are those of the dataset version. Answers to test are taken where they are kept, so that this is
    no look.

    Raises:
        InvalidConfig: a run tells other classes apart.
        Invalid: no run has answered any of the pictures.
    """
    from darkroom.operations.judged import judged, kept

    members = {one.image_id: one for one in workspace.catalogue.datasets.members(version.ref)}
    index = {label: place for place, label in enumerate(version.classes)}
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for name in runs:
        own = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(name).dataset)
        if own.classes != version.classes:
            raise InvalidConfig(
                "suspects.other-classes",
                "Run {run} tells other classes apart than {ref}: {theirs}.",
                do="Name runs on this dataset.",
                run=name,
                ref=version.ref,
                theirs=", ".join(own.classes),
            )
        for split in RUN_SPLITS:
            if not own.counts.get(split):
                continue
            found = judged(workspace, name, split) if split == "val" else kept(workspace, name, split)
            if found is None:
                continue
            for place, image_id in enumerate(found.predictions.image_ids):
                if image_id in members and members[image_id].split in splits:
                    row = found.predictions.probabilities[place].astype(np.float64)
                    sums[image_id] = sums[image_id] + row if image_id in sums else row
                    counts[image_id] = counts.get(image_id, 0) + 1
    if not sums:
        raise Invalid(
            "suspects.nothing-held-out",
            "No answers of {runs} to held-out pictures of {ref} are kept.",
            do="Evaluate them first: darkroom model evaluate --runs {runs}",
            runs=",".join(runs),
            ref=version.ref,
        )
    ids = [image_id for image_id in members if image_id in sums]
    left = sum(one.split in splits for one in members.values()) - len(ids)
    which = f"{counted(left, 'picture')} of {', '.join(splits)}"
    return HeldOut(
        ids,
        [members[one].split for one in ids],
        [members[one].group for one in ids],
        np.array([index[members[one].label] for one in ids], np.int64),
        np.array([sums[one] / counts[one] for one in ids], np.float32),
        f"answers of {', '.join(runs)} to pictures that they held out",
        (f"Held out by none of the runs, and not judged: {which}.",) if left else (),
    )
