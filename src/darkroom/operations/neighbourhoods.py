"""Look at how a run's pictures lie among each other: groups of errors, and what retrieval finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from darkroom.errors import Invalid, InvalidConfig
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.papers import Papers
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import DatasetVersion, Interval, Record, Result, Split, Table
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.evaluation import Judged
    from darkroom.evaluation.neighbourhoods import ErrorGroups, Retrieval

__all__ = ["clusters", "clusters_section", "kept_clusters", "retrieval"]

SHOWN_PICTURES = 12
"""Of each group on the page."""

MOST_QUERIES = 5000


class ClustersReport(Result):
    """The errors of a run in groups of pictures that are alike."""

    run: RunRef
    split: str
    errors: int
    alone: int
    """Errors that lie in no group."""
    rows: tuple[tuple[str, ...], ...]
    """Group, errors, its mistakes, pictures around its middle, share of errors among these."""
    pictures: dict[str, tuple[str, ...]]
    """Ids of the errors by group, the one nearest to its middle first."""
    remarks: tuple[str, ...]
    missing: tuple[str, ...] = ()
    path: Produced
    """The page."""
    docx: Produced = ""
    pdf: Produced = ""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per group."""
        columns = ("group", "errors", "mistakes", "pictures around", "of them wrong")
        yield Table(columns, self.rows, f"{counted(self.errors, 'error')} of {self.run} on {self.split}")
        yield from self.remarks
        for name, ids in self.pictures.items():
            yield f"{name}: {' '.join(one[:12] for one in ids[:6])}{' …' if len(ids) > 6 else ''}"
        yield f"Page: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words


class KeptClusters(Record):
    """Groups of errors, kept with the run."""

    predictions_sha256: str
    """Of the answers that they were made of."""
    found: dict


