"""A side that leaves the way is told at which step it did: real faults, each with code of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from darkroom.bundle import GoldenVectors
from darkroom.bundle.dump_reader import open_dump
from darkroom.bundle.dump_writer import DumpedPicture, write_dump
from darkroom.export import ConvertedFile
from darkroom.export.divergence import compare_dump
from darkroom.export.divergence_report import Divergence, StepDifference
from darkroom.export.dumping import dumped_pictures, head_of
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.sides import TorchSide
from darkroom.images import decode
from darkroom.records import Contract, Limits
from tests.export import phone_sides, tiny
from tests.export.phone_sides import CONTRACT, FAULTS, LABELS, Model, dumped, head, photos, steps_of


@pytest.fixture(scope="module")
def side() -> TorchSide:
    return TorchSide(phone_sides.network(), phone_sides.card())


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return photos()


@pytest.fixture(scope="module")
def compare(side: TorchSide, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Divergence]:
    folder = tmp_path_factory.mktemp("dumps")

    def compared(
        written, *, originals: bool = True, reference: object = side, **more: object
    ) -> Divergence:
        write_dump(folder / "dump.zip", head(**more), written, originals=originals)
        with open_dump(folder / "dump.zip") as file:
            return compare_dump(file, reference, Limits())  # type: ignore[arg-type]

    return compared


def test_the_reference_writer_agrees_with_itself_at_every_step(
    side: TorchSide, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    written = dumped_pictures(side, list(pictures.items()), layers=True)
    assert write_dump(tmp_path / "dump.zip", head_of(side), written) == len(pictures)
    with open_dump(tmp_path / "dump.zip") as file:
        found = compare_dump(file, side, Limits())
        assert file.dump.labels == LABELS
        assert file.dump.side.target == "pytorch"
        assert file.original(file.dump.pictures[0]) == pictures["plain.png"]
    assert found.same, found.found
    assert found.first is None
    compared = {check.step for check in found.checks}
    assert compared >= {"decode", "orient", "alpha", "colour", "crop", "resize_vertical", "tensor"}
    assert compared >= {"normalise", "layer", "probabilities", "labels"}
    assert len(found.layers) > 6
    assert all(pair.other == pair.layer and pair.relative == 0 for pair in found.layers)
    pictures_of = {check.step: check.pictures for check in found.checks}
    assert (pictures_of["probabilities"], pictures_of["layer"]) == (6, 4), "layers of four are looked at"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_before_the_tensor_is_named_from_the_tensor_alone(
    name: str, pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    fault = FAULTS[name]
    found = compare(dumped(pictures, fault.prepare))
    first = found.first
    assert first is not None
    assert first.step == fault.step, first
    assert first.cause.startswith(fault.cause), first
    assert first.do
    if fault.shown_by:
        assert first.pictures == fault.shown_by
        assert len(found.found) == 1
    if name not in ("no antialiasing", "float coefficients"):
        assert first.certainty == "exact"


@pytest.fixture(scope="module")
def golden() -> GoldenVectors:
    vectors = GoldenVectors.for_bundle(CONTRACT)
    assert vectors.differing() == ()
    return vectors.answered(tiny.Numpy().run(vectors.tensors).probabilities)


@pytest.mark.parametrize("name", [None, *FAULTS])
def test_verify_refuses_a_side_with_a_fault_before_the_tensor(
    name: str | None, golden: GoldenVectors, tmp_path: Path
) -> None:
    contract_card = tiny.CARD.model_copy(update={"contract": CONTRACT})
    path = tiny.write_tiny(tmp_path / "m.onnx", card=contract_card, shape=CONTRACT.shape)
    file = ConvertedFile(path=path, target="onnx")
    batch = ParityBatch(["a"], np.array([0]), golden.tensors[:1])
    prepare = FAULTS[name].prepare if name else phone_sides.sound
    report = verify(
        tiny.Numpy(), contract_card, [file], [batch], golden=golden.vectors, rounds=0, prepare=prepare
    )
    assert report.passes == (name is None)
    if name is not None:
        assert "do not become their tensor" in report.failures[0]
        assert report.files[0].golden.wrong_tensors


def test_each_step_answers_for_itself(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    def more(name: str, data: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
        steps = steps_of(data, CONTRACT)
        return {"colour": steps["colour"], "resize": phone_sides.vertical_first(data, CONTRACT)}

    found = compare(dumped({"plain.png": pictures["plain.png"]}, phone_sides.vertical_first, more=more))
    assert [one.cause for one in found.found] == ["vertical-first"]
    checks = {check.step: check.differing for check in found.checks}
    assert checks == {"colour": 0, "resize": 1, "tensor": 0}


def test_two_faults_are_told_apart(pictures: dict[str, bytes], compare: Callable[..., Divergence]) -> None:
    def both(data: bytes, contract: Contract) -> np.ndarray:
        turned = decode(data).orientation != 1
        return (phone_sides.without_exif if turned else phone_sides.squash)(data, contract)

    chosen = {name: pictures[name] for name in ("turned.png", "plain.png", "high.png")}
    found = compare(dumped(chosen, both))
    assert {one.cause: set(one.pictures) for one in found.found} == {
        "squash-for-crop": {"plain.png", "high.png"},
        "orientation-ignored": {"turned.png"},
    }


def test_a_fault_that_all_share_does_not_hide_a_second_one(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    def both(data: bytes, contract: Contract) -> np.ndarray:
        return phone_sides.squash(phone_sides.stripped(data), contract)

    chosen = {name: pictures[name] for name in ("turned.png", "plain.png", "high.png")}
    found = compare(dumped(chosen, both))
    assert [(one.cause, one.pictures, one.certainty) for one in found.found] == [
        ("orientation-ignored", ("turned.png",), "exact"),
        ("squash-for-crop", ("plain.png", "high.png"), "exact"),
    ]


def test_a_decoder_that_turns_pictures_itself_is_no_fault(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    def more(name: str, data: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
        return {"decode": steps_of(data, CONTRACT)["orient"]}

    found = compare(dumped({"turned.png": pictures["turned.png"]}, phone_sides.sound, more=more))
    assert found.same
    assert any("its decoder does what the steps up to orient do" in note for note in found.notes)


def test_without_bytes_a_dump_is_followed_from_its_first_step_on(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    def more(name: str, data: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
        return {"colour": steps_of(data, CONTRACT)["colour"]}

    written = dumped({"plain.png": pictures["plain.png"]}, phone_sides.squash, more=more)
    found = compare(written, originals=False)
    assert found.first is not None
    assert found.first.cause == "squash-for-crop"
    assert any("nobody has its bytes" in note for note in found.notes)


def test_pixels_that_no_known_cause_gives_are_located_between_two_steps(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    def odd(data: bytes, contract: Contract) -> np.ndarray:
        tensor = phone_sides.sound(data, contract).copy()
        tensor[:, ::3] = 255 - tensor[:, ::3] // 2
        return tensor

    found = compare(dumped({"plain.png": pictures["plain.png"]}, odd)).first
    assert found is not None
    assert (found.step, found.certainty, found.cause) == ("tensor", "open", "")
    assert "decode, orient" in found.do


def double_softmax(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(1).softmax(1)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("shape", [(13, 19, 3), (24, 28, 4), (97, 61, 1)])
def test_pixels_of_a_size_that_the_next_step_does_not_take_are_told_not_raised(
    known: bool,
    shape: tuple[int, int, int],
    pictures: dict[str, bytes],
    compare: Callable[..., Divergence],
) -> None:
    steps = {"resize": np.zeros(shape, np.uint8), "tensor": np.zeros(CONTRACT.shape, np.uint8)}
    data = pictures["plain.png"] if known else b""
    found = compare([DumpedPicture(name="plain.png", data=data, steps=steps)])
    assert [one.step for one in found.found][:1] == (["resize"] if known else [])


ANSWERS = {
    "double softmax": ({"last": double_softmax}, "softmax", "double-softmax"),
    "no softmax": ({"last": lambda logits: logits}, "softmax", "no-softmax"),
    "sigmoid": ({"last": torch.sigmoid}, "softmax", "sigmoid-for-softmax"),
    "ImageNet's mean": ({"mean": (0.485, 0.456, 0.406)}, "normalise", "normalisation"),
    "0 to 1": ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "normalise", "normalisation"),
    "outputs swapped": ({"order": (1, 0, 2, 3)}, "labels", "swapped-labels"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_fault_after_the_tensor_is_named_from_the_answers_alone(
    name: str, pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    planted, step, cause = ANSWERS[name]
    found = compare(dumped(pictures, phone_sides.sound, Model(phone_sides.network(), **planted)))
    first = found.first
    assert first is not None
    assert (first.step, first.cause, first.certainty) == (step, cause, "exact"), first
    assert len(found.found) == 1


def test_labels_in_another_order_are_named(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    swapped = ("green", "red", "blue", "grey")
    net = Model(phone_sides.network())
    found = compare(dumped(pictures, phone_sides.sound, net), labels=swapped)
    assert found.first is not None
    assert found.first.step == "labels"
    assert "place 0 is 'green' for 'red'" in found.first.words
    fitting = Model(phone_sides.network(), order=(1, 0, 2, 3))
    agreed = compare(dumped(pictures, phone_sides.sound, fitting), labels=swapped)
    assert agreed.same
    assert any("its answers fit that order" in note for note in agreed.notes)


def test_the_mean_is_read_out_of_the_input(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    net = Model(phone_sides.network(), mean=(0.31, 0.32, 0.33), std=(0.2, 0.25, 0.3))

    def more(name: str, data: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
        return {"normalise": net.input(tensor)}

    first = compare(dumped(pictures, phone_sides.sound, more=more)).first
    assert first is not None
    assert (first.step, first.cause) == ("normalise", "normalisation")
    assert "mean (0.31, 0.32, 0.33) and std (0.2, 0.25, 0.3)" in first.words


def test_an_input_turned_into_its_negative_is_said(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    net = Model(phone_sides.network())

    def more(name: str, data: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
        return {"normalise": net.input(255 - tensor)}

    first = compare(dumped(pictures, phone_sides.sound, more=more)).first
    assert first is not None
    assert first.cause == "normalisation"
    assert first.words.endswith("so that light becomes dark.")


def test_an_input_of_one_level_or_of_no_numbers_is_not_explained_wrongly(
    compare: Callable[..., Divergence],
) -> None:
    tensor = np.full(CONTRACT.shape, 90, np.uint8)

    def first(value: float) -> StepDifference:
        steps = {"tensor": tensor, "normalise": np.full(CONTRACT.shape, value, np.float32)}
        found = compare([DumpedPicture(name="grey", steps=steps)]).first
        assert found is not None
        return found

    assert first(3.0).words == (
        "Its input is another; its pictures have a single level, which says nothing of why."
    )
    assert first(float("nan")).words == "Its input holds values that are NaN or infinite."


def test_a_difference_that_may_be_the_decoders_is_marked_at_its_step(
    side: TorchSide, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(pictures["plain.png"])).save(file, "JPEG")
    tensor = phone_sides.sound(file.getvalue(), CONTRACT).copy()
    tensor[3, 4, 1] ^= 1
    written = [DumpedPicture(name="plain.jpg", data=file.getvalue(), steps={"tensor": tensor})]
    write_dump(tmp_path / "dump.zip", head(), written)
    with open_dump(tmp_path / "dump.zip") as opened:
        found = compare_dump(opened, side, Limits())
    assert found.same
    (check,) = (one for one in found.checks if one.step == "tensor")
    assert (check.differing, check.note) == (1, "may be the decoder's: put decode into the dump")


def test_from_hashes_and_answers_alone_the_way_is_found_when_the_pictures_are_elsewhere(
    side: TorchSide, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    model = Model(phone_sides.network())
    written = [
        DumpedPicture(
            name=name,
            data=pictures[name],
            steps={"probabilities": model(phone_sides.squash(pictures[name], CONTRACT))},
        )
        for name in ("plain.png", "high.png")
    ]
    write_dump(tmp_path / "dump.zip", head(), written, originals=False)
    with open_dump(tmp_path / "dump.zip") as opened:
        found = compare_dump(opened, side, Limits(), find_bytes=lambda one: pictures[one.name])
    assert found.first is not None
    assert (found.first.step, found.first.cause) == ("crop", "squash-for-crop")


def test_from_pictures_and_answers_alone_the_way_in_between_is_found(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    model = Model(phone_sides.network())
    chosen = {name: pictures[name] for name in ("plain.png", "high.png", "small.png")}
    written = [
        DumpedPicture(
            name=name, data=data, steps={"probabilities": model(phone_sides.squash(data, CONTRACT))}
        )
        for name, data in chosen.items()
    ]
    first = compare(written).first
    assert first is not None
    assert (first.step, first.cause, first.certainty) == ("crop", "squash-for-crop", "likely")


def test_answers_that_are_no_numbers_are_told(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    net = Model(phone_sides.network(), last=lambda logits: logits / 0 * 0)
    first = compare(dumped(pictures, phone_sides.sound, net)).first
    assert first is not None
    assert first.step == "probabilities"
    assert "NaN" in first.words


def test_what_the_user_was_told_is_held_against_the_probabilities(
    pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    model = Model(phone_sides.network())
    tensor = phone_sides.sound(pictures["plain.png"], CONTRACT)
    answers = model(tensor)
    wrong = LABELS[(int(answers.argmax()) + 1) % 4]
    steps = {"tensor": tensor, "probabilities": answers}
    written = [DumpedPicture(name="plain.png", data=pictures["plain.png"], steps=steps, answer=wrong)]
    first = compare(written).first
    assert first is not None
    assert first.step == "answer"
    assert wrong in first.words


def test_the_layer_at_which_networks_part_is_named(
    side: TorchSide, pictures: dict[str, bytes], compare: Callable[..., Divergence]
) -> None:
    other = phone_sides.network()
    convolutions = [name for name, layer in other.named_modules() if isinstance(layer, torch.nn.Conv2d)]
    layer = dict(other.named_modules())[convolutions[1]]
    assert isinstance(layer, torch.nn.Conv2d)
    layer.weight.data = layer.weight.data.flip(3)
    broken = TorchSide(other, phone_sides.card())
    found = compare(dumped_pictures(broken, list(pictures.items()), layers=True))
    assert found.first is not None
    assert found.first.step == "layer"
    assert convolutions[1] in found.first.layer
    assert convolutions[0] not in found.first.layer
