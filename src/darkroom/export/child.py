"""One conversion in its own process: `python -m darkroom.export.child request.json`."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path

from darkroom import atomic
from darkroom.errors import DarkroomError, StorageFailed, Unsupported, refused_by_disk
from darkroom.export.exporters import DISK_REFUSED, Exporter, find
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


def run(request: Path) -> int:
    """Writes the file that a request asks for, or `refusal.json` beside it; returns the exit code."""
    wanted = json.loads(request.read_text())
    try:
        network, card = load(Path(wanted["weights"]))
        model = ImageModel.of(network, card, with_embedding=wanted["embedding"])
        write_file(find(wanted["target"]), model, card, Path(wanted["path"]), wanted["precision"])
    except StorageFailed as error:
        return _without_room(error.message)
    except OSError as error:
        if not refused_by_disk(error):
            raise
        return _without_room(error.strerror or str(error))
    except DarkroomError as error:
        try:
            atomic.write_text(request.with_name("refusal.json"), json.dumps(error.as_dict()))
        except StorageFailed as full:
            return _without_room(full.message)
    return 0


def write_file(exporter: Exporter, model: ImageModel, card: ModelCard, path: Path, precision: str) -> None:
    """Writes one file with an exporter, in this process.

    Raises:
        Unsupported: the converter refuses the model; it names the operation where the converter does.
        OSError: the disk refuses the file.
    """
    module, function = exporter.write.split(":")
    try:
        getattr(import_module(module), function)(model, card, path, precision)
    except (DarkroomError, MemoryError, OSError):
        raise
    except Exception as error:  # converters share no base but Exception
        if full := refused_by_disk(error):
            raise full from error
        raise refused(exporter, error) from error


def refused(exporter: Exporter, error: Exception) -> Unsupported:
    """Returns the error that names the operation which a converter does not know, and where it is used."""
    words = _words(error)
    found = UNKNOWN_OPERATION.search(words)
    if found is None:
        return Unsupported(
            "export.refused",
            "The converter for {title} refused the network: {reason}",
            title=exporter.title,
            reason=words.strip().splitlines()[0] if words.strip() else type(error).__name__,
        )
    layers = LAYER.findall(words)
    return Unsupported(
        "export.operation-unknown",
        "{title} does not know the operation {operation}{where}.",
        do="Build that layer from other operations, or choose another target.",
        title=exporter.title,
        operation=next(group for group in found.groups() if group),
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
    raise SystemExit(run(Path(sys.argv[1])))
