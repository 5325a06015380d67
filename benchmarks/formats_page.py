"""The page with the table of all formats and precisions, from the lines that all_formats.py keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from formats_bars import bars_of

__all__ = ["page"]

Line = Mapping[str, Any]
Lines = Sequence[Line]

TITLES = {"onnx": "ONNX", "litert": "LiteRT", "executorch": "ExecuTorch", "coreml": "Core ML"}

OPENING = """\
# All models, formats and precisions

Written by one command, `benchmarks/all_formats.py`; nothing in the tables is typed by hand. Each
model was trained once, in a project as `darkroom init` makes it, and its files are those of that
one run: written and chosen as `darkroom export convert` does, compared with PyTorch as `darkroom
export verify` does.
"""

COLUMNS = (
    "format",
    "precision",
    "size",
    "of float32",
    "same",
    "n",
    "of test",
    "max",
    "loss",
    "p50, p95",
    "memory",
    "",
)

READING = """\
## How to read it

- *Same* is the share of pictures with PyTorch's answer, of masks the share of pixels; *n* is the
  number of pictures, *of test* the same share on those of test alone, which the network has never
  seen. With fewer than 1,000 pictures in test, pictures of val and train are compared as well;
  answers to pictures that a network was trained on flip less often.
- *Max* is the largest difference of any probability. *Loss* is what a file loses of accuracy, of
  masks of mean IoU, in points against PyTorch on the same pictures, with the 95 % interval of the
  paired difference; a minus is a gain. *Of float32* is the size by that of the float32 file of the
  same format.
- Of int8 a format may have several recipes; the one in brackets was chosen on val as `darkroom
  export convert` chooses, which asks about pictures of train as well where val is small. The last
  column says whether the file meets the limits of the default brief. A file that misses them on val
  is *left out* of a bundle; here it is shown all the same.
- *p50, p95* are milliseconds for one answer on one thread, in turn with the other files of the
  format and with PyTorch; *memory* is what opening a file and one answer add to a process that has
  the runtime loaded.

## What cannot be concluded

- Nothing about phones: latency and memory are those of the machine below, a server's processor. On
  it int8 may be slower than float32; on an NPU or DSP nothing was measured.
- Nothing about Apple's arithmetic: without a Mac the operations of a Core ML file are carried out
  one by one in PyTorch, which proves the conversion and the weights. That is slow, so those files
  are asked about fewer pictures, and their time and memory are left out.
- Nothing about other pictures and longer trainings: each model was trained once, on the pictures
  that the tests have. The U-Net's weights are as good as random: that its files agree says
  something about the conversion, what int8 loses of it says nothing.
"""


def page(models: Sequence[tuple[str, Lines]]) -> str:
    """Returns the page.

    Args:
        models: what each model is, and its lines, one for each format.
    """
    return "\n".join(_parts(models)) + "\n"


def _parts(models: Sequence[tuple[str, Lines]]) -> Iterator[str]:
    every = [line for _, lines in models for line in lines]
    yield OPENING
    if any(line["quick"] for line in every):
        yield "**These are lines of `--quick`: a few pictures and two epochs. They say nothing.**\n"
    if missing := list(_missing(models)):
        yield f"**Not measured yet**: {'; '.join(missing)}.\n"
    models = [(what, lines) for what, lines in models if lines]
    yield from _bars(models)
    for what, lines in models:
        yield from _model(what, lines)
    yield READING
    yield from _measured(every)


def _missing(models: Sequence[tuple[str, Lines]]) -> Iterator[str]:
    for what, lines in models:
        there = {line["target"] for line in lines}
        titles = [title for target, title in TITLES.items() if target not in there]
        if titles:
            yield f"{what} as {', '.join(titles)}" if lines else what


def _bars(models: Sequence[tuple[str, Lines]]) -> Iterator[str]:
    yield "## Which bars hold\n"
    yield "| model | format | precision | measured against the bar | |"
    yield "|---|---|---|---|---|"
    for what, lines in models:
        for bar in bars_of(lines):
            cells = (what, TITLES[bar.target], bar.precision, "; ".join(bar.figures))
            yield f"| {' | '.join(cells)} | {bar.verdict} |"
    yield ""


def _model(what: str, lines: Lines) -> Iterator[str]:
    first = lines[0]
    right = "mean IoU" if first["task"] == "segmentation" else "right on"
    height = "×".join(map(str, first["side_px"]))
    times = sorted(line["reference_ms"] for line in lines if line["reference_ms"])
    takes = f"; it takes {times[len(times) // 2]:.1f} ms" if times else ""
    yield f"## {what}\n"
    yield (
        f"{first['network']}, {first['parameters']:,} parameters, {height} px. PyTorch, {right} "
        f"{first['reference']:.1%}{takes}. Pictures: {first['pool'] or first['images']}.\n"
    )
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    for line in lines:
        whole = [file["size_bytes"] for file in line["files"] if file["precision"] == "float32"]
        for file in line["files"]:
            yield f"| {' | '.join(_cells(line, file, whole))} |"
    yield ""
    failed = [(TITLES[line["target"]], *why) for line in lines for why in line["failed"]]
    for title, precision, why in failed:
        yield f"- {title} {precision} could not be written: {why}"
    yield from [""] if failed else []


def _cells(line: Line, file: Line, whole: Sequence[int]) -> Iterator[str]:
    yield TITLES[line["target"]]
    yield file["precision"] if file["recipe"] == "plain" else f"{file['precision']} ({file['recipe']})"
    yield f"{file['size_bytes'] / 1e6:.2f} MB"
    yield f"{file['size_bytes'] / whole[0]:.2f}" if whole else "—"
    yield f"{file['agreement']:.6g}"
    yield f"{line['images']:,}"
    yield "all are" if file["on_test"] is None else f"{file['on_test'][1]:.6g}"
    yield f"{file['max_abs']:.2g}"
    yield _loss(file["loss"])
    yield "—" if not file["p50_ms"] else f"{file['p50_ms']:.2f}, {file['p95_ms']:.2f}"
    yield "—" if file["memory_bytes"] is None else f"{file['memory_bytes'] / 1e6:.1f} MB"
    said = "passes" if not file["failures"] else "**fails**: " + " ".join(file["failures"])
    yield said if file["kept"] else f"left out; here it {said}"


def _loss(ends: Sequence[float] | None) -> str:
    if ends is None:
        return "—"
    value, low, high = (f"{end * 100:+.2f}".replace("-", "−") for end in ends)
    return f"{value} [{low}, {high}]"


def _measured(every: Lines) -> Iterator[str]:
    if not every:
        return
    days = sorted({line["measured"] for line in every})
    hosts = sorted({line["host"] for line in every})
    runtimes = sorted({file["runtime"] for line in every for file in line["files"]})
    took = sum(line["convert_s"] + line["verify_s"] for line in every)
    yield "## Where it was measured\n"
    yield (
        f"On {' to '.join(dict.fromkeys((days[0], days[-1])))}, {'; '.join(hosts)}. Runtimes: "
        f"{'; '.join(runtimes)}. Beside the trainings, converting and comparing took {took / 60:.0f} "
        "minutes. The lines are in `benchmarks/results/all_formats.jsonl`."
    )
    loads = [line["load"] for line in every if line.get("load") is not None]
    yield (
        "\nProcesses that wanted a core meanwhile (load average of a minute, this one included): "
        f"{min(loads):g} to {max(loads):g}. Where that is more than there are cores, times are too long."
        if len(loads) == len(every)
        else "\nHow busy the machine was meanwhile was not noted of every format."
    )