@operation("model.clusters", slow=True, stage=7, libraries=LIBRARIES)
def clusters(
    workspace: Workspace,
    *,
    run: RunRef,
    split: Split = "val",
    smallest: Annotated[int, Field(ge=2, le=1000)] = 5,
) -> ClustersReport:
    """Put a run's errors into groups of pictures that are alike in its features, and name the groups.

    Each group is held against the pictures around its middle, right ones too: where more of them are wrong
    than elsewhere, it is no chance. The next evaluation's report shows the groups, while the answers are
    the same.

    Args:
        run: the run.
        split: the pictures; answers that are kept are taken.
        smallest: errors that a group needs.
    """
    from darkroom import atomic
    from darkroom.evaluation.neighbourhoods import group_errors
    from darkroom.operations.found_pages import deliver_found

    with atomic.scratch_folder(workspace.hidden) as scratch:
        near = _neighbours(workspace, run, split, scratch)
        found = group_errors(
            near.rows,
            near.judged.predictions.labels,
            near.judged.predictions.answers,
            near.judged.predictions.image_ids,
            near.judged.evaluation.labels,
            near.judged.predictions.groups,
            smallest=smallest,
        )
    kept = KeptClusters(
        predictions_sha256=near.judged.evaluation.predictions_sha256, found=found.model_dump(mode="json")
    )
    atomic.write_text(_place(workspace, run, split), kept.model_dump_json(indent=1) + "\n")
    remarks = tuple(_remarks(found))
    path, papers = deliver_found(
        workspace,
        f"07-evaluation/clusters-{run}-{split}.html",
        kind=f"Groups of errors · {run}, {split}",
        lead=f"{counted(found.errors, 'error')} of {run}. {' '.join(remarks)}",
        sections=[clusters_section(workspace, run, found)],
    )
    return ClustersReport(
        run=run,
        split=split,
        errors=found.errors,
        alone=found.alone,
        rows=tuple(_row(group) for group in found.groups),
        pictures={f"{place}. {one.name}": one.image_ids for place, one in enumerate(found.groups, 1)},
        remarks=remarks,
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


class RetrievalReport(Result):
    """How well a run's features find pictures of the same class."""

    run: RunRef
    queries: int
    gallery: int
    rows: tuple[tuple[str, ...], ...]
    """k, precision and recall with their intervals."""
    classes: tuple[tuple[str, ...], ...]
    """Class, precision at the smallest k."""
    chance: float
    words: str
    missing: tuple[str, ...] = ()
    path: Produced
    """The page."""
    docx: Produced = ""
    pdf: Produced = ""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per k."""
        yield Table(("k", "precision", "recall"), self.rows, self.words)
        yield Table(("class", f"precision at {self.rows[0][0]}"), self.classes)
        yield f"Drawing blindly finds {self.chance:.4f}. Page: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words


@operation("model.retrieval", slow=True, stage=7, libraries=LIBRARIES)
def retrieval(
    workspace: Workspace,
    *,
    run: RunRef,
    split: Split = "val",
    gallery: Split | None = None,
    ks: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 5, 10),
) -> RetrievalReport:
    """Say how well a run's features find pictures of the same class: precision and recall at k.

    Args:
        run: the run.
        split: the pictures that ask.
        gallery: the pictures that are searched; the same split when not given, without the one that asks.
        ks: how many are asked for.
    """
    from darkroom.operations.found_pages import deliver_found
    from darkroom.operations.vectors import refuse_other_tasks

    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset)
    refuse_other_tasks(version)
    if not ks:
        raise InvalidConfig(
            "retrieval.no-k",
            "model.retrieval needs at least one k. Received: none.",
            do="Ask for the nearest one and ten: --ks 1,10",
        )
    names: list[Split] = [split] if gallery in (None, split) else [split, gallery]
    found, asking = _retrieved(workspace, run, version, names, ks)
    table = tuple((str(k), str(found.precision[k]), str(found.recall[k])) for k in found.precision)
    drawn = f", drawn of {asking:,}," if asking > MOST_QUERIES else ""
    words = f"{found.queries:,} pictures of {split}{drawn} ask {found.gallery:,} of {names[-1]}, by {run}"
    path, papers = deliver_found(
        workspace,
        f"07-evaluation/retrieval-{run}-{split}.html",
        kind=f"Retrieval · {run}, {split}",
        lead=f"{words}. Drawing blindly finds {found.chance:.1%} of the same class.",
        sections=[_retrieval_section(found)],
    )
    return RetrievalReport(
        run=run,
        queries=found.queries,
        gallery=found.gallery,
        rows=table,
        classes=tuple((label, str(figure)) for label, figure in found.classes.items()),
        chance=found.chance,
        words=words,
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


def _retrieved(
    workspace: Workspace, run: str, version: DatasetVersion, names: Sequence[Split], ks: Sequence[int]
) -> tuple[Retrieval, int]:
    """Returns what the first split finds in the last one, and how many pictures could have asked."""
    from darkroom import atomic
    from darkroom.evaluation.neighbourhoods import measure_retrieval
    from darkroom.features.reduction import reduced
    from darkroom.operations.run_pictures import pictures_of
    from darkroom.operations.vectors import Joined, run_vectors

    for name in names:
        _refuse_empty(version.counts.get(name, 0), name)
    rendering = pictures_of(workspace, run, version)
    pictures = Joined([(name, rendering.split(name)) for name in names])
    asking = np.flatnonzero(pictures.codes == 0)
    searched = np.flatnonzero(pictures.codes == len(names) - 1)
    chosen = np.sort(np.random.default_rng(0).permutation(asking)[:MOST_QUERIES])
    with atomic.scratch_folder(workspace.hidden) as scratch:
        rows = reduced(run_vectors(workspace, run, pictures), scratch)
        found = measure_retrieval(
            rows[chosen],
            rows[searched],
            pictures.labels[chosen],
            pictures.labels[searched],
            version.classes,
            [pictures.groups[int(place)] for place in chosen.tolist()],
            ks=ks,
            own=chosen if len(names) == 1 else None,
        )
    return found, len(asking)


def kept_clusters(
    workspace: Workspace, run: str, split: str, predictions_sha256: str
) -> ErrorGroups | None:
    """Returns the groups of errors that are kept with a run; None where its answers are others by now."""
    from darkroom.evaluation.neighbourhoods import ErrorGroups

    try:
        kept = KeptClusters.model_validate_json(_place(workspace, run, split).read_bytes())
        found = ErrorGroups.model_validate(kept.found)
    except (OSError, ValidationError):
        return None
    return found if kept.predictions_sha256 == predictions_sha256 else None


def clusters_section(workspace: Workspace, run: str, found: ErrorGroups) -> Section:
    """Returns the part of a report about groups of errors."""
    from darkroom.documents.blocks import Block, Cell, Pictures, Section, Shown, Text, share_cell
    from darkroom.documents.blocks import Table as Grid
    from darkroom.operations.deliverables import thumbnails

    blocks: list[Block] = [Text(" ".join(_remarks(found)))]
    if found.groups:
        rows = tuple(
            (Cell(row[0]), Cell(row[1]), Cell(row[2]), Cell(row[3]), share_cell(group.error_rate))
            for group, row in zip(found.groups, map(_row, found.groups), strict=True)
        )
        columns = ("Group", "Errors", "Its mistakes", "Pictures around its middle", "Of them wrong")
        blocks.append(Grid(columns, rows, right=frozenset({1, 3})))
        shown = [one for group in found.groups for one in group.image_ids[:SHOWN_PICTURES]]
        pictures = thumbnails(workspace, shown, most=len(shown))
        for group in found.groups:
            items = (Shown(pictures.get(one), one[:12]) for one in group.image_ids[:SHOWN_PICTURES])
            blocks += [Text(f"{group.name}, {group.count}", "head"), Pictures(tuple(items))]
    return Section(f"clusters-{run}", f"Groups of errors, {run}", tuple(blocks))


class _Neighbours(NamedTuple):
    judged: Judged
    rows: np.ndarray
    """(N, A) float32, in the order of the answers."""


def _neighbours(workspace: Workspace, run: str, split: Split, scratch: Path) -> _Neighbours:
    """Returns what a run answered to a split, and the short vectors of its pictures."""
    from darkroom.features.reduction import reduced
    from darkroom.operations.judged import judged
    from darkroom.operations.run_pictures import pictures_of
    from darkroom.operations.vectors import Joined, refuse_other_tasks, run_vectors

    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset)
    refuse_other_tasks(version)
    _refuse_empty(version.counts.get(split, 0), split)
    found = judged(workspace, run, split)
    pictures = Joined([(split, pictures_of(workspace, run, version).split(split))])
    places = {image_id: place for place, image_id in enumerate(pictures.image_ids)}
    order = np.array([places[image_id] for image_id in found.predictions.image_ids], np.int64)
    rows = reduced(run_vectors(workspace, run, pictures), scratch)
    in_order = bool((order == np.arange(len(order))).all())
    return _Neighbours(found, rows if in_order else rows[order])


def _refuse_empty(count: int, split: str) -> None:
    if not count:
        raise Invalid(
            "neighbours.no-pictures",
            "The dataset of this run has no pictures in {split}.",
            do="Name a split that has some.",
            split=split,
        )


def _place(workspace: Workspace, run: str, split: str) -> Path:
    return workspace.runs_folder / run / f"error-groups-{split}.json"


def _row(group) -> tuple[str, ...]:
    pairs = ", ".join(f"{truth} → {answer} {count}" for truth, answer, count in group.pairs)
    return (group.name, f"{group.count:,}", pairs, f"{group.around:,}", str(group.error_rate))


def _remarks(found: ErrorGroups) -> Iterator[str]:
    if found.drawn:
        yield f"{found.drawn:,} of the errors were drawn at random for grouping."
    if not found.groups:
        yield (
            f"No groups of {found.smallest} or more: the errors are too few, or too unlike each other."
            if found.errors
            else "There are no errors to group."
        )
        return
    yield f"Errors in no group of {found.smallest} or more: {found.alone:,}."
    rate: Interval | None = found.error_rate
    if rate is not None:
        dense = [one for one in found.groups if one.error_rate.low > rate.high]
        named = "; ".join(f"{one.name}: {one.error_rate.value:.0%}" for one in dense)
        yield f"Wrong over all pictures: {rate.value:.1%}." + (f" More around: {named}." if named else "")


def _retrieval_section(found) -> Section:
    from darkroom.documents.blocks import Cell, Section, share_cell
    from darkroom.documents.blocks import Table as Grid

    ks: Sequence[int] = list(found.precision)
    rows = tuple((Cell(str(k)), share_cell(found.precision[k]), share_cell(found.recall[k])) for k in ks)
    words = "Means over the pictures that ask, with 95 % intervals."
    by_class = tuple((Cell(label), share_cell(figure)) for label, figure in found.classes.items())
    return Section(
        "retrieval",
        "What is found",
        (
            Grid(("k", "Precision at k", "Recall at k"), rows, words, frozenset({0})),
            Grid(("Class", f"Precision at {ks[0]}"), by_class),
        ),
    )
