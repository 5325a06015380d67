"""Small numbers read the same in tables of the shell, in sentences and on pages."""

from __future__ import annotations

import pytest

from darkroom.documents import wording
from darkroom.records import Gate
from darkroom.records.numbers import number


@pytest.mark.parametrize(
    ("value", "shown"), [(1e-4, "1.0·10⁻⁴"), (5.24e-7, "5.2·10⁻⁷"), (0.0, "0"), (0.25, "0.25")]
)
def test_a_difference_of_probabilities_reads_the_same_everywhere(value: float, shown: str) -> None:
    gate = Gate(
        limit="parity_max_abs", bound=value, at_most=True, unit="probability", subject="f", verdict="pass"
    )
    assert (gate.expected, wording.number(value, 2), number(value, 2)) == (f"≤ {shown}", shown, shown)
