"""Judge a compared file against the limits, in words."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.export.losses import DECIDES_FROM, METRIC, hold_loss, loss_of, loss_on_test
from darkroom.export.precisions import PRECISIONS
from darkroom.export.report import FileParity, PixelParity
from darkroom.records import Limits, ModelCard
from darkroom.records.numbers import number
from darkroom.serving import Carried
from darkroom.statistics import against_limit

__all__ = ["failures_of"]


def failures_of(
    file: FileParity, carried: Carried, card: ModelCard, limits: Limits, *, count: int
) -> tuple[str, ...]:
    """Returns what does not hold; nothing for a file that may be handed over.

    Args:
        file: the figures of the file.
        carried: what the file says about itself.
        card: what it should say.
        limits: what must hold; which of those for parity, follows from the precision.
        count: images that it was asked about.
    """
    return (
        *_answers(file, card, limits, count),
        *_golden(file, limits),
        *_carried(carried, card),
        *_size(file, limits),
        *_memory(file, limits),
    )


def _answers(file: FileParity, card: ModelCard, limits: Limits, count: int) -> Iterator[str]:
    if file.not_finite:
        yield f"{file.not_finite} of its probabilities are NaN or infinite."
    if file.embedding_not_finite:
        yield f"{file.embedding_not_finite} numbers of its embedding are NaN or infinite."
    precision = PRECISIONS.get(file.precision)
    if precision is None or not precision.exact:
        if precision is not None and precision.half:
            yield from _of_float16(file, limits, count)
        elif precision is not None:
            yield from _of_whole_numbers(file, card, limits, count)
        return
    if file.pixels is not None:
        yield from _pixels(file, file.pixels, limits)
        return
    if file.agreement < limits.parity_agreement:
        yield (
            f"It answers {file.flip_count} of {count} images otherwise than PyTorch: agreement "
            f"{file.agreement:.4f}, at least {limits.parity_agreement:g} expected."
        )
    if file.max_abs > limits.parity_max_abs:
        yield (
            f"A probability differs from PyTorch's by {number(file.max_abs, 2)}, at most "
            f"{number(limits.parity_max_abs, 2)} expected."
        )


def _of_float16(file: FileParity, limits: Limits, count: int) -> Iterator[str]:
    yield from _agreement(file, limits.parity_float16_agreement, count)
    if file.max_abs > limits.parity_float16_max_abs:
        yield (
            f"A probability differs from PyTorch's by {number(file.max_abs, 2)}, at most "
            f"{number(limits.parity_float16_max_abs, 2)} expected of float16."
        )


def _of_whole_numbers(file: FileParity, card: ModelCard, limits: Limits, count: int) -> Iterator[str]:
    yield from _agreement(file, limits.parity_int8_agreement, count)
    yield from _on_test(file, card, limits)
    loss = loss_of(file)
    if loss is None or hold_loss(loss, limits) != "fail":
        return
    most, metric = limits.accuracy_loss * 100, METRIC[card.task]
    if loss.value > limits.accuracy_loss:
        yield (
            f"It loses {loss.value * 100:.2f} points of {metric} against PyTorch, at most {most:g} "
            f"expected: missed by {loss.value * 100 - most:.2f} points."
        )
    else:
        yield (
            f"It loses {loss.value * 100:.2f} points of {metric} against PyTorch, {loss.level:.0%} "
            f"interval {loss.low * 100:.2f} to {loss.high * 100:.2f}; from {DECIDES_FROM:,} pictures on "
            f"its far end must be at most {most:g}: missed by {loss.high * 100 - most:.2f} points."
        )


def _on_test(file: FileParity, card: ModelCard, limits: Limits) -> Iterator[str]:
    """Yields what the test pictures show by themselves: the network knows others that are pooled."""
    loss = loss_on_test(file)
    if loss is None or against_limit(loss, limits.accuracy_loss, at_most=True) != "fail":
        return
    yield (
        f"On the test pictures alone it loses {loss.value * 100:.2f} points of {METRIC[card.task]}, "
        f"{loss.level:.0%} interval {loss.low * 100:.2f} to {loss.high * 100:.2f}; at most "
        f"{limits.accuracy_loss * 100:g} expected."
    )


def _agreement(file: FileParity, least: float, count: int) -> Iterator[str]:
    """Yields by how much the share of equal answers is too small."""
    if file.agreement >= least:
        return
    of = f"{count} images" if file.pixels is None else f"{file.pixels.count:,} pixels"
    yield (
        f"It answers {file.flip_count:,} of {of} otherwise than PyTorch: agreement {file.agreement:.4f}, "
        f"at least {least:g} expected of {file.precision}: missed by {least - file.agreement:.4f}."
    )


def _pixels(file: FileParity, pixels: PixelParity, limits: Limits) -> Iterator[str]:
    if file.agreement < limits.parity_pixels:
        yield (
            f"It answers {pixels.differing:,} of {pixels.count:,} pixels otherwise than PyTorch: agreement "
            f"{file.agreement:.6f}, at least {limits.parity_pixels:g} expected."
        )
    if pixels.largest_margin >= limits.parity_margin:
        yield (
            f"It answers a pixel otherwise of which PyTorch was sure: its two largest probabilities lie "
            f"{number(pixels.largest_margin, 2)} apart, less than {number(limits.parity_margin, 2)} "
            "expected."
        )
    if file.max_abs > limits.parity_margin:
        yield (
            f"A probability differs from PyTorch's by {number(file.max_abs, 2)}, at most "
            f"{number(limits.parity_margin, 2)} expected."
        )


def _golden(file: FileParity, limits: Limits) -> Iterator[str]:
    golden = file.golden
    if golden.wrong_tensors:
        share = f"{len(golden.wrong_tensors)} of {golden.count}"
        yield f"{share} golden pictures do not become their tensor here: {_some(golden.wrong_tensors)}."
    if golden.wrong_answers and file.pixels is not None:
        yield (
            f"{len(golden.wrong_answers)} of {golden.count} golden pictures get other masks, or "
            f"probabilities off by up to {number(golden.max_abs, 2)}, at most "
            f"{number(limits.parity_margin, 2)} expected: {_some(golden.wrong_answers)}."
        )
    elif golden.wrong_answers:
        yield (
            f"{len(golden.wrong_answers)} of {golden.count} golden pictures get other probabilities, by up "
            f"to {number(golden.max_abs, 2)}, at most {number(limits.parity_max_abs, 2)} expected: "
            f"{_some(golden.wrong_answers)}."
        )


def _carried(carried: Carried, card: ModelCard) -> Iterator[str]:
    if carried.labels is None:
        yield "It carries no labels."
    elif carried.labels != card.labels:
        apart = _first_difference(carried.labels, card.labels)
        yield f"Its labels are not those of the model card: {apart}."
    if carried.card is None:
        yield "It carries no model card."
    elif carried.card.contract != card.contract:
        yield "It carries another contract than the model card."


def _size(file: FileParity, limits: Limits) -> Iterator[str]:
    if limits.model_bytes is not None and file.size_bytes > limits.model_bytes:
        yield f"It has {file.size_bytes:,} bytes, at most {limits.model_bytes:,} expected."


def _memory(file: FileParity, limits: Limits) -> Iterator[str]:
    most = limits.memory_bytes
    if most is not None and file.memory is not None and file.memory.added_bytes > most:
        yield (
            f"One prediction takes {file.memory.added_bytes:,} bytes of memory on this host, at most "
            f"{most:,} expected."
        )


def _first_difference(received: tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(received) != len(expected):
        return f"{len(received)} labels for {len(expected)} classes"
    place = next(
        place for place, pair in enumerate(zip(received, expected, strict=True)) if len(set(pair)) > 1
    )
    return f"place {place} is {received[place]!r} for {expected[place]!r}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
