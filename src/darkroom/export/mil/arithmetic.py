"""Operations of MIL that treat each number by itself, or reduce many to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["OPERATIONS", "numbers", "tensor"]


def tensor(value: Any) -> Tensor:
    """Returns an operand as a tensor; whole numbers and truths keep their kind."""
    return value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))


def numbers(value: Any) -> list[int]:
    """Returns a parameter as whole numbers."""
    return [int(one) for one in np.asarray(value).reshape(-1)]


def clip(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    return x.clamp(float(alpha), float(beta))


def clamped_relu(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    return torch.where(x >= 0, x, x * float(alpha)).clamp(max=float(beta))


def elu(x: Tensor, alpha: Any) -> Tensor:
    return functional.elu(x, float(alpha))


def gelu(x: Tensor, mode: Any = "EXACT") -> Tensor:
    if str(mode) == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)  # Source: the operation's page
    return functional.gelu(x, approximate="tanh" if str(mode) == "TANH_APPROXIMATION" else "none")


def leaky_relu(x: Tensor, alpha: Any) -> Tensor:
    return functional.leaky_relu(x, float(alpha))


def linear_activation(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    return x * float(alpha) + float(beta)


def prelu(x: Tensor, alpha: Any) -> Tensor:
    return functional.prelu(x, tensor(alpha))


def scaled_tanh(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    return float(alpha) * torch.tanh(float(beta) * x)


def sigmoid_hard(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    return (float(alpha) * x + float(beta)).clamp(0, 1)


def softplus(x: Tensor) -> Tensor:
    return functional.softplus(x)


def thresholded_relu(x: Tensor, alpha: Any) -> Tensor:
    return torch.where(x >= float(alpha), x, torch.zeros_like(x))


def threshold(x: Tensor, alpha: Any) -> Tensor:
    return x.clamp(min=float(alpha))


def softmax(x: Tensor, axis: Any = -1) -> Tensor:
    return torch.softmax(x, int(axis))


def inverse(x: Tensor, epsilon: Any = 1e-4) -> Tensor:
    return 1 / (x + float(epsilon))


def log(x: Tensor, epsilon: Any = 1e-45) -> Tensor:
    return torch.log(x + float(epsilon))


def rsqrt(x: Tensor, epsilon: Any = 1e-12) -> Tensor:
    return torch.rsqrt(x + float(epsilon))


def cast(x: Any, dtype: Any) -> Tensor:
    kinds = {"fp16": torch.float32, "fp32": torch.float32, "bool": torch.bool}
    return tensor(x).to(kinds.get(str(dtype), torch.int32))  # float16 is rounded where the output says so


def classify(probabilities: Tensor, classes: Any) -> tuple[Tensor, Tensor]:
    """Gives the place of the largest probability, and the probabilities in the order of the classes."""
    return probabilities.argmax(-1), probabilities


def select(cond: Any, a: Any, b: Any) -> Tensor:
    return torch.where(tensor(cond).bool(), tensor(a), tensor(b))


def identity(x: Any) -> Any:
    return x


def _of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def carried_out(x: Any, y: Any) -> Tensor:
        return function(tensor(x), tensor(y))

    return carried_out


def _of_one(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def carried_out(x: Any) -> Tensor:
        return function(tensor(x))

    return carried_out


def _reduced(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def carried_out(x: Any, axes: Any = None, keep_dims: Any = False) -> Tensor:
        given = tensor(x)
        along = list(range(given.ndim)) if axes is None else numbers(axes)
        return function(given, along, bool(keep_dims))

    return carried_out


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def reduce_argmax(x: Tensor, axis: Any = -1, keep_dims: Any = False) -> Tensor:
    return x.argmax(int(axis), keepdim=bool(keep_dims)).int()


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _of_one(function)
        for name, function in {
            "abs": torch.abs,
            "ceil": torch.ceil,
            "cos": torch.cos,
            "erf": torch.erf,
            "exp": torch.exp,
            "floor": torch.floor,
            "logical_not": torch.logical_not,
            "relu": torch.relu,
            "relu6": functional.relu6,
            "round": torch.round,
            "sigmoid": torch.sigmoid,
            "sign": torch.sign,
            "silu": functional.silu,
            "sin": torch.sin,
            "softsign": functional.softsign,
            "sqrt": torch.sqrt,
            "square": torch.square,
            "tanh": torch.tanh,
        }.items()
    },
    **{
        name: _of_two(function)
        for name, function in {
            "add": torch.add,
            "equal": torch.eq,
            "floor_div": torch.floor_divide,
            "greater": torch.gt,
            "greater_equal": torch.ge,
            "less": torch.lt,
            "less_equal": torch.le,
            "logical_and": torch.logical_and,
            "logical_or": torch.logical_or,
            "maximum": torch.maximum,
            "minimum": torch.minimum,
            "mod": torch.remainder,
            "mul": torch.mul,
            "not_equal": torch.ne,
            "pow": torch.pow,
            "real_div": torch.true_divide,
            "sub": torch.sub,
        }.items()
    },
    **{
        name: _reduced(function)
        for name, function in {
            "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
            "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
            "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
            "reduce_max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
            "reduce_mean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
            "reduce_min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
            "reduce_prod": _product,
            "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
            "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
        }.items()
    },
    **{
        function.__name__: function
        for function in (
            cast,
            clamped_relu,
            classify,
            clip,
            elu,
            gelu,
            identity,
            inverse,
            leaky_relu,
            linear_activation,
            log,
            prelu,
            reduce_argmax,
            rsqrt,
            scaled_tanh,
            select,
            sigmoid_hard,
            softmax,
            softplus,
            threshold,
            thresholded_relu,
        )
    },
}
"""Name in a file → what carries it out."""
