"""Core ML models: the package as Xcode expects it, its facts, its operations run and refused."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.bundle import GoldenVectors, ModelFile, read_bundle, size_of, write_bundle
from darkroom.errors import Damaged, MissingExtra, NotFound, StorageFailed, Unsupported
from darkroom.export import ConvertedFile, find
from darkroom.export.child import write_file
from darkroom.export.conversion import convert
from darkroom.export.coreml_session import in_order
from darkroom.export.parity import ParityBatch, verify
from darkroom.export.precisions import Recipe
from darkroom.export.quiet import quiet
from darkroom.export.reference import TorchReference
from darkroom.networks import build
from darkroom.networks.image_model import ImageModel
from darkroom.records import Contract, ModelCard, Normalisation, Task, now
from darkroom.serving import Predictor, open_session
from tests.bad_input.full_disk import files_of_at_most
from tests.export import models
from tests.export.models import Trained

needs_library = pytest.mark.slow
"""Loading coremltools takes seconds."""

PROGRAM = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
IOS_15, IOS_16 = 6, 7
"""Specification versions. Source: coremltools, AvailableTarget."""


@pytest.fixture(scope="module")
def colours() -> Trained:
    return models.colours()


@pytest.fixture(scope="module")
def files(colours: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package per precision, written in this process: a child for each would load its library anew."""
    folder, model = tmp_path_factory.mktemp("coreml"), ImageModel.of(colours.network, colours.card)
    paths = {
        precision: folder / f"{precision}.mlpackage"
        for precision in ("float32", "float16", "weight-int8", "palette6", "palette4")
    }
    for precision, path in paths.items():
        write_file(find("coreml"), model, colours.card, path, Recipe(precision=precision))
    return paths


def spec_of(path: Path) -> Any:
    with quiet():
        from coremltools.proto import Model_pb2

    spec: Any = Model_pb2.Model()
    spec.ParseFromString((path / PROGRAM).read_bytes())
    return spec


def operations(spec: Any) -> list[Any]:
    blocks = spec.mlProgram.functions["main"].block_specializations.values()
    return [operation for block in blocks for operation in block.operations]


def test_a_file_of_that_name_is_no_package_and_a_missing_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.mlpackage").write_bytes(b"?")
    with pytest.raises(Damaged, match="Core ML models are folders"):
        open_session(tmp_path / "model.mlpackage")
    with pytest.raises(NotFound, match="No model file"):
        open_session(tmp_path / "other.mlpackage")
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(Damaged, match="ONNX models are files"):
        open_session(tmp_path / "model.onnx")


def test_without_coremltools_the_command_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    (tmp_path / "model.mlpackage").mkdir()
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtra, match=r'pip install "darkroom\[coreml\]"'):
        open_session(tmp_path / "model.mlpackage")


@needs_library
def test_the_package_is_one_for_coremltools_too(files: dict[str, Path], colours: Trained) -> None:
    with quiet():
        import coremltools as ct

    model = ct.models.MLModel(str(files["float32"]), skip_model_load=True)
    assert model.license == colours.card.licence
    assert model.short_description == colours.card.intended_use
    assert {entry.name for entry in files["float32"].iterdir()} == {"Manifest.json", "Data"}
    manifest = json.loads((files["float32"] / "Manifest.json").read_text())
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    assert root["path"] == "com.apple.CoreML/model.mlmodel"


@needs_library
def test_a_classifier_takes_a_picture_and_names_the_class(files: dict[str, Path], colours: Trained) -> None:
    spec = spec_of(files["float32"])
    (taken,) = spec.description.input
    assert taken.name == "image"
    assert (taken.type.imageType.width, taken.type.imageType.height) == (24, 20)
    assert {output.name for output in spec.description.output} == {"classLabel", "probabilities"}
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.description.predictedProbabilitiesName == "probabilities"
    facts = spec.description.metadata.userDefined
    assert json.loads(facts["labels"]) == list(colours.card.labels)
    assert json.loads(facts["contract"])["contract"]["width_px"] == 24
    assert not [name for name in facts if "date" in name]


@needs_library
@pytest.mark.parametrize(
    ("precision", "version", "most"),
    [
        ("float32", IOS_15, 1.02),
        ("float16", IOS_15, 0.56),
        ("weight-int8", IOS_16, 0.36),
        ("palette6", IOS_16, 0.30),
        ("palette4", IOS_16, 0.24),
    ],
)
def test_each_precision_has_its_size_and_the_oldest_system_that_runs_it(
    files: dict[str, Path], precision: str, version: int, most: float
) -> None:
    spec = spec_of(files[precision])
    assert spec.specificationVersion == version
    assert spec.description.metadata.userDefined["precision"] == precision
    assert size_of(files[precision]) < most * size_of(files["float32"])


