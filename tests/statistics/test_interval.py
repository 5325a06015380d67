"""Wilson's interval against scipy."""

import pytest

from darkroom.statistics import wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (449, 450)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_equals_scipys(hits, count, level):
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with the extra [digits]")
    expected = stats.binomtest(hits, count).proportion_ci(level, method="wilson")
    found = wilson(hits, count, level=level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (found.value, found.count, found.method) == (hits / count, count, "wilson")


def test_no_mistake_in_few_images_is_no_proof_of_perfection():
    assert wilson(10, 10).low < 0.75
    assert wilson(10, 10).high == 1.0
