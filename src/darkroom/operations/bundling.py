"""Make a bundle of a run's files, and hand it over once each file has been proven to agree."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.errors import NotFound
from darkroom.operations.brief_limits import CARD_WORDS
from darkroom.operations.compared_pictures import batches_of, compared_pictures
from darkroom.operations.export import ConvertReport, VerifyReport
from darkroom.operations.gates import bundle_gates, check_names
from darkroom.operations.handed_over import take_back
from darkroom.operations.judged import note_look
from darkroom.operations.operating_points import point_of
from darkroom.operations.precision_choice import convert_and_choose, keep_precisions, note_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.operations.sketching import false_alarms_of, sketch_of
from darkroom.records import FrozenDict, Gate, Split, missed_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.bundle import Bundle, ExtraFile, ModelFile
    from darkroom.catalogue import CataloguedBundle
    from darkroom.domain import Sketch
    from darkroom.export import ParityReport
    from darkroom.export.choice_report import PrecisionReport
    from darkroom.export.report import Conversion
    from darkroom.networks.network import Network
    from darkroom.records import ModelCard

__all__ = [
    "compared_split",
    "deliver_page",
    "file_name",
    "hand_over",
    "make_bundle",
    "parity_path",
    "read_newest",
    "refuse_lost_folder",
    "verify_bundle",
]


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
        Invalid: a precision needs calibration pictures, and train has none, or only of a single class.
        Unsupported: several precisions were asked for, and no file meets the brief on val.
    """
    from darkroom.bundle import write_bundle
    from darkroom.networks.saved import load

    found = workspace.catalogue.runs.get(run)
    refuse_lost_run(workspace, found)
    weights = workspace.runs_folder / found.id / "checkpoints/best.safetensors"
    network, card = load(weights)
    sketch = sketch_of(workspace, found.id)
    card = _with_figures(workspace, run, card, sketch)
    name = workspace.project.project.name
    bundle_id = workspace.catalogue.bundles.new_id()
    with atomic.scratch_folder(workspace.bundles_folder) as scratch:
        conversion, tried = convert_and_choose(
            workspace,
            run,
            network,
            card,
            scratch,
            targets=targets,
            precisions=precisions,
            embedding=embedding,
            name=file_name(name),
        )
        folder = workspace.bundles_folder / bundle_id
        manifest = write_bundle(
            folder,
            name=name,
            card=card,
            models=_models(conversion, tried),
            golden=_golden(network, card),
            extra=_domain(sketch),
        )
    workspace.catalogue.bundles.add(
        run_id=run, path=workspace.relative(folder), manifest=manifest, bundle_id=bundle_id
    )
    keep_precisions(workspace, bundle_id, tried)
    return ConvertReport(
        bundle=bundle_id,
        run=run,
        rows=_written(conversion),
        sketched=any(file.role == "domain" for file in manifest.files),
        tried=() if tried is None else tried.table().rows,
        chosen=() if tried is None else tried.words,
    )


def _models(conversion: Conversion, tried: PrecisionReport | None) -> list[ModelFile]:
    """Returns the files as a bundle takes them; the chosen ones with a note."""
    from darkroom.bundle import ModelFile

    return [
        ModelFile(one.path, one.target, one.precision, note=note_of(tried, one.target, one.precision))
        for one in conversion.files
    ]


def _written(conversion: Conversion) -> tuple[tuple[str, ...], ...]:
    """Returns a row per file that was written, and per file that could not be."""
    rows = [
        (file.target, file.precision, file.path.name, f"{file.size_bytes / 1e6:.2f} MB", "")
        for file in conversion.files
    ]
    failed = [
        (one.target, one.precision, "", "", f"{one.message} {one.hint}") for one in conversion.failures
    ]
    return (*rows, *dict.fromkeys(failed))


