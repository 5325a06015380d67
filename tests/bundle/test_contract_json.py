"""contract.json holds the contract whole, as ordered steps with their numbers."""

from __future__ import annotations

import json

import pytest

from darkroom.bundle import contract_document, contract_of
from darkroom.errors import InvalidConfig, Unsupported
from darkroom.images import Decoded, apply_contract, transform_of
from darkroom.records import Contract
from tests.images.kinds import noise

CONTRACTS = [
    Contract(
        width_px=31, height_px=17, resize=mode, colour=colour, enhance=("median3", "invert", "autocontrast")
    )
    for mode in ("squash", "crop", "fill", "half_crop")
    for colour in ("rgb", "grey")
]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_contract_comes_back_through_json(contract: Contract) -> None:
    assert contract_of(json.loads(json.dumps(contract_document(contract)))) == contract


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_steps_are_those_that_run_in_their_order(contract: Contract) -> None:
    traced = apply_contract(Decoded.from_pixels(noise()), contract, trace=True).steps
    assert [step["step"] for step in contract_document(contract)["steps"]] == [step.name for step in traced]


def ratio(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b)


@pytest.mark.parametrize("mode", ["crop", "fill", "half_crop"])
@pytest.mark.parametrize("size", [(640, 480), (123, 457), (1, 900), (900, 1), (64, 35)])
def test_the_formulas_in_the_document_give_the_geometry_that_runs(mode: str, size: tuple[int, int]) -> None:
    """Evaluates the document's own text for the side that is too long."""
    contract = Contract(width_px=31, height_px=17, resize=mode)
    steps = {step["step"]: step for step in contract_document(contract)["steps"]}
    found = transform_of(*size, contract)
    names = {"W": size[0], "H": size[1], "w": 31, "h": 17, "max": max, "ratio": ratio}
    names["s"] = names["W"] * names["h"] + names["H"] * names["w"]  # type: ignore[operator]
    wide = size[0] * 17 > size[1] * 31
    keep, becomes = steps["crop"]["keep"], steps["resize_horizontal"]["to"]
    if mode != "fill":
        branch = keep.split("else: ")[0 if wide else 1].split("W*h > H*w: ")[-1].rstrip("; ")
        side, _, formula = branch.partition(" ")
        kept = found.crop_width_px if side == "width" else found.crop_height_px
        assert (side == "width") == wide
        assert worked_out(formula, names) == kept
    if mode != "crop":
        branch = becomes.split("else: ")[0 if wide else 1].split("W*h > H*w: ")[-1].rstrip("; ")
        width, height = branch.split(" x ")
        assert (worked_out(width, names), worked_out(height, names)) == (
            found.resized_width_px,
            found.resized_height_px,
        )


def worked_out(formula: str, names: dict[str, object]) -> int:
    return int(eval(formula, {"__builtins__": {}}, names))


@pytest.mark.parametrize(
    ("key", "says"), [("schema_version", "version 2"), ("contract_version", "version 2")]
)
def test_a_newer_document_is_refused(key: str, says: str) -> None:
    document = contract_document(CONTRACTS[0]) | {key: 2}
    with pytest.raises(Unsupported, match=says):
        contract_of(document)


def test_a_document_without_a_contract_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"contract\.json"):
        contract_of({"schema_version": 1, "contract_version": 1, "contract": {"width": 5}})
