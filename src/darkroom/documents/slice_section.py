"""The section of an evaluation's report on parts of the pictures."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.documents.blocks import Block, Cell, Fold, Section, Table, Text, share_cell
from darkroom.documents.wording import UNDEFINED, count, number, share
from darkroom.evaluation import Evaluation
from darkroom.evaluation.findings import Slice, Slices

__all__ = ["slices_section"]

TONES = {"better": "pass", "worse": "fail", "no difference shown": "open"}


def slices_section(evaluations: Sequence[Evaluation], human: float | None) -> Section | None:
    """Returns which parts of the pictures differ with evidence, and all that were looked at.

    Args:
        evaluations: one per run, on the same images.
        human: accuracy of people on such pictures.
    """
    found = [(one.source.run or "this run", one.slices) for one in evaluations if one.slices is not None]
    if not found:
        return None
    first = found[0][1]
    blocks: list[Block] = [
        Text(
            "Each part against all other pictures, by what is known of them. "
            f"{first.looks} comparisons were made; so many looks find differences by luck, so their "
            f"p-values are corrected together (Holm), and only {share(first.level, 0)} or less is called "
            f"out. A part, and what lies outside it, needs {first.smallest} pictures."
        )
    ]
    for name, slices in found:
        inside = tuple(_of_run(slices, human))
        blocks += inside if len(found) == 1 else [Text(name, "head"), *inside]
    if first.left_out:
        said = "; ".join(f"{name}: {why}" for name, why in first.left_out.items())
        blocks.append(Text(f"Nothing to compare by: {said}.", "quiet"))
    return Section("slices", "On parts of the pictures", tuple(blocks))


def _of_run(slices: Slices, human: float | None) -> list[Block]:
    called = [row for row in slices.slices if row.verdict in ("better", "worse")]
    found: list[Block] = []
    if called:
        found.append(_table(called, human, "Differ with evidence."))
    elif slices.looks:
        found.append(Text("No part differs with evidence. With more pictures one may."))
    else:
        found.append(Text("No part has enough pictures for a verdict."))
    if slices.slices:
        table = _table(slices.slices, human, "Without a verdict: too few pictures, or no evidence.")
        found.append(Fold(f"All {len(slices.slices)} parts", (table,)))
    return found


def _table(rows: Sequence[Slice], human: float | None, words: str) -> Table:
    floor = min(0.9, int(min((row.accuracy.low for row in rows), default=0.0) * 10) / 10)
    columns = ("Part", "Pictures", "Accuracy", "All others", "Corrected p", "Verdict")
    return Table(columns, tuple(_row(row, floor, human) for row in rows), words, frozenset({1, 3, 4}))


def _row(row: Slice, floor: float, human: float | None) -> tuple[Cell, ...]:
    p_value = UNDEFINED if row.adjusted_p_value is None else number(row.adjusted_p_value, 2)
    return (
        Cell(f"{row.attribute}: {row.value}"),
        Cell(count(row.count)),
        share_cell(row.accuracy, floor=floor, human=human),
        Cell(share(row.others)),
        Cell(p_value),
        Cell(row.verdict, tone=TONES.get(row.verdict, "")),  # type: ignore[arg-type]
    )
