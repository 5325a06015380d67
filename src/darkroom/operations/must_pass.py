"""The must-pass list: which pictures are on it, and what runs answer to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from darkroom.errors import DarkroomError
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import ClassLabel, Gate, content_id
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.evaluation.must_pass import KeptAnswer, MustPass

__all__ = [
    "hold_must_pass",
    "must_pass_content",
    "must_pass_of",
    "must_pass_section",
    "required",
    "splits_in",
    "spoken_must_pass",
]

AT_ONCE = 64
"""Pictures in memory at a time."""

SHOWN = 10


def required(workspace: Workspace) -> dict[str, str]:
    """Returns the class that must be answered, by picture; an answer by people that came later counts."""
    annotations = workspace.catalogue.annotations
    held = {one.image_id: one for one in annotations.current("must-pass")}
    found = {
        image_id: one.value.label for image_id, one in held.items() if isinstance(one.value, ClassLabel)
    }
    for one in annotations.current("class", list(found)):
        if one.sequence > held[one.image_id].sequence and isinstance(one.value, ClassLabel):
            found[one.image_id] = one.value.label
    return found


def must_pass_content(workspace: Workspace) -> dict[str, str]:
    """Returns the list as an input of a stage; nothing while it is empty."""
    found = required(workspace)
    return {"must-pass pictures": content_id(found)} if found else {}


def must_pass_of(
    workspace: Workspace, run: str, wanted: Mapping[str, str], *, ask: bool = True
) -> MustPass | None:
    """Returns the list as a run answers it; what it answered before is taken from its folder.

    Args:
        workspace: the project.
        run: a run that answers one class per picture.
        wanted: the class that must be answered, by picture.
        ask: ask the run about pictures that it has not answered; otherwise None where there are some.

    Raises:
        NotFound: the run has no weights.
    """
    from darkroom.evaluation.must_pass import MustPass, MustPassAnswer, keep_answers, kept_answers

    folder = workspace.runs_folder / run
    weights = folder / "checkpoints" / "best.safetensors"
    if not weights.is_file():
        if not ask:
            return None
        refuse_lost_run(workspace, workspace.catalogue.runs.get(run))
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = kept_answers(folder, digest)
    missing = [image_id for image_id in wanted if image_id not in known]
    if missing and not ask:
        return None
    if missing:
        known = {**known, **_asked(workspace, run, missing)}
        keep_answers(folder, digest, known)
    splits = splits_in(workspace, run, wanted) if wanted else {}
    return MustPass(
        run=run,
        answers=tuple(
            MustPassAnswer(
                image_id=image_id,
                truth=truth,
                answer=known[image_id].answer if image_id in known else "",
                probability=known[image_id].probability if image_id in known else 0.0,
                split=splits.get(image_id, ""),
            )
            for image_id, truth in wanted.items()
        ),
    )


def hold_must_pass(workspace: Workspace, runs: Sequence[str], *, ask: bool = True) -> tuple[Gate, ...]:
    """Holds the limit `must_pass_wrong` of the brief against runs; nothing where it is not set."""
    from darkroom.evaluation.must_pass import must_pass_gates
    from darkroom.operations.varying import same_recipe

    bound = workspace.project.brief.limits.must_pass_wrong
    if bound is None:
        return ()
    wanted = required(workspace)
    found = [must_pass_of(workspace, run, wanted, ask=ask) for run in runs]
    known = [one for one in found if one is not None]
    return must_pass_gates(known, bound, alike=same_recipe(workspace, runs)) if known else ()


def spoken_must_pass(found: Sequence[MustPass]) -> Iterator[str]:
    """Yields in words how runs stand to the list; every wrong picture is named."""
    for one in found:
        if not one.answers:
            continue
        count = len(one.answers)
        yield f"{one.run} answers {count - len(one.wrong)} of {count} must-pass pictures rightly."
        for wrong in one.wrong:
            said = (
                f"answered {wrong.answer} ({wrong.probability:.2f})" if wrong.answer else "cannot be read"
            )
            yield f"  must pass, and does not: {wrong.image_id[:12]}, {wrong.truth}, {said}"
        if one.trained_on:
            yield f"  {one.trained_on} of them lie in train: that these pass proves little."


def must_pass_section(workspace: Workspace, found: Sequence[MustPass]) -> Section | None:
    """Returns the part of a report about the list; None where it is empty."""
    from darkroom.documents.blocks import Block, Cell, Pictures, Section, Shown, Table
    from darkroom.operations.deliverables import thumbnails

    if not found or not found[0].answers:
        return None
    rows = tuple(
        (
            Cell(one.run),
            Cell(f"{len(one.answers):,}"),
            Cell(f"{len(one.wrong):,}", tone="fail" if one.wrong else "pass"),
            Cell(f"{one.trained_on:,}"),
        )
        for one in found
    )
    columns = ("Run", "Pictures that must pass", "Wrong", "Of them in train")
    words = "Pictures that a person put on the list; what lies in train proves little."
    blocks: list[Block] = [Table(columns, rows, words, frozenset({1, 2, 3}))]
    wrong = [(one.run, answer) for one in found for answer in one.wrong]
    if wrong:
        pictures = thumbnails(workspace, (answer.image_id for _, answer in wrong))
        items = (
            Shown(
                pictures.get(answer.image_id),
                f"{answer.truth}, answered {answer.answer or 'not at all'} "
                f"({answer.probability:.2f}) by {run} · {answer.image_id[:12]}",
            )
            for run, answer in wrong[:48]
        )
        blocks.append(Pictures(tuple(items)))
    return Section("must-pass", "Must pass", tuple(blocks))


def _asked(workspace: Workspace, run: str, image_ids: Sequence[str]) -> dict[str, KeptAnswer]:
    """Asks a run about pictures; one that cannot be read is left out."""
    from darkroom.evaluation.must_pass import KeptAnswer
    from darkroom.images import prepare
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load

    network, card = load(workspace.runs_folder / run / "checkpoints" / "best.safetensors")
    model, found = ImageModel.of(network, card), dict[str, KeptAnswer]()
    for start in range(0, len(image_ids), AT_ONCE):
        tensors: dict[str, np.ndarray] = {}
        for image_id in image_ids[start : start + AT_ONCE]:
            try:
                tensors[image_id] = prepare(workspace.read_image(image_id), card.contract)
            except DarkroomError:
                continue
        if tensors:
            rows = predict(model, [np.stack(list(tensors.values()))])
            best = rows.argmax(1)
            for place, image_id in enumerate(tensors):
                answer = int(best[place])
                found[image_id] = KeptAnswer(
                    answer=card.labels[answer], probability=float(rows[place, answer])
                )
    return found


def splits_in(workspace: Workspace, run: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Returns where pictures lie in a run's dataset, by the split that its recipe drew."""
    from darkroom.operations.run_pictures import split_seed_of

    dataset = workspace.catalogue.runs.get(run).dataset
    found = {
        one.image_id: str(one.split)
        for one in workspace.catalogue.datasets.members(dataset)
        if one.image_id in wanted
    }
    if split_seed_of(workspace, run) is None or not found:
        return found
    from darkroom.operations.run_pictures import pictures_of

    rendering = pictures_of(workspace, run)
    train = frozenset(rendering.split("train").image_ids)
    return {
        image_id: split if split not in ("train", "val") else "train" if image_id in train else "val"
        for image_id, split in found.items()
    }
