"""The sections of a page on where two sides part: what differs first, each step, the layers."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.documents import wording
from darkroom.documents.blocks import Cell, Section, Table, Text
from darkroom.export.divergence_report import Divergence, StepDifference
from darkroom.records import Table as PlainTable

__all__ = ["divergence_sections"]

SURE = {
    "exact": "The cause gives the other side's values exactly.",
    "likely": "The cause comes nearest; it does not give every value exactly.",
    "open": "No known cause gives these values.",
}


def divergence_sections(divergence: Divergence) -> Iterator[Section]:
    """Yields the sections of a page.

    Args:
        divergence: two sides, compared.
    """
    sides = Text(f"{divergence.side}, held against {divergence.reference}.", "quiet")
    for place, found in enumerate(divergence.found):
        title = f"{'First' if place == 0 else 'Further'}: {found.title}"
        yield Section(f"found-{place}", title, tuple(_difference(found)))
    steps = (sides, _table(divergence.check_table()))
    yield Section("steps", "Each step", steps)
    if divergence.layers:
        words = (
            "Layers are held against each other by name where both sides share it, else by order, shape "
            "and value. One without a partner is mostly folded into its neighbour."
        )
        yield Section("layers", "Layers", (Text(words, "quiet"), _table(divergence.layer_table())))
    if divergence.notes:
        yield Section("notes", "What could not be told", tuple(Text(note) for note in divergence.notes))
    listed = wording.listed(divergence.pictures, most=40)
    yield Section("pictures", "Pictures", (Text(f"{len(divergence.pictures):,}: {listed}."),))


def _difference(found: StepDifference) -> Iterator[Text | Table]:
    yield Text(found.words)
    if found.do:
        yield Text(found.do, "note")
    yield Text(SURE[found.certainty], "quiet")
    facts = [
        ("Pictures", f"{len(found.pictures):,}: {wording.listed(found.pictures)}"),
        (
            "Largest difference",
            "the shapes differ" if found.largest is None else f"{found.largest:.3g}",
        ),
    ]
    if found.share is not None:
        facts.append(("Share that differs", wording.share(found.share)))
    yield Table(("", ""), tuple((Cell(name), Cell(text)) for name, text in facts))


def _table(plain: PlainTable) -> Table:
    rows = tuple(
        tuple(Cell(text, tone="fail" if text == "differs" else "") for text in row) for row in plain.rows
    )
    return Table(plain.columns, rows)
