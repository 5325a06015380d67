"""Operations of MIL that make pictures larger or smaller."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["OPERATIONS"]


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: Any = 1,
    scale_factor_width: Any = 1,
    align_corners: Any = True,
    half_pixel_centers: Any = None,
) -> Tensor:
    corners = bool(align_corners)
    centred = not corners if half_pixel_centers is None else bool(half_pixel_centers)
    mode = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS" if centred else "DEFAULT"
    height = math.floor(x.shape[-2] * float(scale_factor_height))
    width = math.floor(x.shape[-1] * float(scale_factor_width))
    return _bilinear(_bilinear(x, height, -2, mode), width, -1, mode)


def resize_bilinear(
    x: Tensor,
    target_size_height: Any = 1,
    target_size_width: Any = 1,
    sampling_mode: Any = "DEFAULT",
) -> Tensor:
    mode = str(sampling_mode)
    return _bilinear(_bilinear(x, int(target_size_height), -2, mode), int(target_size_width), -1, mode)


def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Any = 1, scale_factor_width: Any = 1
) -> Tensor:
    height = math.floor(x.shape[-2] * float(scale_factor_height))
    width = math.floor(x.shape[-1] * float(scale_factor_width))
    return _nearest(_nearest(x, height, -2), width, -1)


def resize_nearest_neighbor(x: Tensor, target_size_height: Any, target_size_width: Any) -> Tensor:
    return _nearest(_nearest(x, int(target_size_height), -2), int(target_size_width), -1)


def _nearest(x: Tensor, size: int, axis: int) -> Tensor:
    extent = x.shape[axis]
    return x.index_select(axis % x.ndim, torch.arange(size) * extent // size)


def _bilinear(x: Tensor, size: int, axis: int, mode: str) -> Tensor:
    """Returns a tensor with one axis resized: each answer lies between two neighbours."""
    points = _points(x.shape[axis], size, mode)
    low = np.floor(points).astype(np.int64)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    share = torch.from_numpy((points - low).astype(np.float32)).reshape(shape)
    before = x.index_select(axis % x.ndim, torch.from_numpy(low))
    after = x.index_select(axis % x.ndim, torch.from_numpy(high))
    return before * (1 - share) + after * share


def _points(extent: int, size: int, mode: str) -> np.ndarray:
    """Returns where in the input each place of the output looks.

    Source: the pages of upsample_bilinear and resize_bilinear in coremltools' specification of MIL.
    """
    places, last = np.arange(size, dtype=np.float64), max(1, size - 1)
    if mode == "ALIGN_CORNERS" and size == 1:
        points = np.array([(extent - 1) / 2])
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        points = places * (extent - 1) / last
    elif mode == "DEFAULT":
        points = places * extent / size
    elif mode == "OFFSET_CORNERS":
        delta = max(1, extent - 1) / size
        points = 0.5 * delta + places * delta
    elif mode == "UNALIGN_CORNERS":
        points = (places + 0.5) * extent / size - 0.5
    else:
        raise ValueError(f"Unknown sampling mode {mode}")
    return np.clip(points, 0, extent - 1)


OPERATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        resize_bilinear,
        resize_nearest_neighbor,
        upsample_bilinear,
        upsample_nearest_neighbor,
    )
}
"""Name in a file → what carries it out."""
