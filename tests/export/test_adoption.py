"""Files from elsewhere become ours: what they need is laid around them, said, and changes no answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darkroom.bundle import GoldenVectors
from darkroom.errors import Damaged, DarkroomError, Invalid, NotFound, Unsupported
from darkroom.export import adopted_onnx
from darkroom.export.adopting import Wish
from darkroom.export.adoption import Adopted, adopt, original_bytes, unique
from darkroom.export.foreign import Foreign
from darkroom.records import Contract
from darkroom.serving import open_session
from tests.export import tiny, tiny_tflite
from tests.export.tiny_tflite import HEIGHT, WIDTH

LABELS = ("red", "green", "blue")
ONES = (0.5,), (0.5,)
"""Mean and std of inputs between -1 and 1."""
SIZE = Contract(width_px=WIDTH, height_px=HEIGHT, resize="squash")


def taken_in(path: Path, folder: Path, *scaling: tuple[float, ...], **wish: object) -> Adopted:
    facts = {"task": "classification", "labels": LABELS, "contract": Contract(resize="squash")}
    mean, std = scaling or ((), ())
    wished = Wish(**{**facts, "mean": mean, "std": std, **wish})  # type: ignore[arg-type]
    return adopt(path, wished, folder, name="taken", facts={"licence": "Apache-2.0"})


def pictures(count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)


def agrees(adopted: Adopted, original: Path, *, within: float = 1e-6) -> np.ndarray:
    """Holds the adopted file against the original in numpy; returns its answers."""
    session = open_session(adopted.file.path)
    assert session.input_shape == adopted.card.contract.shape
    assert session.carried.labels == adopted.card.labels
    assert session.carried.card == adopted.card
    tensors = pictures()
    expected = Foreign(original, adopted.adaptation).run(tensors).probabilities
    found = session.run(tensors).probabilities
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=within)
    assert len({int(row) for row in found.argmax(axis=-1).ravel()}) > 1, "or agreement says little"
    return found


def scores(tensors: np.ndarray) -> np.ndarray:
    return (tensors.astype(np.float64) / 127.5 - 1).mean(axis=(1, 2))


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_pixels_are_scaled_inside_a_file_that_takes_floats(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite")
    adopted = taken_in(path, tmp_path, *ONES)
    np.testing.assert_allclose(agrees(adopted, path), softmax(4 * scores(pictures())), atol=1e-6)
    assert adopted.file.precision == "float32"
    assert adopted.adaptation.words == (
        "It takes float32: input = 0.00784314 · pixel − 1, inside the adopted file.",
    )
    assert adopted.card.adapted == adopted.adaptation.words
    assert adopted.card.weights.source == "came.tflite"
    golden = adopted.golden
    assert golden.probabilities is not None
    found = open_session(adopted.file.path).run(golden.tensors).probabilities
    np.testing.assert_allclose(found, golden.probabilities, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_quantised_pixels_go_in_as_they_are_and_the_answer_becomes_float(
    tmp_path: Path, signed: bool
) -> None:
    path = tiny_tflite.write_quantised(tmp_path / "came.tflite", signed=signed)
    adopted = taken_in(path, tmp_path)
    found = agrees(adopted, path)
    expected = softmax(4 * ((pictures().astype(float) - 128) / 128).mean(axis=(1, 2)))
    np.testing.assert_allclose(found, expected, atol=1 / 256)
    assert adopted.file.precision == "int8"
    first, second = adopted.adaptation.words
    assert first == (
        f"Its input is quantised: pixels go in as they are{', less 128' if signed else ''}, and mean "
        "(pixel − 128) · 0.0078125."
    )
    assert second == "Its answer is quantised: probability = (uint8 − 0) · 0.00390625."


def test_a_scaling_that_a_quantised_input_does_not_mean_is_refused(tmp_path: Path) -> None:
    path = tiny_tflite.write_quantised(tmp_path / "came.tflite")
    taken_in(path, tmp_path, *ONES)
    with pytest.raises(Invalid, match="mean and std that were given say another"):
        taken_in(path, tmp_path, (0.0,), (1.0,))


@pytest.mark.parametrize("answers", ["auto", "logits"])
def test_scores_become_probabilities(tmp_path: Path, answers: str) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite", scores=True)
    adopted = taken_in(path, tmp_path, *ONES, answers=answers)
    np.testing.assert_allclose(agrees(adopted, path), softmax(scores(pictures())), atol=1e-6)
    said = adopted.adaptation.words[1]
    assert said.startswith("It answers with scores: a softmax inside the adopted file")
    assert ("Nobody said so" in said) == (answers == "auto")


def test_scores_of_several_labels_become_a_probability_each(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite", scores=True)
    adopted = taken_in(path, tmp_path, *ONES, task="multi-label")
    np.testing.assert_allclose(agrees(adopted, path), 1 / (1 + np.exp(-scores(pictures()))), atol=1e-6)


def numbered(path: Path, kind: int) -> Path:
    """The number of the largest channel of each pixel, as .onnx."""
    nodes = [
        helper.make_node("ArgMax", ["image"], ["numbers"], axis=1, keepdims=0),
        helper.make_node("Cast", ["numbers"], ["classes"], to=kind),
    ]
    graph = helper.make_graph(
        nodes,
        "came",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("classes", kind, ["batch", HEIGHT, WIDTH])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.parametrize("kind", ["int64", "uint8", "onnx int64", "onnx int32", "onnx uint8"])
def test_numbers_of_classes_become_masks(tmp_path: Path, kind: str) -> None:
    form, _, name = kind.rpartition(" ")
    path = (
        numbered(tmp_path / "came.onnx", getattr(TensorProto, name.upper()))
        if form
        else tiny_tflite.write_classes(tmp_path / "came.tflite", small=name == "uint8")
    )
    adopted = taken_in(path, tmp_path, *ONES, task="segmentation")
    found = agrees(adopted, path)
    assert found.shape == (20, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(found.argmax(axis=-1), pictures().argmax(axis=-1))
    np.testing.assert_array_equal(found.max(axis=-1), 1.0)
    assert adopted.golden.vectors[0].mask is not None


def channels_first(path: Path, *, batch: int | str = "batch", masks: bool = False) -> Path:
    """A network as PyTorch writes it: float32 (N, 3, height, width), scores; names as ours have."""
    size = [HEIGHT, WIDTH]
    nodes = [
        helper.make_node("Neg", ["image"], ["probabilities"])
        if masks
        else helper.make_node("ReduceMean", ["image", "axes"], ["probabilities"], keepdims=0)
    ]
    graph = helper.make_graph(
        nodes,
        "came",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, *size])],
        [
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, [batch, 3, *(size if masks else [])]
            )
        ],
        [] if masks else [numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", ["batch", 1])
def test_an_onnx_file_with_channels_first_is_turned(tmp_path: Path, batch: int | str) -> None:
    path = channels_first(tmp_path / "came.onnx", batch=batch)
    adopted = taken_in(path, tmp_path, *ONES)
    np.testing.assert_allclose(agrees(adopted, path), softmax(scores(pictures())), atol=1e-6)
    assert "The file takes channels first: the tensor is turned for it." in adopted.adaptation.words


def test_weights_that_lie_beside_an_onnx_file_are_taken_in(tmp_path: Path) -> None:
    model = onnx.load(channels_first(tmp_path / "whole.onnx"))
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((1, 3, HEIGHT, WIDTH), np.float32), "gain")
    )
    model.graph.node[0].input[0] = "louder"
    model.graph.node.insert(0, helper.make_node("Mul", ["image", "gain"], ["louder"]))
    onnx.save(
        model, tmp_path / "came.onnx", save_as_external_data=True, location="came.data", size_threshold=100
    )
    assert (tmp_path / "came.data").is_file()
    adopted = taken_in(tmp_path / "came.onnx", tmp_path, *ONES)
    (tmp_path / "kept.onnx").write_bytes(original_bytes(tmp_path / "came.onnx"))
    (tmp_path / "came.data").unlink()
    agrees(adopted, tmp_path / "kept.onnx")


def test_masks_of_an_onnx_file_with_classes_first_are_turned(tmp_path: Path) -> None:
    path = channels_first(tmp_path / "came.onnx", masks=True)
    adopted = taken_in(path, tmp_path, *ONES, task="segmentation")
    expected = softmax(-(pictures().astype(np.float64) / 127.5 - 1))
    np.testing.assert_allclose(agrees(adopted, path), expected, atol=1e-6)


def test_a_file_that_takes_and_gives_what_ours_do_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tiny.write_tiny(tmp_path / "came.onnx", card=None, labels=None)
    adopted = taken_in(path, tmp_path)
    agrees(adopted, path)
    first, second = adopted.adaptation.words
    assert first == "It takes the pixels as they are."
    assert second == "Of its 2 outputs, 'probabilities' is the answer."


def test_how_floats_are_scaled_must_be_said(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite")
    with pytest.raises(Invalid, match=r"was not said\. .*--mean 0.5 --std 0.5"):
        taken_in(path, tmp_path)
    with pytest.raises(Invalid, match="a mean and a std for each of 3 channels"):
        taken_in(path, tmp_path, (0.5, 0.5), (0.5,))


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), (0.0,)), ((0.5,), (-0.5,)), ((float("nan"),), (0.5,)), ((0.5,), (1e999,))]
)
def test_pixels_that_cannot_be_scaled_so_are_refused(
    tmp_path: Path, mean: tuple[float], std: tuple[float]
) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite")
    with pytest.raises(Invalid, match=r"each std must be above 0.*--mean 0.5 --std 0.5"):
        taken_in(path, tmp_path, mean, std)


@pytest.mark.parametrize(
    ("write", "task", "answers"),
    [
        (tiny_tflite.write_float, "classification", "classes"),
        (tiny_tflite.write_float, "multi-label", "classes"),
        (tiny_tflite.write_classes, "segmentation", "logits"),
        (tiny_tflite.write_classes, "segmentation", "probabilities"),
    ],
)
def test_answers_that_are_not_what_was_said_are_refused(
    tmp_path: Path, write: Callable[[Path], Path], task: str, answers: str
) -> None:
    path = write(tmp_path / "came.tflite")
    with pytest.raises(Invalid, match=f"for {task} cannot be {answers}.*--answers out"):
        taken_in(path, tmp_path, *ONES, task=task, answers=answers)


def test_weights_that_lie_behind_a_tflite_file_are_taken_in(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite", behind=True)
    assert path.read_bytes().endswith(np.array([1, 2], np.int32).tobytes())
    np.testing.assert_allclose(
        agrees(taken_in(path, tmp_path, *ONES), path), softmax(4 * scores(pictures())), atol=1e-6
    )


def test_what_the_weights_of_an_onnx_file_are_is_seen(tmp_path: Path) -> None:
    path = channels_first(tmp_path / "came.onnx")
    assert adopted_onnx.precision_of(path) == "float32"
    for operation, outputs, named in (
        ("DynamicQuantizeLinear", ["q", "s", "z"], "dynamic-int8"),
        ("QuantizeLinear", ["q"], "int8"),
    ):
        model = onnx.load(path)
        model.graph.node.append(helper.make_node(operation, ["image"], outputs))
        onnx.save(model, tmp_path / "other.onnx")
        assert adopted_onnx.precision_of(tmp_path / "other.onnx") == named


def test_a_file_that_runs_and_that_its_checker_refuses_is_refused_in_words(tmp_path: Path) -> None:
    model = onnx.load(channels_first(tmp_path / "whole.onnx"))
    model.graph.node[0].input[0] = "turned"
    model.graph.node.append(helper.make_node("Neg", ["image"], ["turned"]))  # after the one that reads it
    onnx.save(model, tmp_path / "came.onnx")
    with pytest.raises(Unsupported, match="does not run"):
        taken_in(tmp_path / "came.onnx", tmp_path, *ONES)


def test_another_number_of_labels_is_refused_with_what_the_file_answers(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite")
    with pytest.raises(Invalid, match=r"answer float32 \(1, 3\), which does not fit 2 labels"):
        taken_in(path, tmp_path, *ONES, labels=LABELS[:2])


def test_a_size_that_is_not_the_file_s_is_refused_with_the_right_one(tmp_path: Path) -> None:
    path = tiny_tflite.write_float(tmp_path / "came.tflite")
    with pytest.raises(Invalid, match=r"6×4 px .*--contract.width-px 6 --contract.height-px 4"):
        taken_in(path, tmp_path, *ONES, contract=Contract(width_px=224))
    assert taken_in(path, tmp_path, *ONES, contract=SIZE).card.contract == SIZE


def test_an_operation_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    unknown = tiny.write_tiny(tmp_path / "came.onnx", last="Dream", domain="far.away")
    with pytest.raises(Unsupported, match=r"does not know the operation \S*Dream"):
        taken_in(unknown, tmp_path)
    beyond = tiny_tflite.write_float(tmp_path / "came.tflite", code=199)
    with pytest.raises(DarkroomError) as refused:
        taken_in(beyond, tmp_path, *ONES)
    assert isinstance(refused.value, Unsupported | Damaged)


def test_what_is_no_model_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_text("not a model")
    (tmp_path / "model.pb").write_text("?")
    for name, kind in (("words.onnx", Damaged), ("model.pb", Unsupported), ("gone.tflite", NotFound)):
        with pytest.raises(kind):
            taken_in(tmp_path / name, tmp_path)


def test_labels_that_stand_twice_carry_their_place() -> None:
    assert unique(("crane", "heron", "crane")) == ("crane (0)", "heron", "crane (2)")


def test_drawn_pictures_are_the_golden_vectors_of_the_file_s_size(tmp_path: Path) -> None:
    adopted = taken_in(tiny_tflite.write_float(tmp_path / "came.tflite"), tmp_path, *ONES)
    again = GoldenVectors.for_bundle(SIZE)
    np.testing.assert_array_equal(adopted.golden.tensors, again.tensors)
