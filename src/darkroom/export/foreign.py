"""A model file from elsewhere, as it came: what it takes and gives, and its answers to the tensor.

A floating point file is run without what its runtime does to make it fast (XNNPACK; fused operations), so
that it is a second way to the same answers: adopted files are held against it. One that counts in whole
numbers is run as it is: there each kernel rounds in its own way, and a picture without a clear answer would
get another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from darkroom.errors import Damaged, Invalid, NotFound, Unsupported
from darkroom.records import Fact
from darkroom.serving import Answer, find
from darkroom.serving.runtimes import runtime_of

__all__ = ["Adaptation", "Foreign", "Given", "Port", "look"]

Finish = Literal["none", "softmax", "sigmoid", "classes"]


class Port(Fact):
    """An input or an output of a file."""

    name: str
    dtype: str
    """As numpy calls it."""
    shape: tuple[int, ...]
    """-1 where it is open."""
    scale: float = 0.0
    """Quantised: value = (number - zero) * scale; 0 where it is not."""
    zero: int = 0


class Given(Fact):
    """What a file takes and gives, as its runtime says."""

    target: str
    """Name of its runtime."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Adaptation(Fact):
    """What lies between the contract's tensor and a file from elsewhere, and behind its answer."""

    input: Port
    output: Port
    output_index: int = 0
    """Which of the file's outputs it is."""
    channels_first: bool = False
    """Whether the file takes (N, channels, height, width)."""
    size: tuple[int, int] = (1, 1)
    """Height and width of the tensor."""
    is_mask: bool = False
    """Whether the answer is one per pixel."""
    classes_first: bool = False
    """For masks: whether the file gives (N, classes, height, width)."""
    scale: tuple[float, ...] = ()
    """Per channel; with shift: input = pixel * scale + shift. Empty where the pixels go in as they are."""
    shift: tuple[float, ...] = ()
    signed: bool = False
    """Whether the input is int8: pixels less 128."""
    whole_numbers: bool = False
    """Whether the file counts in whole numbers, of which each kernel rounds in its own way."""
    finish: Finish = "none"
    """What makes probabilities of the file's answer."""
    classes: int
    """How many probabilities there are, for masks per pixel."""
    words: tuple[str, ...] = ()
    """The same for a person."""


def look(path: Path) -> Given:
    """Opens a file and says what it takes and gives.

    Raises:
        NotFound: there is no such file.
        Damaged: the file is not a model.
        Unsupported: no runtime takes such files, or it holds an operation that its runtime lacks.
        MissingExtra: its runtime is not installed.
    """
    return _opened(path)[1]


