"""Run .mlpackage models: on a Mac by Core ML, anywhere else by carrying out their operations in torch.

torch is loaded only where it is needed: on a Mac a model runs without it.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from darkroom.errors import Unsupported
from darkroom.export.quiet import quiet
from darkroom.serving.runtimes import (
    Answer,
    Carried,
    carried,
    damaged,
    find,
    labels_of_json,
    wrong_input,
)

__all__ = ["WEIGHTS", "CoreMLSession", "in_order", "read_program"]

PROGRAM = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights")

PROBABILITIES, EMBEDDING = "probabilities", "embedding"
"""Names of the outputs, as they are written here."""

GREY, RGB = 10, 20
"""Source: FeatureTypes.proto, ImageFeatureType.ColorSpace."""


class _Engine(Protocol):
    runtime: str

    def answer(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the outputs by name for one picture (height, width, channels) uint8."""
        ...


class CoreMLSession:
    """A .mlpackage, opened; its tensors go through it one at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self.path, self.threads = path, threads
        with quiet():
            spec = read_program(path)
            self.input_shape = _input_shape(path, spec)
            _check_outputs(path, spec)
            self.carried = _carried(path, spec)
            self._engine: _Engine = _engine(path, spec, threads, self.carried.labels or ())
        self.runtime = self._engine.runtime
        self._lock = threading.Lock()

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8.

        Raises:
            Unsupported: the program stops.
        """
        if len(tensors) == 0:
            blank = self.run(np.zeros((1, *self.input_shape), np.uint8))
            return Answer(blank.probabilities[:0], None if blank.embedding is None else blank.embedding[:0])
        with self._lock:
            given = [self._asked(tensor) for tensor in tensors]
        probabilities = np.stack([one[PROBABILITIES] for one in given]).astype(np.float32)
        if EMBEDDING not in given[0]:
            return Answer(probabilities, None)
        return Answer(probabilities, np.stack([one[EMBEDDING] for one in given]).astype(np.float32))

    def _asked(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        try:
            return self._engine.answer(tensor)
        except Exception as error:  # of Core ML, or of an operation with shapes that do not fit
            raise Unsupported(
                "coreml.stopped",
                "{path} stopped while answering: {why}",
                do="Convert the run again: darkroom export convert --run RUN --targets coreml",
                path=self.path,
                why=_first_line(error),
            ) from error


class _Interpreted:
    """The program's own operations, one after the other, in torch."""

    def __init__(self, path: Path, spec: Any, threads: int) -> None:
        import torch

        from darkroom.export.mil import MILProgram

        self.threads = threads
        self.program = MILProgram(spec, path / WEIGHTS)
        self.runtime = f"{find('coreml').version}, its operations in torch {torch.__version__}"

    def answer(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        from darkroom.export.reference import on_threads

        planes = np.ascontiguousarray(tensor.transpose(2, 0, 1)[None], np.float32)
        with on_threads(self.threads):
            outputs = self.program.run(planes)
        return {name: value[0].numpy() for name, value in outputs.items()}


class _OnAMac:
    """Core ML itself."""

    def __init__(self, path: Path, labels: tuple[str, ...]) -> None:
        import coremltools as ct

        self.model, self.labels = ct.models.MLModel(str(path)), labels
        self.runtime = f"Core ML of macOS {platform.mac_ver()[0]}"

    def answer(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        from PIL import Image

        picture = Image.fromarray(tensor[..., 0] if tensor.shape[2] == 1 else tensor)
        given = self.model.predict({"image": picture})
        of_each = given[PROBABILITIES]
        if isinstance(of_each, dict):
            given[PROBABILITIES] = in_order(of_each, self.labels)[None]
        return {
            name: np.asarray(value)[0] for name, value in given.items() if isinstance(value, np.ndarray)
        }


def in_order(of_each: Mapping[str, float], labels: Sequence[str]) -> np.ndarray:
    """Returns a classifier's dictionary as (classes) float64, in the order that its program names."""
    return np.array([of_each[label] for label in labels])


def _engine(path: Path, spec: Any, threads: int, labels: tuple[str, ...]) -> _Engine:
    """Returns what runs a program here.

    Args:
        path: the model.
        spec: its description.
        threads: threads that one answer may use.
        labels: the classes as the program itself orders them.

    Raises:
        Unsupported: it holds an operation, or a parameter of one, that the interpreter lacks.
        Damaged: its weights are not what the program expects.
    """
    if sys.platform == "darwin":
        try:
            return _OnAMac(path, labels)
        except Exception as error:  # Core ML's own words, without a base
            raise damaged(path, f"Core ML does not load it: {_first_line(error)}") from error
    from darkroom.export.mil.program import UnknownParameter, unknown_operations

    unknown = unknown_operations(spec)
    if unknown:
        raise _lacking(path, unknown[0])
    try:
        return _Interpreted(path, spec, threads)
    except UnknownParameter as error:
        raise _lacking(path, str(error)) from error
    except Exception as error:  # coremltools' reader has no base of its own for what it refuses
        raise damaged(path, f"its program cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400].rstrip(".")


def _lacking(path: Path, operation: str) -> Unsupported:
    return Unsupported(
        "coreml.operation-unknown",
        "Without a Mac, Darkroom runs a Core ML program's operations itself, and it does not know the "
        "operation {operation} in {path}.",
        do="Compare this file on a Mac, where Core ML runs it, or build that layer from other operations.",
        operation=operation,
        path=path,
    )


def read_program(path: Path) -> Any:
    """Returns the model's description.

    Raises:
        Damaged: the folder holds none, or it is no ML program.
    """
    from coremltools.proto import Model_pb2

    spec: Any = Model_pb2.Model()
    try:
        spec.ParseFromString((path / PROGRAM).read_bytes())
    except Exception as error:  # protobuf's own, or the file is not there
        raise damaged(path, "it holds no Core ML model, or a part of one") from error
    if spec.WhichOneof("Type") != "mlProgram" or "main" not in spec.mlProgram.functions:
        raise damaged(path, "it is a Core ML model of another kind than an ML program")
    return spec


def _input_shape(path: Path, spec: Any) -> tuple[int, int, int]:
    taken = spec.description.input[0].type if len(spec.description.input) == 1 else None
    if (
        taken is None
        or taken.WhichOneof("Type") != "imageType"
        or spec.description.input[0].name != "image"
    ):
        kind = "no input" if taken is None else taken.WhichOneof("Type")
        raise wrong_input(path, kind, ())
    picture = taken.imageType
    if picture.colorSpace not in (GREY, RGB):
        raise wrong_input(path, f"colour space {picture.colorSpace}", ())
    return int(picture.height), int(picture.width), 3 if picture.colorSpace == RGB else 1


def _check_outputs(path: Path, spec: Any) -> None:
    """Checks that one of the outputs is what is read as the answer.

    Raises:
        Unsupported: none is.
    """
    names = [output.name for output in spec.description.output]
    if PROBABILITIES not in names:
        raise Unsupported(
            "coreml.no-probabilities",
            "{path} has no output called probabilities; it has {names}.",
            do="Rename its output with coremltools (rename_feature), or convert the run here.",
            path=path,
            names=", ".join(names) or "none",
        )


def _carried(path: Path, spec: Any) -> Carried:
    """Reads the metadata; of a classifier the labels are those of the operation that names the class.

    Raises:
        Damaged: that operation names no list of words.
    """
    facts = spec.description.metadata.userDefined
    card: str | None = facts.get("model_card")
    if spec.description.predictedFeatureName:
        try:
            return carried(path, card, _class_labels(spec))
        except IndexError as error:
            raise damaged(path, "its classes cannot be read") from error
    return carried(path, card, labels_of_json(facts.get("labels")))


def _class_labels(spec: Any) -> tuple[str, ...] | None:
    function = spec.mlProgram.functions["main"]
    for block in function.block_specializations.values():
        for operation in block.operations:
            if operation.type == "classify":
                return _listed(block, operation.inputs["classes"].arguments[0])
    return None


def _listed(block: Any, argument: Any) -> tuple[str, ...] | None:
    """Returns the strings of a list that stands in an operation, or in a constant that it names."""
    value = argument.value
    if argument.WhichOneof("binding") == "name":
        constants = [
            one for one in block.operations if one.outputs and one.outputs[0].name == argument.name
        ]
        if not constants:
            return None
        value = constants[0].attributes["val"]
    return tuple(one.immediateValue.tensor.strings.values[0] for one in value.immediateValue.list.values)
