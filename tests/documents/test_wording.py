"""Numbers as people read them."""

import pytest

from darkroom.documents import wording
from darkroom.records import Interval, Spread


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.971, "97.1 %"),
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.9999, "99.99 %"),
        (0.99996, "99.996 %"),
        (0.0002, "0.02 %"),
        (None, "—"),
        (float("nan"), "—"),
    ],
)
def test_a_share_never_reads_as_all_or_nothing_unless_it_is(value, words):
    assert wording.share(value).replace(wording.THIN, " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (5.0, "5"),
        (0.12345, "0.123"),
        (12345.6, "12 346"),
        (3.2e-7, "3.20·10⁻⁷"),
        (None, "—"),
        (-2.5, "−2.50"),
    ],
)
def test_a_number_keeps_three_digits(value, words):
    assert wording.number(value).replace(wording.THIN, " ") == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (251_000, "251 kB"), (1_240_000, "1.24 MB"), (None, "—")],
)
def test_a_size_has_a_unit(size_bytes, words):
    assert wording.size(size_bytes).replace(wording.THIN, " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.3, "8.3 s"), (247, "4 min 07 s"), (7500, "2 h 05 min"), (None, "—")]
)
def test_a_duration_is_told_in_two_units_at_most(seconds, words):
    assert wording.duration(seconds).replace(wording.THIN, " ") == words


def test_an_interval_and_a_spread_are_told_whole():
    assert (
        wording.ends(Interval(value=0.5, low=0.4, high=0.6)).replace(wording.THIN, " ") == "40.0 – 60.0 %"
    )
    assert wording.ends(None) == "—"
    one = wording.spell_spread(Spread(mean=0.9, min=0.9, max=0.9))
    assert "spread unknown" in one
    several = wording.spell_spread(Spread(mean=0.9, sd=0.01, min=0.89, max=0.91))
    assert several.replace(wording.THIN, " ") == "90.0 % ± 1.00 %, 89.0 % to 91.0 %"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "—"),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcdefghij"), "a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_names_are_listed_like_in_a_sentence(names, words):
    assert wording.listed(names) == words
