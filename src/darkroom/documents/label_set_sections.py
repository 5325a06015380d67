"""Sections of the report on label sets: runs, labels, how they are ranked, the worst pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from darkroom.documents.blocks import (
    Block,
    Cell,
    Fold,
    Pictures,
    Section,
    Shown,
    Table,
    Text,
    number_cell,
    share_cell,
)
from darkroom.documents.mask_sections import lowest_end
from darkroom.documents.wording import UNDEFINED, count, share, spell_spread
from darkroom.evaluation import LabelSetClonesSummary, LabelSetEvaluation, WrongSet
from darkroom.records import Interval, Spread
from darkroom.tasks.label_sets import spoken_set

__all__ = [
    "label_runs_section",
    "labels_section",
    "sets_measured_section",
    "worst_sets_section",
]

MOST_SHOWN = 24

WORST_WORDS = (
    "Largest loss first: the labels of a picture that were most surely answered otherwise. A label may be "
    "missing in the table, a picture may be bad, or the model may have learned something absurd: look at "
    "each."
)


def label_runs_section(evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary) -> Section:
    """Returns one row per run, and their spread."""
    floor = lowest_end([one.figures.mean_ap for one in evaluations])
    rows = tuple(
        (
            Cell(one.source.run or "this run"),
            Cell(str(one.source.seed)),
            Cell(str(one.source.epoch)),
            share_cell(one.figures.mean_ap, floor=floor),
            share_cell(one.figures.macro_f1),
            share_cell(one.figures.micro_f1),
            share_cell(one.figures.exact_match),
            share_cell(one.figures.hamming_loss),
            number_cell(one.figures.log_loss),
        )
        for one in evaluations
    )
    level = share(evaluations[0].level, 0)
    columns = (
        *("Run", "Seed", "Epoch", "Mean AP", "Macro F1", "Micro F1"),
        *("All labels right", "Wrong labels", "Log loss"),
    )
    words = f"Each figure with its {level} interval; the line runs from {share(floor, 0)} to 100 %."
    blocks: list[Block] = [Table(columns, rows, words, frozenset({1, 2}))]
    if clones.alike and clones.mean_ap is not None and clones.mean_ap.sd is not None:
        blocks.append(
            Text(
                f"Over seeds: mean AP {spell_spread(clones.mean_ap)}; two clones give other labels "
                f"to {share(clones.churn)} of the pictures. A clone's interval says what other pictures "
                "would change, the spread what another seed would. No clone is picked by these figures: "
                "that would be choosing by luck."
            )
        )
    for one in evaluations:
        if one.at_half:
            now = ", ".join(f"{NAMES[name]} {share(value)}" for name, value in one.at_half.items())
            blocks.append(
                Text(
                    f"{one.source.run or 'This run'} gives labels from thresholds chosen on "
                    f"{one.point.chosen_on or 'validation pictures'}. At 0.5 for every label it would "
                    f"have: {now}."
                )
            )
    several = "Clones" if clones.alike else "The runs"
    return Section("runs", several if len(evaluations) > 1 else "The run", tuple(blocks))


NAMES = {"macro_f1": "macro F1", "micro_f1": "micro F1", "exact_match": "all labels right"}


def labels_section(evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary) -> Section:
    """Returns the figures of each label."""
    blocks: list[Block] = [
        Text(
            "Average precision: how well the label's probability ranks the pictures, whatever the "
            "threshold; a coin reaches the share of pictures that have it. Recall: of those that "
            "have a label, how many were given it. Precision: of those that were given it, how many have "
            "it. "
            f"{UNDEFINED} stands for “not defined”: no picture has the label, or none was given it."
        )
    ]
    if clones.mean_ap is not None and clones.mean_ap.sd is not None:
        rows = tuple(
            (Cell(row.label), Cell(count(row.support)), _spread(row.average_precision), _spread(row.f1))
            for row in clones.classes
        )
        kind = "clones" if clones.alike else "runs"
        words = f"Mean over {len(evaluations)} {kind}, with the least and the largest."
        columns = ("Label", "Pictures", "Average precision", "F1")
        blocks.append(Table(columns, rows, words, frozenset({1})))
    for one in evaluations:
        table = _label_table(one)
        name = one.source.run or "This run"
        blocks.append(table if len(evaluations) == 1 else Fold(f"{name}, with intervals", (table,)))
    return Section("classes", "Label by label", tuple(blocks))


def worst_sets_section(
    evaluations: Sequence[LabelSetEvaluation], pictures: Mapping[str, bytes], *, most: int = MOST_SHOWN
) -> Section:
    """Returns the worst pictures over all runs, each with the answer of the run that is worst on it."""
    found: dict[str, tuple[WrongSet, str]] = {}
    for one in evaluations:
        for worst in one.worst:
            if worst.image_id not in found or worst.log_loss > found[worst.image_id][0].log_loss:
                found[worst.image_id] = (worst, one.source.run)
    if not found:
        words = "Not one label was wrong. On so few pictures that is no proof: see the intervals."
        return Section("worst", "The worst pictures", (Text(words),))
    chosen = sorted(found.values(), key=lambda entry: (-entry[0].log_loss, entry[0].image_id))[:most]
    several = len(evaluations) > 1
    shown = tuple(
        Shown(pictures.get(worst.image_id), _words(worst, run if several else "")) for worst, run in chosen
    )
    return Section("worst", "The worst pictures", (Text(WORST_WORDS), Pictures(shown)))


def sets_measured_section(evaluations: Sequence[LabelSetEvaluation], looks_in_all: str) -> Section:
    """Returns how the figures were measured."""
    first = evaluations[0]
    figures, source = first.figures, first.source
    looks = max(one.looks for one in evaluations)
    said = [
        f"{count(figures.count)} pictures of {source.dataset or 'the dataset'}, split “{source.split}”, "
        f"{count(figures.empty)} of them with none of the labels.",
        f"{share(first.level, 0)} {figures.macro_f1.method} over pictures"
        f"{f' ({count(figures.groups)} groups)' if figures.groups else ''}, {count(figures.draws)} draws, "
        f"{count(first.curves.draws) if first.curves else UNDEFINED} for average precision, seed "
        f"{first.seed}; Wilson's where no draw can differ.",
        "Means over labels leave out labels that no picture has. Micro F1 counts all pairs of picture and "
        "label together, so that frequent labels count for more.",
        "This split was looked at once for each run."
        if looks == 1
        else f"This split was looked at up to {looks} times for a run: each look makes its figures a "
        "little too good.",
        f"Over all runs, {looks_in_all}" if looks_in_all else "",
        f"Dataset {source.dataset_id}" if source.dataset_id else "",
    ]
    return Section("measured", "How this was measured", tuple(Text(text) for text in said if text))


def _words(worst: WrongSet, run: str) -> str:
    parts = [f"Has {spoken_set(worst.truth)}"]
    for head, rows in (("missed", worst.missed), ("invented", worst.invented)):
        if rows:
            parts.append(
                f"{head} {', '.join(f'{label} ({share(value)})' for label, value in rows.items())}"
            )
    by = f", answered by {run}" if run else ""
    return f"{'; '.join(parts)}{by} · {worst.image_id[:12]}"


def _label_table(one: LabelSetEvaluation) -> Table:
    floor = lowest_end([row.average_precision for row in one.figures.classes])
    total = one.figures.count
    rows = tuple(
        (
            Cell(row.label),
            Cell(count(row.support), share(row.support / total)),
            share_cell(row.average_precision, floor=floor),
            Cell(f"{row.threshold:.2f}"),
            share_cell(row.precision),
            share_cell(row.recall),
            share_cell(row.f1),
        )
        for row in one.figures.classes
    )
    columns = ("Label", "Pictures", "Average precision", "Given from", "Precision", "Recall", "F1")
    return Table(columns, rows, f"Lines run from {share(floor, 0)} to 100 %.", frozenset({1, 3}))


def _spread(spread: Spread | Interval | None) -> Cell:
    if not isinstance(spread, Spread):
        return Cell(UNDEFINED)
    return Cell(share(spread.mean), f"{share(spread.min)} to {share(spread.max)}")
