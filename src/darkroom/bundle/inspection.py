"""Look at a bundle without trusting it: what is in it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.bundle.manifest import MANIFEST, file_problem, read_manifest
from darkroom.errors import DarkroomError
from darkroom.records import BundleManifest, Fact, FrozenMap, Interval, Result, Table

if TYPE_CHECKING:
    from darkroom.bundle.reader import Bundle

__all__ = ["BundleInspection", "FileState", "inspect"]


class FileState(Fact):
    """One file of a bundle, as it is now."""

    path: str
    role: str
    size_bytes: int
    target: str = ""
    precision: str = ""
    problem: str = ""
    """What is wrong with it; empty when it is what was written."""


class BundleInspection(Result):
    """What a look into a bundle showed."""

    id: str
    name: str
    task: str
    run: str
    dataset: str
    network: str = ""
    labels: tuple[str, ...] = ()
    input_shape: tuple[int, int, int] | None = None
    """(height, width, channels) uint8."""
    metrics: FrozenMap[str, Interval] = {}
    golden: int = 0
    """How many golden vectors it holds."""
    golden_differing: tuple[str, ...] = ()
    """Golden vectors whose picture gives another tensor on this machine."""
    files: tuple[FileState, ...] = ()
    unlisted: tuple[str, ...] = ()
    """Files in the folder that bundle.json does not know."""
    problems: tuple[str, ...] = ()
    """Sentences; empty when the bundle is whole."""

    @property
    def exit_code(self) -> int:
        """0 when the bundle is whole, else that of Damaged."""
        return 8 if self.problems else 0

    def display(self) -> Iterable[str | Table]:
        """Yields the head, the files, the figures and what is wrong."""
        known = f", {self.network}, {len(self.labels)} labels" if self.network else ""
        shape = f", input {'×'.join(map(str, self.input_shape))}" if self.input_shape else ""
        yield f"Bundle {self.name}: {self.task}{known}"
        yield f"Run {self.run or '-'} on {self.dataset or '-'}, id {self.id[:12]}{shape}"
        rows = ((one.path, one.role, f"{one.size_bytes:,}", one.problem or "ok") for one in self.files)
        yield Table(("file", "role", "bytes", "state"), tuple(rows))
        if self.metrics:
            figures = tuple((name, str(figure)) for name, figure in self.metrics.items())
            yield Table(("metric", "value"), figures)
        yield from self.problems
        yield "Whole." if not self.problems else "Not whole: copy it again, or make it again."


def inspect(folder: Path) -> BundleInspection:
    """Looks into a bundle; what is damaged is listed, not raised.

    Raises:
        NotFound: the folder holds no bundle.
        Damaged: bundle.json itself is not what was written.
        Unsupported: a newer Darkroom wrote it.
    """
    manifest = read_manifest(folder)
    files = tuple(
        FileState(**file.model_dump(exclude={"sha256"}), problem=file_problem(folder, file))
        for file in manifest.files
    )
    problems = tuple(f"{file.path}: {file.problem}." for file in files if file.problem)
    found = BundleInspection(
        id=manifest.id,
        name=manifest.name,
        task=manifest.task,
        run=manifest.run,
        dataset=manifest.dataset,
        files=files,
        unlisted=_unlisted(folder, manifest),
        problems=problems,
    )
    if problems:
        return found
    try:
        from darkroom.bundle.reader import read_bundle

        return _with_content(found, read_bundle(folder))
    except DarkroomError as error:
        return found.model_copy(update={"problems": (str(error),)})


def _with_content(found: BundleInspection, bundle: Bundle) -> BundleInspection:
    golden = bundle.golden
    differing = golden.differing()
    problems = tuple(f"golden/{name}: this machine makes another tensor of it." for name in differing)
    return found.model_copy(
        update={
            "network": bundle.card.network,
            "labels": bundle.card.labels,
            "input_shape": bundle.contract.shape,
            "metrics": bundle.card.metrics,
            "golden": len(golden.vectors),
            "golden_differing": differing,
            "problems": problems,
        }
    )


def _unlisted(folder: Path, manifest: BundleManifest) -> tuple[str, ...]:
    known = {file.path for file in manifest.files} | {MANIFEST}
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(set(there) - known))
