"""What reports on masks and on label sets share: how they begin, their notes, what the project's says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from darkroom.documents.blocks import Paper, Section, Text
from darkroom.documents.evaluation_blocks import brief_section
from darkroom.documents.wording import count, ends, share
from darkroom.evaluation import LabelSetEvaluation, MaskEvaluation
from darkroom.records import Gate, Interval, Spread

__all__ = ["Deciding", "TaskSummary", "noted", "paper_of", "summary_of"]

Evaluations = Sequence[MaskEvaluation] | Sequence[LabelSetEvaluation]


class Deciding(NamedTuple):
    """The figure that decides of some runs."""

    name: str
    """As it is called in a sentence: "mean IoU"."""
    own: Interval
    """Of the first run."""
    spread: Spread
    """Over the runs."""
    alike: bool
    """Whether they are clones."""

    def lead(self, evaluations: Evaluations, *, also: str = "", expect: str = "") -> str:
        """Returns the sentence that a report begins with.

        Args:
            evaluations: one per run.
            also: what else a single run reaches, behind the pictures.
            expect: what else may be expected of it on other pictures.
        """
        source, pictures = evaluations[0].source, f"{count(evaluations[0].figures.count)} pictures"
        if self.spread.sd is None:
            return (
                f"{source.network or 'The model'} reaches a {self.name} of {share(self.own.value)} on "
                f"{pictures}{also}; on other pictures of the same kind expect {ends(self.own)}{expect}."
            )
        if not self.alike:
            return (
                f"{len(evaluations)} runs of several recipes reach a {self.name} from "
                f"{share(self.spread.min)} to {share(self.spread.max)} on {pictures}. Compare two of them "
                "before you call one better."
            )
        return (
            f"{len(evaluations)} clones of {source.network or 'the network'}, alike but for their seed, "
            f"reach a {self.name} of {share(self.spread.mean)} on {pictures} on average; chance alone "
            f"moves them from {share(self.spread.min)} to {share(self.spread.max)}."
        )

    @property
    def words(self) -> str:
        """The interval of a single run, or the spread over several."""
        if self.spread.sd is None:
            return ends(self.own)
        over = "seeds" if self.alike else "runs"
        return f"± {share(self.spread.sd, 2)} over {len(self.spread.values)} {over}"


class TaskSummary(NamedTuple):
    """What the project's report says of runs that answer masks, or sets of labels."""

    figure: str
    """What decides."""
    mean: float | None
    """That figure, mean over the runs; None where it is not defined."""
    lead: str
    """The sentence that says how good they are."""
    split: str
    """The pictures."""
    section: Section
    """The runs with their figures, and their spread."""
    spread: str
    """The interval of a single run, or the spread over several."""
    weakest: str
    """The class of the smallest figure, in words; empty where there is none."""
    notes: tuple[str, ...]
    """What a reader of the figures must know."""


def summary_of(
    evaluations: Evaluations,
    deciding: Deciding | None,
    lead: str,
    section: Section,
    *,
    figure: str,
    weakest: str,
    by_class: Iterable[tuple[str, Spread | None]],
) -> TaskSummary:
    """Returns what the project's report says of some runs.

    Args:
        evaluations: one per run.
        deciding: the figure that decides; None where it is not defined.
        lead: the sentence that says how good they are.
        section: the runs with their figures.
        figure: name of the figure that decides.
        weakest: how a class and its figure are said: "Weakest class: “{}”, with an IoU of {}".
        by_class: each class with its figure over the runs.
    """
    known = [(found.mean, label) for label, found in by_class if found is not None]
    said = ""
    if known:
        value, label = min(known)
        said = f"{weakest.format(label, share(value))}{'' if len(evaluations) == 1 else ' on average'}."
    return TaskSummary(
        figure=figure,
        mean=None if deciding is None else deciding.spread.mean,
        lead=lead,
        split=evaluations[0].source.split,
        section=section._replace(title="How good it is"),
        spread="" if deciding is None else deciding.words,
        weakest=said,
        notes=noted(evaluations),
    )


def paper_of(
    project: str,
    evaluations: Evaluations,
    lead: str,
    runs: Section,
    gates: Sequence[Gate],
    sections: Iterable[Section],
) -> Paper:
    """Returns a report for .docx and PDF: runs with their notes, the brief, then the other sections."""
    source = evaluations[0].source
    notes = tuple(Text(note, "note") for note in noted(evaluations))
    brief = [brief_section(gates)] if gates else []
    kind = f"Evaluation · {source.dataset or 'dataset'}, {source.split}"
    return Paper(project, kind, lead, (runs._replace(blocks=(*notes, *runs.blocks)), *brief, *sections))


def noted(evaluations: Evaluations) -> tuple[str, ...]:
    """Returns what a reader of the figures must know, once each."""
    return tuple(dict.fromkeys(note for one in evaluations for note in one.notes))
