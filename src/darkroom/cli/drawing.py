"""Draw results, errors and progress on a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from darkroom.errors import DarkroomError
from darkroom.records import Result, Table
from darkroom.workspace import Progress as Report

__all__ = ["ProgressDrawing", "draw_error", "draw_result"]

LEAST_LAST = 16
"""Characters that the last column must keep so that the others stay in one piece."""

WIDE = 120
"""Characters from which on figures stand beside the bars."""

TOLD_EVERY_S = 20.0
"""Where there is no terminal, a training is told about after an epoch, so often at most."""

SHOWN = ("train_", "val_", "learning_rate", "gradient_norm")
"""Figures that a person sees while a training goes on, by how their names begin."""


def draw_result(result: Result) -> None:
    """Draws what a person sees of a result, on standard output."""
    console = Console(highlight=False)
    for part in result.display():
        if isinstance(part, Table):
            console.print(_table(part, console.width))
        else:
            console.print(Text(part), soft_wrap=True)


def draw_error(error: DarkroomError) -> None:
    """Draws an error, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("error ", style="bold red") + Text(error.message))
    if error.hint:
        console.print(Text(f"      {error.hint}"))


class ProgressDrawing:
    """Bars with rate and time left on a terminal; one line per finished piece of work elsewhere."""

    def __init__(self, *, enabled: bool, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}", table_column=_column(24)),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", table_column=_column(16)),
            TimeRemainingColumn(compact=True),
            *([TextColumn("{task.fields[figures]}")] if self._console.width >= WIDE else []),
            console=self._console,
            transient=False,
        )
        self._enabled = enabled
        self._latest: Report | None = None
        self._tasks: dict[str, TaskID] = {}
        self._figures: dict[str, dict[str, float]] = {}
        self._told_at = time.monotonic()

    def __enter__(self) -> ProgressDrawing:
        if self._enabled and self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars.live.is_started:
            self._bars.stop()
        self._tell()

    def __call__(self, report: Report) -> None:
        """Takes one report."""
        if report.lines and not self._quiet:
            self._console.print(Text("\n".join(report.lines)), soft_wrap=True)
        if not self._enabled or report.lines:
            return
        if self._console.is_terminal:
            self._draw_bar(report)
        else:
            self._wait_to_tell(report)

    def _wait_to_tell(self, report: Report) -> None:
        """Keeps the latest word on a piece of work, and says it when the next piece begins."""
        if self._latest is not None and self._latest.what != report.what:
            self._tell()
        self._latest = report
        if "train_loss" in report.metrics and time.monotonic() - self._told_at >= TOLD_EVERY_S:
            self._told_at = time.monotonic()
            self._console.print(Text(f"{report.what}: {_epoch_line(report.metrics)}"), soft_wrap=True)

    def _tell(self) -> None:
        if self._latest is not None:
            done = f"{self._latest.done:,}"
            count = f": {done} {self._latest.unit}" if self._latest.done else ""
            self._console.print(Text(f"{self._latest.what}{count}"), soft_wrap=True)
            self._latest = None

    def _draw_bar(self, report: Report) -> None:
        if report.what not in self._tasks:
            self._tasks[report.what] = self._bars.add_task(
                report.what, total=report.total, rate="", figures=""
            )
        bar = self._tasks[report.what]
        speed = self._bars.tasks[self._bars.task_ids.index(bar)].speed
        known = self._figures.setdefault(report.what, {})
        known |= {name: value for name, value in report.metrics.items() if _is_shown(name)}
        figures = " ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known.items())
        rate = f"{speed:,.0f} {report.unit}/s" if speed else ""
        self._bars.update(bar, completed=report.done, total=report.total, rate=rate, figures=figures)


def _is_shown(name: str) -> bool:
    return name.startswith(SHOWN) and "." not in name and not name.endswith("_max")


def _epoch_line(figures: Mapping[str, float]) -> str:
    """Returns the figures of an epoch in one line."""
    said = [f"epoch {figures['epoch']:.0f}"]
    said += [f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items() if _is_shown(name)]
    if "images_per_second" in figures:
        said.append(f"{figures['images_per_second']:,.0f} images/s")
    if figures.get("time_left_s"):
        minutes, seconds = divmod(round(figures["time_left_s"]), 60)
        said.append(f"{minutes:,} min {seconds} s left" if minutes else f"{seconds} s left")
    return ", ".join(said)


def _column(width: int) -> Column:
    """Returns a column that takes this much and cuts what is longer, so that bars fit 80 characters."""
    return Column(min_width=width, max_width=width, no_wrap=True, overflow="ellipsis")


def _table(table: Table, width: int) -> RichTable:
    """Lays a table out; when it is too wide, the last column is folded before any other is broken."""
    headings = any(table.columns)
    drawn = RichTable(title=table.title or None, title_justify="left", show_header=headings, box=None)
    before_last = sum(map(_widest, zip(table.columns, *table.rows, strict=True))) - _widest_last(table)
    room = width - before_last - 2 * len(table.columns) >= LEAST_LAST
    for place, column in enumerate(table.columns, 1):
        drawn.add_column(column, overflow="fold", no_wrap=room and place < len(table.columns))
    for row in table.rows:
        drawn.add_row(*[Text(cell) for cell in row])
    return drawn


def _widest(cells: tuple[str, ...]) -> int:
    return max(cell_len(line) for cell in cells for line in (cell.splitlines() or [""]))


def _widest_last(table: Table) -> int:
    return _widest((table.columns[-1], *(row[-1] for row in table.rows))) if table.columns else 0
