"""The evaluation's report as a paper: all its sections as blocks, for .docx and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from darkroom.documents.blocks import (
    Block,
    Cell,
    Drawing,
    Drawn,
    Fold,
    Paper,
    Pictures,
    Section,
    Shown,
    Table,
    Text,
    number_cell,
    share_cell,
)
from darkroom.documents.evaluation_sections import deeper_sections, name_of
from darkroom.documents.figures import confusion
from darkroom.documents.wording import UNDEFINED, count, ends, number, share
from darkroom.evaluation import ClonesSummary, Evaluation, WrongAnswer, summarise
from darkroom.evaluation.people import against_people
from darkroom.records import Gate

__all__ = ["brief_section", "evaluation_paper"]

MOST_MISTAKES = 24
TONES = {"better": "pass", "worse": "fail", "pass": "pass", "fail": "fail"}


def evaluation_paper(
    *,
    project: str,
    evaluations: Sequence[Evaluation],
    clones: ClonesSummary | None = None,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    human: float | None = None,
    looks_in_all: str = "",
    most_mistakes: int = MOST_MISTAKES,
    more: Sequence[Section] = (),
) -> Paper:
    """Returns the report of one or several runs on the same images; it says what the page says.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary; made from the evaluations when not given, then without churn.
        pictures: encoded thumbnails of the worst mistakes, by image id.
        gates: the limits of the brief with their verdicts.
        human: accuracy of people on such pictures.
        looks_in_all: how often these pictures were looked at over all runs, in words.
        most_mistakes: how many mistakes to show.
        more: further sections.
    """
    first = evaluations[0]
    summary = clones or summarise(evaluations)
    deeper = deeper_sections(evaluations, human=human)
    early = [section for section in deeper if section.id in ("operating", "costs")]
    late = [section for section in deeper if section.id not in ("operating", "costs")]
    sections = (
        _runs(evaluations, summary, human),
        *([brief_section(gates)] if gates else []),
        *early,
        _classes(evaluations),
        _confusion(evaluations),
        _worst(evaluations, pictures or {}, most_mistakes),
        *late,
        *more,
        _measured(evaluations, looks_in_all),
    )
    source = first.source
    kind = f"Evaluation · {source.dataset or 'dataset'}, {source.split}"
    return Paper(project, kind, _lead(evaluations, summary), sections)


def _lead(evaluations: Sequence[Evaluation], clones: ClonesSummary) -> str:
    first = evaluations[0].figures
    network = evaluations[0].source.network
    if clones.accuracy.sd is None:
        return (
            f"{network or 'The model'} answers {share(first.accuracy.value)} of {count(first.count)} "
            f"pictures rightly; on other pictures of the same kind expect {ends(first.accuracy)}."
        )
    if not clones.alike:
        return (
            f"{len(evaluations)} runs of several recipes answer from {share(clones.accuracy.min)} to "
            f"{share(clones.accuracy.max)} of {count(first.count)} pictures rightly. Compare two of them "
            "before you call one better."
        )
    return (
        f"{len(evaluations)} clones of {network or 'the network'}, alike but for their seed, answer "
        f"{share(clones.accuracy.mean)} of {count(first.count)} pictures rightly on average; chance alone "
        f"moves them from {share(clones.accuracy.min)} to {share(clones.accuracy.max)}."
    )


def _runs(evaluations: Sequence[Evaluation], clones: ClonesSummary, human: float | None) -> Section:
    columns = ["Run", "Seed", "Epoch", "Accuracy", "Macro F1", "Log loss", "Wrong"]
    rows = []
    for one in evaluations:
        figures, source = one.figures, one.source
        row = [Cell(name_of(one)), Cell(str(source.seed)), Cell(str(source.epoch))]
        row += [share_cell(figures.accuracy), share_cell(figures.macro_f1), number_cell(figures.log_loss)]
        row.append(Cell(count(one.errors)))
        if human is not None:
            word = against_people(figures.accuracy, human)
            row.append(Cell(word, tone=TONES.get(word, "open")))  # type: ignore[arg-type]
        rows.append(tuple(row))
    if human is not None:
        columns.append("Against people")
        people = ("People", "", "", share(human), "", "", "", "says the brief")
        rows.append(tuple(map(Cell, people)))
    level = share(evaluations[0].level, 0)
    baseline = max(row.support for row in evaluations[0].figures.classes) / evaluations[0].figures.count
    blocks: list[Block] = [
        *(Text(note, "note") for note in dict.fromkeys(note for one in evaluations for note in one.notes)),
        Table(tuple(columns), tuple(rows), f"Each figure with its {level} interval.", frozenset({1, 2, 6})),
    ]
    if clones.accuracy.sd is not None and clones.alike:
        blocks.append(
            Text(
                f"Over seeds: accuracy {share(clones.accuracy.mean)}, standard deviation "
                f"{share(clones.accuracy.sd, 2)}. Clones disagree on {share(clones.churn)} of the pictures."
            )
        )
    blocks.append(Text(f"Always the commonest class: {share(baseline)}.", "quiet"))
    several = "Clones" if clones.alike else "The runs"
    return Section("runs", several if len(evaluations) > 1 else "The run", tuple(blocks))


def brief_section(gates: Sequence[Gate]) -> Section:
    """Returns the limits of the brief with their verdicts."""
    rows = []
    for gate in gates:
        cell = Cell(gate.measured)
        if gate.interval is not None:
            cell = number_cell(gate.interval)
        tone = TONES.get(gate.verdict, "open")
        verdict = Cell(gate.verdict, tone=tone)  # type: ignore[arg-type]
        said = Cell(gate.what_next or UNDEFINED)
        rows.append((Cell(gate.name), Cell(gate.expected), Cell(gate.where), cell, verdict, said))
    words = (
        "A limit passes when the whole interval is on its side, fails when none of it is; between the two "
        "the pictures are too few to tell."
    )
    columns = ("Limit", "Expected", "Held against", "Measured", "Verdict", "What it means")
    return Section("brief", "The brief", (Table(columns, tuple(rows), words),))


def _classes(evaluations: Sequence[Evaluation]) -> Section:
    blocks: list[Block] = [
        Text(
            "Recall: of the pictures that show a class, how many were found. Precision: of the answers "
            "that named it, how many were right. F1 is their harmonic mean."
        )
    ]
    for one in evaluations:
        rows = tuple(
            (
                Cell(row.label),
                Cell(count(row.support)),
                share_cell(row.precision),
                share_cell(row.recall),
                share_cell(row.f1),
            )
            for row in one.figures.classes
        )
        table = Table(("Class", "Pictures", "Precision", "Recall", "F1"), rows, right=frozenset({1}))
        blocks.append(table if len(evaluations) == 1 else Fold(f"{name_of(one)}, with intervals", (table,)))
    return Section("classes", "Class by class", tuple(blocks))


def _confusion(evaluations: Sequence[Evaluation]) -> Section:
    matrix = np.sum([np.array(one.figures.confusion) for one in evaluations], axis=0).tolist()
    labels = evaluations[0].labels
    title = f"Confusion matrix of {len(labels)} classes"
    words = (
        "Row: the class that is right; column: the answer. Blue is right, red is wrong; shaded by the "
        "share of the row."
    )
    drawing = Drawing(Drawn(partial(_drawn_confusion, matrix, labels, title)), title, words)
    return Section("confusion", "What is taken for what", (drawing,))


def _drawn_confusion(matrix, labels, title, form) -> bytes:
    return confusion(matrix, labels, title=title, form=form)


def _worst(evaluations: Sequence[Evaluation], pictures: Mapping[str, bytes], most: int) -> Section:
    wrong = [(name_of(one), answer) for one in evaluations for answer in one.worst]
    wrong.sort(key=lambda pair: (-(pair[1].cost or 0.0), -pair[1].probability, pair[1].image_id, pair[0]))
    if not wrong:
        return Section("worst", "Most confidently wrong", (Text("Not one answer was wrong."),))
    several = len(evaluations) > 1
    shown = tuple(
        Shown(pictures.get(answer.image_id), _mistake(answer, run if several else ""))
        for run, answer in wrong[:most]
    )
    words = "A label may be wrong, a picture may be bad, or the model may have learned something absurd."
    return Section("worst", "Most confidently wrong", (Text(words), Pictures(shown)))


def _mistake(answer: WrongAnswer, run: str) -> str:
    facts = [share(answer.probability)]
    facts += [f"costs {number(answer.cost)}"] if answer.cost is not None else []
    facts += [run] if run else []
    return f"{answer.truth} taken for {answer.answer} ({', '.join(facts)})"


def _measured(evaluations: Sequence[Evaluation], looks_in_all: str) -> Section:
    first = evaluations[0]
    level, figures = share(first.level, 0), first.figures
    said = [
        f"{count(figures.count)} pictures of {first.source.dataset or 'the dataset'}, split "
        f"“{first.source.split}”.",
        f"{level} {figures.accuracy.method}, {count(first.draws)} draws, seed {first.seed}; Wilson's where "
        "no draw can differ.",
        f"Over all runs, {looks_in_all}" if looks_in_all else "",
        f"Dataset {first.source.dataset_id}" if first.source.dataset_id else "",
    ]
    return Section("measured", "How this was measured", tuple(Text(text) for text in said if text))
