"""The page of a diagnosis: what was found, why, and what to try; then what was not found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from darkroom.diagnosis.verdict import Verdict
from darkroom.documents.blocks import Block, Cell, Pictures, Section, Shown, Table, Text
from darkroom.documents.page import html

__all__ = ["diagnosis_page", "found_section"]

Tone = Literal["pass", "fail", "open"]

TONES: dict[str, Tone] = {"found": "fail", "not found": "pass", "not enough evidence": "open"}


def diagnosis_page(
    *,
    project: str,
    run: str,
    epoch: int,
    verdicts: Sequence[Verdict],
    missing: Sequence[str] = (),
    doubted: Mapping[str, bytes] | None = None,
) -> bytes:
    """Returns the page of a diagnosis.

    Args:
        project: name of the project.
        run: the run.
        epoch: after which epoch it was asked.
        verdicts: those that were found first.
        missing: what could not be gathered, and why.
        doubted: encoded thumbnails of the pictures whose labels are the least probable, by image id.
    """
    found = [one for one in verdicts if one.state == "found"]
    sections = [found_section(one) for one in found]
    if doubted:
        shown = tuple(Shown(data, image_id[:12]) for image_id, data in doubted.items())
        sections.append(Section("doubted", "Pictures whose labels are doubted most", (Pictures(shown),)))
    sections.append(Section("asked", "All that was asked", (_table(verdicts), *map(_missing, missing))))
    lead = " ".join(one.said for one in found) or "No cause was found, and it is not shown to be healthy."
    return html(
        "sections", project=project, title=f"Diagnosis of {run}", eyebrow=f"Diagnosis · epoch {epoch}",
        lead=lead, sections=sections,
    )  # fmt: skip


def found_section(verdict: Verdict) -> Section:
    """Returns the section of one finding."""
    return Section(verdict.name.replace(" ", "-"), verdict.name.capitalize(), tuple(_blocks(verdict)))


def _blocks(verdict: Verdict) -> Iterator[Block]:
    yield Text(verdict.said)
    if verdict.evidence:
        yield Text("Evidence", "head")
        yield from (Text(line) for line in verdict.evidence)
    if verdict.next_steps:
        yield Text("What to try next", "head")
        yield from (Text(step) for step in verdict.next_steps)


def _table(verdicts: Sequence[Verdict]) -> Table:
    rows = tuple(
        (Cell(one.name), Cell(one.state, tone=_tone(one)), Cell(one.said), Cell(_figure(one)))
        for one in verdicts
    )
    caption = "A cause is found only where something beside the curve shows it, with the whole interval."
    return Table(("suspicion", "verdict", "in words", "figure"), rows, caption)


def _tone(verdict: Verdict) -> Tone:
    if verdict.name == "looks healthy" and verdict.state != "not enough evidence":
        return "pass" if verdict.state == "found" else "fail"
    return TONES[verdict.state]


def _figure(verdict: Verdict) -> str:
    if verdict.value is None:
        return ""
    if verdict.interval is None:
        return f"{verdict.value:.3g}"
    return f"{verdict.value:.3g} [{verdict.interval.low:.3g}, {verdict.interval.high:.3g}]"


def _missing(line: str) -> Text:
    return Text(f"Not gathered: {line}", "note")
