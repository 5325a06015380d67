"""Operations of MIL that hold weights or look at neighbours: convolutions, pools, norms, products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from darkroom.export.mil.arithmetic import numbers, tensor

__all__ = ["OPERATIONS"]

CONVOLUTIONS = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
TRANSPOSED = {
    3: functional.conv_transpose1d,
    4: functional.conv_transpose2d,
    5: functional.conv_transpose3d,
}
"""By the rank of what they take."""


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    strides: Any = None,
    pad_type: Any = "valid",
    pad: Any = None,
    dilations: Any = None,
    groups: Any = 1,
) -> Tensor:
    sizes = list(weight.shape[2:])
    steps, apart = _each(strides, sizes), _each(dilations, sizes)
    around = _padding(str(pad_type), pad, x.shape[2:], sizes, steps, apart)
    offsets = None if bias is None else tensor(bias)
    alike = around[0::2] if around[0::2] == around[1::2] else None  # torch pads both sides alike
    padded = x if alike is not None else functional.pad(x, _for_torch(around))
    return CONVOLUTIONS[x.ndim](padded, weight, offsets, steps, alike or 0, apart, int(groups))


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    pad: Any = None,
    output_shape: Any = None,
    pad_type: Any = "valid",
    strides: Any = None,
    dilations: Any = None,
    groups: Any = 1,
) -> Tensor:
    sizes = list(weight.shape[2:])
    steps, apart = _each(strides, sizes), _each(dilations, sizes)
    whole = TRANSPOSED[x.ndim](x, weight, None, steps, 0, 0, int(groups), apart)
    before, wanted = _cut(str(pad_type), pad, output_shape, x, whole, steps)
    for place, (start, size) in enumerate(zip(before, wanted, strict=True)):
        axis = place + 2
        missing = start + size - whole.shape[axis]
        if missing > 0:
            room = [0, 0] * (whole.ndim - axis - 1) + [0, missing]
            whole = functional.pad(whole, room)
        whole = whole.narrow(axis, start, size)
    return whole if bias is None else whole + tensor(bias).reshape(-1, *[1] * len(sizes))


def max_pool(
    x: Tensor,
    kernel_sizes: Any,
    pad_type: Any,
    strides: Any = None,
    pad: Any = None,
    ceil_mode: Any = False,
) -> Tensor:
    sizes = numbers(kernel_sizes)
    steps = _each(strides, sizes)
    windows = _windows(x, str(pad_type), pad, sizes, steps, float("-inf"), rounded_up=bool(ceil_mode))
    return windows.amax(list(range(-len(sizes), 0)))


def avg_pool(
    x: Tensor,
    kernel_sizes: Any,
    pad_type: Any,
    strides: Any = None,
    pad: Any = None,
    exclude_padding_from_average: Any = False,
    ceil_mode: Any = False,
) -> Tensor:
    sizes = numbers(kernel_sizes)
    steps = _each(strides, sizes)
    inner = list(range(-len(sizes), 0))
    up = bool(ceil_mode)
    sums = _windows(x, str(pad_type), pad, sizes, steps, 0.0, rounded_up=up).sum(inner)
    if not bool(exclude_padding_from_average) and not up:
        return sums / math.prod(sizes)
    real = torch.ones_like(x[:1, :1])
    if not bool(exclude_padding_from_average):  # what is asked for counts, what rounding up adds does not
        around = _padding(str(pad_type), pad, x.shape[2:], sizes, steps, [1] * len(sizes))
        real = functional.pad(real, _for_torch(around), value=1.0)
        counted = _windows(real, "valid", None, sizes, steps, 0.0, rounded_up=True)
    else:
        counted = _windows(real, str(pad_type), pad, sizes, steps, 0.0, rounded_up=up)
    return sums / counted.sum(inner)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Any = None,
    beta: Any = None,
    epsilon: Any = 1e-5,
) -> Tensor:
    shape = (-1, *[1] * (x.ndim - 2))
    scaled = (x - mean.reshape(shape)) * torch.rsqrt(variance + float(epsilon)).reshape(shape)
    return _scaled(scaled, gamma, beta, shape)


def instance_norm(x: Tensor, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Tensor:
    return _scaled(
        _standardised(x, list(range(2, x.ndim)), epsilon), gamma, beta, (-1, *[1] * (x.ndim - 2))
    )


def layer_norm(
    x: Tensor, axes: Any = None, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5
) -> Tensor:
    along = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in numbers(axes)]
    shape = tuple(size if axis in along else 1 for axis, size in enumerate(x.shape))
    return _scaled(_standardised(x, along, epsilon), gamma, beta, shape)


def local_response_norm(x: Tensor, size: Any, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0) -> Tensor:
    return functional.local_response_norm(x, int(size), float(alpha), float(beta), float(k))


def linear(x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    return functional.linear(x, weight, None if bias is None else tensor(bias))


def matmul(x: Any, y: Any, transpose_x: Any = False, transpose_y: Any = False) -> Tensor:
    left, right = tensor(x), tensor(y)
    left = left.transpose(-1, -2) if bool(transpose_x) else left
    return left @ (right.transpose(-1, -2) if bool(transpose_y) else right)


def _each(given: Any, sizes: Sequence[int]) -> list[int]:
    return [1] * len(sizes) if given is None else numbers(given)


def _padding(
    kind: str, pad: Any, space: Sequence[int], sizes: list[int], steps: list[int], apart: list[int]
) -> list[int]:
    """Returns how much goes before and after each axis in space."""
    if kind == "valid":
        return [0] * 2 * len(sizes)
    if kind == "custom":
        return numbers(pad) if pad is not None else [0] * 2 * len(sizes)
    around: list[int] = []
    for extent, size, step, gap in zip(space, sizes, steps, apart, strict=True):
        # as many answers as steps fit into the extent, rounded up
        total = max(0, (math.ceil(extent / step) - 1) * step + (size - 1) * gap + 1 - extent)
        less, more = total // 2, total - total // 2
        around += [more, less] if kind == "same_lower" else [less, more]
    return around


def _for_torch(around: list[int]) -> list[int]:
    """Returns padding in torch's order: the last axis first."""
    pairs = [around[start : start + 2] for start in range(0, len(around), 2)]
    return [one for pair in reversed(pairs) for one in pair]


