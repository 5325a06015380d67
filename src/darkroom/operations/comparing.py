"""Compare two runs, or the clones of two recipes, picture by picture; "better" needs evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from darkroom.errors import InvalidConfig
from darkroom.operation import RunRef, operation
from darkroom.operations.judged import DRAWS, judged
from darkroom.operations.label_set_judged import judged_label_sets
from darkroom.operations.mask_judged import judged_masks
from darkroom.operations.run_tasks import common_task
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import Interval, Result, Split, Table
from darkroom.records.numbers import counted
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Comparison, GroupComparison

__all__ = ["CompareReport", "compare"]


class CompareReport(Result):
    """Two runs, or the clones of two recipes, on the same pictures."""

    first: RunRef
    second: RunRef
    first_clones: tuple[RunRef, ...] = ()
    """Every clone of the first that counts, itself included."""
    second_clones: tuple[RunRef, ...] = ()
    verdict: str
    """"better", "worse" or "no difference shown", of the first against the second."""
    figure: str = "accuracy"
    """What the difference is of: "accuracy", "mean AP" for several labels, "mean IoU" for segmentation."""
    difference: str
    """That of the first minus that of the second, with its interval; of clones their means."""
    on_a_picture: Interval | None = None
    """Of the pictures that tell the two apart, on how many the first is ahead, with its interval."""
    between_clones: Interval | None = None
    """Chance that a clone of the first beats one of the second, with its interval; None for two runs."""
    counted: str = ""
    """What the intervals count, in words."""
    only_first_right: int
    """For segmentation: pictures that it answers with a larger IoU. Of clones: of the two named first."""
    only_second_right: int
    churn: float
    """Share of pictures with different answers; for segmentation of pixels."""
    remarks: tuple[str, ...] = ()
    """What whoever reads the comparison must know."""

    def display(self) -> Iterator[str | Table]:
        """Yields the verdict in words."""
        first, second = _named(self.first, self.first_clones), _named(self.second, self.second_clones)
        yield f"{first} against {second}: {self.verdict}; {self.figure} differs by {self.difference}"
        if self.on_a_picture is not None:
            yield (
                f"On a picture that tells the two apart the first is ahead with a chance of "
                f"{_share(self.on_a_picture)}."
            )
        if self.between_clones is not None:
            yield (
                f"A clone of the first beats a clone of the second with a chance of "
                f"{_share(self.between_clones)}."
            )
        yield self.counted
        if self.figure == "mean IoU":
            yield (
                f"{self.first} is closer on {counted(self.only_first_right, 'picture')}, {self.second} on "
                f"{self.only_second_right}; {self.churn:.1%} of the pixels differ."
            )
        else:
            if self.figure == "mean AP":
                yield "Right is a picture whose labels are all right, each run at its own thresholds."
            yield (
                f"Only {self.first} is right {counted(self.only_first_right, 'time')}, only {self.second} "
                f"{counted(self.only_second_right, 'time')}; {self.churn:.1%} of the answers differ."
            )

    def notes(self) -> Iterator[str]:
        """Yields what must be known about the comparison."""
        yield from self.remarks


@operation(
    "model.compare", slow=True, stage=7, libraries=LIBRARIES, later=("first_clones", "second_clones")
)
def compare(
    workspace: Workspace,
    *,
    first: RunRef,
    second: RunRef,
    split: Split = "val",
    first_clones: tuple[RunRef, ...] = (),
    second_clones: tuple[RunRef, ...] = (),
) -> CompareReport:
    """Compare two runs, or the clones of two recipes, picture by picture; "better" needs evidence.

    Pictures are drawn for all runs together. With two clones or more on each side the interval of the
    difference counts other seeds beside other pictures; with one run on a side it counts pictures alone.

    Args:
        first: the run in question.
        second: the run that it is held against.
        split: the pictures to ask about.
        first_clones: further clones of the first run.
        second_clones: further clones of the second run.
    """
    sides = _sides(workspace, (first, *first_clones), (second, *second_clones))
    compared = {"segmentation": _masks, "multi-label": _label_sets}
    task = common_task(workspace, (*sides.first, *sides.second))
    pair, group = compared.get(task, _answers)(workspace, sides, split)
    low, high = group.difference.low, group.difference.high
    return CompareReport(
        first=first,
        second=second,
        first_clones=sides.first,
        second_clones=sides.second,
        verdict=group.verdict,
        figure=group.figure,
        difference=f"{group.difference.value:+.4f} [{low:+.4f}, {high:+.4f}]",
        on_a_picture=group.on_an_image,
        between_clones=group.between_clones,
        counted=_counted(group),
        only_first_right=pair.only_first_right,
        only_second_right=pair.only_second_right,
        churn=pair.churn,
        remarks=sides.remarks,
    )


class _Sides(NamedTuple):
    first: tuple[str, ...]
    second: tuple[str, ...]
    remarks: tuple[str, ...]


def _sides(workspace: Workspace, first: Sequence[str], second: Sequence[str]) -> _Sides:
    """Returns the runs that count on each side; a run that repeats another one counts once.

    Raises:
        InvalidConfig: a side holds runs of several recipes.
    """
    found = [distinct_clones(workspace, side) for side in (first, second)]
    for side in found:
        if not same_recipe(workspace, side.runs):
            raise InvalidConfig(
                "compare.no-clones",
                "{runs} are of different recipes: they are no clones of each other.",
                do="Name clones of one recipe on each side.",
                runs=", ".join(side.runs),
            )
    return _Sides(found[0].runs, found[1].runs, (*found[0].notes(), *found[1].notes()))


def _answers(workspace: Workspace, sides: _Sides, split: Split) -> tuple[Comparison, GroupComparison]:
    from darkroom.evaluation import compare, compare_groups

    first, second = (
        [judged(workspace, name, split).predictions for name in side]
        for side in (sides.first, sides.second)
    )
    return compare(first[0], second[0], draws=DRAWS), compare_groups(first, second, draws=DRAWS)


def _masks(workspace: Workspace, sides: _Sides, split: Split) -> tuple[Comparison, GroupComparison]:
    from darkroom.evaluation import compare_mask_groups, compare_masks

    first, second = (
        [judged_masks(workspace, name, split).answers for name in side]
        for side in (sides.first, sides.second)
    )
    return compare_masks(first[0], second[0], draws=DRAWS), compare_mask_groups(first, second, draws=DRAWS)


def _label_sets(workspace: Workspace, sides: _Sides, split: Split) -> tuple[Comparison, GroupComparison]:
    from darkroom.evaluation import compare_label_set_groups, compare_label_sets

    first, second = (
        [judged_label_sets(workspace, name, split) for name in side] for side in (sides.first, sides.second)
    )
    return compare_label_sets(first[0], second[0]), compare_label_set_groups(first, second)


def _counted(found: GroupComparison) -> str:
    what = "other pictures and other seeds" if found.seeds_counted else "other pictures, not other seeds"
    return f"Intervals (95 %) on {counted(found.same_images, 'picture')} count {what}."


def _named(run: str, clones: tuple[str, ...]) -> str:
    return run if len(clones) < 2 else f"{len(clones)} clones ({', '.join(clones)})"


def _share(found: Interval) -> str:
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
