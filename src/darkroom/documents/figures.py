"""Figures drawn with Matplotlib: SVG that takes the page's colours, or PNG for everything else.

A figure is drawn with stand-in colours; in SVG they become the page's own (`var(--ink)`, …), so that the
same figure is right in light and dark. Nothing of pyplot's global state is touched.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "Form", "PALETTE", "confusion", "contact_sheet", "curves", "histogram"]

Form = Literal["svg", "png"]

PALETTE = {"ink": "#7a7a7a", "rule": "#8f8f8f", "accent": "#c2412d", "cool": "#3f7fa6", "soft": "#9a958c"}
"""Mid-tones, to be read on white and on black. Each is a name of the page's stylesheet as well."""


class Curve(NamedTuple):
    """One line of a figure."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    """None leaves a gap."""
    family: str = "accent"
    """Colour, a name of the palette."""
    mark: float | None = None
    """Where a dot is set, on the x axis."""


def curves(lines: Sequence[Curve], *, title: str, x_title: str, y_title: str, form: Form = "svg") -> bytes:
    """Returns lines over one axis; lines of one name share a label, and a thick line shows their mean.

    Args:
        lines: the lines; those of one name belong together (the clones of one figure).
        title: what is shown, for those who cannot see it.
        x_title: what lies along the x axis.
        y_title: what lies along the y axis.
        form: svg takes the page's colours.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(5.0, 2.8)
    families = {line.name: line for line in lines}
    for name, first in families.items():
        same = [line for line in lines if line.name == name]
        thin = len(same) > 1
        for line in same:
            y = np.array([np.nan if value is None else value for value in line.y], dtype=float)
            axes.plot(
                line.x,
                y,
                color=PALETTE[line.family],
                linewidth=1.0 if thin else 1.8,
                alpha=0.45 if thin else 1,
            )
            _mark(axes, line, y)
        if thin:
            axes.plot(*_mean(same), color=PALETTE[first.family], linewidth=2.0)
    _label_ends(axes, lines)
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.margins(x=0.02)
    axes.grid(axis="y", color=PALETTE["rule"], alpha=0.25, linewidth=0.7)
    return _drawn(figure, form, title)


def histogram(
    counts: dict[str, dict[str, int]], classes: Sequence[str], *, title: str, form: Form = "svg"
) -> bytes:
    """Returns how many images of each class (x) lie in each split (one bar on the other).

    Args:
        counts: images per split and class.
        classes: names of the classes, in the order of the bars.
        title: what is shown, for those who cannot see it.
        form: svg takes the page's colours.
    """
    figure, axes = _canvas(6.4, 2.8)
    bottom = np.zeros(len(classes))
    for split, family in zip(counts, ("accent", "cool", "soft", "ink", "rule"), strict=False):
        heights = np.array([counts[split].get(name, 0) for name in classes], dtype=float)
        axes.bar(range(len(classes)), heights, bottom=bottom, color=PALETTE[family], label=split, width=0.8)
        bottom += heights
    _name_ticks(axes.xaxis, classes, most=40, rotation=0 if len("".join(classes)) < 60 else 90)
    axes.set_ylabel("images")
    legend = axes.legend(frameon=False, ncols=5, loc="upper left", bbox_to_anchor=(0, 1.16))
    _plain_text(legend.get_texts())
    return _drawn(figure, form, title)


def confusion(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], *, title: str, form: Form = "svg"
) -> bytes:
    """Returns a confusion matrix as a picture, each row shaded by its shares.

    Args:
        matrix: row: the class that is right; column: the class that was answered.
        classes: names of the classes.
        title: what is shown, for those who cannot see it.
        form: svg takes the page's colours.
    """
    from matplotlib.colors import to_rgb

    cells = np.asarray(matrix, dtype=float)
    totals = cells.sum(axis=1, keepdims=True)
    shares = np.divide(cells, totals, out=np.zeros_like(cells), where=totals > 0)
    image = np.empty((*cells.shape, 4))
    image[..., :3] = to_rgb(PALETTE["accent"])
    image[np.arange(len(cells)), np.arange(len(cells)), :3] = to_rgb(PALETTE["cool"])
    image[..., 3] = np.sqrt(shares)  # a mistake of one in a hundred is still seen
    side = min(7.0, 2.2 + 0.16 * len(cells))
    figure, axes = _canvas(side, side)
    axes.imshow(image, interpolation="nearest")
    _name_ticks(axes.xaxis, classes, most=36, rotation=90)
    _name_ticks(axes.yaxis, classes, most=36, rotation=0)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    return _drawn(figure, form, title)


