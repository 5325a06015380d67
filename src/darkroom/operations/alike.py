"""Do train, val, test and pictures from the field come from one distribution? `darkroom dataset alike`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from darkroom.errors import Invalid
from darkroom.operation import DatasetRef, LocalPath, Produced, UserCode, operation
from darkroom.operations.papers import Papers
from darkroom.operations.picture_sets import Chained, FieldFolder
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import DatasetVersion, Fact, Interval, Result, Split, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.operations.sketching import Sample

    _Samples = list[tuple[str, Sample | FieldFolder]]

__all__ = ["alike"]

LEVEL = 0.05
FEWEST = 20
"""Pictures that a side needs; with fewer nothing would be shown."""

FEWEST_GROUPS = 10
"""With fewer groups on a side there is little to shuffle. Source: as `evaluation.slices.FEWEST_GROUPS`."""

SMALL_AUC = 0.6
"""Up to this the two hardly differ, whatever the p-value: with many pictures everything is significant."""


class Pair(Fact):
    """Two sets of pictures, held against each other."""

    first: str
    second: str
    counts: tuple[int, int]
    """Pictures that were compared."""
    p_value: float
    """How likely a distance as large would be, if both came from one distribution; of this look alone."""
    adjusted_p_value: float
    """The same, corrected for all looks."""
    auc: Interval
    """How well a classifier that has not seen them tells the two apart: 0.5 not at all, 1 always."""
    distance: float
    """Squared maximum mean discrepancy."""
    verdict: str
    """"differ", "hardly differ" or "no difference shown"."""


class AlikeReport(Result):
    """Whether sets of pictures come from one distribution."""

    dataset: DatasetRef
    by: str
    """What the pictures are compared by."""
    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    path: Produced
    """The page."""
    docx: Produced = ""
    pdf: Produced = ""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per pair."""
        rows = tuple(
            (
                f"{one.first} and {one.second}",
                " and ".join(f"{count:,}" for count in one.counts),
                f"{one.auc.value:.3f} [{one.auc.low:.3f}, {one.auc.high:.3f}]",
                f"{one.p_value:.3g}",
                f"{one.adjusted_p_value:.3g}",
                one.verdict,
            )
            for one in self.pairs
        )
        columns = ("sets", "pictures", "told apart (AUC)", "p", "corrected p", "verdict")
        yield Table(columns, rows, f"{self.dataset}, by {self.by}")
        yield from self.notes()
        yield f"Page: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words

    def notes(self) -> Iterator[str]:
        """Yields what differs, and what should be known."""
        for one in self.pairs:
            if one.verdict == "differ":
                yield (
                    f"{one.first} and {one.second} differ: a classifier tells them apart with AUC "
                    f"{one.auc.value:.2f} (corrected p {one.adjusted_p_value:.2g})."
                )
        yield from self.remarks


class _Side(NamedTuple):
    name: str
    rows: np.ndarray
    groups: tuple[str | None, ...]


@operation("dataset.alike", slow=True, stage=7, positional=("dataset",), libraries=LIBRARIES)
def alike(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    field: LocalPath | None = None,
    splits: tuple[Split, ...] = ("train", "val", "test"),
    network: str | None = None,
    weights: str | None = None,
    network_file: UserCode | None = None,
    most_images: Annotated[int, Field(ge=40, le=5000)] = 1000,
    seed: int = 0,
) -> AlikeReport:
    """Say whether train, val, test and pictures from the field come from one distribution.

    Each pair gets a kernel test (p by permutation, corrected for all pairs) and, as the size of the effect,
    how well a classifier tells held-out pictures of the two apart. A small p with an AUC near 0.5 is a
    difference that hardly matters.

    Args:
        dataset: the dataset version.
        field: a folder of pictures as they come in use, without labels.
        splits: the splits to compare.
        network: whose features; "pixels" takes the pixels. When not given, what the newest run on this
            dataset began with, or the pixels.
        weights: name of its pretrained weights.
        network_file: for "custom", the Python file that defines it.
        most_images: pictures of each set; drawn at random where there are more.
        seed: of drawing and shuffling.
    """
    from darkroom.operations.vectors import known_by

    version = workspace.catalogue.datasets.get(dataset)
    known = known_by(workspace, version, network, weights, network_file)
    sides, remarks = _sides(workspace, version, field, splits, known, most_images, seed)
    if len(sides) < 2:
        raise Invalid(
            "alike.too-few-sets",
            "Two sets of at least {least} pictures are needed. There: {there}.",
            do="Name more splits, or a folder: --field FOLDER",
            least=FEWEST,
            there=", ".join(f"{one.name} {len(one.rows)}" for one in sides) or "none",
        )
    return _report(workspace, version, known.words, _pairs(workspace, sides, seed), remarks)


