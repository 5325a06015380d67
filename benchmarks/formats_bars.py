"""The bars that files of each format and precision are held against, for lines of all_formats.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Bar", "bars_of"]

Line = Mapping[str, Any]

EXACT_MAX, HALF_MAX, HALF_SAME = 1e-4, 5e-3, 0.999
PIXELS_SAME, PIXELS_MARGIN = 0.9999, 1e-2
INT8_SAME, INT8_LOSS, INT8_FAR_END, INT8_FROM = 0.97, 1.0, 2.0, 1_000
"""Loss in points: measured, and the far end of its interval, with at least so many pictures."""
LARGE, SIZES = 2_000_000, {True: 0.32, False: 0.45}
"""Most that an int8 file may be of the float32 file, with so many parameters, and with fewer."""


class Bar(NamedTuple):
    """One file and what it is held against."""

    target: str
    precision: str
    figures: tuple[str, ...]
    """What was measured, each with its bound; what misses it in bold."""
    verdict: str
    """In words."""


class _Held(NamedTuple):
    figure: str
    holds: bool | None
    """None where too few pictures were asked about to tell."""


def bars_of(lines: Sequence[Line]) -> Iterator[Bar]:
    """Yields the bars of one model.

    Args:
        lines: of its formats.
    """
    for line in lines:
        whole = next((file for file in line["files"] if file["precision"] == "float32"), None)
        for file in line["files"]:
            held = list(_held(line, file, whole))
            if held:
                yield Bar(line["target"], file["precision"], tuple(map(_marked, held)), _verdict(held))


def _marked(one: _Held) -> str:
    return f"**{one.figure}**" if one.holds is False else one.figure


def _verdict(held: Sequence[_Held]) -> str:
    if any(one.holds is False for one in held):
        return "**misses**"
    return "holds" if all(one.holds for one in held) else "not decided"


def _held(line: Line, file: Line, whole: Line | None) -> Iterator[_Held]:
    precision, masks = file["precision"], line["task"] == "segmentation"
    if precision == "float32" and masks:
        yield _at_least("equal pixels", file["agreement"], PIXELS_SAME)
        margin = float("inf") if file["margin"] is None else file["margin"]  # it did not answer
        yield _Held(f"margin {margin:.2g}, under {PIXELS_MARGIN:g}", margin < PIXELS_MARGIN)
    elif precision == "float32":
        yield _at_least("same", file["agreement"], 1.0)
        yield _at_most("max", file["max_abs"], EXACT_MAX)
    elif precision == "float16" and line["target"] == "coreml":
        yield _at_least("equal pixels" if masks else "same", file["agreement"], HALF_SAME)
        yield _at_most("max", file["max_abs"], HALF_MAX)
    elif precision == "int8" and line["target"] in ("onnx", "litert") and not line["hardly_trained"]:
        yield from _int8(line, file, whole)


def _int8(line: Line, file: Line, whole: Line | None) -> Iterator[_Held]:
    yield _at_least(
        "equal pixels" if line["task"] == "segmentation" else "same", file["agreement"], INT8_SAME
    )
    if file["loss"] is not None:
        value, _, high = (end * 100 for end in file["loss"])
        yield _Held(f"loses {value:.2f} points, at most {INT8_LOSS:g}", value <= INT8_LOSS)
        said = f"far end {high:.2f}, at most {INT8_FAR_END:g}"
        if line["images"] >= INT8_FROM:
            yield _Held(said, high <= INT8_FAR_END)
        else:
            yield _Held(f"{said} with {INT8_FROM:,} pictures; here n = {line['images']:,}", None)
    if whole is not None:
        share, most = file["size_bytes"] / whole["size_bytes"], SIZES[line["parameters"] >= LARGE]
        yield _Held(f"{share:.3f} of float32, at most {most:g}", share <= most)


def _at_least(what: str, value: float, bound: float) -> _Held:
    return _Held(f"{what} {value:.7g}, at least {bound:g}", value >= bound)


def _at_most(what: str, value: float, bound: float) -> _Held:
    return _Held(f"{what} {value:.2g}, at most {bound:g}", value <= bound)