def contact_sheet(pictures: Sequence[bytes], *, columns: int = 8, side_px: int = 96) -> bytes:
    """Returns encoded pictures side by side as one PNG, on transparent ground.

    Args:
        pictures: encoded pictures; those that cannot be decoded leave a gap.
        columns: pictures in a row.
        side_px: side of the square that each fits into.
    """
    from PIL import Image

    gap = max(2, side_px // 16)
    rows = -(-len(pictures) // columns)
    width = min(columns, max(1, len(pictures))) * (side_px + gap) + gap
    sheet = Image.new("RGBA", (width, max(1, rows) * (side_px + gap) + gap))
    for place, data in enumerate(pictures):
        shown = _fitted(data, side_px)
        if shown is not None:
            x = gap + place % columns * (side_px + gap) + (side_px - shown.width) // 2
            y = gap + place // columns * (side_px + gap) + (side_px - shown.height) // 2
            sheet.paste(shown, (x, y))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _fitted(data: bytes, side_px: int) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened:
            upright = opened.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError):
        return None
    scale = side_px / max(upright.size)
    fitted = (max(1, round(upright.width * scale)), max(1, round(upright.height * scale)))
    smooth = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.NEAREST
    return upright.resize(fitted, smooth)


def _canvas(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Returns an empty figure and its axes, in the colours of the palette."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALETTE["rule"])
    axes.tick_params(color=PALETTE["rule"], labelcolor=PALETTE["ink"], labelsize=9)
    axes.xaxis.label.set(color=PALETTE["ink"], fontsize=9)
    axes.yaxis.label.set(color=PALETTE["ink"], fontsize=9)
    return figure, axes


def _mark(axes: Axes, line: Curve, y: np.ndarray) -> None:
    if line.mark is not None and line.mark in list(line.x):
        place = list(line.x).index(line.mark)
        axes.plot([line.mark], [y[place]], "o", color=PALETTE[line.family], markersize=4.5)


def _mean(lines: Sequence[Curve]) -> tuple[list[float], list[float]]:
    """Returns the mean over lines at each x that all of them reach."""
    rows = [dict(zip(line.x, line.y, strict=True)) for line in lines]
    shared = [x for x in rows[0] if all(row.get(x) is not None for row in rows)]
    return list(shared), [float(np.mean([row[x] for row in rows])) for x in shared]  # type: ignore[arg-type]


def _label_ends(axes: Axes, lines: Sequence[Curve]) -> None:
    """Names each family of lines where it ends, pushed apart so that names do not overlap."""
    from matplotlib.transforms import ScaledTranslation

    ends: list[tuple[float, float, Curve]] = []
    for name in dict.fromkeys(line.name for line in lines):
        of_name = [line for line in lines if line.name == name]
        last = [(x, y) for line in of_name for x, y in zip(line.x, line.y, strict=True) if y is not None]
        if last:
            at = max(x for x, _ in last)
            ends.append((at, float(np.mean([y for x, y in last if x == at])), of_name[0]))
    figure = axes.figure
    ends.sort(key=lambda end: end[1])
    low, high = axes.get_ylim()
    least, before = 0.075 * (high - low), -np.inf
    for x, y, line in ends:
        before = max(y, before + least)
        shift = ScaledTranslation(6 / 72, 0, figure.dpi_scale_trans)  # type: ignore[union-attr]
        text = axes.text(
            x, before, line.name, transform=axes.transData + shift, va="center", fontsize=9,
            color=PALETTE[line.family], parse_math=False,
        )  # fmt: skip
        text.set_in_layout(True)


def _name_ticks(axis: Any, names: Sequence[str], *, most: int, rotation: int) -> None:
    """Names at most so many ticks, evenly spaced; names are text, never formulas."""
    step = -(-len(names) // most)
    axis.set_ticks(range(0, len(names), max(1, step)))
    shown = [name if len(name) <= 18 else f"{name[:17]}…" for name in names[:: max(1, step)]]
    axis.set_ticklabels(shown, rotation=rotation, parse_math=False)


def _plain_text(texts: Sequence[Any]) -> None:
    for text in texts:
        text.set_color(PALETTE["ink"])
        text.set_parse_math(False)
        text.set_fontsize(9)


def _drawn(figure: Figure, form: Form, title: str) -> bytes:
    """Returns a figure as bytes; an SVG in the page's colours, with a name for screen readers."""
    import matplotlib

    file = io.BytesIO()
    facts: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": ["sans-serif"]}
    with matplotlib.rc_context(facts), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has the glyphs
        if form == "png":
            figure.savefig(file, format="png", dpi=160, transparent=True, metadata={"Software": None})
            return file.getvalue()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return _inline(file.getvalue().decode(), title).encode()


def _inline(svg: str, title: str) -> str:
    """Returns an SVG to stand in a page: in its colours and letters, with a name for screen readers."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="[^"]*"', svg)
    body = svg[
        svg.index("</defs>", svg.index("<style")) + len("</defs>") :
    ]  # its style would be the page's
    for name, colour in PALETTE.items():
        body = body.replace(colour, f"var(--{name})")
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # ids would be double on a page of two figures
    body = re.sub(r"font-family: [^;]*; ", "", body)
    return (
        f'<svg role="img" aria-label="{escape(title)}" {box[0] if box else ""} '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'stroke-linejoin="round" stroke-linecap="butt">{body}'
    )
