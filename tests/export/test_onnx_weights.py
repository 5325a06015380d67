"""Weights as whole numbers with a scale per channel."""

from __future__ import annotations

import numpy as np

from darkroom.export.onnx_weights import quantised


def test_each_channel_has_a_scale_of_its_own_and_comes_back_within_half_a_step() -> None:
    values = np.random.default_rng(0).normal(0, [[0.01], [1.0], [50.0]], (3, 40)).astype(np.float32)
    whole, scales = quantised(values, 0)
    assert (whole.dtype, scales.shape) == (np.int8, (3,))
    assert np.abs(whole).max(axis=1).tolist() == [127, 127, 127]
    assert (np.abs(whole * scales[:, None] - values) <= 0.501 * scales[:, None]).all()


def test_a_channel_of_nothing_or_next_to_nothing_stays_nothing() -> None:
    values = np.array([[0, 0], [1e-44, -1e-44], [0.5, -0.25]], np.float32)
    whole, scales = quantised(values, 0)
    assert (scales > 0).all()
    assert whole.tolist() == [[0, 0], [0, 0], [127, -64]]
