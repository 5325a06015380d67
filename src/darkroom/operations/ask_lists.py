"""Ask a model about many pictures, with or without the truth: `darkroom model ask`."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Literal

from darkroom.errors import DarkroomError, Invalid, InvalidConfig, NotFound
from darkroom.operation import BundleRef, LocalPath, Produced, RunRef, operation
from darkroom.records import Interval, Result, Table
from darkroom.records.numbers import counted
from darkroom.spreadsheet import csv_text
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.operations.asking import Model
    from darkroom.operations.lists import Listed

__all__ = ["ask_list"]

SHOWN = 24
COLUMNS = (
    "image",
    "answer",
    "sure",
    "probability",
    "label",
    "right",
    "looks in-domain",
    "not answered because",
)


class AskReport(Result):
    """What a model answered to a list of pictures."""

    model: str
    runtime: str
    answered: int
    refused: int
    """Files that no answer was given for; the table says why."""
    counts: dict[str, int]
    """How often each class was answered."""
    not_sure: int
    """Answers below the operating point."""
    with_truth: int
    """Pictures of which it is known what is right."""
    accuracy: Interval | None
    """Share of right answers among those; None where none is known."""
    wrong: tuple[tuple[str, ...], ...]
    """The surest of the wrong answers: picture, what is right, answer, probability."""
    remarks: tuple[str, ...] = ()
    csv: Produced
    """A row per picture."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the sums, the surest wrong answers, and where the table is."""
        yield f"{self.model} ({self.runtime}) answered {counted(self.answered, 'picture')}"
        rows = tuple((name, f"{count:,}") for name, count in self.counts.items())
        yield Table(("answer", "pictures"), rows)
        if self.wrong:
            yield Table(
                ("picture", "right", "answer", "probability"), self.wrong[:8], "Surest wrong answers"
            )
        yield from self.notes()
        yield f"A row per picture: {self.csv}"
        yield f"Page: {self.path}"

    def notes(self) -> Iterator[str]:
        """Yields how many are right, not sure, and not answered."""
        if self.accuracy is not None:
            yield f"Right: {self.accuracy} of {counted(self.with_truth, 'picture')} whose truth is known."
        if self.not_sure:
            yield f"Not sure about {self.not_sure:,} of them, by the operating point."
        if self.refused:
            yield f"Not answered: {self.refused:,}; the table says why."
        yield from self.remarks


@operation("model.ask", slow=True, stage=8, positional=("images",))
def ask_list(
    workspace: Workspace,
    *,
    images: tuple[LocalPath, ...],
    run: RunRef | None = None,
    bundle: BundleRef | None = None,
    using: Literal["auto", "torch", "onnx", "litert", "executorch", "coreml"] = "auto",
    truth: Literal["auto", "none"] = "auto",
) -> AskReport:
    """Ask a model about a list of pictures, and say how often it is right where that is known.

    However many there are, the memory stays the same: a row per picture is written as it is answered.

    Args:
        images: lists (.csv), folders or pictures. A list has a column "image": files beside it or below, or
            pictures of the project; and "label" where it is known what is right. In folders, a folder that
            is called like a class says it.
        run: ask this run's best weights.
        bundle: ask this bundle; the newest when neither is given.
        using: what answers; auto takes the bundle's first file, or the run where there is no bundle.
        truth: auto takes what is right from lists and folders; none leaves it out.
    """
    from darkroom import atomic
    from darkroom.operations.asking import model_for
    from darkroom.operations.lists import listed

    if not images:
        raise NotFound("ask.no-images", "No picture was named.", do="darkroom model ask LIST.csv --run RUN")
    model = model_for(workspace, using, run, bundle)
    if model.card.task != "classification":
        raise InvalidConfig(
            "ask.other-task",
            "A list is answered with one class per picture; {model} answers {task}.",
            do="darkroom predict FOLDER asks it.",
            model=model.name,
            task=model.card.task,
        )
    tally = _Tally()
    place = f"08-tuned/asked-{images[0].stem or 'pictures'}"
    path = workspace.deliverables / f"{place}.csv"
    rows = listed(workspace, images, model.card.labels, truth=truth == "auto")
    first = next(rows, None)  # a list that cannot be read is said before anything is written
    rows = iter(()) if first is None else chain([first], rows)
    atomic.write_parts(path, _written(workspace, model, rows, tally))
    if not tally.answered:
        raise Invalid(
            "ask.no-picture",
            "No answer to any of {pictures}: {why}",
            do="{path} says why for each of them.",
            pictures=counted(tally.refused, "picture"),
            why=tally.why or "nothing was named.",
            path=workspace.relative(path),
        )
    return _report(workspace, model, tally, workspace.relative(path), place)


