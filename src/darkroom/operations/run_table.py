"""The run table: any runs by any figure and any parameter, sorted, filtered, as page and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, Field

from darkroom.operation import DatasetRef, Produced, RunRef, operation
from darkroom.operations.choosing import spoken_figure
from darkroom.operations.noting import notes_of
from darkroom.operations.run_facts import figures_of, parameters_of, smaller_is_better
from darkroom.operations.run_filters import asked_parameters, differing, keeps, known_figure, read_filters
from darkroom.records import Fact, FrozenDict, FrozenMap, Interval, Result, Run, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents import ShownRun

__all__ = ["RunRow", "RunsTable", "runs_table"]

USUAL = ("val.accuracy", "val.miou", "val.mean_ap", "val.loss")
"""Figures that are shown when none is named, where a run has them; those of test only when asked for."""


class RunRow(Fact):
    """One run, or the clones of one recipe, in the table."""

    run: str
    """Its id; of clones that of the first."""
    runs: tuple[str, ...]
    """The clones that it stands for; of a single run itself."""
    state: str
    when: AwareDatetime
    note: str = ""
    tags: tuple[str, ...] = ()
    figures: FrozenMap[str, Interval] = {}
    """By name; of clones the mean over them, with the interval over seeds."""
    parameters: FrozenMap[str, Any] = {}
    """By name, those that are shown."""


class RunsTable(Result):
    """Runs side by side."""

    columns: tuple[str, ...]
    """Figures that are shown."""
    parameters: tuple[str, ...]
    """Parameters that are shown."""
    rows: tuple[RunRow, ...]
    left_out: int = 0
    """Runs that the filters left out, or `most`."""
    remarks: tuple[str, ...] = ()
    """What whoever reads the table must know."""
    path: Produced = ""
    """The page; empty where it was not asked for."""
    csv: Produced = ""
    """The table as CSV; empty where it was not asked for."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table, and what is written about the runs."""
        if not self.rows:
            yield "No run to show."
        else:
            columns = ("run", *(_short(name) for name in self.parameters), *self.columns, "tags")
            yield Table(columns, tuple(self._cells(row) for row in self.rows))
        for row in self.rows:
            if row.note:
                yield f"{row.run}: {row.note}"
        yield from self.notes()
        if self.path:
            yield f"Page: {self.path}"
            yield f"CSV: {self.csv}"

    def notes(self) -> Iterator[str]:
        """Yields what was left out, and what must be known."""
        if self.left_out:
            yield f"{self.left_out:,} more not shown."
        yield from self.remarks

    def _cells(self, row: RunRow) -> tuple[str, ...]:
        named = _named(row)
        return (
            named if row.state == "finished" else f"{named} ({row.state})",
            *(spoken_value(row.parameters.get(name)) for name in self.parameters),
            *(spoken_figure(row.figures.get(name)) for name in self.columns),
            ", ".join(row.tags),
        )


