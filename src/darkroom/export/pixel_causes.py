"""Say why pictures left the contract: try what sides are known to do, and see what gives their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from darkroom.export.developing import Development
from darkroom.export.divergence_report import Certainty, StepDifference, spoken_step
from darkroom.export.pixel_suspects import pixel_suspects
from darkroom.export.pixel_walk import Parting, apart
from darkroom.export.suspect import Suspect

__all__ = ["LOOKED_AT", "explain_pixels"]

LOOKED_AT = 6
"""Pictures on which causes are tried, the smallest ones: trying all costs seconds for each photo."""

NEARLY = 0.25
"""A cause is likely when it leaves at most this share of the mean difference."""

DECODER_LEVELS = 2
"""Levels that decoders of lossy files differ by after a resize."""

STEP_OF = {"profile-ignored": "profile", "bgr": "channels"}


class _Tried(NamedTuple):
    suspect: Suspect
    left: tuple[float, ...]
    """Per picture the mean difference that it leaves; infinite where the shapes differ."""


def explain_pixels(
    chosen: Sequence[Parting], others: Sequence[str] = ()
) -> tuple[list[StepDifference], list[str]]:
    """Returns what happened at one step, a difference per cause, and notes.

    Args:
        chosen: pictures that part at the same step; at least one, better not more than `LOOKED_AT`.
        others: names of further pictures that do.
    """
    tried = _tried(chosen)
    found: list[StepDifference] = []
    causes: list[Suspect] = []
    left = list(range(len(chosen)))
    while left:
        exact = [(sum(one.left[place] == 0 for place in left), one) for one in tried]
        count, best = max(exact, key=lambda pair: pair[0], default=(0, None))
        if best is None or count == 0:
            break
        mine = [place for place in left if best.left[place] == 0]
        found.append(_difference([chosen[place] for place in mine], best.suspect, "exact"))
        causes.append(best.suspect)
        left = [place for place in left if place not in mine]
    first, left = _with_a_second(causes, tried, chosen, left)
    found = [*first, *found]
    rest = [chosen[place] for place in left]
    notes = []
    if rest and all(one.lossy and (one.largest or 99) <= DECODER_LEVELS for one in rest):
        notes.append(
            f"{spoken_step(rest[0].step)}: {_count(len(rest))} differ by at most {DECODER_LEVELS} levels, "
            "which decoders of lossy files do. Put the step decode into the dump to tell."
        )
    elif rest:
        likely = _likeliest(tried, chosen, left)
        found.append(_difference(rest, likely, "likely" if likely is not None else "open"))
    return _with_others(found, others), notes


def _with_a_second(
    causes: Sequence[Suspect], tried: Sequence[_Tried], chosen: Sequence[Parting], left: Sequence[int]
) -> tuple[list[StepDifference], list[int]]:
    """Explains pictures that begin otherwise and then meet a cause that is known from the others already.

    Returns:
        A difference for each way to begin, and the places that are left.
    """
    found: list[StepDifference] = []
    rest = list(left)
    for one in tried:
        begin = one.suspect.before
        if begin is None or not rest:
            continue
        mine = [place for place in rest if any(_gives(begin, cause, chosen[place]) for cause in causes)]
        if mine:
            found.append(_difference([chosen[place] for place in mine], one.suspect, "exact"))
            rest = [place for place in rest if place not in mine]
    return found, rest


def _gives(begin: Callable[[Development], Development | None], cause: Suspect, parting: Parting) -> bool:
    begun = begin(parting.way)
    made = None if begun is None else cause.make(begun, parting.step)
    return made is not None and np.array_equal(made, parting.got)


def _tried(chosen: Sequence[Parting]) -> list[_Tried]:
    by_picture = [{suspect.id: suspect for suspect in pixel_suspects(one.way)} for one in chosen]
    known = {id: suspect for suspects in by_picture for id, suspect in suspects.items()}
    tried = []
    for id, suspect in known.items():
        left = tuple(
            _left(suspects[id], one) if id in suspects else np.inf
            for suspects, one in zip(by_picture, chosen, strict=True)
        )
        if min(left) < np.inf:
            tried.append(_Tried(suspect, left))
        if max(left) == 0:
            break  # it gives every picture exactly; what follows could do no better
    return tried


def _left(suspect: Suspect, one: Parting) -> float:
    made = suspect.make(one.way, one.step)
    if made is None or made.shape != one.got.shape:
        return np.inf
    return float(apart(made, one.got).mean())


def _likeliest(tried: Sequence[_Tried], chosen: Sequence[Parting], left: Sequence[int]) -> Suspect | None:
    """Returns what leaves the least, if that is little on every picture."""

    def worst(one: _Tried) -> float:
        shares = []
        for place in left:
            want, got = chosen[place].want, chosen[place].got
            before = float(apart(want, got).mean()) if want.shape == got.shape else 64.0
            shares.append(one.left[place] / max(before, 1e-9))
        return max(shares)

    best = min(tried, key=worst, default=None)
    return best.suspect if best is not None and worst(best) <= NEARLY else None


def _difference(
    partings: Sequence[Parting], suspect: Suspect | None, certainty: Certainty
) -> StepDifference:
    first = partings[0]
    largest = [one.largest for one in partings]
    shares = [one.share for one in partings]
    whole = [size for size in largest if size is not None]
    return StepDifference(
        step=_step(first, suspect),
        pictures=tuple(one.picture for one in partings),
        largest=max(whole) if len(whole) == len(partings) else None,
        share=float(np.mean([share for share in shares if share is not None])) if whole else None,
        cause=suspect.id if suspect is not None else "",
        certainty=certainty,
        words=_words(first, suspect, certainty),
        do=suspect.do if suspect is not None else _open_do(first),
    )


def _step(first: Parting, suspect: Suspect | None) -> str:
    if suspect is None:
        return first.step
    return STEP_OF.get(suspect.id, suspect.step)


def _words(first: Parting, suspect: Suspect | None, certainty: Certainty) -> str:
    if suspect is not None:
        sure = (
            "this gives its pixels exactly" if certainty == "exact" else "this comes nearest, not exactly"
        )
        return f"{suspect.words[0].upper()}{suspect.words[1:]} ({sure})."
    shapes = "×".join(map(str, first.got.shape)), "×".join(map(str, first.want.shape))
    if first.got.shape != first.want.shape:
        return f"It leaves {shapes[0]} values at {spoken_step(first.step)}, the contract {shapes[1]}."
    between = _between(first)
    where = f"somewhere from {spoken_step(between[0])} to {spoken_step(first.step)}" if between else "here"
    return f"Its pixels are others {where}; no known cause gives them."


def _between(first: Parting) -> tuple[str, ...]:
    """Returns the steps that the dump leaves out before the one that differs."""
    order = [step for step in first.way.order if step != "resize"]
    start, end = first.way.start.step, first.step
    places = [order.index("resize_vertical" if step == "resize" else step) for step in (start, end)]
    inside = order[places[0] + 1 : places[1]]
    return tuple(["decode", *inside] if start == "decode" and first.way.data else inside)


def _open_do(first: Parting) -> str:
    if between := _between(first):
        return f"Put the steps in between into the dump: {', '.join(between)}."
    return f"Compare this step with docs/contract.md: {spoken_step(first.step)}."


def _with_others(found: list[StepDifference], others: Sequence[str]) -> list[StepDifference]:
    """Adds the pictures that causes were not tried on to the first difference."""
    if not found or not others:
        return found
    first = found[0]
    return [first.model_copy(update={"pictures": (*first.pictures, *others)}), *found[1:]]


def _count(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"
