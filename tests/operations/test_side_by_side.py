"""Whether clones are timed side by side, from times that are given."""

from __future__ import annotations

import pytest

from darkroom.operations.side_by_side import worth_measuring
from darkroom.training.timing import Timing


def timed(*batches_s: float) -> Timing:
    """Returns a timing of 120 epochs of 10 batches."""
    return Timing(
        batches_s=batches_s,
        validate_s=0.0,
        batches=10,
        val_count=100,
        epochs=120,
        threads=1,
        device="cpu",
        precision="float32",
        memory_bytes=1,
        device_bytes=0,
        disk_bytes={},
        weights_bytes=1,
    )


@pytest.mark.parametrize(
    ("batches_s", "worth"),
    [
        ((0.010, 0.010, 0.010), False),  # 3 × 120 epochs in 36 s
        ((0.010, 0.010, 0.020), True),  # 72 s when every batch is like the slowest
        ((0.020, 0.010, 0.010), True),
        ((0.020, 0.020, 0.020), True),
    ],
)
def test_one_slow_batch_is_enough_for_a_series_to_be_timed(
    batches_s: tuple[float, ...], worth: bool
) -> None:
    assert worth_measuring(3, timed(*batches_s)) is worth


def test_fewer_clones_take_less_time() -> None:
    assert worth_measuring(3, timed(0.02))
    assert not worth_measuring(1, timed(0.02))
