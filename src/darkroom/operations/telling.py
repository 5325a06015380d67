"""Look at single answers: the telling pictures of each class, and one picture over epochs and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from darkroom.errors import InvalidConfig
from darkroom.operation import LocalPath, PictureName, Produced, RunRef, operation
from darkroom.operations.papers import Papers
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Fact, Result, Split, Table
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.evaluation.extremes import Extreme

__all__ = ["history", "top"]

Count = Annotated[int, Field(ge=1, le=100)]


class TopReport(Result):
    """The telling pictures of each class."""

    run: RunRef
    split: str
    images: int
    rows: tuple[tuple[str, ...], ...]
    """Kind, label, rank, picture, answer, probability of the answer and of the label."""
    missing: tuple[str, ...] = ()
    path: Produced
    """The page."""
    docx: Produced = ""
    pdf: Produced = ""

    def display(self) -> Iterator[str | Table]:
        """Yields the first of each kind and class."""
        shown = tuple(row for row in self.rows if row[2] == "1")
        columns = ("kind", "label", "", "picture", "answer", "p(answer)", "p(label)")
        yield Table(
            columns,
            tuple((*row[:3], row[3][:12], *row[4:]) for row in shown),
            f"The first of each, {self.images:,} pictures of {self.split}, by {self.run}",
        )
        yield f"All of them: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words
        yield "One goes on: darkroom image relabel PICTURE, image exclude PICTURE, image require PICTURE"


@operation("model.top", slow=True, stage=7, libraries=LIBRARIES)
def top(workspace: Workspace, *, run: RunRef, split: Split = "val", most: Count = 8) -> TopReport:
    """Show the telling pictures of each class: surest right, surest wrong, and least sure.

    Args:
        run: the run.
        split: the pictures to ask about; answers that are kept are taken.
        most: pictures of each kind and class.
    """
    from darkroom.evaluation.extremes import find_extremes
    from darkroom.operations.found_pages import deliver_found
    from darkroom.operations.judged import judged
    from darkroom.operations.run_tasks import task_of

    task = task_of(workspace, run)
    if task != "classification":
        raise InvalidConfig(
            "top.other-task",
            "The telling pictures of a class are those of a model that answers one class per picture; "
            "{run} is for {task}.",
            do="darkroom model evaluate --runs {run} shows its worst pictures.",
            run=run,
            task=task,
        )
    found = judged(workspace, run, split)
    extremes = find_extremes(found.predictions, found.evaluation.labels, most=most)
    lead = (
        f"{run} on {len(found.predictions.labels):,} pictures of {split}: what it is surest of, rightly "
        "and wrongly, and where it cannot decide."
    )
    path, papers = deliver_found(
        workspace,
        f"07-evaluation/top-{run}-{split}.html",
        kind=f"Telling pictures · {run}, {split}",
        lead=lead,
        sections=_sections(workspace, extremes),
    )
    return TopReport(
        run=run,
        split=split,
        images=len(found.predictions.labels),
        rows=tuple(
            (
                one.kind,
                one.label,
                str(one.rank),
                one.image_id,
                one.answer,
                f"{one.probability:.4f}",
                f"{one.truth_probability:.4f}",
            )
            for one in extremes
        ),
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


class SaidOnce(Fact):
    """What one snapshot of one run said of a picture."""

    run: str
    epoch: int
    """0 for the weights that were kept as the best."""
    answer: str
    probability: float
    label_probability: float | None
    """Of what the picture is labelled; None without a label the run knows."""


class HistoryReport(Result):
    """One picture over epochs and over runs."""

    image: str
    label: str
    """What it is labelled; empty where nobody said."""
    said: tuple[SaidOnce, ...]
    agreement: float
    """Share of the runs whose best weights give the commonest answer."""
    words: str
    """Where it lies for each of the runs: whether they were trained on it."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields a row per run and epoch."""
        said = f", labelled {self.label}" if self.label else ""
        rows = tuple(
            (
                one.run,
                str(one.epoch) if one.epoch else "best",
                one.answer,
                f"{one.probability:.4f}",
                "" if one.label_probability is None else f"{one.label_probability:.4f}",
            )
            for one in self.said
        )
        yield Table(("run", "epoch", "answer", "p(answer)", "p(label)"), rows, f"{self.image}{said}")
        yield f"{self.agreement:.0%} of the runs give the commonest answer. {self.words}"
        yield f"Page: {self.path}"


@operation("model.history", stage=7, positional=("image",), libraries=LIBRARIES)
def history(
    workspace: Workspace,
    *,
    runs: tuple[RunRef, ...],
    image: PictureName | None = None,
    file: LocalPath | None = None,
) -> HistoryReport:
    """Show what every kept snapshot of runs says of one picture: over epochs, and over clones.

    Snapshots are kept where the recipe says so (`snapshot_every`); the best weights always.

    Args:
        runs: the runs; several clones show how much chance decides.
        image: a picture of the project: its id, the beginning of its id, or its file.
        file: instead, the file of a picture that is not of the project.
    """
    from darkroom.operations.explaining import picture_named

    if not runs:
        raise InvalidConfig(
            "history.no-runs",
            "model.history needs at least one run. Received: none.",
            do="List the runs: darkroom model list",
        )
    data, image_id, label = picture_named(workspace, image, file)
    said = [one for run in runs for one in _over_epochs(workspace, run, data, label)]
    best = [one.answer for one in said if one.epoch == 0]
    agreement = max(best.count(answer) for answer in best) / len(best)
    words = " ".join(_where(workspace, runs, image_id))
    path = _history_page(workspace, image_id, label, said, agreement, data, words)
    return HistoryReport(
        image=str(image or file), label=label, said=tuple(said), agreement=agreement, words=words, path=path
    )


