"""Run .pte files with ExecuTorch; its Python library is made of torch, so this stands in export."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darkroom.errors import DarkroomError
from darkroom.export.quiet import quiet
from darkroom.serving.native_words import LeftOut
from darkroom.serving.runtimes import (
    Answer,
    Carried,
    carried,
    damaged,
    find,
    labels_of_json,
    lacking,
    wrong_input,
)

__all__ = ["ExecuTorchSession"]

BYTE = 0
"""The number of uint8. Source: ExecuTorch, runtime/core/portable_type/scalar_type.h."""

CHATTER = re.compile(rb"\[\w+\.cpp:\d+\]")
"""How the lines begin that the library writes to the error stream; what goes wrong is raised as well."""

_one_at_a_time = threading.Lock()
"""The pool of threads is one for all programs of a process."""
_opened = False


class ExecuTorchSession:
    """A .pte file, opened; its tensors go through it one at a time.

    All programs of a process share one pool of threads, which can be sized before the first of them is
    opened and not after: `threads` says what it is.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        self.path = path
        self.runtime = find("executorch").version
        with _one_at_a_time, quiet(), LeftOut(lambda line: CHATTER.match(line) is not None):
            self.threads = _sized(threads)
            self._program = _open(path)
            self._forward = _loaded(path, self._program)
            self.carried = _carried(path, self._program)
        shape = _input_shape(path, self._forward.metadata)
        self.input_shape = (shape[0], shape[1], shape[2])

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        outputs = self._forward.metadata
        shapes = [
            tuple(outputs.output_tensor_meta(place).sizes()) for place in range(outputs.num_outputs())
        ]
        given = [np.empty((len(tensors), *shape[1:]), np.float32) for shape in shapes[:2]]
        with _one_at_a_time:
            for place, tensor in enumerate(tensors):
                answers = self._forward.execute([torch.from_numpy(np.ascontiguousarray(tensor))[None]])
                for all_answers, answer in zip(given, answers, strict=False):
                    all_answers[place] = answer[0].numpy()
        return Answer(given[0], given[1] if len(given) > 1 else None)


def _sized(threads: int) -> int:
    """Sizes the pool of threads, if no program was opened yet; returns how many it has."""
    global _opened
    from executorch.extension.pybindings import portable_lib

    if not _opened:
        portable_lib._unsafe_reset_threadpool(threads)
        _opened = True
    return portable_lib._threadpool_get_thread_count()


def _open(path: Path) -> Any:
    from executorch.runtime import Runtime

    try:
        return Runtime.get().load_program(path)
    except (RuntimeError, ValueError) as error:
        raise damaged(path, "it is cut short or not an ExecuTorch program") from error


def _loaded(path: Path, program: Any) -> Any:
    if "forward" not in program.method_names:
        raise damaged(path, "it has no method `forward`")
    try:
        return program.load_method("forward")
    except RuntimeError as error:
        raise _explained(path) from error


def _explained(path: Path) -> DarkroomError:
    """Returns the error for a program that does not load: the operation without a kernel, or damage."""
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.runtime import Runtime

    known = Runtime.get().operator_registry.operator_names
    try:
        program: Any = deserialize_pte_binary(path.read_bytes())
        plans = getattr(program, "program", program).execution_plan
    except Exception:  # it reads a schema by its own rules
        return damaged(path, "it is cut short or damaged")
    for plan in plans:
        for operator in plan.operators:
            name = f"{operator.name}.{operator.overload}" if operator.overload else operator.name
            if name not in known:
                return lacking(path, "executorch", name)
    return damaged(path, "its weights are cut short, or need a backend that is not here")


def _carried(path: Path, program: Any) -> Carried:
    """Reads the methods that give a text."""

    def text(name: str) -> str | None:
        if name not in program.method_names:
            return None
        try:
            said = program.load_method(name).execute([])
        except RuntimeError as error:
            raise damaged(path, f"its method `{name}` cannot be run") from error
        return said[0] if said and isinstance(said[0], str) else None

    return carried(path, text("model_card"), labels_of_json(text("labels")))


def _input_shape(path: Path, facts: Any) -> tuple[int, ...]:
    """Returns (height, width, channels) of what the program takes.

    Raises:
        Unsupported: it takes something else than one uint8 tensor, or gives no tensor.
    """
    try:
        taken = facts.input_tensor_meta(0)
        facts.output_tensor_meta(0)
    except Exception as error:  # the library's own, for what is no tensor or is not there
        raise wrong_input(path, "what is no tensor, or gives none", ()) from error
    shape = tuple(taken.sizes())
    if facts.num_inputs() != 1 or taken.dtype() != BYTE or len(shape) != 4:
        raise wrong_input(path, f"type {taken.dtype()}", shape)
    return shape[1:]
