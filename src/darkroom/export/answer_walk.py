"""Follow the way from the tensor to the label, and find where another side leaves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from darkroom.export.answer_suspects import AnswerSuspect, answer_suspects, permutation_of
from darkroom.export.divergence_report import (
    Certainty,
    LayerPair,
    StepCheck,
    StepDifference,
    shortened,
)
from darkroom.export.layer_matching import Matched, match_layers
from darkroom.export.layers import Layer
from darkroom.export.precisions import PRECISIONS
from darkroom.export.sides import Side
from darkroom.records import Limits
from darkroom.records.numbers import number

__all__ = ["AnswerWalk", "Given", "allowed", "walk_answers"]

LAYERS_APART = {"float32": 1e-3, "float16": 2e-2}
"""Relative difference of a layer up to which it is the same, per precision."""

QUANTISED_APART = 0.3
"""The same where weights are whole numbers: there every layer differs a little, and the next one more."""

TRIED_ON = 64
"""Pictures that causes are tried on, those first that differ: some sixty causes each ask the network
anew."""

EXPLAINED = 1e-3
"""A cause gives the answers of the other side when no probability is further off, and it leaves a tenth."""


@dataclass(frozen=True)
class Given:
    """What another side gives for some tensors."""

    title: str
    names: tuple[str, ...]
    """Names of the pictures."""
    tensors: np.ndarray
    """(N, height, width, channels) uint8 that went into it."""
    probabilities: np.ndarray | None
    """(N, classes) or (N, h, w, classes)."""
    labels: tuple[str, ...]
    """In the order of its probabilities; empty where it does not say."""
    layers: Sequence[Layer] = ()
    precision: str = "float32"


@dataclass
class AnswerWalk:
    """What was seen between the tensor and the label."""

    checks: list[StepCheck] = field(default_factory=list)
    found: list[StepDifference] = field(default_factory=list)
    layers: tuple[LayerPair, ...] = ()
    notes: list[str] = field(default_factory=list)


def allowed(limits: Limits, precision: str, *, masks: bool) -> float | None:
    """Returns by how much a probability may differ; None where only the answers are held."""
    known = PRECISIONS.get(precision)
    if precision == "float32" or (known is not None and known.exact):
        return limits.parity_margin if masks else limits.parity_max_abs
    return limits.parity_float16_max_abs if known is not None and known.half else None


def walk_answers(reference: Side, given: Given, limits: Limits, own_layers: Sequence[Layer]) -> AnswerWalk:
    """Holds what a side gives for tensors against the reference.

    Args:
        reference: what should be answered.
        given: what was answered.
        limits: how far probabilities may lie apart.
        own_layers: the reference's layers for the same tensors; empty where it hands out none.
    """
    seen = AnswerWalk()
    matched = None
    if own_layers and given.layers:
        most = LAYERS_APART.get(given.precision, QUANTISED_APART)
        matched = match_layers(own_layers, given.layers, most=most)
        seen.layers = matched.pairs
        seen.checks.append(_layer_check(matched, given))
    if given.probabilities is not None:
        _hold_answers(seen, reference, given, limits, matched)
    elif matched is not None and any(pair.differs for pair in matched.pairs[matched.last_same + 1 :]):
        held = given.names[: len(given.layers[0].values)]
        seen.found.append(_of_layer(given, matched, held))
    return seen


def _hold_answers(
    seen: AnswerWalk, reference: Side, given: Given, limits: Limits, matched: Matched | None
) -> None:
    assert given.probabilities is not None
    expected = reference.probabilities(given.tensors)
    answers, labels = given.probabilities, reference.card.labels
    if answers.shape != expected.shape:
        seen.found.append(_other_count(given, expected))
        return
    most = allowed(limits, given.precision, masks=answers.ndim == 4)
    by_name = _by_name(answers, given.labels, labels)
    swapped = by_name is not None and given.labels != labels
    if by_name is not None and swapped and not _apart(by_name, expected, most).any():
        seen.notes.append("Its classes stand in another order, and its answers fit that order.")
        answers = by_name
    wrong = _apart(answers, expected, most)
    largest = _largest(answers, expected)
    seen.checks.append(
        StepCheck(
            step="probabilities",
            pictures=len(answers),
            differing=int(wrong.sum()),
            largest=largest,
            note="" if most is not None else "only the answers are held: weights are not float32",
        )
    )
    if wrong.any():
        seen.found.append(_explained(reference, given, answers, expected, wrong, matched))
    elif given.labels and given.labels != labels and answers is not by_name:
        seen.found.append(_labels(given, labels))
    if given.labels:
        seen.checks.append(StepCheck(step="labels", pictures=len(answers), differing=_wrong_labels(seen)))


def _wrong_labels(seen: AnswerWalk) -> int:
    return sum(len(one.pictures) for one in seen.found if one.step == "labels")


def _explained(
    reference: Side,
    given: Given,
    answers: np.ndarray,
    expected: np.ndarray,
    wrong: np.ndarray,
    matched: Matched | None,
) -> StepDifference:
    """Returns why probabilities differ: a known cause, or the layer from which on they do."""
    names = tuple(name for name, bad in zip(given.names, wrong, strict=True) if bad)
    largest, share = _largest(answers, expected), float(wrong.mean())
    facts = {"pictures": names, "largest": largest, "share": share}
    if not np.isfinite(answers).all():
        found = _of_layer(given, matched, names) if matched is not None else None
        words = "Some of its probabilities are NaN or infinite."
        if found is not None and matched is not None and matched.last_same >= 0:
            return found.model_copy(update={"words": f"{words} {found.words}"})
        return StepDifference(step="probabilities", words=words, do=_OPEN_DO, **facts)
    some = np.sort(np.argsort(~wrong, kind="stable")[:TRIED_ON])
    moved = _moved(answers, expected, len(reference.card.labels))
    cause, certainty = _cause(reference, given.tensors[some], answers[some], expected[some], moved)
    if cause is not None:
        layer = _located(matched) if cause.step in ("softmax", "channels", "normalise") else ""
        return StepDifference(
            step=cause.step,
            cause=cause.id,
            certainty=certainty,
            words=f"{cause.words[0].upper()}{cause.words[1:]}"
            + (" (this gives its answers)." if certainty == "exact" else " (this comes nearest).")
            + (f" {layer}" if layer else ""),
            do=cause.do,
            **facts,
        )
    if matched is not None:
        return _of_layer(given, matched, names).model_copy(update={"largest": largest, "share": share})
    return StepDifference(
        step="probabilities",
        words="The tensor is the same and the answers are others: the network, or how it normalises, is "
        "another. No known cause gives these answers, and there are no layers to look into.",
        do=_OPEN_DO,
        **facts,
    )


_OPEN_DO = (
    "Dump the layers too, or compare two formats: darkroom export diff --target onnx --against pytorch"
)


def _cause(
    reference: Side,
    tensors: np.ndarray,
    answers: np.ndarray,
    expected: np.ndarray,
    moved: tuple[int, ...] | None,
) -> tuple[AnswerSuspect | None, Certainty]:
    """Returns what comes nearest to the answers, if that is near enough; with it how surely.

    All are tried: a model that is sure of everything answers nearly alike under several of them.

    Args:
        reference: what should be answered.
        tensors: (n, height, width, channels) uint8 of some pictures.
        answers: what the other side gives for them.
        expected: what the reference gives.
        moved: the other order of classes in which the answers of all pictures fit; None for none.
    """
    card = reference.card
    before = float(np.abs(answers - expected).mean())
    best, least = None, (np.inf, np.inf)
    for one in (*_orders(moved, card.labels), *answer_suspects(reference, card)):
        made = one.make(tensors, expected)
        if made is None or made.shape != answers.shape:
            continue
        left = np.abs(made - answers)
        if (float(left.max()), float(left.mean())) < least:
            best, least = one, (float(left.max()), float(left.mean()))
    if best is None or least[1] > 0.1 * before:
        return None, "open"
    return best, "exact" if least[0] <= EXPLAINED else "likely"


def _orders(moved: tuple[int, ...] | None, labels: tuple[str, ...]) -> Iterator[AnswerSuspect]:
    """Yields the other order of classes in which the answers fit, if there is one."""
    if moved is not None:
        yield AnswerSuspect(
            "swapped-labels",
            "labels",
            f"the probabilities stand in another order: {_spoken_moves(moved, labels)}",
            "Read the classes in the order of labels in model-card.json, and never sort them.",
            lambda _, p: p[..., list(moved)],
        )


def _located(matched: Matched | None) -> str:
    """Returns the layers between which two models part, in words; empty where that is not known."""
    if matched is None or matched.last_same < 0:
        return ""
    last = matched.pairs[matched.last_same]
    mine, theirs = matched.first_other
    after = theirs or mine
    return f"Up to {shortened(last.layer)} ({last.operation}) the layers are the same" + (
        f"; then comes {shortened(after.name)} ({after.operation})." if after is not None else "."
    )


def _of_layer(given: Given, matched: Matched | None, names: tuple[str, ...]) -> StepDifference:
    assert matched is not None
    mine, theirs = matched.first_other
    first = next(
        (pair for pair in matched.pairs[matched.last_same + 1 :] if pair.other and pair.differs), None
    )
    names_of_both = (shortened(layer.name) for layer in (mine, theirs) if layer is not None)
    title = " / ".join(dict.fromkeys(names_of_both))
    located = _located(matched) or "No layer is the same on both sides, from the first on."
    return StepDifference(
        step=_kind_of(matched),
        layer=title,
        pictures=names,
        largest=first.largest if first is not None else None,
        words=located
        + (
            f" There the relative difference is {number(first.relative, 2)}."
            if first is not None and first.relative is not None and np.isfinite(first.relative)
            else ""
        ),
        do="Look at how this layer was converted: its weights, its padding, what it was folded with.",
    )


def _kind_of(matched: Matched) -> str:
    """Returns "normalise" before any layer with weights, "softmax" at the end, else "layer"."""
    mine, theirs = matched.first_other
    first = theirs or mine
    operation = first.operation.lower() if first is not None else ""
    if "softmax" in operation or "logistic" in operation or operation == "sigmoid":
        return "softmax"
    if mine is not None and mine.name == "normalise":
        return "normalise"
    return "layer"


def _layer_check(matched: Matched, given: Given) -> StepCheck:
    held = [pair for pair in matched.pairs if pair.other]
    differing = sum(pair.differs for pair in held)
    alone = len(matched.pairs) - len(held)
    largest = max((pair.largest or 0.0 for pair in held), default=0.0)
    note = f"{len(held)} layers held against each other, {differing} differ"
    if alone:
        note += f"; {alone} have no layer like them, mostly folded into a neighbour"
    held_on = len(given.layers[0].values)  # not every picture's layers are looked at
    return StepCheck(
        step="layer",
        pictures=held_on,
        differing=held_on if differing else 0,
        largest=largest if np.isfinite(largest) else 0.0,
        note=note,
    )


def _labels(given: Given, labels: tuple[str, ...]) -> StepDifference:
    if len(given.labels) != len(labels):
        words = f"It names {len(given.labels)} classes, the model card {len(labels)}."
    elif set(given.labels) != set(labels):
        words = f"Its classes are not those of the model card: {sorted(set(given.labels) ^ set(labels))}."
    else:
        place = next(
            i for i, pair in enumerate(zip(given.labels, labels, strict=True)) if len(set(pair)) > 1
        )
        words = (
            "The probabilities are right and its labels stand in another order: place "
            f"{place} is {given.labels[place]!r} for {labels[place]!r}."
        )
    return StepDifference(
        step="labels",
        pictures=given.names,
        cause="swapped-labels" if set(given.labels) == set(labels) else "",
        certainty="exact",
        words=words,
        do="Read the labels from the file or from model-card.json, and never sort them.",
    )


def _other_count(given: Given, expected: np.ndarray) -> StepDifference:
    assert given.probabilities is not None
    mine, theirs = ("×".join(map(str, one.shape[1:])) for one in (expected, given.probabilities))
    return StepDifference(
        step="labels",
        pictures=given.names,
        words=f"It answers with {theirs} values for each picture, the reference with {mine}.",
        do="Use the model file of this bundle.",
    )


def _by_name(answers: np.ndarray, given: tuple[str, ...], labels: tuple[str, ...]) -> np.ndarray | None:
    """Returns the answers in the order of the card's labels; None where the names are others."""
    if len(given) != len(labels) or set(given) != set(labels):
        return None
    return answers[..., [given.index(label) for label in labels]]


