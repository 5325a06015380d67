"""Make a bundle of a run's files, and hand it over once each file has been proven to agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from darkroom import atomic
from darkroom.errors import NotFound
from darkroom.operations.brief_limits import CARD_WORDS
from darkroom.operations.export import ConvertReport, VerifyReport
from darkroom.operations.gates import bundle_gates, check_names
from darkroom.operations.handed_over import take_back
from darkroom.operations.operating_points import point_of
from darkroom.operations.run_pictures import pictures_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.operations.sketching import false_alarms_of, sketch_of
from darkroom.records import FrozenDict, Gate, Split, missed_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.bundle import Bundle, ExtraFile
    from darkroom.datasets import RenderedSplit
    from darkroom.domain import Sketch
    from darkroom.export import ParityReport
    from darkroom.export.parity import ParityBatch
    from darkroom.export.report import Conversion
    from darkroom.networks.network import Network
    from darkroom.records import ModelCard

__all__ = ["compared_split", "make_bundle", "parity_path", "refuse_lost_folder", "verify_bundle"]

BATCH, MASKS_AT_A_TIME = 256, 32


def make_bundle(
    workspace: Workspace,
    run: str,
    targets: tuple[str, ...],
    precisions: tuple[str, ...],
    *,
    embedding: bool,
) -> ConvertReport:
    """Converts a run's best weights and writes the bundle.

    Raises:
        NotFound: there is no such run.
        MissingExtra: no target could be written for want of a package.
    """
    from darkroom.bundle import ModelFile, write_bundle
    from darkroom.export.conversion import convert
    from darkroom.networks.saved import load

    found = workspace.catalogue.runs.get(run)
    refuse_lost_run(workspace, found)
    weights = workspace.runs_folder / found.id / "checkpoints/best.safetensors"
    network, card = load(weights)
    sketch = sketch_of(workspace, found.id)
    card = _with_figures(workspace, run, card, sketch)
    name = workspace.project.project.name
    bundle_id = workspace.catalogue.bundles.new_id()

    def show(done: int, total: int) -> None:
        workspace.report("converting", done=done, total=total, unit="files")

    with atomic.scratch_folder(workspace.bundles_folder) as scratch:
        conversion = convert(
            network,
            card,
            scratch,
            targets=targets,
            precisions=precisions,
            embedding=embedding,
            name=_file_name(name),
            on_done=show,
        )
        folder = workspace.bundles_folder / bundle_id
        manifest = write_bundle(
            folder,
            name=name,
            card=card,
            models=[ModelFile(file.path, file.target, file.precision) for file in conversion.files],
            golden=_golden(network, card),
            extra=_domain(sketch),
        )
    workspace.catalogue.bundles.add(
        run_id=run, path=workspace.relative(folder), manifest=manifest, bundle_id=bundle_id
    )
    sketched = any(file.role == "domain" for file in manifest.files)
    return ConvertReport(bundle=bundle_id, run=run, rows=_written(conversion), sketched=sketched)


def _written(conversion: Conversion) -> tuple[tuple[str, ...], ...]:
    """Returns a row per file that was written, and per file that could not be."""
    rows = [
        (file.target, file.precision, file.path.name, f"{file.size_bytes / 1e6:.2f} MB", "")
        for file in conversion.files
    ]
    failed = [
        (one.target, one.precision, "", "", f"{one.message} {one.hint}") for one in conversion.failures
    ]
    return (*rows, *failed)


def verify_bundle(workspace: Workspace, name: str | None) -> VerifyReport:
    """Compares a bundle's files with PyTorch on every test picture; hands it over if all agree.

    Raises:
        NotFound: there is no such bundle, or its dataset has no pictures to compare on.
        Damaged: a file of the bundle is not what was written.
    """
    from darkroom.bundle import read_bundle
    from darkroom.export.report import AGREEMENT

    found = workspace.catalogue.bundles.get(name) if name else _newest(workspace)
    folder = workspace.root / found.path
    refuse_lost_folder(folder, found.id)
    bundle = read_bundle(folder)
    check_names(workspace, workspace.catalogue.runs.get(found.run_id).dataset)
    report = _compared(workspace, found.run_id, bundle)
    split = compared_split(workspace, found.run_id)
    gates = bundle_gates(workspace, found.run_id, split, bundle.manifest, report)
    report = report.model_copy(update={"gates": gates})
    atomic.write_text(parity_path(workspace, found.id), report.model_dump_json(indent=1) + "\n")
    page = _deliver_page(workspace, found.id, report)
    missed = missed_gates(gates)
    passed = report.passes and not missed
    return VerifyReport(
        bundle=found.id,
        passed=passed,
        masks=report.task == "segmentation",
        agreement=AGREEMENT[report.task],
        images=report.image_count,
        rows=report.table().rows,
        why=(*report.failures, *(gate.sentence for gate in missed if not _of_a_file(gate, report))),
        unproven=tuple(
            gate.sentence for gate in gates if gate.verdict in ("not enough evidence", "not measured")
        ),
        gates=gates,
        path=_hand_over(workspace, folder) if passed else "",
        taken_back=() if passed else take_back(workspace),
        page=page,
    )


def compared_split(workspace: Workspace, run: str) -> Split:
    """Returns the pictures that a run's files are compared on: test, or val where there is no test."""
    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(run).dataset)
    return "test" if version.counts.get("test") else "val"


def parity_path(workspace: Workspace, bundle: str) -> Path:
    """Returns where the parity report of a bundle is kept."""
    return workspace.bundles_folder / f"{bundle}-parity.json"


