"""What a training looks like from inside: gradient norms, a few answers epoch by epoch, what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from darkroom.documents import wording
from darkroom.documents.blocks import Block, Cell, Drawing, Pictures, Section, Shown, Table, Text
from darkroom.documents.page import html
from darkroom.records import MetricPoint

if TYPE_CHECKING:
    from darkroom.documents.figures import Form

__all__ = ["Followed", "Watched", "epoch_rows", "watch_page", "watch_section"]

MOST_EPOCHS = 8
"""Epochs of the followed pictures that a page shows: the first, the last, and some between."""

EPOCH_COLUMNS = (
    "epoch",
    "train loss",
    "val loss",
    "train accuracy",
    "val accuracy",
    "learning rate",
    "gradient norm",
    "pictures/s",
    "left",
)


class Followed(Protocol):
    """Answers to the followed pictures after one epoch."""

    @property
    def epoch(self) -> int: ...

    @property
    def answers(self) -> tuple[str, ...]: ...

    @property
    def confidences(self) -> tuple[float, ...]: ...

    @property
    def right(self) -> tuple[bool, ...]: ...


class Watched(NamedTuple):
    """What was watched of one training."""

    points: Sequence[MetricPoint] = ()
    image_ids: Sequence[str] = ()
    labels: Sequence[str] = ()
    """Class of each followed picture; empty for masks."""
    answers: Sequence[Followed] = ()
    seen: Sequence[tuple[int, bytes]] = ()
    """Epoch, and the encoded pictures that it began with."""


def watch_section(watched: Watched, pictures: Mapping[str, bytes]) -> Section | None:
    """Returns the section of what was watched; None where nothing was.

    Args:
        watched: what was watched.
        pictures: encoded thumbnails by image id.
    """
    blocks = (*_norms(watched.points), *_answers(watched, pictures), *_seen(watched))
    return Section("watched", "While it trained", blocks) if blocks else None


def watch_page(
    *, project: str, run: str, state: str, lead: str, watched: Watched, pictures: Mapping[str, bytes]
) -> bytes:
    """Returns the page of a training that may still go on.

    Args:
        project: name of the project.
        run: the run.
        state: "running", "finished", …
        lead: how far it is, in a sentence.
        watched: what was watched.
        pictures: encoded thumbnails by image id.
    """
    rows = [tuple(Cell(text) for text in row) for row in reversed(epoch_rows(watched.points))]
    table = Table(EPOCH_COLUMNS, tuple(rows), "The newest epoch first.", frozenset(range(1, 9)))
    sections = [watch_section(watched, pictures)]
    if rows:
        sections.append(Section("epochs", "Epochs", (table,)))
    shown = [one for one in sections if one is not None]
    return html(
        "sections", project=project, title=run, eyebrow=f"Training · {state}", lead=lead, sections=shown
    )


def epoch_rows(points: Sequence[MetricPoint]) -> list[tuple[str, ...]]:
    """Returns a row of texts for each epoch; see `EPOCH_COLUMNS`."""
    return [
        (
            str(point.epoch),
            wording.number(point.train_loss),
            wording.number(point.val_loss),
            wording.share(point.train_accuracy),
            wording.share(point.val_accuracy),
            f"{point.learning_rate:.2g}",
            wording.number(point.gradient_norm),
            wording.number(point.images_per_second),
            wording.duration(point.time_left_s),
        )
        for point in points
    ]


def _norms(points: Sequence[MetricPoint]) -> Iterator[Block]:
    from darkroom.documents.figures import Curve, curves

    known = [point for point in points if point.gradient_norm is not None]
    if len(known) < 2:
        return
    epochs = [float(point.epoch) for point in known]
    norms = [
        Curve("largest", epochs, [point.gradient_norm_max for point in known], "soft"),
        Curve("median", epochs, [point.gradient_norm for point in known]),
    ]
    rates = [Curve("rate", [float(p.epoch) for p in points], [p.learning_rate for p in points], "cool")]
    title = "Norm of all gradients together"
    yield Drawing(
        partial(_drawn, curves, norms, title, "gradient norm"),
        title,
        "Gradient norm in a few steps of each epoch. A jump comes before a loss that runs away.",
    )
    title = "Learning rate at the end of each epoch"
    yield Drawing(partial(_drawn, curves, rates, title, "rate"), title, f"{title}.")


def _drawn(
    curves: Callable[..., bytes], lines: Sequence[Any], title: str, y_title: str, form: Form
) -> bytes:
    return curves(lines, title=title, x_title="epoch", y_title=y_title, form=form)


def _answers(watched: Watched, pictures: Mapping[str, bytes]) -> Iterator[Block]:
    if not watched.answers:
        return
    last = watched.answers[-1]
    yield Text("A few validation pictures, followed", "head")
    yield Pictures(
        tuple(
            Shown(pictures.get(image_id), _said(watched, last, place))
            for place, image_id in enumerate(watched.image_ids)
        )
    )
    chosen = _spread(watched.answers)
    names = watched.labels or [image_id[:8] for image_id in watched.image_ids]
    rows = tuple((Cell(name), *(_cell(one, place) for one in chosen)) for place, name in enumerate(names))
    columns = ("shows" if watched.labels else "picture", *(f"epoch {one.epoch}" for one in chosen))
    yield Table(columns, rows, "What was answered after an epoch, and how sure it was.")


def _said(watched: Watched, found: Followed, place: int) -> str:
    if not watched.labels:
        return f"{wording.share(found.confidences[place])} of the pixels right"
    truth, answer = watched.labels[place], found.answers[place]
    sure = wording.share(found.confidences[place], 0)
    return f"{answer}, {sure}" if found.right[place] else f"{answer}, {sure}; it is {truth}"


def _cell(found: Followed, place: int) -> Cell:
    sure = wording.share(found.confidences[place], 0)
    if not found.answers:
        return Cell(sure)
    return Cell(f"{found.answers[place]} {sure}", tone="pass" if found.right[place] else "fail")


def _spread(answers: Sequence[Followed]) -> list[Followed]:
    """Returns the first, the last, and some between at even distances."""
    if len(answers) <= MOST_EPOCHS:
        return list(answers)
    step = (len(answers) - 1) / (MOST_EPOCHS - 1)
    return [answers[round(number * step)] for number in range(MOST_EPOCHS)]


def _seen(watched: Watched) -> Iterator[Block]:
    if watched.seen:
        yield Text(
            "What the network saw: the first pictures of an epoch, as augmentation changed them", "head"
        )
        yield Pictures(tuple(Shown(data, f"epoch {epoch}") for epoch, data in watched.seen))
