"""Sections of the report on masks: runs, classes, what is taken for what, the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from darkroom.documents.blocks import (
    Block,
    Cell,
    Drawing,
    Drawn,
    Fold,
    Pictures,
    Section,
    Shown,
    Table,
    Text,
    share_cell,
)
from darkroom.documents.figures import confusion
from darkroom.documents.wording import UNDEFINED, count, share, spell_spread
from darkroom.evaluation import MaskClonesSummary, MaskEvaluation
from darkroom.records import Interval, Spread

__all__ = [
    "ShownMask",
    "classes_section",
    "confusion_section",
    "lowest_end",
    "measured_section",
    "run_name",
    "runs_section",
    "worst_section",
]


class ShownMask(NamedTuple):
    """One picture with its masks, drawn; each encoded."""

    image_id: str
    words: str
    """How far the answer is off."""
    photo: bytes
    truth: bytes
    """The photo with the mask that is right."""
    answer: bytes
    """The photo with the mask that was answered."""
    apart: bytes
    """Where the two differ."""

    @property
    def four(self) -> tuple[tuple[str, bytes], ...]:
        """The four pictures, each with its name."""
        return (
            ("picture", self.photo),
            ("right", self.truth),
            ("answered", self.answer),
            ("where they differ", self.apart),
        )


def run_name(one: MaskEvaluation) -> str:
    """Returns what a run is called."""
    return one.source.run or "this run"


def lowest_end(figures: Sequence[Interval | None]) -> float:
    """Returns where the lines of a table begin: the tenth below the least lower end."""
    least = min((figure.low for figure in figures if figure is not None), default=0.0)
    return min(0.9, np.floor(least * 10) / 10)


def runs_section(evaluations: Sequence[MaskEvaluation], clones: MaskClonesSummary) -> Section:
    """Returns one row per run, and their spread."""
    floor = lowest_end([one.figures.miou for one in evaluations])
    rows = tuple(
        (
            Cell(run_name(one)),
            Cell(str(one.source.seed)),
            Cell(str(one.source.epoch)),
            share_cell(one.figures.miou, floor=floor),
            share_cell(one.figures.pixel_accuracy),
            share_cell(one.figures.boundary_f1),
        )
        for one in evaluations
    )
    level = share(evaluations[0].level, 0)
    tolerance = evaluations[0].figures.tolerance_px
    columns = ("Run", "Seed", "Epoch", "Mean IoU", "Pixel accuracy", "Boundary F1")
    words = (
        f"Each figure with its {level} interval; the line runs from {share(floor, 0)} to 100 %. Boundary "
        f"F1 takes an outline as met up to {tolerance} px away."
    )
    blocks: list[Block] = [Table(columns, rows, words, frozenset({1, 2}))]
    if clones.miou.sd is not None and clones.alike:
        blocks.append(
            Text(
                f"Over seeds: mean IoU {spell_spread(clones.miou)}; two clones differ on "
                f"{share(clones.churn)} of the pixels. A clone's interval says what other pictures would "
                "change, the spread what another seed would. No clone is picked by these figures: that "
                "would be choosing by luck."
            )
        )
    several = "Clones" if clones.alike else "The runs"
    return Section("runs", several if len(evaluations) > 1 else "The run", tuple(blocks))


def classes_section(evaluations: Sequence[MaskEvaluation], clones: MaskClonesSummary) -> Section:
    """Returns the figures of each class."""
    blocks: list[Block] = [
        Text(
            "IoU: pixels that are right and answered, of those that are right or answered. Recall: of the "
            "pixels that are right, how many were answered so. Precision: of the pixels that were answered "
            f"so, how many are right. {UNDEFINED} stands for “not defined”: no picture shows the class."
        )
    ]
    if clones.miou.sd is not None:
        rows = tuple(
            (Cell(row.label), Cell(count(row.support)), _spread(row.iou), _spread(row.boundary_f1))
            for row in clones.classes
        )
        kind = "clones" if clones.alike else "runs"
        words = f"Mean over {len(evaluations)} {kind}, with the least and the largest."
        columns = ("Class", "Pictures", "IoU", "Boundary F1")
        blocks.append(Table(columns, rows, words, frozenset({1})))
    for one in evaluations:
        table = _class_table(one)
        blocks.append(
            table if len(evaluations) == 1 else Fold(f"{run_name(one)}, with intervals", (table,))
        )
    return Section("classes", "Class by class", tuple(blocks))


def confusion_section(evaluations: Sequence[MaskEvaluation]) -> Section:
    """Returns what is taken for what, in pixels of all runs together."""
    matrix = np.sum([np.array(one.figures.confusion) for one in evaluations], axis=0)
    labels = evaluations[0].labels
    title = f"Confusion of pixels, {len(labels)} classes"
    words = (
        "Row: the class that is right; column: the answer. Blue is right, red is wrong; shaded by the "
        "share of the row."
    )
    drawing = Drawing(Drawn(partial(_drawn, matrix.tolist(), labels, title)), title, words)
    off = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    rows = []
    for place in np.argsort(-off, axis=None, kind="stable")[:8].tolist():
        truth, answer = divmod(place, len(labels))
        if off[truth, answer]:
            part = share(off[truth, answer] / matrix[truth].sum())
            rows.append((Cell(f"{labels[truth]} taken for {labels[answer]}"), Cell(part)))
    blocks: list[Block] = [drawing]
    if rows:
        columns = ("Most frequent mix-ups", "of the pixels of the class that is right")
        blocks.append(Table(columns, tuple(rows), right=frozenset({1})))
    return Section("confusion", "What is taken for what", tuple(blocks))


def worst_section(shown: Sequence[ShownMask]) -> Section:
    """Returns the worst pictures, for papers: four pictures for each."""
    if not shown:
        return Section("worst", "The worst pictures", (Text("Not one pixel was answered wrongly."),))
    blocks: list[Block] = [Text(WORST_WORDS)]
    for one in shown:
        blocks.append(Text(one.words, "quiet"))
        blocks.append(Pictures(tuple(Shown(data, name) for name, data in one.four)))
    return Section("worst", "The worst pictures", tuple(blocks))


WORST_WORDS = (
    "Smallest mean IoU within the picture first. A mask may be wrong, a picture may be bad, or the model "
    "may have learned something absurd: look at each. Where they differ the picture is dark and the "
    "pixels are bright; grey is what no mask says anything about."
)


def measured_section(evaluations: Sequence[MaskEvaluation], looks_in_all: str) -> Section:
    """Returns how the figures were measured."""
    first = evaluations[0]
    figures, source = first.figures, first.source
    said = [
        f"{count(figures.count)} pictures of {source.dataset or 'the dataset'}, split “{source.split}”, "
        f"{count(figures.pixels)} pixels with something said; masks of "
        f"{figures.width_px}×{figures.height_px} px, as the contract makes them.",
        f"{share(first.level, 0)} {figures.miou.method} over pictures"
        f"{f' ({count(figures.groups)} groups)' if figures.groups else ''}, {count(first.draws)} draws, "
        f"seed {first.seed}; Wilson's where no draw can differ.",
        "IoU and pixel accuracy are of the sums over all pictures: where a class covers more, a picture "
        "counts for more; the mean leaves out classes that no picture shows.",
        f"Over all runs, {looks_in_all}" if looks_in_all else "",
        f"Dataset {source.dataset_id}" if source.dataset_id else "",
    ]
    return Section("measured", "How this was measured", tuple(Text(text) for text in said if text))


def _class_table(one: MaskEvaluation) -> Table:
    floor = lowest_end([row.iou for row in one.figures.classes])
    total = max(1, one.figures.pixels)
    rows = tuple(
        (
            Cell(row.label),
            Cell(count(row.support)),
            Cell(share(row.pixels / total)),
            share_cell(row.iou, floor=floor),
            share_cell(row.precision),
            share_cell(row.recall),
            share_cell(row.boundary_f1),
        )
        for row in one.figures.classes
    )
    columns = ("Class", "Pictures", "Of the pixels", "IoU", "Precision", "Recall", "Boundary F1")
    return Table(columns, rows, f"Lines run from {share(floor, 0)} to 100 %.", frozenset({1, 2}))


def _spread(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(UNDEFINED)
    return Cell(share(spread.mean), f"{share(spread.min)} to {share(spread.max)}")


def _drawn(matrix, labels, title, form) -> bytes:
    return confusion(matrix, labels, title=title, form=form)