def _cut(
    kind: str, pad: Any, output_shape: Any, x: Tensor, whole: Tensor, steps: list[int]
) -> tuple[list[int], list[int]]:
    """Returns where a transposed convolution's answer begins in the whole of it, and how large it is."""
    space = list(whole.shape[2:])
    before = [0] * len(space)
    wanted = space
    if kind == "custom" and pad is not None:
        around = numbers(pad)
        before = around[0::2]
        wanted = [size - around[2 * at] - around[2 * at + 1] for at, size in enumerate(space)]
    elif kind == "same":
        wanted = [extent * step for extent, step in zip(x.shape[2:], steps, strict=True)]
        before = [max(0, size - want) // 2 for size, want in zip(space, wanted, strict=True)]
    if output_shape is not None:
        wanted = numbers(output_shape)[2:]
    return before, wanted


def _windows(
    x: Tensor,
    kind: str,
    pad: Any,
    sizes: list[int],
    steps: list[int],
    outside: float,
    *,
    rounded_up: bool,
) -> Tensor:
    """Returns the windows of a pool as further axes at the end."""
    around = _padding(kind, pad, x.shape[2:], sizes, steps, [1] * len(sizes))
    if rounded_up:
        around = _rounded_up(around, x.shape[2:], sizes, steps)
    windows = functional.pad(x, _for_torch(around), value=outside)
    for axis, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        windows = windows.unfold(axis + 2, size, step)
    return windows


def _rounded_up(around: list[int], space: Sequence[int], sizes: list[int], steps: list[int]) -> list[int]:
    """Returns padding with which a window that is only partly inside counts; none begins in the padding."""
    wider = list(around)
    for axis, (extent, size, step) in enumerate(zip(space, sizes, steps, strict=True)):
        before, after = around[2 * axis], around[2 * axis + 1]
        count = math.ceil((extent + before + after - size) / step) + 1
        if (count - 1) * step >= extent + before and before + after > 0:
            count -= 1
        wider[2 * axis + 1] += max(0, (count - 1) * step + size - extent - before - after)
    return wider


def _standardised(x: Tensor, axes: list[int], epsilon: Any) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + float(epsilon))


def _scaled(x: Tensor, gamma: Any, beta: Any, shape: tuple[int, ...]) -> Tensor:
    x = x if gamma is None else x * tensor(gamma).reshape(shape)
    return x if beta is None else x + tensor(beta).reshape(shape)


OPERATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        avg_pool,
        batch_norm,
        conv,
        conv_transpose,
        instance_norm,
        layer_norm,
        linear,
        local_response_norm,
        matmul,
        max_pool,
    )
}
"""Name in a file → what carries it out."""
