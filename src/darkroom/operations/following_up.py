"""What an evaluation adds: pictures that people marked, the evaluation before, groups of errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.evaluation import Judged

__all__ = ["FollowUp", "follow_up"]


class FollowUp(NamedTuple):
    """What is said beside the figures."""

    gained: tuple[str, ...]
    must_pass: tuple[str, ...]
    sections: tuple[Section, ...]
    """Parts of the report; only of what was found."""


def follow_up(workspace: Workspace, runs: Sequence[str], found: Sequence[Judged], split: Split) -> FollowUp:
    """Returns how runs stand to the must-pass list, and what changed since the evaluation before.

    Args:
        workspace: the project.
        runs: the runs of this evaluation.
        found: what they answered.
        split: the pictures.
    """
    from darkroom.operations.gained import gain_section, gained
    from darkroom.operations.must_pass import must_pass_of, must_pass_section, required, spoken_must_pass

    wanted = required(workspace)
    asked = [must_pass_of(workspace, name, wanted) for name in runs] if wanted else []
    must_pass = [one for one in asked if one is not None]
    gain = gained(workspace, runs, found, must_pass, split)
    sections = (
        None if gain is None else gain_section(gain),
        must_pass_section(workspace, must_pass),
        *_groups_of_errors(workspace, runs, found, split),
    )
    return FollowUp(
        gained=() if gain is None else gain.words,
        must_pass=tuple(spoken_must_pass(must_pass)),
        sections=tuple(section for section in sections if section is not None),
    )


def _groups_of_errors(
    workspace: Workspace, runs: Sequence[str], found: Sequence[Judged], split: Split
) -> Iterator[Section]:
    """Yields the groups of errors of those runs for which they were made, of the same answers."""
    from darkroom.operations.neighbourhoods import clusters_section, kept_clusters

    for run, one in zip(runs, found, strict=True):
        groups = kept_clusters(workspace, run, split, one.evaluation.predictions_sha256)
        if groups is not None:
            yield clusters_section(workspace, run, groups)
