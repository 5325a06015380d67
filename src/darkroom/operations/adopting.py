"""Bundle a model file from elsewhere, and compare it with itself as it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from darkroom import atomic
from darkroom.errors import Damaged, Invalid, NotFound
from darkroom.operations.adopt import AdoptReport
from darkroom.operations.brief_limits import CARD_WORDS
from darkroom.operations.export import VerifyReport
from darkroom.records import Contract, DatasetVersion, Member, ModelCard, Split, Task, missed_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.bundle import Bundle
    from darkroom.catalogue import CataloguedBundle
    from darkroom.export.adopting import Answers
    from darkroom.export.adoption import Adopted, AdoptedRecord
    from darkroom.export.parity import ParityBatch, Reference
    from darkroom.export.report import ParityReport

__all__ = ["adopt_file", "reference_and_pictures", "verify_adopted"]

DRAWN = 64
"""Pictures that are drawn to compare on where no dataset was named."""

MOST = 2000
"""Pictures of a dataset that are compared on, at even distances where it has more."""

AT_A_TIME, MASKS_AT_A_TIME = 32, 2

INSTEAD = "the file as it came"


class _Pictures(NamedTuple):
    """What an adopted file is compared on."""

    batches: Iterator[ParityBatch]
    words: str
    """What a reader must know of them."""
    answered: bool = False
    """Whether their right answers are known."""
    grouped: bool = False
    """Whether some belong together, so that they say less than as many others."""


def adopt_file(
    workspace: Workspace,
    file: Path,
    labels: Path,
    contract: Contract,
    task: Task,
    scaling: tuple[tuple[float, ...], tuple[float, ...]],
    answers: Answers,
    dataset: str | None,
    licence: str,
) -> AdoptReport:
    """Writes the bundle of a file from elsewhere.

    Raises:
        NotFound: there is no such file or dataset.
        Unsupported: the file does not take one picture, or holds an operation that its runtime lacks.
        Invalid: what was said of it does not fit it.
    """
    from darkroom.bundle import ModelFile, write_bundle
    from darkroom.export.adopting import Wish
    from darkroom.export.adoption import adopt
    from darkroom.operations.bundling import file_name

    named = _labels(labels)
    pictures = workspace.catalogue.datasets.get(dataset) if dataset else None
    workspace.report("adopting")
    with atomic.scratch_folder(workspace.bundles_folder) as scratch:
        adopted = adopt(
            file,
            Wish(task, named, contract, *scaling, answers),
            scratch,
            name=file_name(file.stem),
            facts={**_words(workspace), "licence": licence},
        )
        bundle_id = workspace.catalogue.bundles.new_id()
        folder = workspace.bundles_folder / bundle_id
        manifest = write_bundle(
            folder,
            name=workspace.project.project.name,
            card=adopted.card,
            models=[ModelFile(adopted.file.path, adopted.file.target, adopted.file.precision)],
            golden=adopted.golden,
        )
    came_as_bytes = _keep(workspace, bundle_id, file, adopted, pictures)
    workspace.catalogue.bundles.add(
        run_id="", path=workspace.relative(folder), manifest=manifest, bundle_id=bundle_id
    )
    return AdoptReport(
        bundle=bundle_id,
        file=adopted.file.path.name,
        target=adopted.file.target,
        precision=adopted.file.precision,
        size_bytes=adopted.file.size_bytes,
        came_as_bytes=came_as_bytes,
        input=adopted.card.contract.shape,
        labels=len(adopted.card.labels),
        adapted=(*adopted.adaptation.words, *_renamed(named, adopted.card.labels)),
    )


def _words(workspace: Workspace) -> dict[str, str]:
    """Returns the words of the brief that travel in the card; the licence is the file's own."""
    brief = workspace.project.brief
    return {name: getattr(brief, name) for name in CARD_WORDS if name != "licence"}


def _keep(
    workspace: Workspace, bundle: str, file: Path, adopted: Adopted, pictures: DatasetVersion | None
) -> int:
    """Keeps the file as it came, and what was laid around it; returns its size."""
    from darkroom.export.adoption import AdoptedRecord, original_bytes

    came, original = original_bytes(file), f"{bundle}-original{file.suffix.lower()}"
    atomic.write_bytes(workspace.bundles_folder / original, came)
    kept = AdoptedRecord(
        original=original,
        adaptation=adopted.adaptation,
        dataset=f"{pictures.name}@{pictures.version}" if pictures else "",
    )
    atomic.write_text(_record_path(workspace, bundle), kept.model_dump_json(indent=1) + "\n")
    return len(came)


