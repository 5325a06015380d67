"""Sections of an evaluation's report: operating point, costs, curves, calibration, slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from darkroom.documents.band_figures import BandLine, ReliabilityLine, bands, reliability
from darkroom.documents.blocks import (
    Block,
    Cell,
    Drawing,
    Drawn,
    Fold,
    Section,
    Table,
    Text,
    number_cell,
    share_cell,
)
from darkroom.documents.slice_section import slices_section
from darkroom.documents.wording import UNDEFINED, count, number, share
from darkroom.evaluation import Evaluation
from darkroom.evaluation.findings import CalibrationFigures, Curves, OperatingFigures

__all__ = ["deeper_sections"]

TONES = {"better": "pass", "worse": "fail"}

MOST_LINES = 4
"""Runs whose curves are drawn over one another."""


def deeper_sections(
    evaluations: Sequence[Evaluation], *, human: float | None = None
) -> tuple[Section, ...]:
    """Returns what a deeper look found; a section for which nothing was measured is left out.

    Args:
        evaluations: one per run, on the same images.
        human: accuracy of people on such pictures.
    """
    found = (
        _operating(evaluations),
        _costs(evaluations),
        _curves(evaluations),
        _calibration(evaluations),
        slices_section(evaluations, human),
    )
    return tuple(section for section in found if section is not None)


def name_of(evaluation: Evaluation) -> str:
    """Returns what a run is called in tables."""
    return evaluation.source.run or "this run"


def _operating(evaluations: Sequence[Evaluation]) -> Section | None:
    found = [(name_of(one), one.operating) for one in evaluations if one.operating is not None]
    if not found:
        return None
    blocks: list[Block] = [
        Text(
            "What an app does with this model: probabilities are read at the temperature, an answer counts "
            "from its threshold on, and below it the model says “not sure”. All of it was chosen on "
            f"{found[0][1].point.chosen_on or 'validation pictures'}; these figures are of the pictures of "
            "this page."
        ),
        Table(
            (
                "Run",
                "Temperature",
                "Gets an answer",
                "Right of the answers",
                "Cost per picture",
                "Cost if all answered",
                "Against answering all",
            ),
            tuple(_operating_row(name, one) for name, one in found),
            _not_sure_words(found[0][1]),
            frozenset({1}),
        ),
    ]
    blocks += [
        Fold(
            f"{name}, class by class",
            (
                Table(
                    ("Most probable class", "Counts from", "Answered", "Right", "Not sure"),
                    tuple(_decision_row(row) for row in one.classes),
                    right=frozenset({1, 2, 3, 4}),
                ),
            ),
        )
        for name, one in found
        if one.point.thresholds or one.point.not_sure_below
    ]
    return Section("operating", "At its operating point", tuple(blocks))


def _not_sure_words(figures: OperatingFigures) -> str:
    if figures.not_sure_cost is None:
        return "The brief does not say what “not sure” costs, so every answer counts."
    return f"“Not sure” costs {number(figures.not_sure_cost)} by the brief."


def _operating_row(name: str, one: OperatingFigures) -> tuple[Cell, ...]:
    return (
        Cell(name),
        Cell(number(one.point.temperature)),
        share_cell(one.coverage),
        share_cell(one.accuracy_of_answered),
        number_cell(one.expected_cost),
        number_cell(one.cost_if_all_answered),
        _verdict(one.verdict),
    )


def _decision_row(row) -> tuple[Cell, ...]:
    start = "always" if not row.threshold else "never" if row.threshold > 1 else share(row.threshold)
    return tuple(map(Cell, (row.label, start, count(row.answered), count(row.right), count(row.not_sure))))


def _verdict(word: str) -> Cell:
    return Cell(word or UNDEFINED, tone=TONES.get(word, "open" if word else ""))  # type: ignore[arg-type]


def _costs(evaluations: Sequence[Evaluation]) -> Section | None:
    priced = [one for one in evaluations if one.pair_costs]
    if not priced:
        return None
    rows = [
        (
            Cell(f"“{pair.truth}” answered “{pair.answer}”"),
            *([Cell(name_of(one))] if len(evaluations) > 1 else []),
            Cell(count(pair.count)),
            Cell(number(pair.cost)),
            number_cell(pair.expected_cost),
        )
        for one in priced
        for pair in one.pair_costs
    ]
    columns = ("Mistake", *(["Run"] if len(evaluations) > 1 else []), "Times", "Costs", "Cost per picture")
    numbers = frozenset(place for place, name in enumerate(columns) if name in ("Times", "Costs"))
    words = (
        "What each kind of mistake costs, by the brief, spread over all pictures of the page; the dearest "
        "first."
    )
    return Section("costs", "What mistakes cost", (Table(columns, tuple(rows), words, numbers),))


def _curves(evaluations: Sequence[Evaluation]) -> Section | None:
    found = [(one, one.curves) for one in evaluations if one.curves is not None]
    if not found:
        return None
    rows = tuple(
        (
            Cell(name_of(one)),
            share_cell(curves.macro_average_precision),
            share_cell(curves.macro_roc_area),
            share_cell(one.figures.balanced_accuracy),
            *(share_cell(one.figures.top_k[k]) for k in sorted(one.figures.top_k)),
        )
        for one, curves in found
    )
    tops = tuple(f"Right class among the first {k}" for k in sorted(found[0][0].figures.top_k))
    blocks: list[Block] = [
        Text(
            "How well the probability of a class tells its pictures from all others, over all thresholds. "
            "Average precision: area below precision against recall. ROC area: how often a picture of the "
            "class stands before one of another. Balanced accuracy: mean recall of the classes."
        ),
        Table(
            (
                "Run",
                "Average precision, mean of classes",
                "ROC area, mean of classes",
                "Balanced accuracy",
                *tops,
            ),
            rows,
            f"Intervals of the first two from {found[0][1].draws} draws.",
        ),
        *_curve_drawings([(name_of(one), curves) for one, curves in found][:MOST_LINES]),
        *(_class_curves(name_of(one), curves) for one, curves in found),
    ]
    return Section("curves", "Over all thresholds", tuple(blocks))


def _curve_drawings(found: Sequence[tuple[str, Curves]]) -> Iterator[Drawing]:
    pairs = (
        ("precision_recall", "Precision against recall", "recall", "precision", False),
        ("roc", "ROC", "share of false alarms", "share found", True),
    )
    for field, title, x_title, y_title, diagonal in pairs:
        lines = [
            BandLine(name, curves.grid, band.value, band.low, band.high)
            for name, curves in found
            if (band := getattr(curves, field)) is not None
        ]
        if lines:
            name = f"{title}, mean of classes"
            draw = Drawn(partial(_drawn_bands, tuple(lines), name, x_title, y_title, diagonal))
            more = f"; the band is of {lines[0].name}" if len(lines) > 1 else ""
            yield Drawing(draw, f"{title}, mean of classes", f"{title}, mean over the classes{more}.")


def _drawn_bands(lines, title, x_title, y_title, diagonal, form) -> bytes:
    return bands(lines, title=title, x_title=x_title, y_title=y_title, diagonal=diagonal, form=form)


def _class_curves(name: str, curves: Curves) -> Fold:
    rows = tuple(
        (
            Cell(row.label),
            Cell(count(row.support)),
            share_cell(row.average_precision),
            share_cell(row.roc_area),
        )
        for row in curves.classes
    )
    columns = ("Class", "Pictures", "Average precision", "ROC area")
    return Fold(
        f"{name}, class by class over all thresholds", (Table(columns, rows, right=frozenset({1})),)
    )


def _calibration(evaluations: Sequence[Evaluation]) -> Section | None:
    found = [(name_of(one), one.calibration) for one in evaluations if one.calibration is not None]
    if not found:
        return None
    rows = []
    for name, one in found:
        rows.append(_calibration_row(name, "as the model answers", one.before))
        if one.after is not None:
            rows.append(_calibration_row(name, f"temperature {number(one.after.temperature)}", one.after))
    fitted = any(one.after is not None for _, one in found)
    hint = (
        "The temperature was fitted on validation pictures, never on these."
        if fitted
        else "No temperature was fitted yet: darkroom model calibrate"
    )
    blocks: list[Block] = [
        Text(
            "Of answers given with 80 %, about 80 % should be right. ECE is the mean distance from that, "
            "over bins of equally many pictures and over bins of equal width; Brier is the mean squared "
            f"distance to the right answer, from 0 to 2. Lower is better for all. {hint}"
        ),
        Table(
            ("Run", "Probabilities", "ECE, equal mass", "ECE, equal width", "Brier", "Log loss"),
            tuple(rows),
        ),
    ]
    for name, one in found:
        inside: list[Block] = [_reliability(name, one.before, one.after), _bins(one.after or one.before)]
        blocks += inside if len(found) == 1 else [Fold(f"{name}, how reliable", tuple(inside))]
    return Section("calibration", "Do the probabilities mean what they say", tuple(blocks))


def _calibration_row(name: str, which: str, one: CalibrationFigures) -> tuple[Cell, ...]:
    return (
        Cell(name),
        Cell(which),
        share_cell(one.ece_equal_mass),
        share_cell(one.ece_equal_width),
        number_cell(one.brier),
        number_cell(one.log_loss),
    )


def _reliability(name: str, before: CalibrationFigures, after: CalibrationFigures | None) -> Drawing:
    pairs = [("as the model answers", before)] + ([("at the temperature", after)] if after else [])
    lines = tuple(
        ReliabilityLine(
            which,
            [row.confidence for row in one.bins],
            [row.accuracy.value for row in one.bins],
            [row.accuracy.low for row in one.bins],
            [row.accuracy.high for row in one.bins],
        )
        for which, one in pairs
    )
    title = f"Reliability of {name}"
    words = (
        "Each point: as many pictures. On the dashed line probabilities mean what they say; below it the "
        "model is too sure."
    )
    return Drawing(Drawn(partial(_drawn_reliability, lines, title)), title, words)


def _drawn_reliability(lines, title, form) -> bytes:
    return reliability(lines, title=title, form=form)


def _bins(one: CalibrationFigures) -> Table:
    rows = tuple(
        (
            Cell(f"{share(row.low)} to {share(row.high)}"),
            Cell(count(row.count)),
            Cell(share(row.confidence)),
            share_cell(row.accuracy),
        )
        for row in one.bins
    )
    words = "At the temperature." if one.temperature != 1 else "As the model answers."
    return Table(("Probability", "Pictures", "Mean probability", "Right"), rows, words, frozenset({1, 2}))
