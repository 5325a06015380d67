"""A long measurement, kept line by line, so that a call that was interrupted goes on where it was."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from darkroom import atomic

__all__ = ["Page", "Pending", "add_line", "kept_lines", "measure_all", "options_of"]

HERE = Path(__file__).resolve().parent
Line = Mapping[str, Any]
Page = Callable[[Mapping[str, Line]], str]
"""From the newest line of each name to the page."""


class Pending(NamedTuple):
    """One line that is to be measured."""

    name: str
    """By which it is asked for and kept."""
    measure: Callable[[], dict[str, Any]]


def options_of(doc: str, stem: str, names: Sequence[str], **more: Any) -> argparse.Namespace:
    """Reads the options that such a measurement has.

    Args:
        doc: the script's docstring.
        stem: of the files that it writes: results/STEM.jsonl, docs/STEM.md with dashes.
        names: what `--only` takes.
        more: further options, name → arguments of `add_argument`.
    """
    page = f"{stem.replace('_', '-')}.md"
    beside = HERE.parents[1] / "shared" / "data"
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--data", type=Path, default=beside, help="folder with the pictures and weights/")
    parser.add_argument("--out", type=Path, default=None, help=f"the page, or the folder for {page}")
    parser.add_argument("--results", type=Path, default=None, help="file of the lines that are kept")
    parser.add_argument("--only", default="", help=f"parted by commas, of: {', '.join(names)}")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured already")
    parser.add_argument("--quick", action="store_true", help="a few pictures, two epochs")
    for name, facts in more.items():
        parser.add_argument(f"--{name}", **facts)
    options = parser.parse_args()
    aside = Path(tempfile.mkdtemp(prefix=f"{stem}-")) if options.quick else None
    options.results = options.results or (aside or HERE / "results") / f"{stem}.jsonl"
    options.out = options.out or (aside or HERE.parent / "docs") / page
    options.out = options.out / page if options.out.is_dir() else options.out
    options.only = [name for name in options.only.split(",") if name]
    if unknown := sorted(set(options.only) - set(names)):
        parser.error(f"nothing is called {', '.join(unknown)}; known: {', '.join(names)}")
    return options


def measure_all(options: argparse.Namespace, pending: Iterable[Pending], page: Page) -> None:
    """Measures what is not kept yet, keeps each line as soon as it is there, and writes the page.

    Args:
        options: as `options_of` gives them.
        pending: all lines, in their order; a line is measured when it is come to.
        page: writes the page.
    """
    kept, names = kept_lines(options.results), []
    for one in pending:
        names.append(one.name)
        if one.name in kept and not options.again:
            continue
        sys.stderr.write(f"{one.name} …\n")
        kept[one.name] = one.measure()
        add_line(options.results, kept[one.name])
        sys.stdout.write(json.dumps(kept[one.name], ensure_ascii=False) + "\n")
        sys.stdout.flush()
        atomic.write_text(options.out, page(kept))
    atomic.write_text(options.out, page(kept))
    missing = [name for name in names if name not in kept]
    sys.stderr.write(f"{options.out}{'; missing: ' + ', '.join(missing) if missing else ''}\n")


def kept_lines(results: Path) -> dict[str, dict[str, Any]]:
    """Returns the newest line of each name; half a line, of a call that was killed, counts for nothing.

    Args:
        results: one object per line, each with "name": the script's, a dot, and what was measured.
    """
    lines = results.read_text("utf-8").split("\n")[:-1] if results.is_file() else []
    return {found["name"].partition(".")[2]: found for found in map(json.loads, lines)}


def add_line(results: Path, line: Line) -> None:
    """Adds a line behind the whole lines of a file."""
    results.parent.mkdir(parents=True, exist_ok=True)
    before = results.read_text("utf-8") if results.is_file() else ""
    whole = before[: before.rfind("\n") + 1]  # what follows was cut off by a kill
    atomic.write_text(results, whole + json.dumps(line, ensure_ascii=False) + "\n")