def verify_bundle(workspace: Workspace, name: str | None) -> VerifyReport:
    """Compares a bundle's files with PyTorch on every test picture, and more; hands it over if all agree.

    Raises:
        NotFound: there is no such bundle, or its dataset has no pictures to compare on.
        Damaged: a file of the bundle is not what was written.
    """
    from darkroom.export.report import AGREEMENT

    found, bundle = read_newest(workspace, name)
    folder = bundle.folder
    if not found.run_id:
        from darkroom.operations.adopting import verify_adopted

        return verify_adopted(workspace, found, bundle)
    check_names(workspace, workspace.catalogue.runs.get(found.run_id).dataset)
    report = _compared(workspace, found.run_id, bundle)
    split = compared_split(workspace, found.run_id)
    gates = bundle_gates(workspace, found.run_id, split, bundle.manifest, report)
    report = report.model_copy(update={"gates": gates})
    atomic.write_text(parity_path(workspace, found.id), report.model_dump_json(indent=1) + "\n")
    looked = note_look(workspace, found.run_id, "test") if split == "test" else ""
    page = deliver_page(workspace, found.id, found.run_id, report)
    missed = missed_gates(gates)
    passed = report.passes and not missed
    return VerifyReport(
        bundle=found.id,
        passed=passed,
        masks=report.task == "segmentation",
        agreement=AGREEMENT[report.task],
        images=report.image_count,
        pictures=report.pool,
        rows=report.table().rows,
        why=(*report.failures, *(gate.sentence for gate in missed if not _of_a_file(gate, report))),
        unproven=tuple(
            gate.sentence for gate in gates if gate.verdict in ("not enough evidence", "not measured")
        ),
        gates=gates,
        path=hand_over(workspace, folder) if passed else "",
        taken_back=() if passed else take_back(workspace),
        page=page,
        remarks=(looked,) if looked else (),
    )


def read_newest(workspace: Workspace, name: str | None) -> tuple[CataloguedBundle, Bundle]:
    """Reads a bundle of the project, the newest where none is named.

    Raises:
        NotFound: there is no such bundle, or its folder is gone.
        Damaged: a file of the bundle is not what was written.
    """
    from darkroom.bundle import read_bundle

    found = workspace.catalogue.bundles.get(name) if name else _newest(workspace)
    folder = workspace.root / found.path
    refuse_lost_folder(folder, found.id)
    return found, read_bundle(folder)


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
    parts = compared_pictures(workspace, run)
    total = sum(len(part.rows) for part in parts)

    def show(done: int) -> None:
        workspace.report("comparing", done=done, total=total, unit="images")

    report = verify(
        TorchReference(network, card),
        card,
        [ConvertedFile.in_bundle(bundle.folder, model) for model in bundle.models],
        batches_of(parts, masks=card.task == "segmentation"),
        golden=bundle.golden.vectors,
        limits=workspace.project.brief.limits,
        memory=True,
        on_progress=show,
    )
    sizes = {part.split: len(part.images) for part in parts}
    pictures = tuple(one.model_copy(update={"of": sizes[one.split]}) for one in report.pictures)
    return report.model_copy(update={"pictures": pictures})


def _of_a_file(gate: Gate, report: ParityReport) -> bool:
    """Returns whether a gate is about a single file, whose failures have words of their own."""
    return gate.subject in {file.file for file in report.files}


def _golden(network: Network, card: ModelCard):
    """Returns synthetic pictures with their tensors and the network's answers."""
    from darkroom.bundle import GoldenVectors
    from darkroom.export.reference import TorchReference

    vectors = GoldenVectors.for_bundle(card.contract)
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


def hand_over(workspace: Workspace, folder: Path) -> str:
    """Copies the bundle to the deliverables; returns its place."""
    place = workspace.deliverables / "09-mobile" / "bundle"
    with atomic.write_folder(place) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
    return workspace.relative(place)


def deliver_page(workspace: Workspace, bundle: str, run: str, report: ParityReport) -> str:
    from darkroom.operations.deliverables import deliver_parity

    return deliver_parity(workspace, bundle, run, report)


def _newest(workspace: Workspace):
    bundles = workspace.catalogue.bundles.list()
    if not bundles:
        raise NotFound(
            "verify.no-bundle", "There is no bundle yet.", do="Make one: darkroom export convert --run RUN"
        )
    return bundles[-1]


def file_name(name: str) -> str:
    """Returns a project's name as a file name that every phone takes."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.strip("-").lower() or "model"
