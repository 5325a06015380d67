"""The kernel test: quiet where nothing differs, sure where something does, whole groups shuffled."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from darkroom.statistics import kernel
from darkroom.statistics.auc import auc_interval
from darkroom.statistics.kernel import kernel_test


def test_the_estimate_is_that_of_the_paper() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(7, 3)), generator.normal(0.5, size=(5, 3))
    pooled = np.concatenate([first, second])
    squares = ((pooled[:, None] - pooled[None]) ** 2).sum(-1)
    kernel = np.exp(-squares / (2 * np.median(squares[np.triu_indices(12, 1)])))
    within = sum(kernel[i, j] for i in range(7) for j in range(7) if i != j) / 42
    beside = sum(kernel[i, j] for i in range(7, 12) for j in range(7, 12) if i != j) / 20
    expected = within + beside - 2 * kernel[:7, 7:].mean()
    assert kernel_test(first, second, permutations=9).squared == pytest.approx(expected)


def test_many_pictures_are_compared_without_the_kernel_of_all_pairs_in_memory() -> None:
    rows = np.random.default_rng(4).normal(size=(3000, 4))
    squares = kernel._squared_distances(rows)
    whole = np.concatenate([part[np.triu(np.ones(part.shape, bool), 1)] for _, part in squares])
    assert kernel._median_square(rows) == np.median(whole)
    tracemalloc.start()
    kernel_test(rows[:1000], rows[1000:], permutations=9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole.nbytes  # 36 MB, half of the kernel


def test_one_distribution_is_rejected_as_rarely_as_the_level_says() -> None:
    rejected = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        found = kernel_test(
            generator.normal(size=(30, 4)), generator.normal(size=(40, 4)), permutations=99, seed=seed
        )
        rejected += found.p_value <= 0.05
    assert rejected <= 8  # of 60, binomial: 8 or more has a chance of 1 %


def test_a_shift_is_found() -> None:
    generator = np.random.default_rng(1)
    found = kernel_test(generator.normal(size=(60, 5)), generator.normal(0.7, size=(60, 5)))
    assert found.p_value == 0.001
    assert found.squared > 0.01


def test_groups_are_shuffled_as_wholes() -> None:
    generator = np.random.default_rng(2)
    rows = np.repeat(generator.normal(size=(8, 4)), 20, axis=0) + 0.01 * generator.normal(size=(160, 4))
    names = [f"g{place // 20}" for place in range(160)]
    plain = kernel_test(rows[:80], rows[80:])
    grouped = kernel_test(rows[:80], rows[80:], (names[:80], names[80:]))
    assert plain.p_value == 0.001  # eight scenes, photographed twenty times each, look like evidence
    assert grouped.units == 8
    assert grouped.p_value > 0.02


def test_the_area_counts_pairs_ranked_rightly() -> None:
    found = auc_interval(np.array([0.9, 0.8, 0.4, 0.4]), np.array([0.1, 0.4, 0.7]))
    assert found.value == pytest.approx((3 + 3 + 1.5 + 1.5) / 12)
    assert found.low < found.value < found.high


def test_scores_that_never_overlap_do_not_claim_certainty() -> None:
    found = auc_interval(np.array([0.8, 0.9, 0.7]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert (found.value, found.high, found.count) == (1.0, 1.0, 7)
    assert found.low == pytest.approx(0.4385, abs=1e-4)  # Wilson's for 3 of 3
    turned = auc_interval(np.array([0.1]), np.array([0.8, 0.9]))
    assert (turned.value, turned.low) == (0.0, 0.0)
    assert turned.high > 0.5


def test_scores_that_tell_nothing_have_an_area_of_a_half_inside_their_interval() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        found = auc_interval(generator.random(50), generator.random(70))
        held += found.low <= 0.5 <= found.high
    assert held >= 88
