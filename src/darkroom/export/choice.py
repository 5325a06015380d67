"""Choose among files of several precisions and recipes: the smallest that meets the brief, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from darkroom.export.choice_report import Candidate, PrecisionReport
from darkroom.export.exporters import find
from darkroom.export.losses import METRIC, loss_of, metric_of
from darkroom.export.precisions import PLAIN, PRECISIONS
from darkroom.export.report import ConvertedFile, FileParity, ParityReport
from darkroom.records import Limits

__all__ = ["choose"]

ALIKE = 1.02
"""Recipes of one precision store the same weights: sizes that differ by less than this, as a factor, count
as the same, and the answers decide."""


def choose(
    parity: ParityReport,
    files: Sequence[ConvertedFile],
    *,
    calibration_count: int = 0,
    run: str = "RUN",
) -> PrecisionReport:
    """Returns what was tried and what was chosen.

    Of each target and precision one file is kept: of those that meet the brief the smallest, and of equally
    small ones the one that answers most pictures as PyTorch does. A float32 file is kept as well; whether
    it agrees is asked later, on the test pictures. It is left out only where it is too large, which no
    picture changes, and another file of its target meets the brief. Of what is kept for a target the
    smallest is its chosen file.

    Args:
        parity: how all files compare with PyTorch.
        files: the same files, with the recipes that they were written by.
        calibration_count: pictures that ranges were taken from.
        run: the run that they were made of, for the words.
    """
    recipes = {file.path.name: file.recipe for file in files}
    tried = [_candidate(file, recipes[file.file]) for file in parity.files]
    front = _fronts(tried)
    large = {place for place, file in enumerate(parity.files) if _is_too_large(file, parity.limits)}
    kept = _kept(tried, large)
    chosen = _chosen(tried, kept)
    marked = tuple(
        one.model_copy(
            update={"front": place in front, "kept": place in kept, "chosen": place in chosen.values()}
        )
        for place, one in enumerate(tried)
    )
    metric, pictures = METRIC[parity.task], _pictures(parity)
    return PrecisionReport(
        candidates=marked,
        words=tuple(_words(marked, large, pictures, metric, run)),
        metric=metric,
        task=parity.task,
        reference_metric=_reference_metric(parity),
        image_count=parity.image_count,
        pictures=pictures,
        calibration_count=calibration_count,
        limits=parity.limits,
        host=parity.host,
        created_at=parity.created_at,
    )


def _candidate(file: FileParity, recipe: str) -> Candidate:
    return Candidate(
        target=file.target,
        precision=file.precision,
        recipe=recipe,
        size_bytes=file.size_bytes,
        metric=metric_of(file),
        loss=loss_of(file),
        agreement=file.agreement,
        max_abs=file.max_abs,
        latency_ms=file.latency and file.latency.p50_ms,
        missed=file.failures,
    )


def _is_too_large(file: FileParity, limits: Limits) -> bool:
    """Returns whether a file takes more bytes, on the disk or while it answers, than the brief allows."""
    taken = {
        "model_bytes": file.size_bytes,
        "memory_bytes": file.memory.added_bytes if file.memory is not None else 0,
    }
    most = {name: getattr(limits, name) for name in taken}
    return any(bound is not None and taken[name] > bound for name, bound in most.items())


def _reference_metric(parity: ParityReport) -> float:
    known = [file.pixels.reference_miou for file in parity.files if file.pixels is not None]
    return next((one for one in known if one is not None), parity.reference_accuracy)


def _fronts(tried: Sequence[Candidate]) -> set[int]:
    """Returns the places of files that no other file of their target beats."""
    return {
        place
        for place, one in enumerate(tried)
        if not any(_beats(other, one) for other in tried if other.target == one.target)
    }


def _beats(first: Candidate, second: Candidate) -> bool:
    pairs = list(zip(_aims(first), _aims(second), strict=True))
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


def _aims(one: Candidate) -> tuple[float, float, float]:
    """Returns what should be small: bytes, loss, milliseconds."""
    unknown = float("inf")
    return (
        one.size_bytes,
        one.loss.value if one.loss is not None else unknown,
        unknown if one.latency_ms is None else one.latency_ms,
    )


def _kept(tried: Sequence[Candidate], large: set[int]) -> set[int]:
    """Returns the places of the files that go into the bundle: one per target and precision at most.

    Args:
        tried: all files.
        large: places of those that are too large.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(tried):
        if not one.missed or PRECISIONS[one.precision].exact:
            places.setdefault((one.target, one.precision), []).append(place)
    kept = {_best(tried, found) for found in places.values()}
    served = {tried[place].target for place in kept if not tried[place].missed}
    return {place for place in kept if place not in large or tried[place].target not in served}


