"""A Core ML program, read from its package and run operation by operation.

Each operation is computed in float32; what it gives is rounded to float16 where the program says so. Core
ML on a device may fuse operations or add up in another order, so its last digits are its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from darkroom.export.mil.table import OPERATIONS

__all__ = ["MILProgram", "UnknownParameter", "unknown_operations"]

CONSTANT = "const"
COMPRESSED = "constexpr_"
"""How the names of operations begin that unfold a compressed weight."""


class UnknownParameter(Exception):
    """A program gives an operation a parameter that it has not here, or leaves one out; says which."""


class _Step(NamedTuple):
    """One operation, ready to run."""

    kind: str
    function: Callable[..., Any]
    constants: dict[str, Any]
    """Parameters that are known."""
    variables: dict[str, str | list[str]]
    """Parameters that earlier operations give, by name."""
    outputs: tuple[str, ...]
    rounded: tuple[bool, ...]
    """Which outputs are float16."""
    done_with: tuple[str, ...]
    """Values that no later operation needs."""


class MILProgram:
    """The operations of a program in their order.

    Args:
        spec: the model's description, `Model_pb2.Model` with an `mlProgram`.
        weights: folder of its weight file.

    Raises:
        UnknownParameter: an operation is given a parameter that is not known here.
    """

    def __init__(self, spec: Any, weights: Path) -> None:
        from coremltools.converters.mil.frontend.milproto.load import load

        program = load(spec, specification_version=spec.specificationVersion, file_weights_dir=str(weights))
        function = program.functions["main"]
        self.input_name = next(iter(function.inputs))
        self.outputs = tuple(output.name for output in function.outputs)
        self._constants: dict[str, Any] = {}
        self._steps = self._read(function.operations)

    def run(
        self, planes: np.ndarray, watch: Callable[[str, str, Any], None] | None = None
    ) -> dict[str, Tensor]:
        """Returns the outputs by name.

        Args:
            planes: what Core ML makes of a picture, (1, channels, height, width) float32, 0 to 255.
            watch: told the kind of each operation, the name of what it gives, and that.
        """
        values: dict[str, Any] = {**self._constants, self.input_name: torch.from_numpy(planes)}
        with torch.inference_mode():
            for step in self._steps:
                given = step.function(**step.constants, **_filled(step.variables, values))
                results = given if isinstance(given, tuple) else (given,)
                for name, result, rounded in zip(step.outputs, results, step.rounded, strict=True):
                    values[name] = result.half().float() if rounded else result
                    if watch is not None:
                        watch(step.kind, name, values[name])
                for name in step.done_with:
                    del values[name]
        return {name: values[name] for name in self.outputs}

    def _read(self, operations: Sequence[Any]) -> list[_Step]:
        steps: list[_Step] = []
        for operation in operations:
            if operation.op_type == CONSTANT or operation.op_type.startswith(COMPRESSED):
                for output in operation.outputs:
                    self._constants[output.name] = _constant(operation, output)
            else:
                steps.append(self._step(operation))
        return _with_ends(steps, {self.input_name, *self.outputs, *self._constants})

    def _step(self, operation: Any) -> _Step:
        function = OPERATIONS[operation.op_type]
        constants: dict[str, Any] = {}
        variables: dict[str, str | list[str]] = {}
        for name, given in operation.inputs.items():
            if given is None:
                continue
            several = isinstance(given, (list, tuple))
            names = [one.name for one in given] if several else [given.name]
            known = [self._constants[one] for one in names if one in self._constants]
            if len(known) == len(names):
                constants[name] = known if several else known[0]
            elif several:
                variables[name] = names
            else:
                variables[name] = names[0]
        try:
            inspect.signature(function).bind(**constants, **variables)
        except TypeError as error:
            raise UnknownParameter(f"{operation.op_type} ({error})") from error
        outputs = operation.outputs
        return _Step(
            operation.op_type,
            function,
            constants,
            variables,
            tuple(output.name for output in outputs),
            tuple(_is_half(output) for output in outputs),
            (),
        )


def unknown_operations(spec: Any) -> tuple[str, ...]:
    """Returns the operations of a program that nothing here carries out, each once, in their order."""
    block = spec.mlProgram.functions["main"]
    kinds = [
        operation.type
        for specialised in block.block_specializations.values()
        for operation in specialised.operations
    ]
    unknown = [
        kind
        for kind in kinds
        if kind not in OPERATIONS and kind != CONSTANT and not kind.startswith(COMPRESSED)
    ]
    return tuple(dict.fromkeys(unknown))


def _constant(operation: Any, output: Any) -> Any:
    """Returns a known value: a float tensor, or coremltools' own numbers and words; of a list nothing."""
    from coremltools.converters.mil.mil import types

    if types.is_list(output.sym_type):
        return ()  # the names of the classes, which no operation computes with
    value = output.val if operation.op_type == CONSTANT else operation.materialized_val_inference()
    if isinstance(value, (np.ndarray, np.floating)) and np.issubdtype(value.dtype, np.floating):
        return torch.from_numpy(np.array(value, np.float32))
    return value


def _filled(variables: Mapping[str, str | list[str]], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: values[given] if isinstance(given, str) else [values[one] for one in given]
        for name, given in variables.items()
    }


def _is_half(output: Any) -> bool:
    from coremltools.converters.mil.mil import types

    if types.is_list(output.sym_type):
        return False
    return (output.dtype if types.is_tensor(output.sym_type) else output.sym_type) == types.fp16


def _with_ends(steps: Sequence[_Step], kept: set[str]) -> list[_Step]:
    """Returns the steps with the values that each is the last to need; bounds the memory of a run."""
    seen, ended = set(kept), []
    for step in reversed(steps):
        used = [name for given in step.variables.values() for name in _names(given)]
        last = tuple(dict.fromkeys(name for name in (*used, *step.outputs) if name not in seen))
        seen.update(last)
        ended.append(step._replace(done_with=last))
    return ended[::-1]


def _names(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given