def _apart(answers: np.ndarray, expected: np.ndarray, most: float | None) -> np.ndarray:
    """Returns for each picture whether it is answered otherwise than is allowed, (N,) bool."""
    axes = tuple(range(1, answers.ndim))
    finite = np.isfinite(answers).all(axis=axes)
    if most is not None:
        with np.errstate(invalid="ignore"):
            return ~finite | ~(np.abs(answers - expected).max(axis=axes) <= most)
    flipped = answers.argmax(axis=-1) != expected.argmax(axis=-1)
    return ~finite | (flipped.reshape(len(flipped), -1).mean(axis=1) > (0.03 if flipped.ndim > 1 else 0))


def _largest(answers: np.ndarray, expected: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        difference = np.abs(answers.astype(np.float64) - expected)
    return float(difference[np.isfinite(difference)].max(initial=0.0))


def _moved(answers: np.ndarray, expected: np.ndarray, classes: int) -> tuple[int, ...] | None:
    step = max(1, answers.size // classes // 4096)
    rows = [one.reshape(-1, classes)[::step] for one in (answers, expected)]
    return permutation_of(rows[0], rows[1], EXPLAINED)


def _spoken_moves(moved: tuple[int, ...], labels: tuple[str, ...]) -> str:
    said = [
        f'in the place of "{labels[place]}" stands that of "{labels[whose]}"'
        for place, whose in enumerate(moved)
        if place != whose
    ]
    return ", ".join(said[:3]) + (", …" if len(said) > 3 else "")
