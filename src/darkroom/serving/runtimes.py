"""The table of runtimes, and what each of them offers: a model file, opened.

To add a runtime: write a file with a class that is a `Session`, and add a line here. The name of a runtime
is the name of the export target whose files it runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from pydantic import ValidationError

from darkroom.errors import Damaged, MissingExtra, NotFound, Unsupported, among
from darkroom.records import ModelCard

__all__ = [
    "RUNTIMES",
    "Answer",
    "Carried",
    "Runtime",
    "Session",
    "find",
    "is_model",
    "is_present",
    "open_session",
    "runtime_of",
]


class Answer(NamedTuple):
    """What a model answers to N tensors."""

    probabilities: np.ndarray
    """(N, classes) float32; of masks (N, height, width, classes)."""
    embedding: np.ndarray | None
    """(N, E) float32, where the file gives it."""


class Carried(NamedTuple):
    """What a model file says about itself; None where it says nothing."""

    card: ModelCard | None
    """The model card."""
    labels: tuple[str, ...] | None
    """The class names as the file's own ecosystem reads them."""


class Session(Protocol):
    """A model file, opened and ready to answer; may be asked by several threads."""

    carried: Carried
    """What the file says about itself."""
    input_shape: tuple[int, int, int]
    """(height, width, channels) of one tensor."""
    threads: int
    """Threads that one answer may use."""
    runtime: str
    """What answers, with its version."""

    def __init__(self, path: Path, *, threads: int) -> None: ...

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        ...


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A library that runs model files, and its facts."""

    name: str
    """Name of the export target whose files it runs."""
    title: str
    """As its makers write it."""
    suffix: str
    """How its files end."""
    package: str
    """Distribution that holds it."""
    module: str
    """Module whose presence says that it is installed."""
    library: str
    """Module whose import loads all of it."""
    extra: str
    """Optional dependencies that hold it: `pip install darkroom[…]`."""
    session: str
    """Import string "module:class" of its `Session`. One that is made of torch stands in `export`, which
    may import it; this table only names it."""
    folder: bool = False
    """Whether a model of it is a folder of files."""
    torch: bool = False
    """Whether it answers here by means of torch."""
    stand_in: bool = False
    """Whether something else answers here than on the device: then its time and memory say nothing."""

    @property
    def installed(self) -> bool:
        """Whether it can be loaded here."""
        return is_present(self.module)

    @property
    def version(self) -> str:
        """Name of the library with the version that is installed here."""
        try:
            return f"{self.package} {metadata.version(self.package)}"
        except metadata.PackageNotFoundError:
            return self.package

    def require(self) -> None:
        """Checks that it is installed.

        Raises:
            MissingExtra: it is not.
        """
        if not self.installed:
            raise MissingExtra(
                "extra.runtime",
                "{title} files are run by the package {package}, which is not installed.",
                do='Run: pip install "darkroom[{extra}]"',
                title=self.title,
                package=self.package,
                extra=self.extra,
            )
        if self.torch and not is_present("torch"):
            raise MissingExtra(
                "extra.runtime-torch",
                "{title} files are run here by means of torch, which is not installed.",
                do='Run: pip install "darkroom[train]"',
                title=self.title,
            )


RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            name="onnx",
            title="ONNX",
            suffix=".onnx",
            package="onnxruntime",
            module="onnxruntime",
            library="onnxruntime",
            extra="onnx",
            session="darkroom.serving.onnx_runtime:OnnxSession",
        ),
        Runtime(
            name="litert",
            title="LiteRT",
            suffix=".tflite",
            package="ai-edge-litert",
            module="ai_edge_litert",
            library="ai_edge_litert.interpreter",
            extra="litert",
            session="darkroom.serving.litert_runtime:LiteRTSession",
        ),
        Runtime(
            name="executorch",
            title="ExecuTorch",
            suffix=".pte",
            package="executorch",
            module="executorch",
            library="executorch.runtime",
            extra="executorch",
            session="darkroom.export.executorch_session:ExecuTorchSession",
            torch=True,
        ),
        Runtime(
            name="coreml",
            title="Core ML",
            suffix=".mlpackage",
            package="coremltools",
            module="coremltools",
            library="coremltools",
            extra="coreml",
            session="darkroom.export.coreml_session:CoreMLSession",
            folder=True,
            torch=sys.platform != "darwin",
            stand_in=sys.platform != "darwin",
        ),
    )
}
"""All runtimes by name, the preferred one first."""


def find(name: str) -> Runtime:
    """Returns a runtime.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in RUNTIMES:
        raise NotFound(
            "runtime.unknown",
            'No runtime "{name}". Known: {known}.{nearest}',
            do="Leave it out, and the first one that is installed is taken.",
            **among(name, RUNTIMES),
        )
    return RUNTIMES[name]


