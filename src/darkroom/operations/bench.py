"""Operation that measures the files of a bundle on this host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from darkroom.operation import BundleRef, Produced, operation
from darkroom.operations.export import EXPORT_LIBRARIES
from darkroom.records import Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.export.bench import Benchmark

__all__ = ["bench"]

Rounds = Annotated[int, Field(ge=1, le=10_000)]
Threads = Annotated[int, Field(ge=1, le=64)]

EXPLAINED = (
    "Each file was asked about the same tensor in turn with the others, after a warm-up, so that a busy "
    "moment of this host met all alike. p50: half of the answers were faster; p95: all but one in twenty. "
    "Loading is the median of three, with the library loaded already. Memory is what file, runtime and one "
    "answer took on one thread, beside interpreter and library, in a process of its own."
)
ELSEWHERE = (
    "These are figures of this host; another machine, and a phone, is unmeasured. There: copy the bundle "
    "and run python bench.py in it. It needs numpy and the file's runtime, not Darkroom, and checks the "
    "golden vectors too."
)


class BenchReport(Result):
    """What the files of a bundle take on this host."""

    bundle: BundleRef
    rows: tuple[tuple[str, ...], ...]
    """File, precision, size, time to load, latency p50 and p95, memory, why nothing was measured."""
    columns: tuple[str, ...]
    """What the rows hold."""
    threads: int
    """Threads that one answer could use."""
    host: str
    """Where it was measured."""
    problems: tuple[str, ...] = ()
    """Files that could not be measured, and why."""
    page: Produced = ""
    """The deliverable; bench.json lies beside it."""

    @property
    def exit_code(self) -> int:
        """8 when a file does not run here, else 0."""
        return 8 if self.problems else 0

    def display(self) -> Iterator[str | Table]:
        """Yields a row per file, and where else it can be measured."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        yield Table(self.columns, self.rows, f"{self.bundle} on {self.host}; {threads}")
        yield f"Page: {self.page}"
        yield from self.notes()
        yield "Elsewhere: python bench.py in the bundle, without Darkroom. A phone is unmeasured."

    def notes(self) -> Iterator[str]:
        """Yields what could not be measured."""
        yield from self.problems


@operation("export.bench", slow=True, stage=9, libraries=EXPORT_LIBRARIES)
def bench(
    workspace: Workspace, *, bundle: BundleRef | None = None, threads: Threads = 1, rounds: Rounds = 200
) -> BenchReport:
    """Measure each file of a bundle on this host: size, time to load, latency p50 and p95, peak memory.

    A script in the bundle, bench.py, measures the same on another machine without Darkroom.

    Args:
        bundle: the bundle; the newest when not given.
        threads: threads that one answer may use.
        rounds: how often each file is asked, in turn with the others; timing ends after 20 seconds.
    """
    from darkroom.export.bench import measure
    from darkroom.export.report import ConvertedFile
    from darkroom.operations.bundling import read_newest

    found, read = read_newest(workspace, bundle)

    def show(done: int, total: int) -> None:
        workspace.report("measuring", done=done, total=total, unit="files")

    files = [ConvertedFile.in_bundle(read.folder, model) for model in read.models]
    figures = measure(files, read.golden.tensors[:1], threads=threads, rounds=rounds, on_done=show)
    table = figures.table()
    return BenchReport(
        bundle=found.id,
        rows=table.rows,
        columns=table.columns,
        threads=threads,
        host=figures.host,
        problems=tuple(f"{file.file}: {file.problem}" for file in figures.files if file.problem),
        page=_deliver(workspace, found.id, figures),
    )


def _deliver(workspace: Workspace, name: str, found: Benchmark) -> str:
    from darkroom import atomic
    from darkroom.operations.found_pages import deliver_found

    facts = found.model_dump_json(indent=1) + "\n"
    atomic.write_text(workspace.deliverables / "09-mobile" / "bench.json", facts)
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    path, _ = deliver_found(
        workspace,
        "09-mobile/bench.html",
        kind=f"Files of {name}, measured",
        lead=f"{found.host}; {threads}.",
        sections=_sections(found),
        papers=False,
    )
    return path


def _sections(found: Benchmark) -> tuple[Section, ...]:
    from darkroom.documents.blocks import Cell, Section, Table, Text

    table = found.table()
    rows = tuple(tuple(map(Cell, row)) for row in table.rows)
    shown = Table(table.columns, rows, right=frozenset(range(2, 7)))
    runtimes = Text(f"Run by {', '.join(dict.fromkeys(file.runtime for file in found.files))}.", "quiet")
    return (
        Section("files", "Files", (shown, runtimes)),
        Section("how", "How it was measured", (Text(EXPLAINED), Text(ELSEWHERE, "note"))),
    )