@needs_library
@pytest.mark.parametrize(
    ("precision", "apart"), [("float16", 5e-3), ("weight-int8", 0.05), ("palette6", 0.2), ("palette4", 0.6)]
)
def test_each_precision_answers_nearly_as_pytorch_does(
    files: dict[str, Path], colours: Trained, precision: str, apart: float
) -> None:
    expected = TorchReference(colours.network, colours.card).run(colours.images).probabilities
    found = open_session(files[precision]).run(colours.images).probabilities
    assert 0 < np.abs(found - expected).max() <= apart
    assert (found.argmax(1) == expected.argmax(1)).mean() >= (0.999 if precision == "float16" else 0.97)


@needs_library
def test_the_report_says_what_answered_and_leaves_time_and_memory_out(
    files: dict[str, Path], colours: Trained
) -> None:
    report = verify(
        TorchReference(colours.network, colours.card),
        colours.card,
        [ConvertedFile(path=files["float32"], target="coreml")],
        colours.batches(),
        rounds=3,
        memory=True,
    )
    (file,) = report.files
    assert file.failures == ()
    assert file.runtime.startswith("coremltools")
    assert f"its operations in torch {torch.__version__}" in file.runtime
    assert (file.latency, file.memory, file.load_ms) == (None, None, 0.0)
    assert file.size_bytes == size_of(files["float32"])


def changed(path: Path, to: Path, change: Any) -> Path:
    """Returns a copy of a package with another program."""
    shutil.copytree(path, to)
    spec = spec_of(to)
    change(spec)
    (to / PROGRAM).write_bytes(spec.SerializeToString())
    return to


@needs_library
def test_an_operation_that_is_not_known_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    def plant(spec: Any) -> None:
        operations(spec)[-2].type = "frobnicate"

    path = changed(files["float32"], tmp_path / "model.mlpackage", plant)
    with pytest.raises(Unsupported, match=r"does not know the operation frobnicate in .*model\.mlpackage"):
        open_session(path)


@needs_library
def test_swapped_classes_in_the_program_are_found_whatever_the_metadata_says(
    files: dict[str, Path], colours: Trained, tmp_path: Path
) -> None:
    def plant(spec: Any) -> None:
        (classify,) = [one for one in operations(spec) if one.type == "classify"]
        argument = classify.inputs["classes"].arguments[0]
        value = argument.value
        if argument.WhichOneof("binding") == "name":
            (named,) = [one for one in operations(spec) if one.outputs[0].name == argument.name]
            value = named.attributes["val"]
        first, second = (
            value.immediateValue.list.values[at].immediateValue.tensor.strings for at in (0, 1)
        )
        first.values[0], second.values[0] = second.values[0], first.values[0]

    path = changed(files["float32"], tmp_path / "model.mlpackage", plant)
    assert open_session(path).carried.labels == ("grün", "red", "blue", "grey")


def test_probabilities_of_a_dictionary_stand_in_the_order_that_the_program_names() -> None:
    of_each = {"red": 0.2, "grün": 0.7, "blue": 0.1}
    assert in_order(of_each, ("grün", "red", "blue")).tolist() == [0.7, 0.2, 0.1]


@needs_library
def test_classes_that_are_no_words_are_damage_not_a_traceback(
    files: dict[str, Path], tmp_path: Path
) -> None:
    def plant(spec: Any) -> None:
        for one in operations(spec):
            for value in (
                *one.attributes.values(),
                *(a.value for g in one.inputs.values() for a in g.arguments),
            ):
                for word in value.immediateValue.list.values:
                    word.immediateValue.tensor.strings.ClearField("values")

    path = changed(files["float32"], tmp_path / "model.mlpackage", plant)
    with pytest.raises(Damaged, match="its classes cannot be read"):
        open_session(path)


@needs_library
def test_a_package_whose_answer_has_another_name_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    def plant(spec: Any) -> None:
        for output in spec.description.output:
            output.name = output.name.replace("probabilities", "scores")

    path = changed(files["float32"], tmp_path / "model.mlpackage", plant)
    with pytest.raises(Unsupported, match="no output called probabilities; it has .*scores"):
        open_session(path)


