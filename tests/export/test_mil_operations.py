"""The operations of MIL do what their specification says, checked by hand or against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.export.mil.table import OPERATIONS


def run(kind: str, **parameters: object) -> Tensor:
    given = OPERATIONS[kind](**parameters)
    assert isinstance(given, Tensor)
    return given


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


RAMP = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
"""The specification's own example: two pixels, 0 and 1."""


@pytest.mark.parametrize(
    ("mode", "size", "expected"),
    [
        ("UNALIGN_CORNERS", 5, [0.0, 0.1, 0.5, 0.9, 1.0]),
        ("STRICT_ALIGN_CORNERS", 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("ALIGN_CORNERS", 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("DEFAULT", 5, [0.0, 0.4, 0.8, 1.0, 1.0]),
        ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("UNALIGN_CORNERS", 6, [0.0, 0.0, 1 / 3, 2 / 3, 1.0, 1.0]),
        ("STRICT_ALIGN_CORNERS", 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ("DEFAULT", 6, [0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0]),
        ("OFFSET_CORNERS", 6, [1 / 12, 0.25, 5 / 12, 7 / 12, 0.75, 11 / 12]),
        ("ALIGN_CORNERS", 1, [0.5]),
        ("STRICT_ALIGN_CORNERS", 1, [0.0]),
    ],
)
def test_resizing_looks_where_the_specification_says(mode: str, size: int, expected: list[float]) -> None:
    found = run("resize_bilinear", x=RAMP, target_size_height=1, target_size_width=size, sampling_mode=mode)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("corners", [True, False])
def test_upsampling_is_torchs(corners: bool) -> None:
    x = drawn(1, 3, 5, 7)
    found = run(
        "upsample_bilinear", x=x, scale_factor_height=2.6, scale_factor_width=3, align_corners=corners
    )
    expected = functional.interpolate(x, size=(13, 21), mode="bilinear", align_corners=corners)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_nearest_neighbours_are_torchs() -> None:
    x = drawn(1, 2, 5, 7)
    expected = functional.interpolate(x, size=(13, 21), mode="nearest")
    found = run("resize_nearest_neighbor", x=x, target_size_height=13, target_size_width=21)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        run("upsample_nearest_neighbor", x=x, scale_factor_height=2, scale_factor_width=3),
        functional.interpolate(x, scale_factor=(2.0, 3.0), mode="nearest"),
    )


@pytest.mark.parametrize(("extent", "step"), [(7, 1), (7, 2), (8, 2), (9, 3)])
def test_padding_same_gives_one_answer_per_step_and_pads_the_end_first(extent: int, step: int) -> None:
    x, weight = torch.ones(1, 1, extent, extent), torch.ones(1, 1, 3, 3)
    found = run("conv", x=x, weight=weight, pad_type="same", strides=[step, step])
    assert found.shape[-1] == -(-extent // step)
    total = (found.shape[-1] - 1) * step + 3 - extent
    before = max(0, total) // 2
    assert found[0, 0, 0, 0].item() == (3 - before) ** 2, "what hangs over the first corner counts nothing"


def test_a_convolution_pads_each_side_as_it_is_told() -> None:
    x, weight, bias = drawn(1, 4, 6, 5), drawn(6, 2, 3, 3, seed=1), drawn(6, seed=2)
    found = run(
        "conv",
        x=x,
        weight=weight,
        bias=bias,
        pad_type="custom",
        pad=np.array([1, 2, 0, 3]),
        strides=np.array([2, 1]),
        dilations=np.array([1, 2]),
        groups=2,
    )
    padded = functional.pad(x, (0, 3, 1, 2))
    expected = functional.conv2d(padded, weight, bias, (2, 1), 0, (1, 2), 2)
    torch.testing.assert_close(found, expected)


def test_a_transposed_convolution_is_torchs() -> None:
    x, weight, bias = drawn(1, 4, 5, 6), drawn(4, 3, 3, 3, seed=1), drawn(6, seed=2)
    expected = functional.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1, groups=2)
    found = run(
        "conv_transpose",
        x=x,
        weight=weight,
        bias=bias,
        pad_type="custom",
        pad=np.array([1, 1, 1, 1]),
        strides=np.array([2, 2]),
        output_shape=np.array(expected.shape),
        groups=2,
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("extent", [6, 7, 8])
def test_pools_are_torchs(extent: int, up: bool) -> None:
    x = drawn(1, 2, extent, extent)
    common = {
        "x": x,
        "kernel_sizes": np.array([3, 3]),
        "strides": np.array([2, 2]),
        "pad_type": "custom",
        "pad": np.array([1, 1, 1, 1]),
        "ceil_mode": up,
    }
    torch.testing.assert_close(run("max_pool", **common), functional.max_pool2d(x, 3, 2, 1, ceil_mode=up))
    for left_out in (False, True):
        found = run("avg_pool", **common, exclude_padding_from_average=left_out)
        expected = functional.avg_pool2d(x, 3, 2, 1, ceil_mode=up, count_include_pad=not left_out)
        torch.testing.assert_close(found, expected)


def test_norms_are_torchs() -> None:
    x, weight, bias = drawn(2, 4, 3, 5), drawn(4, seed=1), drawn(4, seed=2)
    mean, variance = drawn(4, seed=3), drawn(4, seed=4).abs() + 0.1
    torch.testing.assert_close(
        run("batch_norm", x=x, mean=mean, variance=variance, gamma=weight, beta=bias, epsilon=1e-3),
        functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3),
    )
    torch.testing.assert_close(
        run("instance_norm", x=x, gamma=weight, beta=bias, epsilon=1e-5),
        functional.instance_norm(x, weight=weight, bias=bias),
    )
    torch.testing.assert_close(
        run("layer_norm", x=x, axes=np.array([-1]), gamma=drawn(5), beta=drawn(5), epsilon=1e-6),
        functional.layer_norm(x, (5,), drawn(5), drawn(5), eps=1e-6),
    )
    torch.testing.assert_close(
        run("local_response_norm", x=x, size=3, alpha=1e-2, beta=0.5, k=2.0),
        functional.local_response_norm(x, 3, 1e-2, 0.5, 2.0),
    )


def test_slices_open_squeeze_and_go_back() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    found = run(
        "slice_by_index",
        x=x,
        begin=np.array([1, 0, 3]),
        end=np.array([0, 2, 0]),
        stride=np.array([1, 1, -2]),
        end_mask=np.array([False, False, True]),
        squeeze_mask=np.array([True, False, False]),
    )
    assert found.tolist() == [[15.0, 13.0], [19.0, 17.0]]
    assert run("slice_by_size", x=x, begin=[0, 1, 1], size=[1, -1, 2]).tolist() == [[[5, 6], [9, 10]]]


def test_padding_begins_at_the_last_axes() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]])
    assert run("pad", x=x, pad=[0, 1, 2, 0], constant_val=9.0).tolist() == [[9, 9, 1, 2, 3], [9] * 5]
    assert run("pad", x=x, pad=[1, 1], mode="reflect").tolist() == [[2, 1, 2, 3, 2]]
    assert run("pad", x=x, pad=[0, 0, 1, 1], mode="replicate").tolist() == [[1, 1, 2, 3, 3]]


