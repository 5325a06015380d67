"""Networks are held against task, input and limits before any of them is trained."""

from __future__ import annotations

import pytest

from darkroom.errors import NotFound
from darkroom.networks import NETWORKS, build, find
from darkroom.records import Limits
from darkroom.tuning.candidates import Frame, estimated_bytes, estimated_flops, family_of, filter_networks

NAMES = ("lenet5", "mobilenetv1_025", "mobilenetv2_100", "vgg16")


def frame(sides=((64, 64),), most_flops: int | None = None, **limits: object) -> Frame:
    return Frame("classification", 10, sides, Limits.model_validate(limits), most_flops)


def test_without_limits_every_network_that_takes_the_input_stays() -> None:
    found = filter_networks(NAMES, frame())
    assert list(found.weights) == list(NAMES)
    assert set(found.weights.values()) == {""}


@pytest.mark.parametrize(
    ("given", "left", "words"),
    [
        (frame(model_bytes=1_000_000), ["lenet5", "mobilenetv1_025"], "model_bytes allows 1,000,000"),
        (frame(memory_bytes=1_000_000), ["lenet5", "mobilenetv1_025"], "memory_bytes allows 1,000,000"),
        (frame(most_flops=20_000_000), ["lenet5", "mobilenetv1_025"], "most_flops allows 20,000,000"),
        (frame(sides=((16, 16), (64, 64))), ["lenet5"], "inputs go down to 16 px"),
    ],
)
def test_what_breaks_a_limit_is_left_out_with_the_reason(given: Frame, left: list[str], words: str) -> None:
    found = filter_networks(NAMES, given)
    assert list(found.weights) == left
    assert set(found.filtered) == set(NAMES) - set(left)
    assert all(words in why for why in found.filtered.values())


def test_a_network_for_another_task_is_left_out() -> None:
    masks = Frame("segmentation", 2, ((64, 64),), Limits(), None)
    assert "it is for classification" in filter_networks(["lenet5"], masks).filtered["lenet5"]


def test_where_trials_begin_with_weights_a_network_without_any_is_left_out() -> None:
    found = filter_networks(NAMES, frame(), {"mobilenetv2_100": "mobilenetv2_100.ra_in1k"})
    assert found.weights == {"mobilenetv2_100": "mobilenetv2_100.ra_in1k"}
    assert "no pretrained weights" in found.filtered["lenet5"]


def test_a_name_that_is_in_no_table_is_refused() -> None:
    with pytest.raises(NotFound, match="lenet5"):
        filter_networks(["lenet4"], frame())


@pytest.mark.parametrize("name", ["lenet5", "mobilenetv2_035"])
def test_the_estimated_size_is_that_of_the_network_with_so_many_classes(name: str) -> None:
    entry = find(name)
    height, width, channels = entry.typical_input
    built = build(name, channels=channels, size=(height, width), classes=3)
    assert estimated_bytes(entry, 3) == pytest.approx(4 * built.parameter_count, rel=0.01)


def test_operations_follow_the_pixels() -> None:
    entry = NETWORKS["mobilenetv2_100"]
    assert estimated_flops(entry, (112, 224)) == pytest.approx(entry.flops / 2, rel=0.01)


def test_a_family_is_told_by_its_widths() -> None:
    assert family_of("mobilenetv1_050")[1.0] == "mobilenetv1_100"
    assert family_of("lenet5") == {}
