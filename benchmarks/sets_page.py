"""The page with the table of all sets, from the lines that all_sets.py keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["page"]

Line = Mapping[str, Any]

OPENING = """\
# All sets of pictures, with the defaults

Written by `benchmarks/all_sets.py`; nothing in the tables is typed by hand. For each set: `darkroom init`
on its folder, with weights of MobileNetV2 1.0 and 0.35 at hand, and `darkroom run`. Nothing was changed
in between: network, size, recipe and number of epochs are what `init` picks.
"""

READING = """\
The figure is the mean over the clones on test pictures that neither training nor the choice of an epoch
has seen: accuracy, for masks the mean IoU. Its 95 % interval says what other pictures of the kind and,
with several clones, other seeds would move it by. *Spread* is the standard deviation over clones, which
is what chance alone does, with the worst and the best of them; *churn* is the share of the test pictures
(of masks: of pixels) on which two clones differ. One clone shows no spread: masks are trained once, for the
sake of time; `--only people,camvid --again --clones 3` trains three.

Time is that of the whole `darkroom run`: reading, rendering, features, training of all clones, evaluation
with its report, ONNX and LiteRT files, the comparison with PyTorch, the report. *Processors* is the time
of all of them together. Parity is the share of test pictures (of masks: of pixels) that a file answers as
PyTorch does, and how many it does not.
"""


def page(lines: Sequence[tuple[str, Line]]) -> str:
    """Returns the page.

    Args:
        lines: what each set is, and its line.
    """
    return "\n".join(_parts(lines)) + "\n"


def _parts(lines: Sequence[tuple[str, Line]]) -> Iterator[str]:
    yield OPENING
    if any(line["quick"] for _, line in lines):
        yield "**These are lines of `--quick`: a few pictures and two epochs. They say nothing.**\n"
    yield "## How good\n"
    yield "| set | pictures: train, val, test | classes | on test | spread over clones | churn |"
    yield "|---|---|---|---|---|---|"
    for what, line in lines:
        yield (
            f"| **{_name(line)}**: {what} | {_pictures(line)} | {line['classes']} | {_figure(line)} | "
            f"{_spread(line)} | {_share(line['churn'])} |"
        )
    yield f"\n{READING}"
    yield "## What was trained, how long it took, and what came out\n"
    yield "| set | network | recipe | clones | whole run | processors | training, each | parity | size |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for _, line in lines:
        clones, times = len(line["clones"]), f"{_time(line['wall_s'])} | {_time(line['cpu_s'])}"
        yield (
            f"| {_name(line)} | {line['network']}, {line['parameters']:,} parameters | {line['recipe']} | "
            f"{clones} | {times} | {_trained(line)} | "
            f"{_parity(line)} | {_sizes(line)} |"
        )
    yield f"\n{_together(lines)}\n"
    yield "## More figures of the first clone\n"
    yield "| set | figure | on test |"
    yield "|---|---|---|"
    for _, line in lines:
        for name, ends in line["of_first"].items():
            yield f"| {_name(line)} | {name} | {_ends(*ends)} |"
    yield f"\n{_measured(lines)}"


def _name(line: Line) -> str:
    return line["name"].partition(".")[2]


def _pictures(line: Line) -> str:
    return ", ".join(f"{count:,}" for count in line["pictures"].values())


def _figure(line: Line) -> str:
    return f"{line['figure']} {_ends(line['value'], *line['interval'])}"


def _ends(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _spread(line: Line) -> str:
    values = line["clones"]
    if line["sd"] is None:
        return "one clone"
    return f"{line['sd']:.3f}, {min(values):.3f} to {max(values):.3f}"


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min"


def _trained(line: Line) -> str:
    return ", ".join(_time(seconds) for seconds in line["train_s"])


def _parity(line: Line) -> str:
    return "; ".join(
        f"{one['target']} {one['agreement']:.6g} ({one['differing']:,}), largest difference "
        f"{one['max_abs']:.1g}{'' if one['passes'] else ': **fails**'}"
        for one in line["parity"]
    )


def _sizes(line: Line) -> str:
    return ", ".join(f"{one['target']} {one['size_bytes'] / 1e6:.2f} MB" for one in line["parity"])


def _together(lines: Sequence[tuple[str, Line]]) -> str:
    wall_s = sum(line["wall_s"] for _, line in lines)
    failed = [_name(line) for _, line in lines if not all(one["passes"] for one in line["parity"])]
    said = f"All of them together took {_time(wall_s)}, one after the other."
    return said + (f" Files that do not pass: {', '.join(failed)}." if failed else " Every file passes.")


def _measured(lines: Sequence[tuple[str, Line]]) -> str:
    days = sorted({line["measured"] for _, line in lines})
    machines = sorted({line["machine"] for _, line in lines})
    return (
        f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} on {'; '.join(machines)}. Times are "
        "those of that machine. The pictures are samples, as the tests have them; the lines are in "
        "`benchmarks/results/all_sets.jsonl`."
    )
