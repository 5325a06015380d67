"""Find the first step at which another side leaves the way: of a dump, or of a second format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from darkroom.bundle.dump import DumpPicture, is_known, step_order
from darkroom.bundle.dump_reader import DumpFile
from darkroom.errors import DarkroomError, Invalid
from darkroom.export.answer_walk import Given, walk_answers
from darkroom.export.divergence_report import Divergence, LayerPair, StepCheck, StepDifference
from darkroom.export.input_walk import hold_input
from darkroom.export.layers import Layer
from darkroom.export.pixel_causes import LOOKED_AT, explain_pixels
from darkroom.export.pixel_walk import Parting, PixelWalk, walk_pixels
from darkroom.export.portions import MOST_VALUES, values_of
from darkroom.export.sides import Side
from darkroom.export.unseen_steps import explain_by_answers
from darkroom.records import Contract, Limits, ModelCard

__all__ = ["compare_dump", "compare_sides"]

MAYBE = {"note": "may be the decoder's: put decode into the dump"}
"""Of a step of lossy pictures whose difference is small enough for the decoder's."""

MOST_LAYERS_OF = 4
"""Pictures whose layers are held against each other; those of large networks take 100 MB each."""


def compare_dump(
    file: DumpFile,
    reference: Side,
    limits: Limits,
    *,
    find_bytes: Callable[[DumpPicture], bytes | None] = lambda picture: None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Divergence:
    """Holds a dump against the contract and a model of the same bundle.

    Args:
        file: the dump, opened.
        reference: the model, with the card of the bundle.
        limits: how far probabilities may lie apart.
        find_bytes: finds the encoded bytes of a picture that the dump leaves out.
        on_progress: told how many pictures are done.

    Raises:
        Invalid: labels and probabilities of the dump do not fit together, or an array is of another kind.
        Damaged: an array cannot be read.
    """
    contract = reference.card.contract
    gathered = _Gathered(contract)
    for done, picture in enumerate(file.dump.pictures, start=1):
        data = file.original(picture)
        gathered.add(picture, walk_pixels(file, picture, data or find_bytes(picture), contract))
        on_progress(done)
    notes = [*gathered.notes, *_unknown_notes(file, reference.card)]
    checks, found = gathered.checks(), []
    for step in step_order(contract):
        if chosen := gathered.partings.get(step):
            some, said = explain_pixels(chosen, gathered.others.get(step, ()))
            found += some
            notes += said
            if said and not some:
                checks = [one.model_copy(update=MAYBE) if one.step == step else one for one in checks]
    _hold_rest(file, reference, limits, gathered, checks, found, notes, find_bytes)
    return Divergence(
        side=file.dump.side.title,
        reference=reference.title,
        pictures=tuple(picture.name for picture in file.dump.pictures),
        checks=tuple(checks),
        found=tuple(found),
        layers=gathered.layers,
        notes=tuple(dict.fromkeys(notes)),
    )


def compare_sides(
    reference: Side, other: Side, names: Sequence[str], tensors: np.ndarray, limits: Limits
) -> Divergence:
    """Holds two models against each other on the same tensors.

    Args:
        reference: one of them.
        other: the other.
        names: of the pictures.
        tensors: (N, height, width, channels) uint8.
        limits: how far probabilities may lie apart.
    """
    few = tensors[:MOST_LAYERS_OF]
    notes: list[str] = []
    layers = [_layers(side, few, notes) for side in (reference, other)]
    given = Given(
        title=other.title,
        names=tuple(names),
        tensors=tensors,
        probabilities=other.probabilities(tensors),
        labels=other.labels,
        layers=layers[1],
        precision=_coarser(reference.precision, other.precision),
    )
    seen = walk_answers(reference, given, limits, layers[0])
    return Divergence(
        side=other.title,
        reference=reference.title,
        pictures=tuple(names),
        checks=(StepCheck(step="tensor", pictures=len(names), note="the same on both sides"), *seen.checks),
        found=tuple(seen.found),
        layers=seen.layers,
        notes=tuple(dict.fromkeys((*notes, *seen.notes))),
    )


@dataclass
class _Gathered:
    """What the pictures of a dump showed so far."""

    contract: Contract
    compared: dict[str, StepCheck] = field(default_factory=dict)
    partings: dict[str, list[Parting]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)
    """Per step the pictures that part there beyond those that are kept."""
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    layers: tuple[LayerPair, ...] = ()

    def add(self, picture: DumpPicture, walk: PixelWalk) -> None:
        parted = {one.step for one in walk.partings}
        for step, largest in walk.compared.items():
            before = self.compared.get(step, StepCheck(step=step, pictures=0))
            whole = largest if np.isfinite(largest) else 255.0
            self.compared[step] = StepCheck(
                step=step,
                pictures=before.pictures + 1,
                differing=before.differing + (step in parted),
                largest=max(before.largest, whole),
            )
        for one in walk.partings:
            kept = sorted(
                [*self.partings.get(one.step, ()), one], key=lambda part: part.way.start.pixels.size
            )
            self.partings[one.step] = kept[:LOOKED_AT]
            self.others.setdefault(one.step, []).extend(left.picture for left in kept[LOOKED_AT:])
        if walk.tensor is not None and walk.tensor.shape == self.contract.shape:
            self.tensors[picture.name] = walk.tensor
        self.notes += walk.notes

    def checks(self) -> list[StepCheck]:
        return [self.compared[step] for step in step_order(self.contract) if step in self.compared]


def _hold_rest(
    file: DumpFile,
    reference: Side,
    limits: Limits,
    gathered: _Gathered,
    checks: list[StepCheck],
    found: list[StepDifference],
    notes: list[str],
    find_bytes: Callable[[DumpPicture], bytes | None],
) -> None:
    """Compares from the tensor on: the input, layers, probabilities, labels, what the user was told."""
    known = [picture for picture in file.dump.pictures if picture.name in gathered.tensors]
    check, difference = hold_input(file, known, gathered.tensors, reference)
    checks += [check] if check is not None else []
    found += [difference] if difference is not None else []
    told = _told(file) if reference.card.task == "classification" else []
    given, own = _given(file, reference, known, gathered, notes)
    if given is None:
        found += told
        return
    seen = walk_answers(reference, given, limits, own)
    checks += seen.checks
    notes += seen.notes
    gathered.layers = seen.layers
    parted = seen.found
    if parted and not found and parted[0].step in ("probabilities", "layer", "channels", "normalise"):
        parted = explain_by_answers(
            file.dump.pictures, reference, given, parted, lambda one: file.original(one) or find_bytes(one)
        )
    found += [*parted, *told]


def _given(
    file: DumpFile, reference: Side, known: Sequence[DumpPicture], gathered: _Gathered, notes: list[str]
) -> tuple[Given | None, list[Layer]]:
    """Returns what the dump says from the tensor on, and the reference's layers for the same tensors."""
    answered = [picture for picture in known if "probabilities" in picture.steps]
    most = max(1, MOST_VALUES // values_of(reference.card))
    if len(answered) > most:
        notes.append(f"The answers of the first {most:,} of {len(answered):,} pictures were compared.")
        answered = answered[:most]
    probabilities = [file.step(picture, "probabilities") for picture in answered]
    _check_lengths(file, [one for one in probabilities if one is not None])
    with_layers = [picture for picture in known if picture.layers]
    pictures = answered or with_layers
    if not pictures:
        silent = not any("probabilities" in picture.steps for picture in file.dump.pictures)
        why = (
            "holds no probabilities"
            if silent
            else "tells no tensor to its probabilities, and nobody has one"
        )
        notes.append(f"The dump {why}, so nothing after the tensor was compared.")
        return None, []
    tensors = np.stack([gathered.tensors[picture.name] for picture in pictures])
    layers, own = [], []
    if with_layers:
        few = with_layers[:MOST_LAYERS_OF]
        layers = _dumped_layers(file, few, notes)
        own = _layers(reference, np.stack([gathered.tensors[one.name] for one in few]), notes)
    return (
        Given(
            title=file.dump.side.title,
            names=tuple(picture.name for picture in pictures),
            tensors=tensors,
            probabilities=np.stack([one for one in probabilities if one is not None]) if answered else None,
            labels=file.dump.labels,
            layers=layers,
            precision=_coarser(reference.precision, file.dump.side.precision),
        ),
        own,
    )


def _check_lengths(file: DumpFile, probabilities: Sequence[np.ndarray]) -> None:
    shapes = {one.shape for one in probabilities}
    labels = len(file.dump.labels)
    if len(shapes) > 1 or (labels and any(shape[-1] != labels for shape in shapes)):
        raise Invalid(
            "dump.labels",
            "The dump {path} names {labels} labels and holds probabilities of {shapes}.",
            do="Write as many labels as probabilities, in their order; for every picture the same.",
            path=file.path.name,
            labels=labels,
            shapes=", ".join(str(shape) for shape in sorted(shapes, key=str)),
        )


def _dumped_layers(file: DumpFile, pictures: Sequence[DumpPicture], notes: list[str]) -> list[Layer]:
    """Returns the layers that all of some pictures have, with a row per picture."""
    places = [{layer.name: place for place, layer in enumerate(picture.layers)} for picture in pictures]
    found = []
    for layer in pictures[0].layers:
        if not all(layer.name in place for place in places):
            continue
        values = [
            file.layer(picture, place[layer.name]) for picture, place in zip(pictures, places, strict=True)
        ]
        if len({value.shape for value in values}) == 1 and values[0].ndim:
            found.append(Layer(layer.name, layer.operation, np.stack(values)))
    if len(found) < len(pictures[0].layers):
        notes.append(f"{len(pictures[0].layers) - len(found)} layers are not the same for every picture.")
    return found


def _layers(side: Side, tensors: np.ndarray, notes: list[str]) -> list[Layer]:
    try:
        return side.layers(tensors)
    except DarkroomError as error:
        notes.append(str(error))
        return []


def _unknown_notes(file: DumpFile, card: ModelCard) -> list[str]:
    names = {step for picture in file.dump.pictures for step in picture.steps if not is_known(step)}
    left_out = {
        step
        for picture in file.dump.pictures
        for step in picture.steps
        if is_known(step) and step.startswith("enhance_") and step not in step_order(card.contract)
    }
    notes = [f"Unknown steps, left out: {', '.join(sorted(names))}."] if names else []
    if left_out:
        notes.append(f"Steps that this contract does not have, left out: {', '.join(sorted(left_out))}.")
    if file.dump.contract is not None and file.dump.contract != card.contract:
        notes.append("The dump was made under another contract than this bundle's.")
    return notes


def _told(file: DumpFile) -> list[StepDifference]:
    """Returns the pictures of which the user was told another class than the most probable one."""
    labels, wrong = file.dump.labels, {}
    for picture in file.dump.pictures:
        answers = file.step(picture, "probabilities") if picture.answer in labels else None
        if answers is None or answers.ndim != 1 or not np.isfinite(answers).all():
            continue
        _check_lengths(file, [answers])
        if (first := labels[int(answers.argmax())]) != picture.answer:
            wrong[picture.name] = (picture.answer, first)
    if not wrong:
        return []
    name, (told, first) = next(iter(wrong.items()))
    return [
        StepDifference(
            step="answer",
            pictures=tuple(wrong),
            words=f'Of {name} its user was told "{told}", while the largest probability is that of '
            f'"{first}".',
            do="Take the class at the place of the largest probability, by the labels of model-card.json.",
        )
    ]


def _coarser(one: str, other: str) -> str:
    """Returns the precision that decides how far two sides may lie apart."""
    order = ("float32", "float16")
    known = [order.index(name) if name in order else len(order) for name in (one, other)]
    return (one, other)[known.index(max(known))]