def _report(
    workspace: Workspace,
    version: DatasetVersion,
    by: str,
    pairs: tuple[Pair, ...],
    remarks: tuple[str, ...],
) -> AlikeReport:
    from darkroom.operations.found_pages import deliver_found

    verdicts = "; ".join(f"{one.first} and {one.second}: {one.verdict}" for one in pairs)
    path, papers = deliver_found(
        workspace,
        f"07-evaluation/alike-{version.name}-{version.version}.html",
        kind=f"One distribution? · {version.ref}",
        lead=f"{version.ref}, by {by}: {verdicts}.",
        sections=[_section(pairs, remarks)],
    )
    return AlikeReport(
        dataset=version.ref,
        by=by,
        pairs=pairs,
        remarks=remarks,
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


def _sides(
    workspace: Workspace,
    version: DatasetVersion,
    folder: Path | None,
    splits: Sequence[Split],
    known,
    most: int,
    seed: int,
) -> tuple[list[_Side], tuple[str, ...]]:
    """Returns the sets with their features, made short over all of them together."""
    from darkroom import atomic
    from darkroom.datasets import render
    from darkroom.features.reduction import reduced
    from darkroom.operations.sketching import Sample
    from darkroom.operations.vectors import start_vectors

    rendering, remarks = render(workspace, version), list[str]()
    generator = np.random.default_rng(seed)
    samples: _Samples = []
    for name in dict.fromkeys(splits):
        if not version.counts.get(name):
            continue
        split = rendering.split(name)
        samples.append((name, Sample(split, np.sort(generator.permutation(len(split))[:most]))))
    with atomic.scratch_folder(workspace.hidden) as scratch:
        if folder is not None:
            found = FieldFolder.of(folder, version, most, generator, remarks, scratch)
            samples.append(("field", found))
        samples = _fitting(samples, remarks)
        if not samples:
            return [], tuple(remarks)
        # Vectors of strange pictures are not kept: nobody could ask for them to be forgotten.
        parts = [
            start_vectors(
                workspace,
                version,
                sample,
                known,
                aside=scratch if isinstance(sample, FieldFolder) else None,
            )
            for _, sample in samples
        ]
        rows = np.array(reduced(Chained(parts), scratch))
    ends = np.cumsum([0, *(len(sample.image_ids) for _, sample in samples)])
    sides = [
        _Side(name, rows[start:end], sample.groups)
        for (name, sample), start, end in zip(samples, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return sides, tuple(remarks)


def _fitting(samples: _Samples, remarks: list[str]) -> _Samples:
    """Returns the sets that can be compared; notes the others, and those of few groups."""
    units = {name: _groups_in(sample.groups) for name, sample in samples}
    few = [name for name, sample in samples if len(sample.image_ids) < FEWEST or units[name] < 2]
    if few:
        remarks.append(
            f"Fewer than {FEWEST} pictures, or all in one group, and not compared: {', '.join(few)}."
        )
    kept = [(name, sample) for name, sample in samples if name not in few]
    scarce = [name for name, _ in kept if units[name] < FEWEST_GROUPS]
    if scarce:
        remarks.append(
            f"Fewer than {FEWEST_GROUPS} groups of pictures in {', '.join(scarce)}: p can hardly be small, "
            "and the AUC says as much of the groups as of the sets."
        )
    return kept


def _groups_in(groups: Sequence[str | None]) -> int:
    """Returns how many groups pictures come in; one without a group counts as one."""
    return len({group or place for place, group in enumerate(groups)})


def _pairs(workspace: Workspace, sides: Sequence[_Side], seed: int) -> tuple[Pair, ...]:
    from darkroom.statistics import holm
    from darkroom.statistics.kernel import kernel_test

    every = list(combinations(sides, 2))
    tests, sizes = [], []
    for number, (first, second) in enumerate(every, 1):
        tests.append(kernel_test(first.rows, second.rows, (first.groups, second.groups), seed=seed))
        sizes.append(_told_apart(first, second, seed))
        workspace.report("comparing", done=number, total=len(every), unit="pairs", stops=True)
    adjusted = holm([test.p_value for test in tests])
    return tuple(
        Pair(
            first=first.name,
            second=second.name,
            counts=(len(first.rows), len(second.rows)),
            p_value=test.p_value,
            adjusted_p_value=corrected,
            auc=auc,
            distance=test.squared,
            verdict=_verdict(corrected, auc),
        )
        for (first, second), test, corrected, auc in zip(every, tests, adjusted, sizes, strict=True)
    )


def _verdict(corrected: float, auc: Interval) -> str:
    if corrected > LEVEL:
        return "no difference shown"
    return "differ" if auc.value > SMALL_AUC else "hardly differ"


def _told_apart(first: _Side, second: _Side, seed: int) -> Interval:
    """Returns the AUC of a logistic regression that says from which of the two a held-out picture is.

    Source: Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017.
    """
    import tempfile

    from darkroom.features.logistic import out_of_fold
    from darkroom.statistics.auc import auc_interval

    rows = np.concatenate([first.rows, second.rows])
    labels = np.repeat([0, 1], [len(first.rows), len(second.rows)])
    groups = [f"a{name}" if name else None for name in first.groups]
    groups += [f"b{name}" if name else None for name in second.groups]
    with tempfile.TemporaryDirectory() as scratch:
        found = out_of_fold(rows, labels, 2, groups, Path(scratch), seed=seed)
        scores = np.array(found.probabilities[:, 1], np.float64)
    return auc_interval(scores[labels == 1], scores[labels == 0])


def _section(pairs: Sequence[Pair], remarks: Sequence[str]) -> Section:
    from darkroom.documents.blocks import Cell, Section, Text
    from darkroom.documents.blocks import Table as Grid

    tones = {"differ": "fail", "no difference shown": "open", "hardly differ": "open"}
    rows = tuple(
        (
            Cell(f"{one.first} and {one.second}"),
            Cell(" and ".join(f"{count:,}" for count in one.counts)),
            Cell(f"{one.auc.value:.3f}", f"{one.auc.low:.3f} – {one.auc.high:.3f}"),
            Cell(f"{one.p_value:.3g}"),
            Cell(f"{one.adjusted_p_value:.3g}"),
            Cell(one.verdict, tone=tones[one.verdict]),  # type: ignore[arg-type]
        )
        for one in pairs
    )
    words = (
        "p: how likely a distance as large would be if both came from one distribution (kernel test, "
        "shuffled), corrected for all pairs. Told apart: AUC of a classifier on held-out pictures, 0.5 for "
        f"not at all; up to {SMALL_AUC} the two hardly differ."
    )
    columns = ("Sets", "Pictures", "Told apart (AUC)", "p", "Corrected p", "Verdict")
    table = Grid(columns, rows, right=frozenset({3, 4}))
    notes = tuple(Text(remark, "note") for remark in remarks)
    return Section("pairs", "Pair by pair", (Text(words), table, *notes))