@operation("model.runs", stage=6)
def runs_table(
    workspace: Workspace,
    *,
    runs: tuple[RunRef, ...] = (),
    dataset: DatasetRef | None = None,
    figures: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
    where: tuple[str, ...] = (),
    sort: str = "",
    reverse: bool = False,
    most: Annotated[int, Field(ge=0)] = 0,
    fold: bool = False,
    save: bool = False,
) -> RunsTable:
    """Show runs side by side: figures with their intervals, and the parameters in which they differ.

    Args:
        runs: the runs; left out, all of the project.
        dataset: only those on this dataset version.
        figures: what to show of val.accuracy, test.macro_f1, val.recall.CLASS, duration_s, …; left out,
            what decides.
        parameters: what to show of seed, dataset, recipe.learning_rate, …; "all" for all; left out, those
            that differ between the runs.
        where: only runs for which this holds, such as val.accuracy>0.9, recipe.network=lenet5, tag=best,
            state=finished; all of them together.
        sort: a figure (best first), a parameter (smallest first), "when" or "run"; left out, by age.
        reverse: turn the order round.
        most: show at most so many; 0 shows all.
        fold: clones of one recipe as one row: the mean over them with the interval over seeds.
        save: write the table as a page and as CSV under deliverables.
    """
    found = _asked(workspace, runs, dataset)
    said = notes_of(workspace)
    known = [_row(workspace, run, *said) for run in found]
    filters = read_filters(where, known)
    kept = [row for row in known if keeps(row, filters)]
    rows = _folded(workspace, kept) if fold else kept
    rows = _sorted(rows, sort, reverse)
    shown = rows[:most] if most else rows
    columns = tuple(known_figure(name, known) for name in figures if known) or _usual(shown)
    named = asked_parameters(parameters, shown) if parameters and shown else differing(shown)
    if fold:
        named = tuple(name for name in named if name in parameters or name != "seed")
    table = RunsTable(
        columns=columns,
        parameters=named,
        rows=tuple(_cut(row, columns, named) for row in shown),
        left_out=len(known) - len(kept) + len(rows) - len(shown),
        remarks=_remarks(sort, folded=any(len(row.runs) > 1 for row in shown)),
    )
    return _saved(workspace, table) if save else table


def spoken_value(value: Any) -> str:
    """Returns a parameter as text."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _asked(workspace: Workspace, runs: Sequence[str], dataset: str | None) -> list[Run]:
    if not runs:
        return workspace.catalogue.runs.list(dataset=dataset)
    found = [workspace.catalogue.runs.get(name) for name in dict.fromkeys(runs)]
    return [run for run in found if dataset is None or run.dataset == dataset]


def _row(
    workspace: Workspace, run: Run, notes: Mapping[str, str], tags: Mapping[str, tuple[str, ...]]
) -> RunRow:
    return RunRow(
        run=run.id,
        runs=(run.id,),
        state=run.state,
        when=run.created_at,
        note=notes.get(run.id, run.note),
        tags=tuple(dict.fromkeys((*run.tags, *tags.get(run.id, ())))),
        figures=figures_of(workspace, run),
        parameters=parameters_of(workspace, run),
    )


def _folded(workspace: Workspace, rows: Sequence[RunRow]) -> list[RunRow]:
    """Returns one row for the clones of each recipe; a run that repeats another one counts once."""
    from darkroom.operations.varying import all_but_chance, distinct_clones

    together: dict[str, list[RunRow]] = {}
    for row in rows:
        key = all_but_chance(workspace, row.run) if row.state == "finished" else row.run
        together.setdefault(key, []).append(row)
    return [
        _mean_row([row for row in of_recipe if row.run in counted])
        for of_recipe in together.values()
        for counted in [distinct_clones(workspace, [row.run for row in of_recipe]).runs]
    ]


def _mean_row(rows: Sequence[RunRow]) -> RunRow:
    from darkroom.operations.spreads import clipped_spread

    first = rows[0]
    if len(rows) == 1:
        return first
    figures: dict[str, Interval] = {}
    for name in first.figures:
        if all(name in row.figures for row in rows):
            found = clipped_spread(name, [row.figures[name].value for row in rows])
            if found.interval is not None:
                figures[name] = found.interval
    same = {
        name: value
        for name, value in first.parameters.items()
        if all(row.parameters.get(name) == value for row in rows)
    }
    return first.model_copy(
        update={
            "runs": tuple(row.run for row in rows),
            "figures": FrozenDict(figures),
            "parameters": FrozenDict(same),
            "tags": tuple(dict.fromkeys(tag for row in rows for tag in row.tags)),
            "note": "; ".join(row.note for row in rows if row.note),
        }
    )


def _sorted(rows: Sequence[RunRow], by: str, reverse: bool) -> list[RunRow]:
    if not by or by in ("when", "run"):
        ranked = list(rows)
        return ranked[::-1] if reverse else ranked
    if any(by in row.parameters for row in rows):
        have = [row for row in rows if row.parameters.get(by) is not None]
        have.sort(key=lambda row: _place(row.parameters[by]), reverse=reverse)
        return have + [row for row in rows if row.parameters.get(by) is None]
    by = known_figure(by, rows)
    have = [row for row in rows if by in row.figures]
    have.sort(key=lambda row: row.figures[by].value, reverse=smaller_is_better(by) == reverse)
    return have + [row for row in rows if by not in row.figures]


def _place(value: Any) -> tuple[int, float, str]:
    if isinstance(value, bool | int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _usual(rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Returns what decides; pixels that are right say less than the mean IoU, which stands for them."""
    there = [name for name in USUAL if any(name in row.figures for row in rows)]
    of_pixels = any("val.miou" in row.figures for row in rows)
    only_masks = of_pixels and not any("val.miou" not in row.figures for row in rows)
    return tuple(name for name in there if not (only_masks and name.endswith(".accuracy")))


