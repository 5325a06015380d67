"""Where a dump tells only pictures and answers: try the ways to a tensor until the answers come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from darkroom.bundle.dump import DumpPicture
from darkroom.errors import DarkroomError
from darkroom.export.answer_walk import Given
from darkroom.export.developing import Development, Start
from darkroom.export.divergence_report import StepDifference
from darkroom.export.pixel_causes import STEP_OF
from darkroom.export.pixel_suspects import pixel_suspects
from darkroom.export.sides import Side
from darkroom.export.suspect import Suspect
from darkroom.images import decode

__all__ = ["explain_by_answers"]

LOOKED_AT = 4
"""Pictures that ways are tried on."""

EXPLAINED = 0.1
"""A way explains the answers when it leaves at most this share of their mean difference."""


def explain_by_answers(
    pictures: Sequence[DumpPicture],
    reference: Side,
    given: Given,
    told: list[StepDifference],
    find_bytes: Callable[[DumpPicture], bytes | None],
) -> list[StepDifference]:
    """Returns the differences with a way to the tensor in the first one's place, where one explains it.

    Args:
        pictures: those of the dump.
        reference: the model.
        given: what the other side answers.
        told: what is known so far; returned as it is where the dump tells the tensor, or no way fits.
        find_bytes: finds the encoded bytes of a picture, in the dump or elsewhere; None where nobody has
            them.
    """
    if given.probabilities is None or told[0].certainty == "exact":
        return told
    rows = {name: row for row, name in enumerate(given.names)}
    ways = []
    for picture in pictures:
        if len(ways) == LOOKED_AT:
            break
        way = _way(picture, reference, find_bytes) if picture.name in told[0].pictures else None
        if way is not None:
            ways.append((rows[picture.name], way))
    found = _best(reference, given, ways)
    if found is None:
        return told
    first = told[0].model_copy(
        update={
            "step": STEP_OF.get(found.id, found.step),
            "layer": "",
            "cause": found.id,
            "certainty": "likely",
            "words": f"{found.words[0].upper()}{found.words[1:]} (this gives its answers; the dump tells "
            "no pixels).",
            "do": found.do,
        }
    )
    return [first, *told[1:]]


def _way(
    picture: DumpPicture, reference: Side, find_bytes: Callable[[DumpPicture], bytes | None]
) -> Development | None:
    """Returns the way of a picture of which the bytes are known and the dump tells no pixels."""
    if any(step not in ("normalise", "logits", "probabilities") for step in picture.steps):
        return None
    try:
        data = find_bytes(picture)
        if data is None:
            return None
        found = decode(data)
    except DarkroomError:
        return None
    contract = reference.card.contract
    return Development(contract, Start("decode", found.pixels), found.orientation, data=data)


def _best(reference: Side, given: Given, ways: Sequence[tuple[int, Development]]) -> Suspect | None:
    assert given.probabilities is not None
    if not ways:
        return None
    wanted = given.probabilities[[row for row, _ in ways]]
    before = np.abs(reference.probabilities(given.tensors[[row for row, _ in ways]]) - wanted).mean()
    by_picture = [{one.id: one for one in pixel_suspects(way)} for _, way in ways]
    best, least = None, EXPLAINED * float(before)
    known = {id: suspect for suspects in by_picture for id, suspect in suspects.items()}
    for id, suspect in known.items():
        made = [
            suspects[id].make(way, "tensor") if id in suspects else way.until("tensor")
            for suspects, (_, way) in zip(by_picture, ways, strict=True)
        ]
        tensors = [one for one in made if one is not None and one.shape == reference.card.contract.shape]
        if len(tensors) < len(ways):
            continue
        left = float(np.abs(reference.probabilities(np.stack(tensors)) - wanted).mean())
        if left < least:
            best, least = suspect, left
    return best
