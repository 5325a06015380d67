"""Conversions in a process of their own: `python -m darkroom.export.child request.json …`."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from darkroom import atomic
from darkroom.errors import DarkroomError, StorageFailed, Unsupported, refused_by_disk
from darkroom.export.calibration import load_tensors
from darkroom.export.exporters import DISK_REFUSED, EXPORTERS, Exporter, find
from darkroom.export.precisions import PRECISIONS, Recipe
from darkroom.export.unknown_operation import UnknownOperation
from darkroom.networks.image_model import ImageModel
from darkroom.networks.saved import load
from darkroom.records import ModelCard

__all__ = ["run", "write_file"]

UNKNOWN_OPERATION = re.compile(
    r"Lowering not found: ([\w.:]+)"
    r"|No ONNX function found for <OpOverload\(op='([\w.:]+)'"
    r"|failed to legalize operation '([\w.:]+)'"
)
LAYER = re.compile(r"File \"[^\"]*\", line \d+, in \w+\n\s*(\S[^\n]*)")
"""The line of a network's source that the converters quote."""

LONGEST_REASON = 400
"""Characters of a converter's own words that are shown; some print the whole graph in one line."""


def run(*requests: Path) -> int:
    """Writes the files that requests ask for, or `refusal.json` beside a request; returns the exit code.

    Beside each request that was answered lies `seconds` in the end: a file without it may be half written.
    """
    try:
        for request in requests:
            started = time.perf_counter()
            _answer(request)
            atomic.write_text(request.with_name("seconds"), f"{time.perf_counter() - started:.3f}")
    except StorageFailed as error:
        return _without_room(error.message)
    except OSError as error:
        if not refused_by_disk(error):
            raise
        return _without_room(error.strerror or str(error))
    return 0


def _answer(request: Path) -> None:
    wanted = json.loads(request.read_text())
    try:
        network, card = load(Path(wanted["weights"]))
        model = ImageModel.of(network, card, with_embedding=wanted["embedding"])
        recipe = Recipe.from_json(wanted["recipe"])
        write_file(find(wanted["target"]), model, card, Path(wanted["path"]), recipe)
    except StorageFailed:
        raise
    except DarkroomError as error:
        atomic.write_text(request.with_name("refusal.json"), json.dumps(error.as_dict()))


def write_file(exporter: Exporter, model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> None:
    """Writes one file with an exporter, in this process.

    Raises:
        Unsupported: the converter refuses the model; it names the operation where the converter does.
        Invalid: the recipe needs calibration tensors, and there are none that fit.
        OSError: the disk refuses the file.
    """
    if PRECISIONS[recipe.precision].calibrated:
        load_tensors(recipe.calibration, card.contract.shape)  # refused before minutes of work, not after
    module, function = exporter.write.split(":")
    try:
        with _temporary_files_beside(path):
            getattr(import_module(module), function)(model, card, path, recipe)
    except (DarkroomError, MemoryError, OSError):
        raise
    except Exception as error:  # converters share no base but Exception
        if full := refused_by_disk(error):
            raise full from error
        raise refused(exporter, error) from error


def refused(exporter: Exporter, error: Exception) -> Unsupported:
    """Returns the error that names the operation which a converter does not know, and where it is used."""
    if isinstance(error, UnknownOperation):
        return _unknown(exporter, error.operation, error.source)
    words = _words(error)
    found = UNKNOWN_OPERATION.search(words)
    if found is None:
        reason = words.strip().splitlines()[0] if words.strip() else type(error).__name__
        return Unsupported(
            "export.refused",
            "The converter for {title} refused the network: {reason}",
            do="The other targets do not need it: darkroom export convert --run RUN --targets {others}",
            title=exporter.title,
            reason=reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…",
            others=",".join(name for name in EXPORTERS if name != exporter.name),
        )
    return _unknown(exporter, next(group for group in found.groups() if group), words)


def _unknown(exporter: Exporter, operation: str, words: str) -> Unsupported:
    """Returns the error for an operation that a format lacks.

    Args:
        exporter: the format.
        operation: its name.
        words: what quotes the network's source.
    """
    layers = LAYER.findall(words)
    return Unsupported(
        "export.operation-unknown",
        "{title} does not know the operation {operation}{where}.",
        do="Build that layer from other operations, or choose another target.",
        title=exporter.title,
        operation=operation,
        where=f", used in `{layers[-1]}`" if layers else "",
    )


@contextmanager
def _temporary_files_beside(path: Path) -> Iterator[None]:
    """Keeps what a library puts into its temporary folder beside the file; it goes when the block ends.

    coremltools removes its packages when the process ends by itself: one that is killed, or that goes on,
    would leave some for every file, each as large as the file.
    """
    before, named = tempfile.tempdir, os.environ.get("TMPDIR")
    with atomic.scratch_folder(path.parent) as scratch:
        tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
        try:
            yield
        finally:
            tempfile.tempdir = before
            if named is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = named


def _without_room(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return DISK_REFUSED


def _words(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def _end_with_the_parent() -> None:
    """Waits for the end of the input, which is that of the process that asked, and ends this one."""
    os.read(sys.stdin.fileno(), 1)  # not by way of the stream, whose lock the end of the process needs
    signal.raise_signal(signal.SIGTERM)  # nothing is left to be flushed: nobody reads it any more


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    raise SystemExit(run(*map(Path, sys.argv[1:])))