def runtime_of(path: Path) -> Runtime:
    """Returns the runtime of a model file, by how its name ends.

    Raises:
        Unsupported: no runtime takes such files.
    """
    for runtime in RUNTIMES.values():
        if path.suffix.lower() == runtime.suffix:
            return runtime
    raise Unsupported(
        "model.kind-unknown",
        "{path} is not a model file that can be run here. Expected a name that ends in {known}.",
        do="Name the folder of a bundle or a file in it; make one: darkroom export convert --run RUN",
        path=path,
        known=" or ".join(runtime.suffix for runtime in RUNTIMES.values()),
    )


def is_model(path: Path) -> bool:
    """Returns whether a path ends as a model of one of the runtimes does."""
    return any(path.suffix.lower() == runtime.suffix for runtime in RUNTIMES.values())


def open_session(path: Path, *, threads: int = 1) -> Session:
    """Opens a model file with the runtime that its name asks for.

    Args:
        path: the model, a file or a folder.
        threads: threads that one answer may use.

    Raises:
        NotFound: there is no such model.
        Damaged: the file is not a model.
        Unsupported: no runtime takes such files, or the model holds an operation that it lacks.
        MissingExtra: the runtime is not installed.
    """
    runtime = runtime_of(path)
    if not path.exists():
        raise NotFound(
            "model.missing",
            "No model file at {path}.",
            do="Check the path; a run's files are made by: darkroom export convert --run RUN",
            path=path,
        )
    if path.is_dir() != runtime.folder:
        kind = "folders" if runtime.folder else "files"
        raise damaged(path, f"{runtime.title} models are {kind}")
    runtime.require()
    module, name = runtime.session.split(":")
    return getattr(import_module(module), name)(path, threads=threads)


def is_present(module: str) -> bool:
    """Returns whether a module could be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def damaged(path: Path, reason: str) -> Damaged:
    """Returns the error for a file that is not a model, or not one of ours."""
    return Damaged(
        "model.damaged",
        "Cannot run {path}: {reason}.",
        do="Convert the run again: darkroom export convert --run RUN",
        path=path,
        reason=reason,
    )


def lacking(path: Path, runtime: str, operation: str) -> Unsupported:
    """Returns the error for a file with an operation that its runtime does not know."""
    return Unsupported(
        "model.operation-unknown",
        "{runtime} cannot run {path}: it does not know the operation {operation}.",
        do="Install a newer {runtime}, or convert the model without this operation.",
        runtime=find(runtime).version,
        path=path,
        operation=operation,
    )


def wrong_input(path: Path, dtype: object, shape: Sequence[object]) -> Unsupported:
    """Returns the error for a file that does not take the contract's tensor."""
    return Unsupported(
        "model.input-unknown",
        "{path} does not take the contract's tensor. Expected: uint8 (N, height, width, channels). "
        "Received: {dtype} {shape}.",
        do="A model from elsewhere is fitted to it by: darkroom export adopt FILE --labels labels.txt",
        path=path,
        dtype=dtype,
        shape=tuple(shape),
    )


def carried(path: Path, card_json: str | bytes | None, labels: tuple[str, ...] | None) -> Carried:
    """Reads what a file says about itself.

    Raises:
        Damaged: it holds a model card that cannot be read.
    """
    if card_json is None:
        return Carried(None, labels)
    try:
        return Carried(ModelCard.model_validate_json(card_json), labels)
    except ValidationError as error:
        raise damaged(path, "the model card inside it cannot be read") from error


def labels_of_json(text: str | None) -> tuple[str, ...] | None:
    """Returns the class names that a JSON list holds; None when it holds no such list."""
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    return tuple(str(name) for name in found)
