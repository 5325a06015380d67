"""Find pictures whose label looks wrong: `darkroom label suspects`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from darkroom.operation import DatasetRef, Produced, RunRef, UserCode, operation
from darkroom.operations.papers import Papers
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import DatasetVersion, Fact, Interval, Result, Split, Table
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.operations.held_out import HeldOut

__all__ = ["suspects"]

SHOWN = 12
"""Suspects that the shell shows; the page and the table hold more."""

ON_PAGE = 200

FEW_PICTURES = 10
"""With fewer pictures of a class a fit has hardly seen it."""

GUESSING = 1.5
"""A fit that is right less than so many times as often as the commonest class says little of labels."""


class Suspect(Fact):
    """A picture whose label looks wrong."""

    image_id: str
    path: str
    """Where it lies, source first."""
    split: str
    label: str
    looks_like: str
    """The class that it confidently is."""
    label_probability: float
    """Of its label, said without having seen it."""
    other_probability: float
    """Of the class that it looks like."""
    margin: float
    """Probability of the label minus that of the most probable other class; the least comes first."""


class SuspectsReport(Result):
    """The pictures of a dataset whose label looks wrong, the most suspicious first."""

    dataset: DatasetRef
    by: str
    """What gave the probabilities, in words."""
    images: int
    """Pictures that were looked at."""
    accuracy: Interval
    """How often the most probable class is the label, on pictures that were held out."""
    found: int
    """How many look wrong; `suspects` holds the first of them."""
    estimated_wrong: float
    """Estimated share of wrong labels; too large where classes are hard to tell apart."""
    suspects: tuple[Suspect, ...]
    pairs: tuple[tuple[str, ...], ...]
    """Label, what it looks like, suspects, estimated number of wrong labels of this kind."""
    remarks: tuple[str, ...] = ()
    """What a reader of the figures must know."""
    missing: tuple[str, ...] = ()
    """Which documents were not written, and why."""
    path: Produced
    """The page."""
    csv: Produced
    """All suspects as a table."""
    docx: Produced = ""
    pdf: Produced = ""

    def display(self) -> Iterator[str | Table]:
        """Yields the first suspects, and what to do with them."""
        yield f"{self.images:,} pictures of {self.dataset}, by {self.by}"
        yield f"Right on held-out pictures: {self.accuracy}"
        yield from self.notes()
        rows = tuple(
            (
                one.image_id[:12],
                one.path,
                one.split,
                one.label,
                one.looks_like,
                f"{one.label_probability:.3f}",
                f"{one.other_probability:.3f}",
            )
            for one in self.suspects[:SHOWN]
        )
        if rows:
            columns = ("picture", "file", "split", "label", "looks like", "p(label)", "p(other)")
            yield Table(columns, rows, f"The {len(rows)} most suspicious of {self.found:,}")
            yield "To people: darkroom image relabel PICTURE …   Left out: darkroom image exclude PICTURE …"
        yield f"Table: {self.csv}"
        yield f"Page: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words

    def notes(self) -> Iterator[str]:
        """Yields how many there are, and what should be known."""
        yield (
            f"Labels of {self.dataset} that look wrong: {self.found:,}. The estimated share of wrong "
            f"labels is {self.estimated_wrong:.1%}, too large where classes are hard to tell apart. A "
            "suspect is a question to a person, not an answer."
        )
        yield from self.remarks


@operation("label.suspects", slow=True, stage=4, libraries=LIBRARIES)
def suspects(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    network: str | None = None,
    weights: str | None = None,
    network_file: UserCode | None = None,
    runs: tuple[RunRef, ...] = (),
    splits: tuple[Split, ...] = ("train", "val", "test"),
    folds: Annotated[int, Field(ge=2, le=20)] = 5,
    most: Annotated[int, Field(ge=1, le=10_000)] = 200,
    seed: int = 0,
) -> SuspectsReport:
    """Find pictures whose label looks wrong, by confident learning; nothing is changed.

    Each picture is judged by what says nothing of its own label: a logistic regression on features, fitted
    without the picture's fold, or runs that had held it out. A label is a suspect where the picture is
    confidently of another class.

    Args:
        dataset: the dataset version.
        network: whose features; "pixels" takes the pixels. When not given, what the newest run on this
            dataset began with, or the pixels.
        weights: name of its pretrained weights.
        network_file: for "custom", the Python file that defines it.
        runs: take these runs' answers to val and test instead; clones are averaged, and pictures that no
            run held out are not judged.
        splits: the pictures to judge.
        folds: parts that are held out in turn; a group lies in one.
        most: suspects that the page and the answer hold; the table holds all.
        seed: of sharing out the folds.
    """
    from darkroom import atomic
    from darkroom.operations.held_out import by_features, by_runs
    from darkroom.operations.vectors import known_by, refuse_other_tasks

    version = workspace.catalogue.datasets.get(dataset)
    refuse_other_tasks(version)
    workspace.hidden.mkdir(exist_ok=True)
    with atomic.scratch_folder(workspace.hidden) as scratch:
        if runs:
            held = by_runs(workspace, version, runs, splits)
        else:
            known = known_by(workspace, version, network, weights, network_file)
            held = by_features(workspace, version, known, splits, scratch, folds=folds, seed=seed)
        return _report(workspace, version, held, most, seed)


def _report(
    workspace: Workspace, version: DatasetVersion, held: HeldOut, most: int, seed: int
) -> SuspectsReport:
    """Finds the suspects among what was judged, and writes their page and table."""
    from darkroom.evaluation.suspects import estimated_wrong, find_suspects

    found = find_suspects(held.labels, held.probabilities)
    wrong = estimated_wrong(found.joint, held.labels)
    listed = _listed(workspace, held, found, version.classes)
    accuracy = held.accuracy(seed)
    pairs = _pairs(held.labels, found, wrong, version.classes)
    remarks = (*held.remarks, *_doubts(held.labels, accuracy))
    share = float((wrong.sum() - wrong.trace()) / max(1, len(held.labels)))
    facts: dict[str, Any] = {
        "by": held.words,
        "images": len(held.labels),
        "accuracy": accuracy,
        "pairs": pairs,
    }
    name = f"07-evaluation/suspects-{version.name}-{version.version}"
    csv = _table(workspace, f"{name}.csv", listed)
    path, papers = _deliver(workspace, f"{name}.html", version.ref, listed[:most], share, remarks, **facts)
    return SuspectsReport(
        dataset=version.ref,
        found=len(listed),
        estimated_wrong=share,
        suspects=tuple(listed[:most]),
        remarks=remarks,
        missing=papers.missing,
        path=path,
        csv=csv,
        docx=papers.docx,
        pdf=papers.pdf,
        **facts,
    )


def _doubts(labels, accuracy: Interval) -> Iterator[str]:
    import numpy as np

    commonest = float(np.bincount(labels).max() / len(labels))
    if accuracy.value < min(1.0, GUESSING * commonest):
        yield (
            f"Held-out pictures are told apart rightly in {accuracy.value:.0%} only (always the commonest "
            f"class: {commonest:.0%}): these suspects mean little. Name a network with pretrained weights: "
            "--network NAME --weights NAME, or --runs."
        )
    few = int((np.bincount(labels) < FEW_PICTURES).sum())
    if few:
        yield (
            f"Fewer than {FEW_PICTURES} pictures of {counted(few, 'class', 'classes')}: suspects among "
            "them are mostly chance."
        )


def _listed(workspace: Workspace, held: HeldOut, found, classes: Sequence[str]) -> list[Suspect]:
    ids = [held.image_ids[int(place)] for place in found.places.tolist()]
    paths = paths_of(workspace, ids)
    rows = zip(ids, found.places.tolist(), found.looks_like.tolist(), found.margins.tolist(), strict=True)
    return [
        Suspect(
            image_id=image_id,
            path=paths.get(image_id, ""),
            split=held.splits[int(place)],
            label=classes[int(held.labels[place])],
            looks_like=classes[int(other)],
            label_probability=float(held.probabilities[place, int(held.labels[place])]),
            other_probability=float(held.probabilities[place, other]),
            margin=margin,
        )
        for image_id, place, other, margin in rows
    ]


def paths_of(workspace: Workspace, image_ids: Sequence[str]) -> dict[str, str]:
    """Returns where pictures lie, source first: "s-1/roses/a.jpg"; those that lie nowhere are left out."""
    places = workspace.catalogue.locations.of_images(image_ids)
    return {one: f"{found[0].source_id}/{found[0].path}" for one, found in places.items() if found}


def _pairs(labels, found, wrong, classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    from collections import Counter

    counts = Counter(zip(labels[found.places].tolist(), found.looks_like.tolist(), strict=True))
    return tuple(
        (classes[int(truth)], classes[int(other)], f"{count:,}", f"{wrong[truth, other]:,.1f}")
        for (truth, other), count in counts.most_common(20)
    )


def _table(workspace: Workspace, name: str, listed: Sequence[Suspect]) -> str:
    from darkroom import atomic
    from darkroom.spreadsheet import csv_text

    columns = ("picture", "file", "split", "label", "looks like", "p(label)", "p(other)", "margin")
    rows = (
        (
            one.image_id,
            one.path,
            one.split,
            one.label,
            one.looks_like,
            f"{one.label_probability:.6f}",
            f"{one.other_probability:.6f}",
            f"{one.margin:.6f}",
        )
        for one in listed
    )
    path = workspace.deliverables / name
    atomic.write_text(path, csv_text(columns, rows))
    return workspace.relative(path)


def _deliver(
    workspace: Workspace,
    place: str,
    ref: str,
    listed: Sequence[Suspect],
    share: float,
    remarks: Sequence[str],
    *,
    by: str,
    images: int,
    accuracy: Interval,
    pairs: Sequence[Sequence[str]],
) -> tuple[str, Papers]:
    from darkroom.operations.found_pages import deliver_found

    lead = (
        f"Of {images:,} pictures, by {by}; held-out pictures are told apart rightly in "
        f"{accuracy.value:.1%}. Estimated share of wrong labels: {share:.1%}. Each suspect is a question "
        "to a person."
    )
    return deliver_found(
        workspace,
        place,
        kind=f"Label suspects · {ref}",
        lead=lead,
        sections=_sections(workspace, listed, pairs, remarks),
    )


def _sections(
    workspace: Workspace,
    listed: Sequence[Suspect],
    pairs: Sequence[Sequence[str]],
    remarks: Sequence[str],
) -> Iterator[Section]:
    from darkroom.documents.blocks import Block, Cell, Pictures, Section, Shown, Text
    from darkroom.documents.blocks import Table as Grid
    from darkroom.operations.deliverables import thumbnails

    notes: list[Block] = [Text(remark, "note") for remark in remarks]
    rows = tuple(tuple(map(Cell, row)) for row in pairs)
    columns = ("Label", "Looks like", "Suspects", "Estimated wrong")
    words = "Which labels are mistaken for which; the estimate counts those that cannot be named, too."
    kinds = [Grid(columns, rows, words, frozenset({2, 3}))] if rows else [Text("No label looks wrong.")]
    yield Section("kinds", "Kinds", (*notes, *kinds))
    if listed:
        pictures = thumbnails(workspace, (one.image_id for one in listed), most=ON_PAGE)
        items = tuple(
            Shown(
                pictures.get(one.image_id),
                f"{one.label} ({one.label_probability:.2f}), looks like {one.looks_like} "
                f"({one.other_probability:.2f}), {one.split} · {one.image_id[:12]} · {one.path}",
            )
            for one in listed
            if one.image_id in pictures
        )
        yield Section(
            "suspects",
            "The most suspicious",
            (
                Text(
                    "Send one to people with `darkroom image relabel`, leave one out with `darkroom image "
                    "exclude`; both can be taken back."
                ),
                Pictures(items),
            ),
        )