def test_shapes_take_over_what_is_0_and_find_what_is_minus_1() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    assert run("reshape", x=x, shape=[0, 0, -1]).shape == (2, 3, 4)
    assert run("reshape", x=x, shape=[4, -1]).shape == (4, 6)
    assert run("expand_dims", x=x, axes=[0, -1]).shape == (1, 2, 3, 4, 1)
    assert run("squeeze", x=x[:1, :, :1], axes=[0, 2]).tolist() == [0, 4, 8]
    assert run("gather", x=x, indices=np.array([[0, -1]]), axis=1).shape == (2, 1, 2, 4)


def test_depth_and_space_change_places_and_back() -> None:
    x = drawn(1, 8, 3, 2)
    wide = run("depth_to_space", x=x, block_size=2)
    assert wide.shape == (1, 2, 6, 4)
    assert wide[0, 0, 0, 1] == x[0, 2, 0, 0], "the place in the block comes before the channel"
    torch.testing.assert_close(run("space_to_depth", x=wide, block_size=2), x)


def test_joined_channels_interleave() -> None:
    pair = [torch.tensor([[1, 2], [3, 4]]), torch.tensor([[7, 8], [9, 10]])]
    assert run("concat", values=pair, axis=0, interleave=True).tolist() == [[1, 2], [7, 8], [3, 4], [9, 10]]
    parts = OPERATIONS["split"](x=torch.arange(6), axis=0, split_sizes=[1, 5])
    assert [part.tolist() for part in parts] == [[0], [1, 2, 3, 4, 5]]


def test_activations_follow_their_formulas() -> None:
    x = torch.tensor([-4.0, -0.5, 0.0, 2.0, 9.0])
    assert run("sigmoid_hard", x=x, alpha=0.2, beta=0.5).tolist() == pytest.approx([0, 0.4, 0.5, 0.9, 1])
    assert run("clip", x=x, alpha=0.0, beta=6.0).tolist() == [0, 0, 0, 2, 6]
    assert run("thresholded_relu", x=x, alpha=1.0).tolist() == [0, 0, 0, 2, 9]
    assert run("clamped_relu", x=x, alpha=0.5, beta=6.0).tolist() == [-2, -0.25, 0, 2, 6]
    assert run("rsqrt", x=torch.tensor([4.0])).item() == pytest.approx(0.5)
    assert run("cast", x=x, dtype="int32").tolist() == [-4, 0, 0, 2, 9]
    torch.testing.assert_close(run("gelu", x=x), functional.gelu(x))
    torch.testing.assert_close(
        run("gelu", x=x, mode="TANH_APPROXIMATION"), functional.gelu(x, approximate="tanh")
    )
