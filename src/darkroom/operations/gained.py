"""Say what a change gained: today's evaluation against the one before, on the pictures that both saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from darkroom.operations.judged import DRAWS, kept
from darkroom.operations.must_pass import must_pass_of
from darkroom.operations.varying import same_recipe
from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from darkroom.documents.blocks import Section
    from darkroom.evaluation import Judged
    from darkroom.evaluation.gain import Gain
    from darkroom.evaluation.must_pass import MustPass

__all__ = ["Gained", "gain_section", "gained"]

SHOWN = 8


class Gained(NamedTuple):
    """What changed since the evaluation before, and what that gained."""

    gain: Gain
    changes: tuple[str, ...]
    """What changed in between, in words."""
    words: tuple[str, ...]
    """All of it in words."""


def gained(
    workspace: Workspace,
    runs: Sequence[str],
    found: Sequence[Judged],
    must_pass: Sequence[MustPass],
    split: Split,
) -> Gained | None:
    """Compares runs with those that were evaluated before them on the same dataset, of any version.

    Args:
        workspace: the project.
        runs: the runs of today.
        found: what they answered.
        must_pass: how they stand to the must-pass list.
        split: the pictures.

    Returns:
        None where there is no earlier evaluation.
    """
    from darkroom.evaluation.gain import Asked, measure_gain

    earlier = _earlier(workspace, runs, split)
    before = [(name, kept(workspace, name, split)) for name in earlier]
    known = [(name, one) for name, one in before if one is not None]
    if not known:
        return None
    gain = measure_gain(
        [Asked(name, one.evaluation.labels, one.predictions) for name, one in known],
        [
            Asked(name, one.evaluation.labels, one.predictions)
            for name, one in zip(runs, found, strict=True)
        ],
        split=split,
        draws=DRAWS,
    )
    if gain is None:
        return None
    changes = tuple(_changes(workspace, gain))
    words = (*_spoken(gain, changes), *_passed(workspace, gain, must_pass))
    return Gained(gain, changes, words)


def gain_section(found: Gained) -> Section:
    """Returns the part of a report about what changed."""
    from darkroom.documents.blocks import Cell, Section, Table, Text
    from darkroom.documents.wording import signed

    gain, tones = found.gain, {"better": "pass", "worse": "fail"}
    low, high = gain.difference.low, gain.difference.high
    row = (
        Cell(", ".join(gain.before)),
        Cell(f"{gain.images:,}"),
        Cell(f"{gain.relabelled:,}"),
        Cell(f"{signed(gain.difference.value)} points", f"{signed(low)} – {signed(high)}"),
        Cell(gain.verdict, tone=tones.get(gain.verdict, "open")),  # type: ignore[arg-type]
        Cell(f"{len(gain.now_right):,}"),
        Cell(f"{len(gain.now_wrong):,}"),
    )
    columns = (
        "Against",
        "Same pictures",
        "Label changed",
        "Accuracy",
        "Verdict",
        "Now right",
        "Now wrong",
    )
    table = Table(columns, (row,), "On the pictures that both evaluations saw.", frozenset({1, 2, 5, 6}))
    return Section(
        "gain", "Since the evaluation before", (table, *(Text(line) for line in found.words[1:]))
    )


def _earlier(workspace: Workspace, runs: Sequence[str], split: str) -> tuple[str, ...]:
    """Returns the runs of the evaluation before: the newest earlier recipe or data, with its clones."""
    catalogue = workspace.catalogue
    name = catalogue.runs.get(runs[0]).dataset.rpartition("@")[0]
    finished = catalogue.runs.list(state="finished")
    first = next((place for place, run in enumerate(finished) if run.id in runs), 0)
    candidates = [
        run.id
        for run in finished[:first]
        if run.dataset.rpartition("@")[0] == name
        and catalogue.datasets.get(run.dataset).task == "classification"
        and (workspace.runs_folder / run.id / f"evaluation-{split}.json").is_file()
        and (workspace.runs_folder / run.id / f"predictions-{split}.npy").is_file()
    ]
    newest = next((one for one in reversed(candidates) if not same_recipe(workspace, (one, runs[0]))), None)
    if newest is None:
        return ()
    return tuple(one for one in candidates if same_recipe(workspace, (one, newest)))


def _changes(workspace: Workspace, gain: Gain) -> Iterator[str]:
    """Yields in words what is other than before: pictures, labels, recipe."""
    from darkroom.operations.run_pictures import recipe_kept

    runs, datasets = workspace.catalogue.runs, workspace.catalogue.datasets
    old, new = (runs.get(side[0]).dataset for side in (gain.before, gain.after))
    if old != new:
        labels: Mapping[str, str] = {one.image_id: one.label for one in datasets.members(old)}
        added = changed = same = 0
        for one in datasets.members(new):
            if one.image_id not in labels:
                added += 1
            else:
                same += 1
                changed += labels[one.image_id] != one.label
        parts = ((len(labels) - same, "left"), (added, "came"), (changed, "got another label"))
        said = ", ".join(f"{count:,} picture{'s' * (count > 1)} {word}" for count, word in parts if count)
        yield f"{old} became {new}: {said or 'the same pictures and labels'}"
    recipes = [recipe_kept(workspace, side[0]) for side in (gain.before, gain.after)]
    names = sorted({*recipes[0], *recipes[1]} - {"chance"})
    other = [name for name in names if recipes[0].get(name) != recipes[1].get(name)]
    if other:
        yield f"the recipe differs in {', '.join(other)}"


def _spoken(gain: Gain, changes: Sequence[str]) -> Iterator[str]:
    low, value, high = (
        100 * one for one in (gain.difference.low, gain.difference.value, gain.difference.high)
    )
    yield (
        f"Against {', '.join(gain.before)}, on the {gain.images:,} same pictures: accuracy {value:+.1f} "
        f"points [{low:+.1f}, {high:+.1f}], {gain.verdict}; {len(gain.now_right):,} are right now, "
        f"{len(gain.now_wrong):,} are wrong now."
    )
    if changes:
        yield f"What changed: {'; '.join(changes)}."
    if len(changes) > 1:
        yield "More than one thing changed, so the difference is that of all of them together."
    if gain.relabelled:
        yield f"{gain.relabelled:,} of them have another label than then; both sides are judged by today's."
    if min(len(gain.before), len(gain.after)) < 2:
        yield "One run stands on a side: another seed moves this difference, too. Clones would tell."


def _passed(workspace: Workspace, gain: Gain, must_pass: Sequence[MustPass]) -> Iterator[str]:
    """Yields which pictures of the must-pass list changed sides."""
    if not must_pass or not must_pass[0].answers:
        return
    wanted = {one.image_id: one.truth for one in must_pass[0].answers}
    before = [must_pass_of(workspace, name, wanted, ask=_is_whole(workspace, name)) for name in gain.before]
    then = [one for one in before if one is not None]
    if not then:
        return

    def wrong_in(some: Sequence[MustPass]) -> set[str]:
        return {answer.image_id for one in some for answer in one.wrong}

    passed, failed = (
        sorted(wrong_in(then) - wrong_in(must_pass)),
        sorted(wrong_in(must_pass) - wrong_in(then)),
    )
    yield (
        f"Must-pass pictures: {len(passed)} pass that did not before{_named(passed)}, {len(failed)} fail "
        f"that passed{_named(failed)}."
    )


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(one[:12] for one in ids[:SHOWN])
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f" ({shown}{more})" if ids else ""


def _is_whole(workspace: Workspace, name: str) -> bool:
    from darkroom.operations.run_weights import is_whole

    return is_whole(workspace, workspace.catalogue.runs.get(name))
