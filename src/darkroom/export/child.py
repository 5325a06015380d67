"""Conversions in a process of their own: `python -m darkroom.export.child request.json …`."""

from __future__ import annotations

import json
import re
import sys
import time
from importlib import import_module
from pathlib import Path

from darkroom import atomic
from darkroom.errors import DarkroomError, StorageFailed, Unsupported, refused_by_disk
from darkroom.export.calibration import load_tensors
from darkroom.export.exporters import DISK_REFUSED, Exporter, find
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
        return Unsupported(
            "export.refused",
            "The converter for {title} refused the network: {reason}",
            title=exporter.title,
            reason=words.strip().splitlines()[0] if words.strip() else type(error).__name__,
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


def _without_room(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return DISK_REFUSED


def _words(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


if __name__ == "__main__":
    raise SystemExit(run(*map(Path, sys.argv[1:])))
