"""Dumps and differences as operations: which bundle, which pictures, which exit code, what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from darkroom.bundle import GoldenVectors, ModelFile, write_bundle
from darkroom.bundle.dump_reader import open_dump
from darkroom.bundle.dump_writer import DumpedPicture, write_dump
from darkroom.errors import Damaged, DarkroomError, Invalid, InvalidImage, NotFound, Unsupported
from darkroom.networks.saved import save
from darkroom.operation import find_operation
from darkroom.operations.divergence import DiffReport, DumpReport
from darkroom.workspace import Workspace
from tests.bad_input.full_disk import files_of_at_most
from tests.export import phone_sides, tiny
from tests.export.phone_sides import CONTRACT, LABELS, Model, dumped, head, photos

TOML = '[project]\nname = "phone"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a bundle of a run's network and no file of another format."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "darkroom.toml").write_text(TOML)
    net, card = phone_sides.network(), phone_sides.card()
    with Workspace.open(folder) as workspace:
        weights = workspace.runs_folder / "r-1" / "checkpoints" / "best.safetensors"
        weights.parent.mkdir(parents=True)
        save(weights, net, card)
        golden = GoldenVectors.for_bundle(CONTRACT)
        answers = np.stack([Model(net)(tensor) for tensor in golden.tensors])
        place = workspace.bundles_folder / "b-1"
        manifest = write_bundle(place, name="phone", card=card, models=[], golden=golden.answered(answers))
        workspace.catalogue.bundles.add(run_id="r-1", path=workspace.relative(place), manifest=manifest)
    for name, data in photos().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    with Workspace.open(folder) as workspace:
        yield workspace


def call(workspace: Workspace, name: str, **values: object):
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def dump(workspace: Workspace, **values: object) -> Path:
    found = call(workspace, "export.dump", **values)
    assert isinstance(found, DumpReport)
    return workspace.root / found.path


def diff(workspace: Workspace, **values: object) -> DiffReport:
    found = call(workspace, "export.diff", **values)
    assert isinstance(found, DiffReport)
    return found


def test_a_dump_made_here_differs_nowhere(project: Workspace) -> None:
    written = call(project, "export.dump", layers=True)
    assert isinstance(written, DumpReport)
    assert len(written.pictures) == 13
    assert written.layers > 6
    found = diff(project, dump=project.root / written.path)
    assert found.same
    assert found.exit_code == 0
    assert (project.root / found.page).is_file()
    words = " ".join(line for line in found.display() if isinstance(line, str))
    assert "No step differs on 13 pictures" in words


def test_a_side_that_squashes_is_told_with_exit_code_7(project: Workspace) -> None:
    path = project.root / "phone.zip"
    write_dump(path, head(), dumped(photos(), phone_sides.squash, Model(phone_sides.network())))
    found = diff(project, dump=path)
    assert (found.same, found.exit_code, found.first) == (False, 7, "crop")
    assert found.divergence.found[0].cause == "squash-for-crop"
    page = (project.root / found.page).read_text()
    assert "The first step that differs: crop" in page
    assert "squash" in page
    said = json.loads(found.model_dump_json())
    assert said["divergence"]["found"][0]["do"]


def test_a_picture_of_the_project_is_found_by_its_hash(project: Workspace) -> None:
    call(project, "export.dump", originals=False, images=(project.root / "turned.png",))
    # Nobody has turned.png: it is no golden picture, and the project holds no source.
    path = project.deliverables / "09-mobile" / "dump-b-1-pytorch.zip"
    found = diff(project, dump=path)
    assert found.same
    assert any("nobody has its bytes" in note for note in found.divergence.notes)
    call(project, "export.dump", originals=False)
    found = diff(project, dump=path)
    assert found.same
    assert not any("nobody has its bytes" in note for note in found.divergence.notes)


def test_a_folder_gives_its_pictures_and_nothing_else(project: Workspace) -> None:
    first, second = project.root / "first", project.root / "second"
    for folder, names in ((first, ("plain.png", "2-plain.png", "notes.txt")), (second, ("plain.png",))):
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(photos()["plain.png"] if name.endswith(".png") else b"words")
    written = call(project, "export.dump", images=(first, second))
    assert isinstance(written, DumpReport)
    assert set(written.pictures) == {"plain.png", "2-plain.png", "3-plain.png"}, (
        "none takes another's place"
    )


def test_what_is_no_picture_is_named(project: Workspace) -> None:
    (project.root / "empty").mkdir()
    with pytest.raises(NotFound, match="empty holds no picture") as caught:
        call(project, "export.dump", images=(project.root / "empty",))
    assert caught.value.hint.endswith("--images photo.jpg")
    (project.root / "notes.txt").write_text("words")
    with pytest.raises(InvalidImage, match=r"^notes\.txt: This is no picture"):
        call(project, "export.dump", images=(project.root / "plain.png", project.root / "notes.txt"))
    assert not list((project.deliverables / "09-mobile").glob("*.zip"))


def test_pictures_beside_a_dump_are_refused_not_passed_over(project: Workspace) -> None:
    path = dump(project)
    with pytest.raises(Invalid, match="compared on its own pictures"):
        diff(project, dump=path, images=(project.root / "plain.png",))


def test_a_dump_of_a_bundle_that_is_not_here_is_compared_with_the_newest(project: Workspace) -> None:
    path = project.root / "phone.zip"
    write_dump(path, head(bundle="e" * 64), dumped(photos(), phone_sides.sound))
    found = diff(project, dump=path)
    assert found.same
    assert any("this project does not hold" in note for note in found.divergence.notes)


def test_one_of_a_dump_and_a_target_is_needed(project: Workspace) -> None:
    with pytest.raises(Invalid, match="a dump or a target"):
        diff(project)
    with pytest.raises(Invalid, match="a dump or a target"):
        diff(project, dump=project.root / "x.zip", target="onnx")
    with pytest.raises(NotFound, match="no onnx"):
        diff(project, target="onnx")
    with pytest.raises(NotFound, match="no dump"):
        diff(project, dump=project.root / "x.zip")
    with pytest.raises(NotFound, match="no picture"):
        call(project, "export.dump", images=(project.root / "x.png",))


def test_labels_of_the_wrong_length_are_refused(project: Workspace) -> None:
    path = project.root / "phone.zip"
    answers = dumped(photos(), phone_sides.sound, Model(phone_sides.network()))
    write_dump(path, head(labels=LABELS[:3]), answers)
    with pytest.raises(Invalid, match="names 3 labels and holds probabilities of"):
        diff(project, dump=path)


def test_other_classes_and_other_tensors_are_told_not_raised(project: Workspace) -> None:
    path = project.root / "phone.zip"
    three = DumpedPicture(
        name="plain.png",
        data=photos()["plain.png"],
        steps={
            "tensor": phone_sides.sound(photos()["plain.png"], CONTRACT),
            "probabilities": np.full(3, 1 / 3, np.float32),
        },
    )
    write_dump(path, head(labels=LABELS[:3]), [three])
    found = diff(project, dump=path)
    assert found.first == "label order"
    assert "3 values for each picture, the reference with 4" in found.divergence.found[0].words
    small = DumpedPicture(name="x", data=three.data, steps={"tensor": np.zeros((9, 9, 3), np.uint8)})
    write_dump(path, head(), [small])
    assert diff(project, dump=path).first == "tensor"


def test_unknown_steps_are_left_out_and_named(project: Workspace) -> None:
    path = project.root / "phone.zip"
    tensor = phone_sides.sound(photos()["plain.png"], CONTRACT)
    odd = {"tensor": tensor, "bitmap": np.zeros(3, np.float32), "enhance_glow": tensor}
    write_dump(path, head(), [DumpedPicture(name="x", data=photos()["plain.png"], steps=odd)])
    found = diff(project, dump=path)
    assert found.same
    assert "Unknown steps, left out: bitmap." in found.divergence.notes
    assert any("enhance_glow" in note for note in found.divergence.notes)


def test_a_bundle_that_is_not_what_was_written_is_refused(project: Workspace) -> None:
    folder = project.bundles_folder / "b-1"
    card = folder / "model-card.json"
    kept = card.read_bytes()
    card.write_bytes(kept.replace(b"grey", b"gray", 1))
    with pytest.raises(Damaged, match=r"model-card\.json"):
        call(project, "export.dump")
    card.write_bytes(kept)
    newer = json.loads((folder / "bundle.json").read_text()) | {"schema_version": 9}
    (folder / "bundle.json").write_text(json.dumps(newer))
    with pytest.raises(Unsupported, match="newer Darkroom"):
        call(project, "export.dump")


def test_a_run_that_is_gone_is_said(project: Workspace) -> None:
    shutil.rmtree(project.runs_folder / "r-1")
    with pytest.raises(DarkroomError, match="No weights"):
        call(project, "export.dump")


def test_a_bundle_without_a_run_is_compared_with_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(TOML)
    golden = GoldenVectors.for_bundle(tiny.CONTRACT)
    golden = golden.answered(tiny.Numpy().run(golden.tensors).probabilities)
    file = ModelFile(tiny.write_tiny(tmp_path / "tiny.onnx"), "onnx", "float32")
    with Workspace.open(tmp_path) as workspace:
        place = workspace.bundles_folder / "b-1"
        manifest = write_bundle(place, name="tiny", card=tiny.CARD, models=[file], golden=golden)
        workspace.catalogue.bundles.add(run_id="", path=workspace.relative(place), manifest=manifest)
        with pytest.raises(Invalid, match="with itself") as caught:
            diff(workspace, target="onnx")
        assert caught.value.hint.endswith("--target onnx --against litert")
        written = dump(workspace, target="onnx", layers=True)
        assert written.name == "dump-b-1-onnx.zip"
        found = diff(workspace, dump=written)
        assert found.same
        assert any("takes its place" in note for note in found.divergence.notes)
        assert {pair.layer for pair in found.divergence.layers} >= {"means", "probabilities"}


def test_a_disk_that_fills_in_the_middle_leaves_no_dump(project: Workspace) -> None:
    place = project.deliverables / "09-mobile"
    with files_of_at_most(20_000), pytest.raises(DarkroomError, match="disk|room|large"):
        call(project, "export.dump", layers=True)
    assert not list(place.glob("*")) if place.is_dir() else True
    call(project, "export.dump")
    assert list(place.glob("*.zip"))


def test_what_holds_a_picture_goes_when_the_picture_is_forgotten(project: Workspace) -> None:
    written = dump(project, images=(project.root / "plain.png",))
    with open_dump(written) as file:
        sha256 = file.dump.pictures[0].sha256
    assert sha256.encode() in written.read_bytes(), "a search through files finds it"
