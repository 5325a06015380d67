"""Convert a run in several precisions: calibrate on train, choose on val, keep what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from darkroom import atomic
from darkroom.errors import Unsupported
from darkroom.operations.compared_pictures import batches_of, compared_pictures
from darkroom.operations.kept import kept_tried
from darkroom.operations.run_pictures import pictures_of
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.export import ConvertedFile
    from darkroom.export.choice_report import PrecisionReport
    from darkroom.export.report import Conversion
    from darkroom.networks.network import Network
    from darkroom.records import ModelCard

__all__ = ["Converted", "convert_and_choose", "keep_precisions", "kept_precisions", "note_of"]

ROUNDS = 40
"""How often each file is timed for the table; verifying times longer."""


class Converted(NamedTuple):
    """Files for a bundle, and what was tried for them."""

    conversion: Conversion
    """The files that were kept, each by its name in the bundle, and what could not be written."""
    precisions: PrecisionReport | None
    """What was tried; None where there was nothing to choose."""


def convert_and_choose(
    workspace: Workspace,
    run: str,
    network: Network,
    card: ModelCard,
    folder: Path,
    *,
    targets: Sequence[str],
    precisions: Sequence[str],
    embedding: bool,
    name: str,
) -> Converted:
    """Converts a run's network; of several recipes one file per target and precision is kept.

    Test takes no part: ranges come from train pictures, the choice from val, with train where val is small.

    Raises:
        Invalid: a precision needs calibration pictures, and train has none, or only of a single class.
        Unsupported: no file meets the brief.
    """
    from darkroom.export.conversion import convert

    def show(done: int, total: int) -> None:
        workspace.report("converting", done=done, total=total, unit="files")

    several = any(precision != "float32" for precision in precisions)
    with atomic.scratch_folder(folder) as scratch:
        calibration, count = _calibration(workspace, run, precisions, scratch)
        conversion = convert(
            network,
            card,
            folder,
            targets=targets,
            precisions=precisions,
            embedding=embedding,
            calibration=calibration,
            every_recipe=several,
            name=name,
            on_done=show,
        )
    if not several:
        return Converted(conversion, None)
    report = _judged(workspace, run, network, card, conversion.files, count)
    if report is None:
        kept = _likeliest(conversion.files)
    else:
        marks = {(one.target, one.precision, one.recipe): one.kept for one in report.candidates}
        kept = [one for one in conversion.files if marks[one.target, one.precision, one.recipe]]
        if not kept:
            raise Unsupported(
                "export.nothing-meets-brief",
                "No file meets the brief. {words}",
                do="Add float32 to the precisions, or widen the limits under [brief.limits].",
                words=" ".join(report.words),
            )
    files = tuple(_renamed(one) for one in kept)
    return Converted(conversion.model_copy(update={"files": files}), report)


def keep_precisions(workspace: Workspace, bundle: str, tried: PrecisionReport | None) -> None:
    """Keeps what was tried for a bundle, beside it."""
    if tried is not None:
        atomic.write_text(_path(workspace, bundle), tried.model_dump_json(indent=1) + "\n")


def note_of(tried: PrecisionReport | None, target: str, precision: str) -> str:
    """Returns what the bundle's README.txt says of a file beside its format."""
    if tried is None:
        return ""
    found = next(
        one
        for one in tried.candidates
        if (one.target, one.precision, one.kept) == (target, precision, True)
    )
    return "the smallest that meets the brief" if found.chosen else ""


def kept_precisions(workspace: Workspace, bundle: str) -> PrecisionReport | None:
    """Returns what was tried for a bundle; None where there was nothing to choose.

    Raises:
        Damaged: it is not what was written.
    """
    path = _path(workspace, bundle)
    return kept_tried(path) if path.is_file() else None


def _path(workspace: Workspace, bundle: str) -> Path:
    return workspace.bundles_folder / f"{bundle}-precisions.json"


def _calibration(
    workspace: Workspace, run: str, precisions: Sequence[str], folder: Path
) -> tuple[Path | None, int]:
    """Writes the calibration tensors, if a precision needs any; returns their place and number."""
    from darkroom.export.calibration import (
        choose_pictures,
        choose_pictures_of_masks,
        refuse_lack,
        save_tensors,
    )
    from darkroom.export.precisions import find_precision

    needing = [name for name in precisions if find_precision(name).calibrated]
    if not needing:
        return None, 0
    pictures = pictures_of(workspace, run).split("train")
    if not len(pictures):
        raise refuse_lack(needing[0])
    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset)
    if version.task == "segmentation":
        chosen = choose_pictures_of_masks(pictures.gather_masks, len(pictures))
    else:
        chosen = choose_pictures(pictures.labels)
    path = folder / "calibration.npy"
    save_tensors(path, pictures.gather(chosen.rows))
    return path, len(chosen.rows)


def _judged(
    workspace: Workspace,
    run: str,
    network: Network,
    card: ModelCard,
    files: Sequence[ConvertedFile],
    calibration_count: int,
) -> PrecisionReport | None:
    """Returns how the files do on val, and on train where val is small, and the choice."""
    from darkroom.export.choice import choose
    from darkroom.export.parity import verify
    from darkroom.export.reference import TorchReference

    parts = compared_pictures(workspace, run, ("val", "train"))
    total = sum(len(part.rows) for part in parts)
    if not total:
        return None

    limits = workspace.project.brief.limits

    def show(done: int) -> None:
        workspace.report("comparing recipes", done=done, total=total, unit="images")

    parity = verify(
        TorchReference(network, card),
        card,
        files,
        batches_of(parts, masks=card.task == "segmentation"),
        limits=limits,
        rounds=ROUNDS,
        memory=limits.memory_bytes is not None,
        on_progress=show,
    )
    return choose(parity, files, calibration_count=calibration_count, run=run)


def _likeliest(files: Sequence[ConvertedFile]) -> list[ConvertedFile]:
    """Returns the first file of each target and precision."""
    found: dict[tuple[str, str], ConvertedFile] = {}
    for one in files:
        found.setdefault((one.target, one.precision), one)
    return list(found.values())


def _renamed(file: ConvertedFile) -> ConvertedFile:
    """Gives a kept file the name without its recipe; one that is plain has none in its name."""
    from darkroom.export.precisions import PLAIN

    if file.recipe == PLAIN:
        return file
    suffix = file.path.suffix
    plain = file.path.with_name(file.path.name.removesuffix(f"-{file.recipe}{suffix}") + suffix)
    return file.model_copy(update={"path": file.path.rename(plain)})