def refuse_lost_folder(folder: Path, name: str) -> None:
    """Refuses to work with a bundle whose folder somebody deleted.

    Raises:
        NotFound: the folder is gone.
    """
    if not folder.is_dir():
        raise NotFound(
            "bundle.folder-gone",
            "The folder of bundle {name} is gone: {folder}.",
            do="Make it again: darkroom run",
            name=name,
            folder=folder,
        )


def _compared(workspace: Workspace, run: str, bundle: Bundle) -> ParityReport:
    from darkroom.export import ConvertedFile
    from darkroom.export.parity import verify
    from darkroom.export.reference import TorchReference
    from darkroom.networks.saved import load

    network, card = load(workspace.runs_folder / run / "checkpoints/best.safetensors")
    # Sets of labels are told apart at the thresholds that leave with the bundle.
    card = card.model_copy(update={"operating_point": bundle.card.operating_point})
    split = compared_split(workspace, run)
    images = pictures_of(workspace, run).split(split)

    def show(done: int) -> None:
        workspace.report(f"comparing on {split}", done=done, total=len(images), unit="images")

    return verify(
        TorchReference(network, card),
        card,
        [
            ConvertedFile(
                path=bundle.folder / file.path,
                target=file.target,
                precision=file.precision,
                size_bytes=file.size_bytes,
            )
            for file in bundle.manifest.files
            if file.role == "model"
        ],
        _batches(images, masks=card.task == "segmentation"),
        golden=bundle.golden.vectors,
        limits=workspace.project.brief.limits,
        memory=True,
        on_progress=show,
    )


def _of_a_file(gate: Gate, report: ParityReport) -> bool:
    """Returns whether a gate is about a single file, whose failures have words of their own."""
    return gate.subject in {file.file for file in report.files}


def _batches(images: RenderedSplit, *, masks: bool) -> Iterator[ParityBatch]:
    from darkroom.export.parity import ParityBatch

    at_a_time = MASKS_AT_A_TIME if masks else BATCH
    for start in range(0, len(images), at_a_time):
        rows = np.arange(start, min(start + at_a_time, len(images)))
        yield ParityBatch(
            [images.image_ids[row] for row in rows],
            images.gather_masks(rows) if masks else images.labels[rows],
            images.gather(rows),
            [images.groups[row] for row in rows] if images.groups is not None else None,
        )


def _golden(network: Network, card: ModelCard):
    """Returns synthetic pictures with their tensors and the network's answers."""
    from darkroom.bundle import GoldenVectors
    from darkroom.export.reference import TorchReference

    vectors = GoldenVectors.synthetic(card.contract)
    return vectors.answered(TorchReference(network, card).run(vectors.tensors).probabilities)


def _domain(sketch: Sketch | None) -> list[ExtraFile]:
    """Returns the sketch of a run's training pictures as files of the bundle; none where it has none."""
    from darkroom.bundle import ExtraFile
    from darkroom.domain import sketch_files
    from darkroom.domain.files import FOLDER

    files = sketch_files(sketch) if sketch is not None else {}
    return [ExtraFile(f"{FOLDER}/{name}", data, "domain") for name, data in files.items()]


def _with_figures(workspace: Workspace, run: str, card: ModelCard, sketch: Sketch | None) -> ModelCard:
    """Returns the card with the run's figures, operating point and false alarms, and the brief's words."""
    from darkroom.evaluation import Evaluation, LabelSetEvaluation, load_any_evaluation

    metrics = dict(card.metrics)
    for split in ("val", "test"):
        try:
            found = load_any_evaluation(workspace.runs_folder / run, split)
        except NotFound:
            continue
        if isinstance(found, Evaluation):
            figures = found.figures
            metrics |= {f"{split}.accuracy": figures.accuracy, f"{split}.macro_f1": figures.macro_f1}
        elif isinstance(found, LabelSetEvaluation):
            names = ("mean_ap", "macro_f1", "micro_f1", "exact_match")
            known = {name: getattr(found.figures, name) for name in names}
            metrics |= {f"{split}.{name}": one for name, one in known.items() if one is not None}
        else:
            pixels = found.figures.pixel_accuracy
            metrics |= {f"{split}.miou": found.figures.miou, f"{split}.pixel_accuracy": pixels}
    brief = workspace.project.brief
    words = {name: getattr(brief, name) for name in CARD_WORDS}
    forgotten = workspace.catalogue.forgotten.marks("run").get(run, 0)
    point = point_of(workspace, run)
    changes = {
        "metrics": FrozenDict(metrics),
        "forgotten": forgotten,
        "operating_point": point,
        "false_alarms": false_alarms_of(sketch),
        **words,
    }
    return card.model_copy(update=changes)


def _hand_over(workspace: Workspace, folder: Path) -> str:
    """Copies the bundle to the deliverables; returns its place."""
    place = workspace.deliverables / "09-mobile" / "bundle"
    with atomic.write_folder(place) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
    return workspace.relative(place)


def _deliver_page(workspace: Workspace, bundle: str, report: ParityReport) -> str:
    from darkroom.operations.deliverables import deliver_parity

    return deliver_parity(workspace, bundle, report)


def _newest(workspace: Workspace):
    bundles = workspace.catalogue.bundles.list()
    if not bundles:
        raise NotFound(
            "verify.no-bundle", "There is no bundle yet.", do="Make one: darkroom export convert --run RUN"
        )
    return bundles[-1]


def _file_name(name: str) -> str:
    """Returns a project's name as a file name that every phone takes."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.strip("-").lower() or "model"
