"""The page with the table of all formats and precisions, from the lines that all_formats.py keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["page"]

Line = Mapping[str, Any]

OPENING = """\
# All models, formats and precisions

Written by `benchmarks/all_formats.py`; nothing in the tables is typed by hand. For each model: a
project with what `init` picks, `darkroom export convert` into every format in every precision,
`darkroom export verify`.
"""

READING = """\
*Same* is the share of the pictures (of masks: of pixels) that a file answers as PyTorch does, on
the pictures of `verify`; *max* the largest difference of a probability; *loss* what the file loses
of accuracy (of masks: of mean IoU) in points, with its paired 95 % interval. *Of float32* is its
size by that of the float32 file of the same format. Latency p50 and p95, load and memory are those
of one answer on one thread of this host, all files in turn; a phone is unmeasured. Core ML's own
operations were carried out by Darkroom where there is no Mac: its time and memory are unmeasured.
"""


def page(lines: Sequence[tuple[str, Line]]) -> str:
    """Returns the page.

    Args:
        lines: what each model is, and its line.
    """
    return "\n".join(_parts(lines)) + "\n"


def _parts(lines: Sequence[tuple[str, Line]]) -> Iterator[str]:
    yield OPENING
    if any(line["quick"] for _, line in lines):
        yield "**These are lines of `--quick`: a few pictures and two epochs. They say nothing.**\n"
    yield READING
    for what, line in lines:
        yield from _model(what, line)
    if lines:
        yield f"Measured on {lines[-1][1]['measured']}: {lines[-1][1]['host']}."


def _model(what: str, line: Line) -> Iterator[str]:
    right = "of the pixels" if line["task"] == "segmentation" else "of the pictures"
    first = line["reference_ms"]
    yield f"## {what}\n"
    yield (
        f"{line['network']}, {line['parameters']:,} parameters; {line['images']:,} pictures; PyTorch is "
        f"right on {line['reference']:.1%} {right}{f' and takes {first:.1f} ms' if first else ''}.\n"
    )
    yield "| format | precision | size | of float32 | same | max | loss | p50, p95 | load | memory | |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    whole = {file["target"]: file["size_bytes"] for file in line["files"] if file["precision"] == "float32"}
    for file in sorted(line["files"], key=_place):
        size = file["size_bytes"]
        of = f"{size / whole[file['target']]:.2f}" if file["target"] in whole else "—"
        verdict = "**fails**: " + " ".join(file["failures"]) if file["failures"] else "passes"
        cells = (
            file["target"],
            file["precision"],
            f"{size / 1e6:.2f} MB",
            of,
            f"{file['agreement']:.5g}",
            f"{file['max_abs']:.1g}",
            _loss(file["loss"]),
            f"{_ms(file['p50_ms'])}, {_ms(file['p95_ms'])}",
            _ms(file["load_ms"]),
            _mb(file["memory_bytes"]),
            verdict,
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from _left_out(line)


def _place(file: Line) -> tuple[str, bool, str]:
    return (file["target"], file["precision"] != "float32", file["precision"])


def _left_out(line: Line) -> Iterator[str]:
    """Yields what was tried and not kept, by its best recipe, and what was refused."""
    best: dict[tuple[str, str], Line] = {}
    for one in line["left_out"]:
        key = (one["target"], one["precision"])
        if key not in best or one["agreement"] > best[key]["agreement"]:
            best[key] = one
    for one in best.values():
        why = "; ".join(one["why"]) or "no reason was kept"
        yield (
            f"- Left out: {one['target']} {one['precision']}, best recipe {one['recipe']}, "
            f"{one['size_bytes'] / 1e6:.2f} MB: {why}"
        )
    for row in line["refused"]:
        yield f"- Not written: {row[0]} {row[1]}: {row[-1]}"
    yield ""


def _loss(ends: Sequence[float] | None) -> str:
    if ends is None:
        return "—"
    value, low, high = (f"{end * 100:+.2f}".replace("-", "−") for end in ends)
    return f"{value} [{low}, {high}]"


def _ms(value: float | None) -> str:
    return "—" if not value else f"{value:.2f} ms"


def _mb(size_bytes: int | None) -> str:
    return "—" if size_bytes is None else f"{size_bytes / 1e6:.1f} MB"
