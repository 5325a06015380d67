"""What trainings took, foreseen beside measured, and what was decided for them, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from darkroom.records import Run, Table
from darkroom.training import Recipe
from darkroom.training.plan import Plan

__all__ = ["remarks", "shown_costs", "spoken_plan", "took"]

COLUMNS = ("run", "time", "memory", "on the GPU", "disk")


def took(runs: Sequence[Run]) -> tuple[tuple[str, ...], ...]:
    """Returns a row for each run: time, memory and disk, "foreseen / measured"."""
    from darkroom.documents import wording

    kinds = (
        ("duration_s", wording.duration),
        ("memory_bytes", wording.size),
        ("device_bytes", wording.size),
        ("disk_bytes", wording.size),
    )
    return tuple(
        (run.id, *(_pair(run, name, say) for name, say in kinds))
        for run in runs
        if "memory_bytes" in run.metrics
    )


def shown_costs(rows: Sequence[tuple[str, ...]]) -> Iterator[Table]:
    """Yields the table of what trainings took; the column of the GPU only where one was used."""
    if not rows:
        return
    shown = [place for place in range(len(COLUMNS)) if place != 3 or any(row[3] != "—" for row in rows)]
    yield Table(
        tuple(COLUMNS[place] for place in shown),
        tuple(tuple(row[place] for place in shown) for row in rows),
        "Foreseen from the first batches / measured",
    )


def spoken_plan(plan: Plan) -> tuple[str, ...]:
    """Returns what was decided where the recipe or the request left it open, and why."""
    said = []
    if plan.clones is not None:
        how = f"{plan.clones.processes} at a time" if plan.clones.processes > 1 else "one after the other"
        said.append(f"Clones {how}. {plan.clones.why}")
    if plan.precision is not None:
        said.append(f"Precision {plan.precision.precision}. {plan.precision.why}")
    return tuple(said)


def remarks(recipe: Recipe, runs: Sequence[Run] = ()) -> tuple[str, ...]:
    """Returns what to know about a recipe that is right, and what was settled in its runs."""
    usual, said = Recipe.model_fields["learning_rate"].default, []
    if recipe.optimiser.name == "adadelta" and recipe.learning_rate == usual:
        said.append(
            f"adadelta at learning_rate = {usual:g} hardly moves; its usual learning rate is 1. "
            "Set learning_rate = 1.0 in the recipe."
        )
    return (*said, *(words for run in runs for words in _settled(recipe, run)))


def _settled(recipe: Recipe, run: Run) -> Iterator[str]:
    """Yields what was settled while a run was trained: its learning rate, a smaller batch."""
    rate, size = run.metrics.get("found.learning_rate"), run.metrics.get("taken.batch_size")
    if rate is not None:
        yield f"{run.id}: learning rate {rate:g}, found by the range test."
    if size is not None:
        whole = recipe.batch_size * recipe.accumulate_batches
        yield (
            f"{run.id}: memory did not hold a batch of {recipe.batch_size} pictures; {size:.0f} at a time, "
            f"{-(-whole // int(size))} times to a step. Batch normalisation saw the smaller batches."
        )


def _pair(run: Run, name: str, say) -> str:
    measured, foreseen = run.metrics.get(name), run.metrics.get(f"foreseen.{name}")
    if not measured:
        return "—"
    return f"{say(foreseen)} / {say(measured)}" if foreseen else say(measured)
