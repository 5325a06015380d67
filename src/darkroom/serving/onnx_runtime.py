"""Run .onnx files with ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import DarkroomError
from darkroom.serving.runtimes import (
    Answer,
    carried,
    damaged,
    find,
    labels_of_json,
    lacking,
    wrong_input,
)

__all__ = ["OnnxSession", "open_inference"]

MISSING_OPERATION = re.compile(
    r"No Op registered for (\S+)"
    r"|Fatal error: (\S+?)\(-?\d+\) is not a registered function/op"
    r"|Could not find an implementation for (\S+?)\("
)
TOO_NEW = re.compile(
    r"(Unsupported model IR version: \d+)"
    r"|(Opset \d+ is under development)"
    r"|(opset version \d+ is not supported)",
    re.IGNORECASE,
)


class OnnxSession:
    """An .onnx file, opened; takes any number of tensors at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self.path, self.threads, self.runtime = path, threads, find("onnx").version
        self._session = open_inference(path, threads)
        taken = self._session.get_inputs()[0]
        sizes = [size for size in taken.shape[1:] if isinstance(size, int)]
        if taken.type != "tensor(uint8)" or len(taken.shape) != 4 or len(sizes) != 3:
            raise wrong_input(path, taken.type, taken.shape)
        self._input, self._one_at_a_time = taken.name, taken.shape[0] == 1
        self.input_shape = (sizes[0], sizes[1], sizes[2])
        names = [output.name for output in self._session.get_outputs()]
        self._probabilities = "probabilities" if "probabilities" in names else names[0]
        self._embedding = "embedding" if "embedding" in names else None
        facts = self._session.get_modelmeta().custom_metadata_map
        self.carried = carried(path, facts.get("model_card"), labels_of_json(facts.get("labels")))

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        wanted = [self._probabilities] + ([self._embedding] if self._embedding else [])
        if self._one_at_a_time and len(tensors) != 1:
            return self._one_by_one(tensors)
        outputs = self._session.run(wanted, {self._input: tensors})
        return Answer(np.asarray(outputs[0]), np.asarray(outputs[1]) if self._embedding else None)

    def _one_by_one(self, tensors: np.ndarray) -> Answer:
        """Answers where the file takes one tensor at a time, as those from elsewhere often do."""
        answers = [self.run(tensor[None]) for tensor in tensors]
        if not answers:
            nothing = self.run(np.zeros((1, *self.input_shape), np.uint8))
            return Answer(
                nothing.probabilities[:0], None if nothing.embedding is None else nothing.embedding[:0]
            )
        embeddings = [answer.embedding for answer in answers if answer.embedding is not None]
        return Answer(
            np.concatenate([answer.probabilities for answer in answers]),
            np.concatenate(embeddings) if embeddings else None,
        )


def open_inference(path: Path, threads: int, *, plain: bool = False) -> Any:
    """Opens an .onnx file of any kind, ready to be asked.

    Args:
        path: the file.
        threads: threads that one answer may use.
        plain: run the graph as it stands, with nothing fused or folded.

    Raises:
        Damaged: the file is not a model.
        Unsupported: it holds an operation that the library lacks, or is too new for it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Waiting threads that spin would take the cores from whoever shares them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base but Exception
        raise _explained(path, str(error)) from error


def _explained(path: Path, message: str) -> DarkroomError:
    for pattern in (MISSING_OPERATION, TOO_NEW):
        found = pattern.search(message)
        if found:
            return lacking(path, "onnx", next(group for group in found.groups() if group))
    return damaged(path, "it is cut short or not an ONNX model")