def _cut(row: RunRow, columns: Sequence[str], parameters: Sequence[str]) -> RunRow:
    figures = {name: row.figures[name] for name in columns if name in row.figures}
    values = {name: row.parameters[name] for name in parameters if name in row.parameters}
    return row.model_copy(update={"figures": FrozenDict(figures), "parameters": FrozenDict(values)})


def _remarks(sort: str, *, folded: bool) -> tuple[str, ...]:
    said = []
    if sort.startswith(("test.", "field.", "must-pass.")):
        split = sort.partition(".")[0]
        said.append(
            f"Sorted by a figure of {split}. Whoever takes the first one for that makes its figure too "
            "good; choose by val: darkroom model select"
        )
    if folded:
        said.append("Rows of several clones: mean over clones, with the interval that other seeds give it.")
    return tuple(said)


def _saved(workspace: Workspace, table: RunsTable) -> RunsTable:
    from darkroom import atomic
    from darkroom.documents import runs_page
    from darkroom.spreadsheet import csv_text

    place = workspace.deliverables / "07-evaluation"
    atomic.write_text(place / "runs.csv", csv_text(*_csv(table)))
    page = runs_page(
        project=workspace.project.project.name,
        parameters=table.parameters,
        columns=table.columns,
        rows=[_shown(row, table) for row in table.rows],
        left_out=table.left_out,
        remarks=table.remarks,
    )
    atomic.write_bytes(place / "runs.html", page)
    return table.model_copy(
        update={
            "path": workspace.relative(place / "runs.html"),
            "csv": workspace.relative(place / "runs.csv"),
        }
    )


def _shown(row: RunRow, table: RunsTable) -> ShownRun:
    from darkroom.documents import ShownRun

    return ShownRun(
        name=_named(row),
        state=row.state,
        values=tuple(spoken_value(row.parameters.get(name)) for name in table.parameters),
        figures=tuple(row.figures.get(name) for name in table.columns),
        tags=row.tags,
        note=row.note,
    )


def _named(row: RunRow) -> str:
    return row.run if len(row.runs) == 1 else f"{row.run} + {len(row.runs) - 1}"


def _csv(table: RunsTable) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows; a figure takes three columns: value, low, high."""
    figures = [f"{name}{end}" for name in table.columns for end in ("", ".low", ".high")]
    header = ["run", "clones", "state", "when", *table.parameters, *figures, "tags", "note"]
    rows = []
    for row in table.rows:
        cells: list[str] = []
        for name in table.columns:
            one = row.figures.get(name)
            bounds = one is not None and bool(one.method)
            cells += ["" if one is None else repr(one.value)]
            cells += [repr(one.low), repr(one.high)] if one is not None and bounds else ["", ""]
        values = [row.parameters.get(name) for name in table.parameters]
        rows.append(
            [
                *(row.run, " ".join(row.runs), row.state, row.when.isoformat()),
                *("" if value is None else spoken_value(value) for value in values),
                *(*cells, ", ".join(row.tags), row.note),
            ]
        )
    return header, rows


def _short(name: str) -> str:
    return name.removeprefix("recipe.")