class Foreign:
    """A file from elsewhere with its adaptation in numpy: what the adopted file is compared with.

    Args:
        path: the file as it came.
        adaptation: what lies around it.
        threads: threads that one answer may use.
    """

    def __init__(self, path: Path, adaptation: Adaptation, *, threads: int = 1) -> None:
        self._ask, given = _opened(path, threads, plain=not adaptation.whole_numbers)
        self.adaptation, self.threads = adaptation, threads
        way = " without XNNPACK" if given.target == "litert" else " without optimisations"
        way = "" if adaptation.whole_numbers else way
        self._last: tuple[bytes, Answer] | None = None
        self.title = f"the file as it came, in {find(given.target).version}{way}"

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        key = hashlib.sha256(np.ascontiguousarray(tensors).tobytes()).digest()
        if self._last is None or self._last[0] != key:  # whoever needs its answers as labels asks twice
            rows = [self._one(tensor[None]) for tensor in tensors]
            self._last = (key, Answer(np.concatenate(rows), None))
        return self._last[1]

    def raw(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the file's own answer to one tensor, as numbers that mean something."""
        found = self._ask(self._input(tensor))[self.adaptation.output_index]
        port = self.adaptation.output
        if port.scale:
            found = (found.astype(np.float32) - np.float32(port.zero)) * np.float32(port.scale)
        if self.adaptation.classes_first:
            found = found.transpose(0, 2, 3, 1)
        if not self.adaptation.is_mask:
            found = found.reshape(1, -1)
        return found

    def _input(self, tensor: np.ndarray) -> np.ndarray:
        how = self.adaptation
        if how.scale:
            scale, shift = np.array(how.scale, np.float32), np.array(how.shift, np.float32)
            tensor = (tensor.astype(np.float32) * scale + shift).astype(how.input.dtype)
        elif how.signed:
            tensor = (tensor.astype(np.int16) - 128).astype(np.int8)
        return np.ascontiguousarray(tensor.transpose(0, 3, 1, 2)) if how.channels_first else tensor

    def _one(self, tensor: np.ndarray) -> np.ndarray:
        found, how = self.raw(tensor), self.adaptation
        if how.finish == "classes":
            numbers = found.reshape(1, *how.size).astype(np.int64)
            return (numbers[..., None] == np.arange(how.classes)).astype(np.float32)
        found = found.astype(np.float32)
        if how.finish == "softmax":
            powers = np.exp(found - found.max(axis=-1, keepdims=True))
            return powers / powers.sum(axis=-1, keepdims=True)
        return 1 / (1 + np.exp(-found)) if how.finish == "sigmoid" else found


Ask = Callable[[np.ndarray], list[np.ndarray]]


def _opened(path: Path, threads: int = 1, *, plain: bool = True) -> tuple[Ask, Given]:
    runtime = runtime_of(path)
    if not path.is_file():
        raise NotFound(
            "model.missing",
            "No model file at {path}.",
            do="Check the path; a run's files are made by: darkroom export convert --run RUN",
            path=path,
        )
    runtime.require()
    if runtime.name not in ("litert", "onnx"):
        raise Unsupported(
            "adopt.kind",
            "{path} cannot be adopted: only .onnx and .tflite files can.",
            do="Export the model as ONNX or TFLite first, then: darkroom export adopt model.onnx",
            path=path,
        )
    try:
        return (_litert if runtime.name == "litert" else _onnx)(path, threads, plain)
    except Damaged as error:
        raise Damaged(
            "adopt.damaged",
            "{path} cannot be run by {runtime}: it is cut short, or no such model.",
            do="Get the file again from where it came from.",
            path=path,
            runtime=runtime.version,
        ) from error


def _litert(path: Path, threads: int, plain: bool) -> tuple[Ask, Given]:
    from darkroom.serving.litert_runtime import open_interpreter

    interpreter = open_interpreter(path, threads, plain=plain)
    taken, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def ask(tensor: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(taken[0]["index"], tensor)
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in outputs]

    return ask, Given(target="litert", inputs=tuple(map(_port, taken)), outputs=tuple(map(_port, outputs)))


def _port(details: dict[str, Any]) -> Port:
    scale, zero = details["quantization"]
    return Port(
        name=details["name"],
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(map(int, details["shape"])),
        scale=float(scale),
        zero=int(zero),
    )


def _onnx(path: Path, threads: int, plain: bool) -> tuple[Ask, Given]:
    from darkroom.serving.onnx_runtime import open_inference

    session = open_inference(path, threads, plain=plain)
    taken = session.get_inputs()

    def ask(tensor: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(one) for one in session.run(None, {taken[0].name: tensor})]

    return ask, Given(
        target="onnx",
        inputs=tuple(_onnx_port(path, one) for one in taken),
        outputs=tuple(_onnx_port(path, one) for one in session.get_outputs()),
    )


def _onnx_port(path: Path, node: Any) -> Port:
    kinds = {"float": "float32", "double": "float64"}
    name = str(node.type).removeprefix("tensor(").removesuffix(")")
    if node.shape is None or name.startswith("seq("):
        raise Invalid(
            "adopt.no-tensor",
            "{name} of {path} is no tensor.",
            do="Export the model again with tensors alone as inputs and outputs.",
            name=node.name,
            path=path,
        )
    return Port(
        name=node.name,
        dtype=kinds.get(name, name),
        shape=tuple(side if isinstance(side, int) else -1 for side in node.shape),
    )
