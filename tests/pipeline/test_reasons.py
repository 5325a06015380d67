"""Why a stage runs again is said in words, without hashes."""

import pytest

from darkroom.pipeline.reasons import spoken_reasons

LONG, OTHER = '"447d527a6c04a412b2df5d3e9bd…4a795dd"', '"53a2894a498e15b31162ae5c653…2583624"'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("request.recipe.epochs: 30 → 40", "recipe.epochs: 30 → 40"),
        ("2.request.recipe.epochs: 30 → 40", "2.recipe.epochs: 30 → 40"),
        (f"inputs.files: {LONG} → {OTHER}", "files of the folder changed"),
        (f"inputs.brief.limits: nothing → {OTHER}", "[brief.limits] changed"),
        ('inputs.pictures: "120" → "160"', "pictures: 120 → 160"),
        ('libraries.torch: "2.1" → "2.2"', 'version of torch: "2.1" → "2.2"'),
        (f"inputs.dataset a@1: {LONG} → {OTHER}", "dataset a@1 changed"),
        (f"inputs.dataset a@1: {LONG} → nothing", "dataset a@1: no longer used"),
        ("version: 1 → 2", "version: 1 → 2"),
    ],
)
def test_each_kind_of_change_is_said_in_words(line, said):
    assert spoken_reasons([line]) == (said,)


def test_a_changed_name_stands_for_the_content_behind_it():
    lines = [
        'request.dataset: "a@1" → "a@2"',
        f"inputs.dataset a@1: {LONG} → nothing",
        f"inputs.dataset a@2: nothing → {OTHER}",
    ]
    assert spoken_reasons(lines) == ('dataset: "a@1" → "a@2"',)
