"""Asking a bundle or a file: the same answer from each, without torch, with errors that say what to do."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto
from PIL import Image

from darkroom.bundle import GoldenVectors, ModelFile, write_bundle
from darkroom.errors import Damaged, Invalid, InvalidImage, MissingExtra, NotFound, Unsupported
from darkroom.export.conversion import convert
from darkroom.export.reference import TorchReference
from darkroom.images import prepare
from darkroom.records import OperatingPoint
from darkroom.serving import RUNTIMES, Predictor, open_session
from tests.export import models
from tests.export.tiny import CARD, CONTRACT, Numpy, write_tiny


class Shipped(NamedTuple):
    folder: Path
    trained: models.Trained
    golden: GoldenVectors


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """A bundle with a file for each runtime that needs no torch."""
    trained, folder = models.colours(), tmp_path_factory.mktemp("shipped")
    done = convert(trained.network, trained.card, folder / "files", targets=models.QUICK, embedding=True)
    golden = GoldenVectors.synthetic(trained.card.contract)
    golden = golden.answered(
        TorchReference(trained.network, trained.card).run(golden.tensors).probabilities
    )
    write_bundle(
        folder / "bundle",
        name="colours",
        card=trained.card,
        models=[ModelFile(file.path, file.target, file.precision) for file in done.files],
        golden=golden,
    )
    return Shipped(folder / "bundle", trained, golden)


def model_file(shipped: Shipped, runtime: str) -> Path:
    return shipped.folder / "models" / f"model{RUNTIMES[runtime].suffix}"


def png(width_px: int = 40, height_px: int = 30) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("runtime", ["auto", *models.QUICK])
def test_a_bundle_answers_pictures_as_pytorch_does(shipped: Shipped, runtime: str) -> None:
    predictor = Predictor.open(shipped.folder, runtime=runtime)
    labels = shipped.trained.card.labels
    for vector in shipped.golden.vectors:
        found = predictor.predict(vector.image)
        assert vector.probabilities is not None
        assert tuple(found.probabilities) == labels
        assert list(found.probabilities.values()) == pytest.approx(vector.probabilities, abs=1e-5)
        assert found.label == labels[int(np.argmax(vector.probabilities))]
        assert found.probability == max(found.probabilities.values())
        assert found.embedding is not None
        assert len(found.embedding) == 84
        assert found.runtime.split()[0] == RUNTIMES["onnx" if runtime == "auto" else runtime].package
        assert shipped.folder.joinpath("models", found.file).is_file()


@pytest.mark.parametrize("runtime", models.QUICK)
def test_a_file_alone_knows_its_card(shipped: Shipped, runtime: str, tmp_path: Path) -> None:
    path = shutil.copy(model_file(shipped, runtime), tmp_path)
    predictor = Predictor.open(Path(path))
    assert predictor.card == shipped.trained.card
    answer = predictor.predict_tensors(shipped.golden.tensors)
    np.testing.assert_allclose(answer.probabilities, shipped.golden.probabilities, atol=1e-5)


@pytest.mark.parametrize("runtime", models.QUICK)
def test_it_runs_where_torch_is_not_installed(shipped: Shipped, runtime: str, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(png())
    code = (
        "import json, sys\n"
        "for name in ('torch', 'torchvision', 'onnx', 'litert_torch', 'jax'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from darkroom.serving import Predictor\n"
        "predictor = Predictor.open(Path(sys.argv[1]), runtime=sys.argv[2])\n"
        "found = predictor.predict(Path(sys.argv[3]).read_bytes())\n"
        "print(json.dumps(dict(found.probabilities)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, shipped.folder, runtime, tmp_path / "photo.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == "", "a runtime's chatter is kept from the user"
    trained = shipped.trained
    tensor = prepare(png(), trained.card.contract)[None]
    expected = TorchReference(trained.network, trained.card).run(tensor).probabilities[0]
    assert list(json.loads(run.stdout).values()) == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("runtime", models.QUICK)
@pytest.mark.parametrize("kept", [0, 3, 200, 0.5, 0.85])
def test_a_cut_file_is_damaged(shipped: Shipped, runtime: str, kept: float, tmp_path: Path) -> None:
    whole = model_file(shipped, runtime).read_bytes()
    cut = tmp_path / model_file(shipped, runtime).name
    cut.write_bytes(whole[: int(kept if kept > 1 or kept == 0 else kept * len(whole))])
    with pytest.raises(Damaged, match=cut.name):
        Predictor.open(cut)


def test_a_tflite_file_without_what_was_packed_behind_it_needs_a_card(
    shipped: Shipped, tmp_path: Path
) -> None:
    whole = model_file(shipped, "litert").read_bytes()
    cut = tmp_path / "model.tflite"
    cut.write_bytes(whole[:-30])
    with pytest.raises(Damaged, match="carries no model card"):
        Predictor.open(cut)
    assert Predictor.open(cut, card=shipped.trained.card).predict(png()).label


def test_an_operation_that_onnx_runtime_lacks_is_named(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", last="Frobnicate", domain="elsewhere")
    with pytest.raises(
        Unsupported, match="onnxruntime .* does not know the operation elsewhere:Frobnicate"
    ):
        Predictor.open(path)


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ({"builtinCode": 32, "deprecatedBuiltinCode": 32, "customCode": b"Frobnicate"}, "Frobnicate"),
        ({}, "MUL"),
    ],
)
def test_an_operation_that_litert_lacks_is_named(
    shipped: Shipped, tmp_path: Path, planted: dict[str, object], named: str
) -> None:
    model = flatbuffer_utils.read_model(str(model_file(shipped, "litert")))
    place = next(i for i, code in enumerate(model.operatorCodes) if code.builtinCode == 18)
    model.operatorCodes[place].version = 99
    for name, value in planted.items():
        setattr(model.operatorCodes[place], name, value)
    for operator in model.subgraphs[0].operators:
        if planted and operator.opcodeIndex == place:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(Unsupported, match=rf"ai-edge-litert .* does not know the operation {named}\b"):
        Predictor.open(path, card=shipped.trained.card)


def test_a_file_that_takes_floats_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", kind=TensorProto.FLOAT)
    with pytest.raises(Unsupported, match=r"Expected: uint8 .* Received: tensor\(float\)"):
        Predictor.open(path)


def test_a_published_litert_file_without_our_contract_is_not_taken_for_ours(shared_data: Path) -> None:
    path = shared_data / "reference-models" / "mobilenet_v2_1.0_224_quant.tflite"
    with pytest.raises(Damaged, match="no model card"):
        Predictor.open(path)


def test_labels_that_do_not_fit_the_output_are_refused(tmp_path: Path) -> None:
    card = CARD.model_copy(update={"labels": ("a", "b")})
    with pytest.raises(Damaged, match="3 probabilities for the 2 labels"):
        Predictor.open(write_tiny(tmp_path / "model.onnx", card=card))


def test_another_input_than_the_contract_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"takes \(9, 9, 3\)"):
        Predictor.open(write_tiny(tmp_path / "model.onnx", shape=(9, 9, 3)))


def test_a_changed_byte_in_a_bundle_is_damaged(shipped: Shipped, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(shipped.folder, folder)
    path = folder / "models" / "model.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"model\.tflite"):
        Predictor.open(folder, runtime="onnx")


def test_auto_takes_a_runtime_that_is_installed(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert Predictor.open(shipped.folder).path.suffix == ".tflite"
    with pytest.raises(MissingExtra, match=r'pip install "darkroom\[onnx\]"'):
        Predictor.open(shipped.folder, runtime="onnx")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtra, match="onnxruntime"):
        Predictor.open(shipped.folder)


def test_what_is_not_there_is_said(shipped: Shipped, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No model file"):
        Predictor.open(tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=r"\.onnx or \.tflite or \.pte or \.mlpackage"):
        Predictor.open(tmp_path / "model.pth")
    with pytest.raises(NotFound, match="Known: onnx, litert"):
        Predictor.open(shipped.folder, runtime="onx")
    with pytest.raises(Invalid, match=r"files that end in \.tflite"):
        Predictor.open(write_tiny(tmp_path / "model.onnx"), runtime="litert")


def test_a_bundle_without_a_file_for_the_runtime_says_so(tmp_path: Path) -> None:
    golden = GoldenVectors.synthetic(CONTRACT, count=2)
    write_bundle(
        tmp_path / "bundle",
        name="tiny",
        card=CARD,
        models=[ModelFile(write_tiny(tmp_path / "model.onnx"), "onnx", "float32")],
        golden=golden.answered(Numpy().run(golden.tensors).probabilities),
    )
    with pytest.raises(NotFound, match="holds no file for LiteRT"):
        Predictor.open(tmp_path / "bundle", runtime="litert")


def test_the_operating_point_says_when_an_answer_is_not_sure(tmp_path: Path) -> None:
    path, picture = write_tiny(tmp_path / "model.onnx"), png()
    plain = Predictor.open(path).predict(picture)
    assert plain.sure
    for point, sure in (
        (OperatingPoint(not_sure_below=plain.probability + 0.01), False),
        (OperatingPoint(not_sure_below=plain.probability - 0.01), True),
        (OperatingPoint(thresholds={plain.label: plain.probability + 0.01}), False),
    ):
        card = CARD.model_copy(update={"operating_point": point})
        found = Predictor.open(path, card=card).predict(picture)
        assert (found.sure, found.label, found.probabilities) == (sure, plain.label, plain.probabilities)


def test_bytes_that_are_no_picture_are_refused(tmp_path: Path) -> None:
    predictor = Predictor.open(write_tiny(tmp_path / "model.onnx"))
    with pytest.raises(InvalidImage):
        predictor.predict(b"not a picture")


@pytest.mark.parametrize(
    "tensors",
    [
        np.zeros((1, 4, 6, 3), np.float32),
        np.zeros((1, 6, 4, 3), np.uint8),
        np.zeros((4, 6, 3), np.uint8),
    ],
)
def test_tensors_of_another_shape_or_type_are_refused(tmp_path: Path, tensors: np.ndarray) -> None:
    predictor = Predictor.open(write_tiny(tmp_path / "model.onnx"))
    with pytest.raises(Invalid, match=r"Expected tensors uint8 \(N, 4, 6, 3\)"):
        predictor.predict_tensors(tensors)


@pytest.mark.parametrize("runtime", models.QUICK)
def test_several_threads_may_ask_one_session(shipped: Shipped, runtime: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = open_session(model_file(shipped, runtime), threads=2)
    images = shipped.trained.images[:80]
    expected = session.run(images).probabilities
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: session.run(images[row : row + 1]).probabilities[0], range(80)))
    np.testing.assert_allclose(np.array(found), expected, atol=1e-6)


def test_only_the_runtimes_own_first_words_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    from darkroom.serving.litert_runtime import FIRST_WORDS
    from darkroom.serving.native_words import LeftOut

    with LeftOut(lambda line: line == FIRST_WORDS):
        os.write(2, b"before\n" + FIRST_WORDS + b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"