def _report(workspace: Workspace, model: Model, tally: _Tally, csv: str, place: str) -> AskReport:
    accuracy = tally.accuracy()
    return AskReport(
        model=model.name,
        runtime=model.runtime,
        answered=tally.answered,
        refused=tally.refused,
        counts=dict(tally.counts.most_common()),
        not_sure=tally.not_sure,
        with_truth=len(tally.right),
        accuracy=accuracy,
        wrong=tuple(
            (one.name, one.truth, answer, f"{probability:.4f}")
            for probability, _, one, answer in sorted(tally.worst, key=lambda row: (-row[0], row[1]))
        ),
        remarks=tuple(tally.remarks()),
        csv=csv,
        path=_page(workspace, f"{place}.html", model, tally, accuracy),
    )


class _Tally:
    """Counts while pictures go by; nothing of them is kept but the surest wrong ones."""

    def __init__(self) -> None:
        self.answered = self.refused = self.not_sure = self.out_of_domain = self.checked = 0
        self.counts: Counter[str] = Counter()
        self.right = array("b")
        self.unknown: Counter[str] = Counter()
        self.worst: list[tuple[float, int, Listed, str]] = []
        self.why = ""

    def wrong(self, one: Listed, answer: str, probability: float) -> None:
        """Notes a wrong answer, if it is among the surest."""
        entry = (probability, -self.answered, one, answer)
        if len(self.worst) < SHOWN:
            heapq.heappush(self.worst, entry)
        else:
            heapq.heappushpop(self.worst, entry)

    def accuracy(self) -> Interval | None:
        """Returns the share of right answers; None where no truth is known."""
        from darkroom.statistics import wilson

        return wilson(sum(self.right), len(self.right)) if len(self.right) else None

    def remarks(self) -> Iterator[str]:
        """Yields what a reader must know."""
        if self.unknown:
            said = ", ".join(f"{name!r} {count}" for name, count in self.unknown.most_common(5))
            yield f"Labels that the model does not know ({said}): these answers cannot be right."
        if self.out_of_domain:
            yield (
                f"Unlike the pictures of training: {self.out_of_domain:,} of "
                f"{counted(self.checked, 'picture')}."
            )


def _written(workspace: Workspace, model: Model, rows: Iterator[Listed], tally: _Tally) -> Iterator[bytes]:
    """Yields the table, a row per picture, as it is answered."""
    from darkroom.operations.asking import answer_of

    yield csv_text(COLUMNS, []).encode()
    for number, one in enumerate(rows, 1):
        try:
            found = answer_of(model, one.name, one.read(workspace))
        except (DarkroomError, OSError) as error:
            tally.refused += 1
            tally.why = tally.why or str(error)
            yield _line((one.name, "", "", "", one.truth, "", "", str(error)))
            continue
        tally.answered += 1
        tally.counts[found.label] += 1
        tally.not_sure += not found.sure
        domain = ""
        if found.domain is not None:
            tally.checked += 1
            tally.out_of_domain += not found.domain.in_domain
            domain = "yes" if found.domain.in_domain else found.domain.words
        right = ""
        if one.truth:
            if one.truth not in model.card.labels:
                tally.unknown[one.truth] += 1
            hit = found.label == one.truth
            tally.right.append(hit)
            right = "yes" if hit else "no"
            if not hit:
                tally.wrong(one, found.label, found.probability)
        sure = "yes" if found.sure else "no"
        said = (one.name, found.label, sure, f"{found.probability:.6f}", one.truth, right, domain, "")
        yield _line(said)
        workspace.report("asking", done=number, unit="images", stops=True)


def _line(cells: tuple[str, ...]) -> bytes:
    return csv_text(cells, []).encode()


def _page(workspace: Workspace, place: str, model: Model, tally: _Tally, accuracy: Interval | None) -> str:
    from darkroom.operations.found_pages import deliver_found

    known = "" if accuracy is None else f" Of {len(tally.right):,} it is known what is right: {accuracy}."
    lead = f"{model.name} answered {counted(tally.answered, 'picture')}.{known}"
    sections = list(_sections(workspace, tally))
    return deliver_found(
        workspace, place, kind="Answers to a list", lead=lead, sections=sections, papers=False
    )[0]


def _sections(workspace: Workspace, tally: _Tally) -> Iterator[Section]:
    from darkroom.documents.blocks import Cell, Pictures, Section, Shown, Text
    from darkroom.documents.blocks import Table as Grid
    from darkroom.images import thumbnail
    from darkroom.operations.deliverables import THUMBNAIL_PX

    rows = tuple((Cell(name), Cell(f"{count:,}")) for name, count in tally.counts.most_common())
    notes = tuple(Text(remark, "note") for remark in tally.remarks())
    table = Grid(("Answer", "Pictures"), rows, right=frozenset({1}))
    yield Section("answers", "Answers", (*notes, table))
    if tally.worst:
        items = []
        for probability, _, one, answer in sorted(tally.worst, key=lambda row: (-row[0], row[1])):
            try:
                shown = thumbnail(one.read(workspace), THUMBNAIL_PX)
            except (DarkroomError, OSError):
                shown = None
            items.append(Shown(shown, f"{one.truth}, answered {answer} ({probability:.2f}) · {one.name}"))
        yield Section("wrong", "Surest wrong answers", (Pictures(tuple(items)),))
