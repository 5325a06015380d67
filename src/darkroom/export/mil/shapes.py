"""Operations of MIL that move numbers about: shapes, slices, padding, joining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.export.mil.arithmetic import numbers, tensor

__all__ = ["OPERATIONS"]


def reshape(x: Any, shape: Any) -> Tensor:
    given = tensor(x)
    wanted = numbers(shape)
    if len(wanted) == given.ndim:  # 0 takes over the extent of the input
        wanted = [size or given.shape[axis] for axis, size in enumerate(wanted)]
    return given.reshape(wanted)


def transpose(x: Any, perm: Any) -> Tensor:
    return tensor(x).permute(numbers(perm))


def expand_dims(x: Any, axes: Any) -> Tensor:
    given = tensor(x)
    along = numbers(axes)
    rank = given.ndim + len(along)
    for axis in sorted(axis % rank for axis in along):
        given = given.unsqueeze(axis)
    return given


def squeeze(x: Any, axes: Any = None) -> Tensor:
    given = tensor(x)
    return given.squeeze() if axes is None else given.squeeze(tuple(numbers(axes)))


def flatten2d(x: Any, axis: Any = 1) -> Tensor:
    given = tensor(x)
    return given.reshape(int(np.prod(given.shape[: int(axis)])), -1)


def shape(x: Any) -> Tensor:
    return torch.tensor(tensor(x).shape, dtype=torch.int32)


def concat(values: Sequence[Any], axis: Any, interleave: Any = False) -> Tensor:
    given = [tensor(value) for value in values]
    if not bool(interleave):
        return torch.cat(given, int(axis))
    along = int(axis) % given[0].ndim
    joined = torch.stack(given, along + 1)
    return joined.flatten(along, along + 1)


def stack(values: Sequence[Any], axis: Any) -> Tensor:
    return torch.stack([tensor(value) for value in values], int(axis))


def split(x: Any, axis: Any, num_splits: Any = None, split_sizes: Any = None) -> tuple[Tensor, ...]:
    given = tensor(x)
    if split_sizes is not None:
        return tuple(given.split(numbers(split_sizes), int(axis)))
    return tuple(given.split(given.shape[int(axis)] // int(num_splits), int(axis)))


def slice_by_index(
    x: Any,
    begin: Any,
    end: Any,
    stride: Any = None,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
) -> Tensor:
    given = tensor(x)
    rank = given.ndim
    starts, stops = numbers(begin), numbers(end)
    steps = [1] * rank if stride is None else numbers(stride)
    opened = _truths(begin_mask, rank), _truths(end_mask, rank)
    single = _truths(squeeze_mask, rank)
    chosen: list[Any] = []
    for axis in range(rank):
        if single[axis]:
            chosen.append(starts[axis])
            continue
        start = None if opened[0][axis] else starts[axis]
        chosen.append(slice(start, None if opened[1][axis] else stops[axis], steps[axis]))
    return torch.from_numpy(np.ascontiguousarray(given.numpy()[tuple(chosen)]))  # steps may go back


def slice_by_size(x: Any, begin: Any, size: Any) -> Tensor:
    given = tensor(x)
    for axis, (start, count) in enumerate(zip(numbers(begin), numbers(size), strict=True)):
        given = given.narrow(axis, start, given.shape[axis] - start if count == -1 else count)
    return given


def pad(x: Tensor, pad: Any, mode: Any = "constant", constant_val: Any = 0.0) -> Tensor:
    around = numbers(pad)
    pairs = [around[start : start + 2] for start in range(0, len(around), 2)]
    if str(mode) == "constant":
        order = [one for pair in reversed(pairs) for one in pair]
        return functional.pad(x, order, value=float(constant_val))
    kind: Any = {"reflect": "reflect", "replicate": "edge"}[str(mode)]
    untouched = [(0, 0)] * (x.ndim - len(pairs))
    return torch.from_numpy(np.pad(x.numpy(), [*untouched, *map(tuple, pairs)], mode=kind))


def tile(x: Any, reps: Any) -> Tensor:
    return tensor(x).repeat(numbers(reps))


def reverse(x: Any, axes: Any = None) -> Tensor:
    given = tensor(x)
    return given.flip(list(range(given.ndim)) if axes is None else numbers(axes))


def gather(
    x: Any, indices: Any, axis: Any = 0, batch_dims: Any = 0, validate_indices: Any = False
) -> Tensor:
    if int(batch_dims):
        raise NotImplementedError("gather with batch_dims")
    given, places = tensor(x), tensor(indices).long()
    along = int(axis) % given.ndim
    places = torch.where(places < 0, places + given.shape[along], places)
    found = given.index_select(along, places.reshape(-1))
    return found.reshape(*given.shape[:along], *places.shape, *given.shape[along + 1 :])


def fill(shape: Any, value: Any = 0.0) -> Tensor:
    return tensor(value).expand(numbers(shape)).clone()


def pixel_shuffle(x: Tensor, upscale_factor: Any) -> Tensor:
    return functional.pixel_shuffle(x, int(upscale_factor))


def depth_to_space(x: Tensor, block_size: Any) -> Tensor:
    batch, channels, height, width = x.shape
    block = int(block_size)
    cut = x.reshape(batch, block, block, channels // block**2, height, width)
    return cut.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * block, width * block)


def space_to_depth(x: Tensor, block_size: Any) -> Tensor:
    batch, channels, height, width = x.shape
    block = int(block_size)
    cut = x.reshape(batch, channels, height // block, block, width // block, block)
    return cut.permute(0, 3, 5, 1, 2, 4).reshape(batch, -1, height // block, width // block)


def _truths(mask: Any, rank: int) -> list[bool]:
    return [False] * rank if mask is None else [bool(one) for one in np.asarray(mask).reshape(-1)]


OPERATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        concat,
        depth_to_space,
        expand_dims,
        fill,
        flatten2d,
        gather,
        pad,
        pixel_shuffle,
        reshape,
        reverse,
        shape,
        slice_by_index,
        slice_by_size,
        space_to_depth,
        split,
        squeeze,
        stack,
        tile,
        transpose,
    )
}
"""Name in a file → what carries it out."""