def _over_epochs(workspace: Workspace, run: str, data: bytes, label: str) -> Iterator[SaidOnce]:
    """Yields what the snapshots of a run say, the earliest first, the best weights last."""
    from darkroom.images import prepare
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load
    from darkroom.operations.explaining import weights_of

    best, _ = weights_of(workspace, run)
    snapshots = sorted((int(one.stem[6:]), one) for one in best.parent.glob("epoch-*.safetensors"))
    for epoch, path in [*snapshots, (0, best)]:
        network, card = load(path)
        if card.task != "classification":
            raise InvalidConfig(
                "history.other-task",
                "{run} answers {task}; this is for models that answer one class per picture.",
                run=run,
                task=card.task,
                do="Name runs of one class per picture: darkroom model list",
            )
        row = predict(ImageModel.of(network, card), [prepare(data, card.contract)[None]])[0]
        answer = int(row.argmax())
        known = label in card.labels
        yield SaidOnce(
            run=run,
            epoch=epoch,
            answer=card.labels[answer],
            probability=float(row[answer]),
            label_probability=float(row[card.labels.index(label)]) if known else None,
        )


def _where(workspace: Workspace, runs: Sequence[str], image_id: str) -> Iterator[str]:
    """Yields where a picture lies, once for all runs for which it lies there."""
    from darkroom.operations.must_pass import splits_in
    from darkroom.operations.run_pictures import split_seed_of

    asked: dict[tuple[str, int | None], str | None] = {}
    found: dict[str | None, list[str]] = {}
    for run in dict.fromkeys(runs):
        of = (workspace.catalogue.runs.get(run).dataset, split_seed_of(workspace, run))
        if of not in asked:
            asked[of] = splits_in(workspace, run, {image_id: ""}).get(image_id)
        found.setdefault(asked[of], []).append(run)
    for split, some in found.items():
        if split is None:
            yield f"It does not lie in the dataset of {', '.join(some)}."
            continue
        seen = f"; {'it' if len(some) == 1 else 'they'} learnt from it" if split == "train" else ""
        yield f"It lies in {split} of {', '.join(some)}{seen}."


def _history_page(
    workspace: Workspace,
    image_id: str,
    label: str,
    said: Sequence[SaidOnce],
    agreement: float,
    data: bytes,
    words: str,
) -> str:
    from darkroom.documents.blocks import Block, Cell, Pictures, Section, Shown
    from darkroom.documents.blocks import Table as Grid
    from darkroom.images import thumbnail
    from darkroom.operations.found_pages import deliver_found

    rows = tuple(
        (
            Cell(one.run),
            Cell(str(one.epoch) if one.epoch else "best"),
            Cell(one.answer, tone="" if not label else "pass" if one.answer == label else "fail"),
            Cell(f"{one.probability:.3f}"),
            Cell("" if one.label_probability is None else f"{one.label_probability:.3f}"),
        )
        for one in said
    )
    columns = ("Run", "Epoch", "Answer", "Probability", "Probability of its label")
    blocks: list[Block] = [
        Pictures((Shown(thumbnail(data, 320), label or "without a label"),)),
        Grid(columns, rows, "The snapshots that were kept, then the best weights.", frozenset({1, 3, 4})),
    ]
    runs = list(dict.fromkeys(one.run for one in said))
    return deliver_found(
        workspace,
        f"07-evaluation/history-{image_id[:12]}.html",
        kind=f"One picture over epochs and runs · {image_id[:12]}",
        lead=f"Commonest answer: given by {agreement:.0%} of {counted(len(runs), 'run')}. {words}",
        sections=[Section("said", "What was said", tuple(blocks))],
        papers=False,
    )[0]


def _sections(workspace: Workspace, extremes: Sequence[Extreme]) -> Iterator[Section]:
    from darkroom.documents.blocks import Block, Pictures, Section, Shown, Text
    from darkroom.operations.deliverables import thumbnails

    pictures = thumbnails(workspace, (one.image_id for one in extremes), most=600)
    for number, label in enumerate(dict.fromkeys(one.label for one in extremes)):
        blocks: list[Block] = []
        for kind in dict.fromkeys(one.kind for one in extremes):
            mine = [one for one in extremes if (one.label, one.kind) == (label, kind)]
            if not mine:
                continue
            items = (
                Shown(
                    pictures.get(one.image_id),
                    f"{one.answer} {one.probability:.2f}"
                    + ("" if one.answer == label else f", {label} {one.truth_probability:.2f}")
                    + f" · {one.image_id[:12]}",
                )
                for one in mine
            )
            blocks += [Text(kind.capitalize(), "head"), Pictures(tuple(items))]
        yield Section(f"class-{number}", label, tuple(blocks))
