"""p-values of single comparisons and of many together, against scipy and published values."""

import numpy as np
import pytest
from scipy import stats

from darkroom.statistics import fisher_two_sided, grouped_two_sided, holm, t_two_sided


def test_holm_gives_the_published_values():
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    # Holm, 1979, with the order of the comparisons kept: only the first stands at 0.05.
    assert holm([0.0384, 0.0134, 0.4]) == pytest.approx([0.0768, 0.0402, 0.4])
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_fisher_agrees_with_scipy():
    generator = np.random.default_rng(0)
    for _ in range(60):
        count, other = (int(n) for n in generator.integers(1, 80, 2))
        hits, other_hits = int(generator.integers(0, count + 1)), int(generator.integers(0, other + 1))
        table = [[hits, count - hits], [other_hits, other - other_hits]]
        expected = stats.fisher_exact(table).pvalue
        assert fisher_two_sided(hits, count, other_hits, other) == pytest.approx(expected, abs=1e-9)


def test_fisher_copes_with_a_hundred_thousand_images():
    assert fisher_two_sided(9_000, 10_000, 81_000, 90_000) == pytest.approx(1, abs=0.02)
    assert fisher_two_sided(8_700, 10_000, 81_000, 90_000) < 1e-15


def test_t_two_sided_agrees_with_scipy():
    for t, freedom in ((0.0, 3), (1.3, 1), (2.2, 9), (6.0, 40)):
        assert t_two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-9)


def test_groups_of_one_image_give_about_the_usual_t_test():
    generator = np.random.default_rng(1)
    values = generator.random(400)
    inside = np.arange(400) < 150
    expected = stats.ttest_ind(values[inside], values[~inside], equal_var=False).pvalue
    assert grouped_two_sided(values, inside, np.arange(400)) == pytest.approx(expected, abs=0.01)


def test_a_group_counts_once_however_many_images_it_has():
    generator = np.random.default_rng(2)
    false_alarms = 0
    for _ in range(200):
        level = generator.random(24)  # each group has its own accuracy, no side is better
        codes = np.repeat(np.arange(24), 20)
        right = (generator.random(480) < level[codes]).astype(float)
        false_alarms += grouped_two_sided(right, codes < 12, codes) < 0.05
    assert false_alarms <= 22  # 5 % of 200 are 10; image by image they would be above 100


def test_equal_values_show_nothing():
    inside = np.arange(20) < 10
    assert grouped_two_sided(np.ones(20), inside, np.arange(20) // 2) == 1.0
    assert grouped_two_sided(np.arange(20) % 2, inside, (np.arange(20) >= 10).astype(int)) == 1.0