def _best(tried: Sequence[Candidate], places: Sequence[int]) -> int:
    smallest = min(tried[place].size_bytes for place in places)
    small = [place for place in places if tried[place].size_bytes <= smallest * ALIKE]
    return min(small, key=lambda place: _regret(tried[place]))


def _regret(one: Candidate) -> tuple[float, float, float]:
    """Returns what tells equally small files apart: other answers, then the loss, then the difference.

    Each other answer says something of the rounding; in the loss those that turned out right by chance are
    set off against those that turned out wrong.
    """
    return -one.agreement, one.loss.value if one.loss is not None else float("inf"), one.max_abs


def _chosen(tried: Sequence[Candidate], kept: set[int]) -> Mapping[str, int]:
    """Returns the place of each target's smallest kept file that meets the brief."""
    found: dict[str, int] = {}
    for place in sorted(kept, key=lambda place: tried[place].size_bytes):
        if not tried[place].missed:
            found.setdefault(tried[place].target, place)
    return found


def _pictures(parity: ParityReport) -> str:
    """Returns what the files were compared on, in words."""
    parts = [f"{one.count:,} {one.split}" for one in parity.pictures]
    return f"{' and '.join(parts) or f'{parity.image_count:,}'} pictures"


def _words(
    tried: Sequence[Candidate], large: set[int], pictures: str, metric: str, run: str
) -> Iterator[str]:
    """Yields for each target which file was chosen and why, then what was left out and why."""
    for target in dict.fromkeys(one.target for one in tried):
        own = [one for one in tried if one.target == target]
        title = find(target).title
        chosen = next((one for one in own if one.chosen), None)
        meeting = sum(not one.missed for one in own)
        if chosen is None:
            yield f"{title}: no file meets the brief on {pictures}."
        else:
            yield (
                f"{title}: {chosen.name} is chosen, the smallest of {meeting} of {len(own)} files that "
                f"meet the brief on {pictures}: {chosen.size_bytes / 1e6:.2f} MB, "
                f"{_loss_in_words(chosen, metric)}{_against_float32(chosen, own)}."
            )
        for precision in dict.fromkeys(one.precision for one in own):
            of_it = [one for one in own if one.precision == precision]
            if not any(one.kept for one in of_it):
                best = min(of_it, key=_regret)
                by = "" if best.recipe == PLAIN else f"by its best recipe, {best.recipe}: "
                is_large = any(tried[place] is best for place in large)
                yield (
                    f"{title} {precision} is left out: {by}{' '.join(best.missed)} "
                    f"{_remedy(precision, run, is_large=is_large)}"
                )


def _loss_in_words(one: Candidate, metric: str) -> str:
    if one.loss is None:
        return f"{one.agreement:.2%} of the answers as PyTorch gives them"
    low, high = one.loss.low * 100, one.loss.high * 100
    return (
        f"it loses {one.loss.value * 100:.2f} points of {metric} ({low:.2f} to {high:.2f}) and answers "
        f"{one.agreement:.2%} as PyTorch does"
    )


def _against_float32(chosen: Candidate, own: Sequence[Candidate]) -> str:
    plain = next((one for one in own if one.precision == "float32" and one is not chosen), None)
    if plain is None:
        return ""
    return f"; float32 has {plain.size_bytes / 1e6:.2f} MB"


def _remedy(precision: str, run: str, *, is_large: bool) -> str:
    if is_large:
        return "What may help: a smaller network, darkroom model networks says which can meet the brief."
    if PRECISIONS[precision].calibrated:
        return f"What may help: darkroom model quantise --run {run}, then convert the run that it makes."
    return "Ask for a finer precision, or widen the limit in [brief.limits]."
