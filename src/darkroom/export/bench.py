"""Measure model files on this host: size, time to load, latency and memory of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import AwareDatetime

from darkroom.bundle import size_of
from darkroom.errors import DarkroomError
from darkroom.export.latency import WARM_UP, host, time_in_turn, time_loading
from darkroom.export.memory import measure_memory
from darkroom.export.report import ConvertedFile, Latency, MemoryUse
from darkroom.records import Fact, Record, Table, now
from darkroom.serving import Session, find, open_session

__all__ = ["Benchmark", "FileFigures", "measure"]


class FileFigures(Fact):
    """What one file takes on this host."""

    file: str
    """Name of the file."""
    target: str
    """Name in the table of exporters."""
    precision: str
    """What its weights are written as."""
    runtime: str
    """Library that ran it, with its version."""
    size_bytes: int
    """Its length; of a folder all files in it."""
    load_ms: float | None = None
    """From the file to ready to answer, with its library loaded; median of three."""
    latency: Latency | None = None
    """Of one tensor."""
    memory: MemoryUse | None = None
    """Of one prediction on one thread, in a process of its own; None where it was not measured."""
    problem: str = ""
    """Why it does not run here."""
    remark: str = ""
    """Why only its size is known."""


class Benchmark(Record):
    """What files take on one host; another machine, or a phone, is unmeasured."""

    files: tuple[FileFigures, ...]
    """Each file that was measured, or why it was not."""
    threads: int
    """Threads that one answer could use."""
    warm_up: int
    """Answers before the timing began, per file."""
    host: str
    """Where it was measured."""
    created_at: AwareDatetime

    def table(self) -> Table:
        """Returns a row per file."""
        columns = ("file", "precision", "size", "loads in", "p50", "p95", "memory", "")
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return Table(columns, tuple(map(_row, self.files)), f"{self.host}; {threads}")


def measure(
    files: Sequence[ConvertedFile],
    tensor: np.ndarray,
    *,
    threads: int = 1,
    rounds: int = 200,
    on_done: Callable[[int, int], None] | None = None,
) -> Benchmark:
    """Measures files; a file that cannot be opened or stops is said, and the others are measured.

    Args:
        files: the files.
        tensor: (1, height, width, channels) uint8, asked about again and again.
        threads: threads that one answer may use.
        rounds: how often each file is asked, in turn with the others, after a warm-up.
        on_done: told how many of how many files are done, after each.
    """
    found = [_opened(file, tensor, threads) for file in files]
    alive = [(place, session) for place, (session, _) in enumerate(found) if session is not None]
    figures = [one for _, one in found]
    timings = time_in_turn([session.run for _, session in alive], tensor, rounds=rounds)
    for (place, _), took in zip(alive, timings, strict=True):
        figures[place] = figures[place].model_copy(update={"latency": Latency(**took, threads=threads)})
    for place, file in enumerate(files):
        if figures[place].latency is not None:
            memory = measure_memory(file.path, file.target)
            figures[place] = figures[place].model_copy(update={"memory": memory})
        if on_done is not None:
            on_done(place + 1, len(files))
    return Benchmark(files=tuple(figures), threads=threads, warm_up=WARM_UP, host=host(), created_at=now())


def _opened(file: ConvertedFile, tensor: np.ndarray, threads: int) -> tuple[Session | None, FileFigures]:
    figures = FileFigures(
        file=file.path.name,
        target=file.target,
        precision=file.precision,
        runtime=find(file.target).version,
        size_bytes=size_of(file.path),
    )
    if find(file.target).stand_in:
        title = find(file.target).title
        return None, figures.model_copy(update={"remark": f"{title} does not run on this system"})
    try:
        session = open_session(file.path, threads=threads)
        session.run(tensor)
        load_ms = time_loading(lambda: open_session(file.path, threads=threads))
    except DarkroomError as error:
        return None, figures.model_copy(update={"problem": str(error)})
    except Exception as error:  # runtimes share no base but Exception
        return None, figures.model_copy(update={"problem": f"It stopped while answering: {error}"})
    runtime = getattr(session, "runtime", figures.runtime)
    return session, figures.model_copy(update={"load_ms": load_ms, "runtime": runtime})


def _row(file: FileFigures) -> tuple[str, ...]:
    size = f"{file.size_bytes / 1e6:.2f} MB"
    if file.latency is None or file.load_ms is None:
        return (file.file, file.precision, size, "", "", "", "", file.problem or file.remark)
    return (
        file.file,
        file.precision,
        size,
        f"{file.load_ms:.1f} ms",
        f"{file.latency.p50_ms:.2f} ms",
        f"{file.latency.p95_ms:.2f} ms",
        "not measured" if file.memory is None else f"{file.memory.added_bytes / 1e6:.1f} MB",
        "",
    )
