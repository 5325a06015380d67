"""Run .tflite files with LiteRT."""

from __future__ import annotations

import re
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import DarkroomError
from darkroom.serving.native_words import LeftOut
from darkroom.serving.runtimes import Answer, Carried, carried, damaged, find, lacking, wrong_input

__all__ = ["LiteRTSession", "open_interpreter"]

MISSING_OPERATION = re.compile(
    r"Didn't find op for builtin opcode '(\w+)'"
    r"|Encountered unresolved custom op: ([^\s.]+)"
    r"|Select TensorFlow op\(s\), included in the given model[\s\S]*?Node number \d+ \((\w+)\)"
)
FIRST_WORDS = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
"""What the library writes to the process's error stream when the first file is opened."""

_first = threading.Lock()
_spoken = False


class LiteRTSession:
    """A .tflite file, opened; its tensors go through it one at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self.path, self.threads, self.runtime = path, threads, find("litert").version
        self.carried = _carried(path)
        self._interpreter = open_interpreter(path, threads)
        self._lock = threading.Lock()
        taken = self._interpreter.get_input_details()[0]
        if taken["dtype"] is not np.uint8 or len(taken["shape"]) != 4:
            raise wrong_input(path, taken["dtype"].__name__, taken["shape"])
        self._input = taken["index"]
        height, width, channels = taken["shape"][1:]
        self.input_shape = (int(height), int(width), int(channels))
        outputs = {output["name"]: output for output in self._interpreter.get_output_details()}
        first = next(iter(outputs.values()))
        self._probabilities = outputs.get("probabilities", first)
        self._embedding = outputs.get("embedding")

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        shape = (len(tensors), *self._probabilities["shape"][1:])  # of masks (N, height, width, classes)
        probabilities = np.empty(shape, np.float32)
        embedding = None
        if self._embedding is not None:
            embedding = np.empty((len(tensors), self._embedding["shape"][1]), np.float32)
        with self._lock:
            for place, tensor in enumerate(tensors):
                self._interpreter.set_tensor(self._input, tensor[None])
                self._interpreter.invoke()
                probabilities[place] = self._interpreter.get_tensor(self._probabilities["index"])[0]
                if embedding is not None and self._embedding is not None:
                    embedding[place] = self._interpreter.get_tensor(self._embedding["index"])[0]
        return Answer(probabilities, embedding)


def open_interpreter(path: Path, threads: int, *, plain: bool = False) -> Any:
    """Opens a .tflite file of any kind, ready to be asked.

    Args:
        path: the file.
        threads: threads that one answer may use.
        plain: run it by the library's own kernels, without XNNPACK.

    Raises:
        Damaged: the file is not a model.
        Unsupported: it holds an operation that the library lacks.
    """
    global _spoken
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO

    def ready() -> Any:
        interpreter = Interpreter(
            model_path=str(path), num_threads=threads, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
        return interpreter

    try:
        with _first:
            if _spoken:
                return ready()
            with LeftOut(lambda line: line == FIRST_WORDS):
                interpreter = ready()
            _spoken = True
            return interpreter
    except (ValueError, RuntimeError) as error:
        raise _explained(path, str(error)) from error


def _explained(path: Path, message: str) -> DarkroomError:
    found = MISSING_OPERATION.search(message)
    if found:
        return lacking(path, "litert", next(group for group in found.groups() if group))
    return damaged(path, "it is cut short or not a LiteRT model")


def _carried(path: Path) -> Carried:
    """Reads the files that are packed behind the model, as its ecosystem does."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = set(packed.namelist())
            labels = packed.read("labels.txt").decode() if "labels.txt" in names else None
            card = packed.read("model-card.json") if "model-card.json" in names else None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError):
        return Carried(None, None)
    return carried(path, card, None if labels is None else tuple(labels.split("\n")))
