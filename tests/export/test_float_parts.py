"""What stays in floating point: before the first weights and after the last."""

from __future__ import annotations

from darkroom.export.float_parts import Step, find_ends


def step(read: str, written: str, *, weighted: bool = False) -> Step:
    return Step(tuple(read.split()), tuple(written.split()), weighted)


def test_a_chain_keeps_its_ends() -> None:
    chain = [
        step("image", "cast"),
        step("cast scale", "normal"),
        step("normal w1", "one", weighted=True),
        step("one", "relu"),
        step("relu w2", "two", weighted=True),
        step("two", "softmax"),
    ]
    ends = find_ends(chain)
    assert (ends.outside, ends.first, ends.last) == ({0, 1, 5}, {2}, {4})


def test_branches_that_meet_again_are_inside() -> None:
    fork = [
        step("image", "cast"),
        step("cast w1", "left", weighted=True),
        step("cast w2", "right", weighted=True),
        step("left right", "sum"),
        step("sum w3", "answer", weighted=True),
        step("sum", "embedding"),
        step("answer", "softmax"),
    ]
    ends = find_ends(fork)
    assert (ends.outside, ends.first, ends.last) == ({0, 5, 6}, {1, 2}, {4})


def test_a_graph_without_weights_stays_as_it_is() -> None:
    assert find_ends([step("a", "b"), step("b", "c")]).outside == {0, 1}
