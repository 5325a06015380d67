"""The report on label sets, as a page and as a paper: figures, label by label, the worst pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from darkroom.documents.blocks import Paper, Section, Text
from darkroom.documents.evaluation_blocks import brief_section
from darkroom.documents.label_set_sections import (
    label_runs_section,
    labels_section,
    sets_measured_section,
    worst_sets_section,
)
from darkroom.documents.page import html
from darkroom.documents.wording import count, ends, share
from darkroom.evaluation import LabelSetClonesSummary, LabelSetEvaluation
from darkroom.records import Gate

__all__ = ["LabelSetSummary", "label_sets_page", "label_sets_paper"]

MOST_IN_A_PAPER = 12


def label_sets_page(
    *,
    project: str,
    evaluations: Sequence[LabelSetEvaluation],
    clones: LabelSetClonesSummary,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> bytes:
    """Returns the page of one or several runs that answer label sets, on the same images.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary.
        pictures: encoded thumbnails of the worst pictures, by image id.
        gates: the limits of the brief with their verdicts.
        looks_in_all: how often these pictures were looked at over all runs, in words.
    """
    first = evaluations[0]
    return html(
        "label_sets",
        project=project,
        source=first.source,
        lead=_lead(evaluations, clones),
        clones=clones,
        first=first.figures,
        notes=_notes(evaluations),
        gates=gates,
        early=(label_runs_section(evaluations, clones),),
        late=(
            labels_section(evaluations, clones),
            worst_sets_section(evaluations, pictures or {}),
            sets_measured_section(evaluations, looks_in_all),
        ),
        speed=first.images_per_second,
        device=first.device,
    )


def label_sets_paper(
    *,
    project: str,
    evaluations: Sequence[LabelSetEvaluation],
    clones: LabelSetClonesSummary,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> Paper:
    """Returns the same for .docx and PDF; see `label_sets_page` for the arguments."""
    source = evaluations[0].source
    runs = label_runs_section(evaluations, clones)
    noted = tuple(Text(note, "note") for note in _notes(evaluations))
    sections: tuple[Section, ...] = (
        runs._replace(blocks=(*noted, *runs.blocks)),
        *([brief_section(gates)] if gates else []),
        labels_section(evaluations, clones),
        worst_sets_section(evaluations, pictures or {}, most=MOST_IN_A_PAPER),
        sets_measured_section(evaluations, looks_in_all),
    )
    kind = f"Evaluation · {source.dataset or 'dataset'}, {source.split}"
    return Paper(project, kind, _lead(evaluations, clones), sections)


class LabelSetSummary(NamedTuple):
    """What the project's report says of runs that answer label sets; see `MaskSummary`."""

    evaluations: Sequence[LabelSetEvaluation]
    clones: LabelSetClonesSummary

    figure = "Mean AP"
    """What decides."""

    @property
    def mean(self) -> float | None:
        """That figure, mean over clones; None where no picture has a label."""
        return None if self.clones.mean_ap is None else self.clones.mean_ap.mean

    @property
    def lead(self) -> str:
        """The sentence that says how good they are."""
        return _lead(self.evaluations, self.clones)

    @property
    def split(self) -> str:
        """The pictures."""
        return self.evaluations[0].source.split

    @property
    def section(self) -> Section:
        """The runs with their figures, and their spread."""
        return label_runs_section(self.evaluations, self.clones)._replace(title="How good it is")

    @property
    def spread(self) -> str:
        """The interval of a single run, or the spread over clones."""
        found = self.clones.mean_ap
        if found is None or found.sd is None:
            return ends(self.evaluations[0].figures.mean_ap)
        over = "seeds" if self.clones.alike else "runs"
        return f"± {share(found.sd, 2)} over {len(self.evaluations)} {over}"

    @property
    def weakest(self) -> str:
        """The label of the smallest average precision, in words; empty where there is none."""
        rows = [
            (row.average_precision.mean, row.label)
            for row in self.clones.classes
            if row.average_precision is not None
        ]
        if not rows:
            return ""
        value, label = min(rows)
        mean = "" if len(self.evaluations) == 1 else " on average"
        return f"Weakest label: “{label}”, with an average precision of {share(value)}{mean}."

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        return _notes(self.evaluations)


def _lead(evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary) -> str:
    """Returns the sentence that a report begins with."""
    first, network = evaluations[0].figures, evaluations[0].source.network
    pictures = f"{count(first.count)} pictures"
    if clones.mean_ap is None or first.mean_ap is None:
        return f"None of the {pictures} has a label: there is nothing to find."
    if clones.mean_ap.sd is None:
        return (
            f"{network or 'The model'} reaches a mean average precision of {share(first.mean_ap.value)} on "
            f"{pictures}, and gives {share(first.exact_match.value)} of them all their labels rightly; on "
            f"other pictures of the same kind expect {ends(first.mean_ap)} and {ends(first.exact_match)}."
        )
    whose = "alike but for their seed, " if clones.alike else ""
    return (
        f"{len(evaluations)} {'clones' if clones.alike else 'runs'} of {network or 'the network'}, {whose}"
        f"reach a mean average precision of {share(clones.mean_ap.mean)} on {pictures} on average, from "
        f"{share(clones.mean_ap.min)} to {share(clones.mean_ap.max)}."
    )


def _notes(evaluations: Sequence[LabelSetEvaluation]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for one in evaluations for note in one.notes))