def verify_adopted(workspace: Workspace, found: CataloguedBundle, bundle: Bundle) -> VerifyReport:
    """Compares the file of a bundle with the same as it came; hands the bundle over if they agree.

    Raises:
        Damaged: what was kept of the file as it came is gone.
    """
    from darkroom.export.gates import bundle_gate, file_gates
    from darkroom.export.report import AGREEMENT
    from darkroom.operations.bundling import deliver_page, hand_over, parity_path
    from darkroom.operations.handed_over import take_back

    report, pictures = _compared(workspace, found, bundle)
    limits = workspace.project.brief.limits
    size_bytes = sum(file.size_bytes for file in bundle.manifest.files)
    gates = (*file_gates(report.files, limits, report.task), *bundle_gate(size_bytes, limits))
    report = report.model_copy(update={"gates": gates})
    atomic.write_text(parity_path(workspace, found.id), report.model_dump_json(indent=1) + "\n")
    passed = report.passes and not missed_gates(gates)
    files = {file.file for file in report.files}
    missed = [gate.sentence for gate in missed_gates(gates) if gate.subject not in files]
    return VerifyReport(
        bundle=found.id,
        passed=passed,
        masks=report.task == "segmentation",
        agreement=AGREEMENT[report.task],
        images=report.image_count,
        rows=report.table().rows,
        why=(*report.failures, *missed),
        gates=gates,
        compared_with=INSTEAD,
        remarks=(pictures.words, *([_accuracy(report, pictures)] if pictures.answered else [])),
        path=hand_over(workspace, bundle.folder) if passed else "",
        taken_back=() if passed else take_back(workspace),
        page=deliver_page(workspace, found.id, "", report),
    )


def reference_and_pictures(
    workspace: Workspace, found: CataloguedBundle, bundle: Bundle, most: int
) -> tuple[Reference, np.ndarray]:
    """Returns the file of an adopted bundle as it came, and some of the tensors that it is compared on."""
    from darkroom.export.foreign import Foreign

    kept, original = _kept(workspace, found.id)
    reference = Foreign(original, kept.adaptation)
    parts, count = [], 0
    for batch in _pictures(workspace, kept, bundle.card, reference).batches:
        parts.append(batch.tensors)
        count += len(batch.tensors)
        if count >= most:
            break
    return reference, np.concatenate(parts)[:most]


def _compared(
    workspace: Workspace, found: CataloguedBundle, bundle: Bundle
) -> tuple[ParityReport, _Pictures]:
    from darkroom.export import ConvertedFile
    from darkroom.export.foreign import Foreign
    from darkroom.export.parity import verify

    kept, original = _kept(workspace, found.id)
    reference = Foreign(original, kept.adaptation)
    pictures = _pictures(workspace, kept, bundle.card, reference)

    def show(done: int) -> None:
        workspace.report("comparing", done=done, unit="images")

    report = verify(
        reference,
        bundle.card,
        [ConvertedFile.in_bundle(bundle.folder, model) for model in bundle.models],
        pictures.batches,
        golden=bundle.golden.vectors,
        limits=workspace.project.brief.limits,
        memory=True,
        on_progress=show,
    )
    files = tuple(
        file.model_copy(
            update={"failures": tuple(why.replace("PyTorch", INSTEAD) for why in file.failures)}
        )
        for file in report.files
    )
    return report.model_copy(update={"files": files}), pictures


def _accuracy(report: ParityReport, pictures: _Pictures) -> str:
    """Returns in words how many pictures the file as it came answers rightly."""
    from darkroom.statistics import wilson

    share, count = report.reference_accuracy, report.image_count
    said = f"It answers {round(share * count):,} of {count:,} rightly: accuracy {share:.1%}"
    if pictures.grouped:
        return f"{said}; some of the pictures belong together, so no interval is given."
    found = wilson(share * count, count)
    return f"{said}, {found.level:.0%} interval {found.low:.1%} to {found.high:.1%}."


