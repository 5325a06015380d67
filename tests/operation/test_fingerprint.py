"""A fingerprint covers what decides a result, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import InvalidConfig
from darkroom.operation import differences, fingerprint, library_versions, put, swept
from darkroom.records import canonical_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_order_of_keys_does_not_matter(values):
    turned = dict(reversed(list(values.items())))
    assert fingerprint(values) == fingerprint(turned)


def test_canonical_json_is_stable_text():
    assert canonical_json({"b": (1, 2.5), "a": {"ü": None}}) == '{"a":{"ü":null},"b":[1,2.5]}'


def test_differences_name_the_dotted_key_and_both_values():
    before = {"request": {"recipe": {"epochs": 30}, "seed": 0}, "inputs": {"dataset d@1": "aa"}}
    after = {"request": {"recipe": {"epochs": 40}, "seed": 0}, "inputs": {"dataset d@2": "bb"}}
    assert differences(before, after) == [
        "request.recipe.epochs: 30 → 40",
        'inputs.dataset d@1: "aa" → nothing',
        'inputs.dataset d@2: nothing → "bb"',
    ]


def test_versions_of_absent_libraries_are_said():
    assert library_versions(("numpy", "no-such-package"))["no-such-package"] == "absent"


def test_a_sweep_is_the_product_of_its_lists():
    combinations = list(swept({"a": 1, "r": {"x": 0, "y": 9}}, {"r.x": [1, 2], "a": ["p", "q"]}))
    assert [request for _, request in combinations] == [
        {"a": "p", "r": {"x": 1, "y": 9}},
        {"a": "q", "r": {"x": 1, "y": 9}},
        {"a": "p", "r": {"x": 2, "y": 9}},
        {"a": "q", "r": {"x": 2, "y": 9}},
    ]


def test_without_a_sweep_there_is_one_request():
    assert [request for _, request in swept({"a": 1}, {})] == [{"a": 1}]


def test_an_empty_sweep_is_refused():
    with pytest.raises(InvalidConfig, match='"a" has no values'):
        list(swept({}, {"a": []}))


def test_put_leaves_the_given_values_as_they_are():
    values = {"r": {"x": 1}}
    assert put(values, "r.x", 2) == {"r": {"x": 2}}
    assert values == {"r": {"x": 1}}
