"""The report on masks, as a page and as a paper: figures with intervals, classes, the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from darkroom.documents.blocks import Paper, Section, Text
from darkroom.documents.evaluation_blocks import brief_section
from darkroom.documents.mask_sections import (
    WORST_WORDS,
    ShownMask,
    classes_section,
    confusion_section,
    measured_section,
    runs_section,
    worst_section,
)
from darkroom.documents.page import html
from darkroom.documents.picture import picture
from darkroom.documents.wording import count, ends, share
from darkroom.evaluation import MaskClonesSummary, MaskEvaluation
from darkroom.images import class_colours
from darkroom.records import Gate

__all__ = ["MaskSummary", "ShownMask", "segmentation_page", "segmentation_paper"]

MOST_IN_A_PAPER = 8


def segmentation_page(
    *,
    project: str,
    evaluations: Sequence[MaskEvaluation],
    clones: MaskClonesSummary,
    shown: Sequence[ShownMask] = (),
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> bytes:
    """Returns the page of one or several runs that answer masks, on the same images.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary.
        shown: the worst pictures, drawn.
        gates: the limits of the brief with their verdicts.
        looks_in_all: how often these pictures were looked at over all runs, in words.
    """
    first = evaluations[0]
    return html(
        "segmentation",
        project=project,
        source=first.source,
        lead=mask_lead(evaluations, clones),
        clones=clones,
        first=first.figures,
        notes=_notes(evaluations),
        early=(runs_section(evaluations, clones),),
        late=(
            classes_section(evaluations, clones),
            confusion_section(evaluations),
        ),
        measured=measured_section(evaluations, looks_in_all),
        gates=gates,
        legend=_legend(first.labels),
        worst_words=WORST_WORDS,
        shown=[{"words": one.words, "image_id": one.image_id, "four": _encoded(one)} for one in shown],
        looks=max(one.looks for one in evaluations),
        speed=first.images_per_second,
        device=first.device,
    )


def segmentation_paper(
    *,
    project: str,
    evaluations: Sequence[MaskEvaluation],
    clones: MaskClonesSummary,
    shown: Sequence[ShownMask] = (),
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> Paper:
    """Returns the same for .docx and PDF; see `segmentation_page` for the arguments."""
    source = evaluations[0].source
    runs = runs_section(evaluations, clones)
    noted = tuple(Text(note, "note") for note in _notes(evaluations))
    sections: tuple[Section, ...] = (
        runs._replace(blocks=(*noted, *runs.blocks)),
        *([brief_section(gates)] if gates else []),
        classes_section(evaluations, clones),
        confusion_section(evaluations),
        worst_section(shown[:MOST_IN_A_PAPER]),
        measured_section(evaluations, looks_in_all),
    )
    kind = f"Evaluation · {source.dataset or 'dataset'}, {source.split}"
    return Paper(project, kind, mask_lead(evaluations, clones), sections)


def mask_lead(evaluations: Sequence[MaskEvaluation], clones: MaskClonesSummary) -> str:
    """Returns the sentence that a report begins with."""
    first, network = evaluations[0].figures, evaluations[0].source.network
    if clones.miou.sd is None:
        return (
            f"{network or 'The model'} reaches a mean IoU of {share(first.miou.value)} on "
            f"{count(first.count)} pictures; on other pictures of the same kind expect {ends(first.miou)}."
        )
    if not clones.alike:
        return (
            f"{len(evaluations)} runs of several recipes reach a mean IoU from {share(clones.miou.min)} to "
            f"{share(clones.miou.max)} on {count(first.count)} pictures. Compare two of them before you "
            "call one better."
        )
    return (
        f"{len(evaluations)} clones of {network or 'the network'}, alike but for their seed, reach a mean "
        f"IoU of {share(clones.miou.mean)} on {count(first.count)} pictures on average; chance alone moves "
        f"them from {share(clones.miou.min)} to {share(clones.miou.max)}."
    )


class MaskSummary(NamedTuple):
    """What the project's report says of runs that answer masks."""

    evaluations: Sequence[MaskEvaluation]
    clones: MaskClonesSummary

    figure = "Mean IoU"
    """What decides."""

    @property
    def mean(self) -> float:
        """That figure, mean over clones."""
        return self.clones.miou.mean

    @property
    def lead(self) -> str:
        """The sentence that says how good they are."""
        return mask_lead(self.evaluations, self.clones)

    @property
    def split(self) -> str:
        """The pictures."""
        return self.evaluations[0].source.split

    @property
    def section(self) -> Section:
        """The runs with their figures, and their spread."""
        return runs_section(self.evaluations, self.clones)._replace(title="How good it is")

    @property
    def spread(self) -> str:
        """The interval of a single run, or the spread over clones."""
        sd, miou = self.clones.miou.sd, self.evaluations[0].figures.miou
        over = "seeds" if self.clones.alike else "runs"
        return ends(miou) if sd is None else f"± {share(sd, 2)} over {len(self.evaluations)} {over}"

    @property
    def weakest(self) -> str:
        """The class of the smallest IoU, in words; empty where no picture shows any."""
        known = [(row.iou.mean, row.label) for row in self.clones.classes if row.iou is not None]
        if not known:
            return ""
        value, label = min(known)
        mean = "" if self.clones.miou.sd is None else " on average"
        return f"Weakest class: “{label}”, with an IoU of {share(value)}{mean}."

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        return _notes(self.evaluations)


def _notes(evaluations: Sequence[MaskEvaluation]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for one in evaluations for note in one.notes))


def _legend(labels: Sequence[str]) -> list[dict[str, str]]:
    """Returns each class with its colour; the first stays as the picture is."""
    colours = class_colours(len(labels)).tolist()
    return [
        {"label": label, "colour": "" if not place else f"rgb({', '.join(map(str, colours[place]))})"}
        for place, label in enumerate(labels)
    ]


def _encoded(one: ShownMask) -> list[dict[str, Any]]:
    return [{"name": name, "picture": picture(data)} for name, data in one.four]