def _pictures(
    workspace: Workspace, kept: AdoptedRecord, card: ModelCard, reference: Reference
) -> _Pictures:
    """Returns the pictures to compare on, with their right answers where they are known."""
    own = (
        "There are no right answers to hold it against: what is called accuracy is how often it answers as "
        "the file as it came."
    )
    at_a_time = MASKS_AT_A_TIME if card.task == "segmentation" else AT_A_TIME
    if not kept.dataset:
        drawn = _drawn(card, reference, at_a_time)
        return _Pictures(drawn, f"Compared on {DRAWN} drawn pictures. {own}")
    from darkroom.datasets import refuse_empty

    version = workspace.catalogue.datasets.get(kept.dataset)
    refuse_empty(version)
    split: Split = next(name for name in ("test", "val", "train") if version.counts.get(name))
    members = _spread_out(list(workspace.catalogue.datasets.members(kept.dataset, split)), MOST)
    where = f"Compared on {len(members):,} pictures of {split} of {kept.dataset}."
    absent = [name for name in version.classes if name not in card.labels]
    known = not absent and version.task == card.task == "classification"
    batches = _of_dataset(workspace, members, card, reference, at_a_time, known=known)
    if known:
        return _Pictures(batches, where, answered=True, grouped=any(one.group for one in members))
    why = f" {kept.dataset} has classes that are no label: {', '.join(absent[:3])}." if absent else ""
    return _Pictures(batches, f"{where}{why} {own}")


def _spread_out(members: Sequence[Member], most: int) -> list[Member]:
    """Returns members at even distances, at most so many: the first ones might be of a single class."""
    rows = np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(np.int64)
    return [members[row] for row in rows]


def _of_dataset(
    workspace: Workspace,
    members: Sequence[Member],
    card: ModelCard,
    reference: Reference,
    at_a_time: int,
    *,
    known: bool,
) -> Iterator[ParityBatch]:
    from darkroom.export.parity import ParityBatch
    from darkroom.images import prepare

    for start in range(0, len(members), at_a_time):
        part = members[start : start + at_a_time]
        tensors = np.stack([prepare(workspace.read_image(one.image_id), card.contract) for one in part])
        labels = (
            np.array([card.labels.index(one.label) for one in part])
            if known
            else _own(card, reference.run(tensors).probabilities)
        )
        yield ParityBatch([one.image_id for one in part], labels, tensors, [one.group for one in part])


def _drawn(card: ModelCard, reference: Reference, at_a_time: int) -> Iterator[ParityBatch]:
    from darkroom.bundle import GoldenVectors
    from darkroom.export.parity import ParityBatch

    vectors = GoldenVectors.synthetic(card.contract, count=DRAWN, seed=1)
    for start in range(0, DRAWN, at_a_time):
        tensors = vectors.tensors[start : start + at_a_time]
        names = [vector.name for vector in vectors.vectors[start : start + at_a_time]]
        yield ParityBatch(names, _own(card, reference.run(tensors).probabilities), tensors)


def _own(card: ModelCard, probabilities: np.ndarray) -> np.ndarray:
    """Returns the file's own answers in the place of labels."""
    if card.task == "multi-label":
        return (probabilities >= 0.5).astype(np.int64)
    answers = probabilities.argmax(axis=-1)
    return answers.astype(np.uint8) if card.task == "segmentation" else answers


def _labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            "adopt.no-labels",
            "The labels {path} cannot be read: {reason}.",
            do="Give a text file in UTF-8 with a label per line.",
            path=path,
            reason=error,
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or not all(line.strip() for line in lines):
        raise Invalid(
            "adopt.empty-label",
            "{path} has an empty line between its labels, or none at all.",
            do="Give a label per line, in the order of the model's answer.",
            path=path,
        )
    return tuple(line.strip() for line in lines)


def _renamed(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    return (f"Labels that stand twice carry their place: {', '.join(changed[:6])}.",) if changed else ()


def _record_path(workspace: Workspace, bundle: str) -> Path:
    return workspace.bundles_folder / f"{bundle}-adopted.json"


def _kept(workspace: Workspace, bundle: str) -> tuple[AdoptedRecord, Path]:
    from darkroom.export.adoption import AdoptedRecord

    try:
        kept = AdoptedRecord.model_validate_json(_record_path(workspace, bundle).read_bytes())
        original = workspace.bundles_folder / Path(kept.original).name
        original.stat()
    except (OSError, ValueError) as error:
        raise Damaged(
            "adopt.original-gone",
            "The file that bundle {bundle} was made of is gone or is not what was kept: {reason}.",
            do="Adopt it again: darkroom export adopt FILE --labels LABELS",
            bundle=bundle,
            reason=error,
        ) from error
    return kept, original