@needs_library
def test_converting_leaves_no_package_in_the_temporary_folder(
    colours: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, folder = tmp_path / "temporary", tmp_path / "files"
    temporary.mkdir()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    model = ImageModel.of(colours.network, colours.card)
    path = folder / "model.mlpackage"
    write_file(find("coreml"), model, colours.card, path, Recipe(precision="palette4"))
    assert list(temporary.iterdir()) == []
    assert [one.name for one in folder.iterdir()] == ["model.mlpackage"]


@needs_library
def test_weights_are_read_from_the_file(files: dict[str, Path], colours: Trained, tmp_path: Path) -> None:
    shutil.copytree(files["float32"], tmp_path / "model.mlpackage")
    weights = tmp_path / "model.mlpackage" / WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-400:-200] = bytes(200)
    weights.write_bytes(bytes(data))
    before = open_session(files["float32"]).run(colours.images[:5]).probabilities
    assert np.abs(open_session(weights.parents[3]).run(colours.images[:5]).probabilities - before).max() > 0


@needs_library
@pytest.mark.parametrize("place", [PROGRAM, WEIGHTS])
def test_a_package_with_a_part_cut_short_or_gone_is_damaged(
    files: dict[str, Path], place: str, tmp_path: Path
) -> None:
    shutil.copytree(files["float32"], tmp_path / "model.mlpackage")
    part = tmp_path / "model.mlpackage" / place
    part.write_bytes(part.read_bytes()[:70])
    with pytest.raises(Damaged, match=r"model\.mlpackage"):
        Predictor.open(tmp_path / "model.mlpackage")
    part.unlink()
    with pytest.raises(Damaged, match=r"model\.mlpackage"):
        Predictor.open(tmp_path / "model.mlpackage")


@needs_library
def test_a_bundle_carries_it_and_answers_from_it(
    files: dict[str, Path], colours: Trained, tmp_path: Path
) -> None:
    golden = GoldenVectors.synthetic(colours.card.contract, count=4)
    golden = golden.answered(
        TorchReference(colours.network, colours.card).run(golden.tensors).probabilities
    )
    write_bundle(
        tmp_path / "bundle",
        name="colours",
        card=colours.card,
        models=[ModelFile(files["float32"], "coreml", "float32")],
        golden=golden,
    )
    assert [one.path for one in read_bundle(tmp_path / "bundle").models] == ["models/float32.mlpackage"]
    predictor = Predictor.open(tmp_path / "bundle")
    for vector in golden.vectors:
        found = predictor.predict(vector.image)
        assert list(found.probabilities.values()) == pytest.approx(vector.probabilities, abs=1e-4)


@needs_library
def test_several_labels_and_masks_have_no_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    kinds: tuple[tuple[Task, str, int], ...] = (
        ("multi-label", "lenet5", 32),
        ("segmentation", "lraspp/mobilenetv2_035", 64),
    )
    for task, name, size in kinds:
        card = ModelCard(
            task=task,
            labels=("a", "b", "c"),
            network=name,
            contract=Contract(width_px=size + 32, height_px=size, colour="rgb"),
            normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
            created_at=now(),
        )
        network = build(name, channels=3, size=(size, size + 32), classes=3).eval()
        model = ImageModel.of(network, card, with_embedding=True)
        files = [
            ConvertedFile(path=tmp_path / f"{task}{find(target).suffix}", target=target)
            for target in ("coreml", "executorch")
        ]
        for file in files:
            write_file(find(file.target), model, card, file.path, models.FLOAT32)
        spec = spec_of(files[0].path)
        assert spec.description.predictedFeatureName == ""
        outputs = {output.name: output.type.WhichOneof("Type") for output in spec.description.output}
        assert outputs == {"probabilities": "multiArrayType", "embedding": "multiArrayType"}
        images = np.random.default_rng(1).integers(0, 256, (3, *card.contract.shape)).astype(np.uint8)
        truth = np.zeros((3, *card.contract.shape[:2]), np.uint8) if task == "segmentation" else np.eye(3)
        part = ParityBatch(["x", "y", "z"], truth.astype(np.int64), images)
        report = verify(TorchReference(network, card), card, files, [part], rounds=0)
        assert [file.failures for file in report.files] == [(), ()]
        assert all(file.max_abs <= 1e-4 for file in report.files)


@needs_library
def test_a_new_package_takes_the_place_of_the_old_one_whole(colours: Trained, tmp_path: Path) -> None:
    (tmp_path / "model.mlpackage").mkdir()
    (tmp_path / "model.mlpackage" / "from-before").write_text("?")
    convert(colours.network, colours.card, tmp_path, targets=("coreml",))
    assert {path.name for path in tmp_path.iterdir()} == {"model.mlpackage"}
    assert {path.name for path in (tmp_path / "model.mlpackage").iterdir()} == {"Manifest.json", "Data"}


@needs_library
def test_a_disk_that_fills_leaves_the_old_package_or_none(colours: Trained, tmp_path: Path) -> None:
    with files_of_at_most(60_000), pytest.raises(StorageFailed):
        convert(colours.network, colours.card, tmp_path / "files", targets=("coreml",))
    assert list((tmp_path / "files").iterdir()) == []
