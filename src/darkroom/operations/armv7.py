"""Operation that builds what runs .tflite files as a 32-bit phone does, and the comparison that uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from darkroom.errors import NotFound
from darkroom.operation import LocalPath, operation
from darkroom.operations.export import VerifyReport
from darkroom.records import Result
from darkroom.settings import Settings
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.bundle import Bundle
    from darkroom.catalogue import CataloguedBundle
    from darkroom.documents.blocks import Section
    from darkroom.export.armv7_parity import Armv7Parity
    from darkroom.export.parity import Reference

__all__ = ["armv7_setup", "verify_on_armv7"]

PICTURES = 200
"""Pictures that are compared beside the golden vectors; QEMU takes many times as long as this host."""


class SetupReport(Result):
    """What was built to run .tflite files as a 32-bit phone does."""

    path: str
    """Its folder."""
    suite: str
    """Release of Debian."""
    runtime: str
    """What runs .tflite files there."""
    size_bytes: int
    """What the folder takes."""

    def display(self) -> Iterator[str]:
        """Yields where it is and what comes next."""
        yield f"Debian {self.suite} for 32-bit ARM with {self.runtime}: {self.path}"
        yield f"It takes {self.size_bytes / 1e6:.0f} MB. Next: darkroom export verify --target armv7"


@operation("export.armv7_setup", slow=True, anywhere=True, over_http=False)
def armv7_setup(workspace: Workspace, *, folder: LocalPath | None = None, mirror: str = "") -> SetupReport:
    """Build a Debian for 32-bit ARM in a folder, in which verify runs .tflite files under QEMU.

    It needs Debian, the rights of root, a network and about 300 MB: Debian's qemu-user-static and
    debootstrap are installed, packages for armhf unpacked, and the wheel of tflite-runtime 2.14.0 added.
    Nothing is registered with the kernel.

    Args:
        folder: where it goes; when not given DARKROOM_ARMV7, else darkroom/armv7 in the user's cache.
        mirror: where Debian's packages come from; when not given where this machine's own come from.
    """
    from darkroom.export.armv7 import set_up

    place = folder or root_of(workspace.settings)
    workspace.report("building Debian for 32-bit ARM")
    facts = set_up(place.absolute(), mirror=mirror)
    return SetupReport(
        path=str(place), suite=facts.suite, runtime=facts.runtime, size_bytes=facts.size_bytes
    )


def root_of(settings: Settings) -> Path:
    """Returns the folder of the Debian for 32-bit ARM."""
    if settings.armv7:
        return Path(settings.armv7).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(cache).absolute() / "darkroom" / "armv7"


def verify_on_armv7(workspace: Workspace, name: str | None) -> VerifyReport:
    """Compares the .tflite files of a bundle on 32-bit ARM with what the bundle is verified against.

    Nothing is handed over or taken back.

    Raises:
        NotFound: nothing was set up, or the bundle has no .tflite file.
    """
    from darkroom.export.armv7 import find_root
    from darkroom.export.armv7_parity import compare
    from darkroom.export.report import AGREEMENT
    from darkroom.operations.bundling import read_newest

    root = root_of(workspace.settings)
    facts = find_root(root)
    found, bundle = read_newest(workspace, name)
    models = [model for model in bundle.models if model.target == "litert"]
    if not models:
        raise NotFound(
            "armv7.no-tflite",
            "Bundle {bundle} holds no .tflite file, and only those run on 32-bit ARM here.",
            do="Convert one: darkroom export convert --run RUN --targets litert",
            bundle=found.id,
        )
    reference, tensors = _reference(workspace, found, bundle)

    def show(done: int, total: int) -> None:
        workspace.report("comparing on 32-bit ARM", done=done, total=total, unit="answers")

    limits = workspace.project.brief.limits
    report = compare(root, facts, bundle, models, reference, tensors, limits, on_done=show)
    return VerifyReport(
        bundle=found.id,
        passed=report.passes,
        masks=bundle.card.task == "segmentation",
        agreement=AGREEMENT[bundle.card.task],
        images=len(tensors),
        rows=report.table().rows,
        why=report.failures,
        compared_with=report.reference,
        target="armv7",
        remarks=(report.spoken,),
        page=_deliver(workspace, found.id, report),
    )


def _reference(
    workspace: Workspace, found: CataloguedBundle, bundle: Bundle
) -> tuple[Reference, np.ndarray]:
    """Returns what the files are compared with, and some pictures, spread evenly."""
    if not found.run_id:
        from darkroom.operations.adopting import reference_and_pictures

        return reference_and_pictures(workspace, found, bundle, PICTURES)
    from darkroom.export.reference import TorchReference
    from darkroom.networks.saved import load

    network, card = load(workspace.runs_folder / found.run_id / "checkpoints/best.safetensors")
    return TorchReference(network, card), _pictures(workspace, found.run_id)


def _pictures(workspace: Workspace, run: str) -> np.ndarray:
    """Returns tensors of test, spread evenly; where there are too few, of val and train as well."""
    from darkroom.operations.compared_pictures import compared_pictures

    tensors, left = [], PICTURES
    for part in compared_pictures(workspace, run):
        count = min(left, len(part.rows))
        if count:
            chosen = np.linspace(0, len(part.rows) - 1, count).round().astype(np.int64)
            tensors.append(part.images.gather(part.rows[chosen]))
        left -= count
    return np.concatenate(tensors)


def _deliver(workspace: Workspace, name: str, report: Armv7Parity) -> str:
    from darkroom import atomic
    from darkroom.operations.found_pages import deliver_found

    facts = report.model_dump_json(indent=1) + "\n"
    atomic.write_text(workspace.deliverables / "09-mobile" / "armv7.json", facts)
    path, _ = deliver_found(
        workspace,
        "09-mobile/armv7.html",
        kind=f"{name} on 32-bit ARM",
        lead=report.spoken,
        sections=_sections(report),
        papers=False,
    )
    return path


def _sections(report: Armv7Parity) -> tuple[Section, ...]:
    from darkroom.documents.blocks import Cell, Section, Table, Text

    table = report.table()
    rows = tuple(tuple(map(Cell, row)) for row in table.rows)
    said = tuple(Text(why, "note") for why in report.failures)
    return (Section("files", "Files", (Table(table.columns, rows, right=frozenset((1, 2, 3))), *said)),)
