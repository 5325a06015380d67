"""Draw results, errors and progress on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from darkroom.errors import DarkroomError
from darkroom.records import Result, Table
from darkroom.workspace import Progress as Report

__all__ = ["ProgressDrawing", "draw_error", "draw_result"]


def draw_result(result: Result) -> None:
    """Draws what a person sees of a result, on standard output."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for part in result.display():
        if isinstance(part, Table):
            console.print(_table(part))
        else:
            console.print(Text(part))


def draw_error(error: DarkroomError) -> None:
    """Draws an error, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("error ", style="bold red") + Text(error.message))
    if error.hint:
        console.print(Text(f"      {error.hint}"))


class ProgressDrawing:
    """Bars with rate and time left on a terminal; one line per finished piece of work elsewhere."""

    def __init__(self, *, enabled: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>16}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=False,
        )
        self._enabled = enabled
        self._tasks: dict[str, TaskID] = {}

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
        self._bars.stop()

    def __call__(self, report: Report) -> None:
        """Takes one report."""
        if not self._enabled:
            return
        if self._console.is_terminal:
            self._draw_bar(report)
        elif report.total is None or report.done >= report.total:
            count = f": {report.done} {report.unit}" if report.done else ""
            self._console.print(Text(f"{report.what}{count}"))

    def _draw_bar(self, report: Report) -> None:
        if report.what not in self._tasks:
            self._tasks[report.what] = self._bars.add_task(
                report.what, total=report.total, rate="", figures=""
            )
        bar = self._tasks[report.what]
        speed = self._bars.tasks[self._bars.task_ids.index(bar)].speed
        figures = " ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
        rate = f"{speed:,.0f} {report.unit}/s" if speed else ""
        self._bars.update(bar, completed=report.done, total=report.total, rate=rate, figures=figures)


def _table(table: Table) -> RichTable:
    headings = any(table.columns)
    drawn = RichTable(title=table.title or None, title_justify="left", show_header=headings, box=None)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        drawn.add_row(*[Text(cell) for cell in row])
    return drawn
