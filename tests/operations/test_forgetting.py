"""A picture is forgotten everywhere, the rest of the project goes on, and a second try finishes a first."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.catalogue.forgotten import Forgotten
from darkroom.datasets import render
from darkroom.errors import Conflict, Invalid, Locked, NotFound
from darkroom.images import prepare, thumbnail
from darkroom.operation import find_operation
from darkroom.records import Contract, MaskLabel
from darkroom.workspace import Workspace
from tests.conformance.examples import event, manifest
from tests.datasets.projects import classes, project
from tests.formats.pictures import png

BUNDLE = "09-mobile/bundle/golden"
BUNDLE = "09-mobile/bundle/golden"
CONTRACT = Contract(width_px=28, height_px=28, colour="rgb", resize="squash")


def call(workspace: Workspace, name: str, **values: object) -> Any:
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def frozen(root: Path, folder: Path | None = None, *, count: int = 12) -> Workspace:
    """A project with two classes, frozen as digits@1."""
    workspace = project(root, threads=1)
    classes(folder or root / "pictures", {"cat": count, "dog": count})
    call(workspace, "source.add", folder=folder or root / "pictures", mode="copy")
    call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
    return workspace


def a_member(workspace: Workspace, split: str = "test") -> str:
    return next(one.image_id for one in workspace.catalogue.datasets.members("digits@1", split))  # type: ignore[arg-type]


def file_of(workspace: Workspace, image_id: str) -> Path:
    [place] = workspace.catalogue.locations.of_images([image_id])[image_id]
    return workspace.source_folder(workspace.catalogue.sources.get(place.source_id)) / place.path


def holding(root: Path, *needles: bytes) -> list[str]:
    """Returns the files below a folder in which one of some byte strings is found."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    )


def traces(workspace: Workspace, image_id: str) -> tuple[bytes, ...]:
    """Returns what a picture looks like in files: as it is, as a tensor, as thumbnails on pages."""
    data = workspace.read_image(image_id)
    shown = base64.b64encode(thumbnail(data, 160))
    return data, prepare(data, CONTRACT).tobytes(), shown


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project through training, evaluation and a bundle, with a run, a bundle and pages."""
    root = tmp_path_factory.mktemp("trained")
    with frozen(root / "project") as workspace:
        recipe = {"epochs": 1, "batch_size": 8}
        call(workspace, "model.train", dataset="digits@1", recipe=recipe)
        call(workspace, "model.evaluate", runs=("r-1",))
        call(workspace, "model.evaluate", runs=("r-1",), split="train")
        call(workspace, "model.preview", dataset="digits@1")
        workspace.catalogue.bundles.add(run_id="r-1", path=".darkroom/bundles/b-1", manifest=manifest())
    return root


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Workspace:
    subprocess.run(["cp", "-r", str(trained / "project"), str(tmp_path / "project")], check=True)
    return Workspace(tmp_path / "project")


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_file_of_the_project_holds_a_forgotten_picture(copy: Workspace, split: str) -> None:
    with copy as workspace:
        image_id = a_member(workspace, split)
        needles = traces(workspace, image_id)
        file = file_of(workspace, image_id)
        name = f"{file.parent.name}/{file.name}".encode()
        found = holding(workspace.root, *needles)
        assert any("renderings" in path for path in found)
        assert any("blobs" in path for path in found)
        assert any("deliverables/04-dataset" in path for path in found)
        report = call(workspace, "image.forget", images=(image_id,), reason="asked", by="Ann")
        assert holding(workspace.root, *needles) == []
        assert holding(workspace.root, name) == []
        left = holding(workspace.root, image_id.encode())
        assert {path.removesuffix("-wal") for path in left} <= {".darkroom/catalogue.db"}  # the tombstone
        assert not file.exists()
        assert report.scrubbed
        assert report.remaining == ()
        assert report.marked == ("b-1", "digits@1", "r-1")


def test_the_rest_of_the_project_works_afterwards(copy: Workspace) -> None:
    with copy as workspace:
        image_id = a_member(workspace)
        call(workspace, "image.forget", images=(image_id,))
        evaluated = call(workspace, "model.evaluate", runs=("r-1",))
        assert evaluated.images == workspace.catalogue.datasets.get("digits@1").counts["test"]
        call(workspace, "dataset.show", dataset="digits@1")
        board = call(workspace, "status")
        assert any("r-1" in line for line in board.forgotten)
        assert any("r-1" in line for line in call(workspace, "model.list").marked)
        assert any("digits@1" in line for line in call(workspace, "dataset.list").marked)
        again = call(workspace, "model.train", dataset="digits@1", recipe={"epochs": 1, "batch_size": 8})
        assert (again.run, again.reused) == ("r-2", False)
        assert "r-2" not in workspace.catalogue.forgotten.marks("run")


def test_a_bundle_of_a_marked_run_says_so_in_its_card(copy: Workspace) -> None:
    from darkroom.networks.saved import load
    from darkroom.operations.bundling import _with_figures

    with copy as workspace:
        _, card = load(workspace.runs_folder / "r-1" / "checkpoints" / "best.safetensors")
        assert _with_figures(workspace, "r-1", card, None).forgotten == 0
        call(workspace, "image.forget", images=(a_member(workspace), a_member(workspace, "train")))
        assert _with_figures(workspace, "r-1", card, None).forgotten == 2


def test_a_bundle_whose_golden_vectors_are_made_of_the_picture_goes(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        own, tensor = (workspace.bundles_folder / name / "golden" for name in ("b-1", "b-2"))
        other, handed_over = workspace.bundles_folder / "b-3" / "golden", workspace.deliverables / BUNDLE
        for folder in (own, tensor, other, handed_over):
            folder.mkdir(parents=True)
            (folder / "x.bin").write_bytes(bytes(28 * 28 * 3))
        data = workspace.read_image(image_id)
        (own / "photo.png").write_bytes(data)
        (tensor / "x.bin").write_bytes(prepare(data, CONTRACT).tobytes())
        (handed_over / "photo.png").write_bytes(data)
        call(workspace, "image.forget", images=(image_id,))
        assert [path.name for path in sorted(workspace.bundles_folder.iterdir())] == ["b-3"]
        assert not handed_over.parent.exists()


def test_what_was_answered_about_the_others_stays(copy: Workspace) -> None:
    from darkroom.evaluation import load_evaluation, load_predictions

    with copy as workspace:
        folder, image_id = workspace.runs_folder / "r-1", a_member(workspace)
        before, figures = load_predictions(folder, "test"), load_evaluation(folder, "test").figures
        call(workspace, "image.forget", images=(image_id,))
        after, evaluation = load_predictions(folder, "test"), load_evaluation(folder, "test")
        assert after.image_ids == tuple(one for one in before.image_ids if one != image_id)
        kept = [one != image_id for one in before.image_ids]
        assert np.array_equal(after.probabilities, before.probabilities[kept])
        assert evaluation.figures == figures
        assert evaluation.looks == 1
        assert any("forgotten" in note for note in evaluation.notes)


def test_a_forgotten_picture_that_comes_again_is_set_aside_until_it_may(tmp_path: Path) -> None:
    with frozen(tmp_path / "project") as workspace:
        image_id = a_member(workspace)
        file = file_of(workspace, image_id)
        data = file.read_bytes()
        call(workspace, "image.forget", images=(str(file),))
        file.with_name("again.png").write_bytes(data)
        report = call(workspace, "source.add", folder=workspace.root / "pictures")
        assert (report.new, report.quarantined) == (0, 1)
        assert not workspace.blobs.has(image_id)
        [(_, path, why)] = call(workspace, "source.quarantine").rows
        assert path.endswith("again.png")
        assert "was forgotten on" in why
        call(workspace, "image.remember", images=(image_id[:10],))
        report = call(workspace, "source.add", folder=workspace.root / "pictures")
        assert (report.new, report.quarantined) == (1, 0)
        whole = call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
        assert whole.dataset == "digits@2"  # digits@1 has its content's id, and a hole
        assert whole.forgotten == 0
        first, second = (render(workspace, workspace.catalogue.datasets.get(f"digits@{n}")) for n in (1, 2))
        assert len(first.split("test")) + 1 == len(second.split("test"))


def test_a_file_outside_is_named_and_deleted_only_when_that_is_asked_for(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", tmp_path / "photos") as workspace:
        image_id = a_member(workspace)
        file, data = file_of(workspace, image_id), workspace.read_image(image_id)
        report = call(workspace, "image.forget", images=(image_id,))
        assert report.remaining == (str(file),)
        assert file.exists()
        assert holding(workspace.root, data) == []
        assert call(workspace, "source.add", folder=tmp_path / "photos").quarantined == 1
        report = call(workspace, "image.forget", images=(image_id[:8],), files="delete")
        assert report.remaining == ()
        assert holding(tmp_path, data) == []


def test_a_file_that_holds_another_picture_by_now_is_left_alone(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", tmp_path / "photos") as workspace:
        image_id = a_member(workspace)
        file = file_of(workspace, image_id)
        file.write_bytes(png(999))
        call(workspace, "image.forget", images=(image_id,), files="delete")
        assert file.read_bytes() == png(999)


def test_a_link_in_the_project_is_deleted_and_its_target_is_not(tmp_path: Path) -> None:
    with frozen(tmp_path / "project") as workspace:
        image_id = a_member(workspace)
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "same.png").write_bytes(workspace.read_image(image_id))
        (workspace.deliverables / "linked").symlink_to(outside)
        (workspace.hidden / "thumbnails").symlink_to(outside)
        call(workspace, "image.forget", images=(image_id,), files="delete")
        assert (outside / "same.png").is_file()


def test_the_fingerprint_of_stages_changes(tmp_path: Path) -> None:
    from darkroom.operations.dataset import _catalogue_state

    with frozen(tmp_path / "project") as workspace:
        before = _catalogue_state(workspace, sources=())
        call(workspace, "image.forget", images=(a_member(workspace),))
        after = _catalogue_state(workspace, sources=())
        assert "forgotten" not in before
        assert after["forgotten"]
        assert before["picture ids"] != after["picture ids"]


def test_a_dataset_of_forgotten_pictures_only_says_so(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", count=3) as workspace:
        every = tuple(one.image_id for one in workspace.catalogue.datasets.members("digits@1"))
        assert call(workspace, "image.forget", images=every).images == every
        with pytest.raises(Invalid, match="digits@1 holds no picture any more: all 6 were forgotten"):
            call(workspace, "model.train", dataset="digits@1")
        with pytest.raises(Invalid, match="no picture has a label"):
            call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
        assert call(workspace, "status").images == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from darkroom.operations import erasing
from darkroom.catalogue.forgotten import Forgotten
from darkroom.workspace import Workspace
from tests.operations.test_forgetting import call

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

room, step = sys.argv[3].split(".")
setattr({"Eraser": erasing.Eraser, "Forgotten": Forgotten}[room], step, die)
call(Workspace(Path(sys.argv[1])), "image.forget", images=(sys.argv[2],))
"""


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("Eraser._erase_pages", marks=pytest.mark.slow),
        "Forgotten.erase",
        pytest.param("Forgotten.scrub", marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle_a_second_try_finishes(tmp_path: Path, step: str) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        needles = traces(workspace, image_id)
    command = [sys.executable, "-c", KILLED, str(workspace.root), image_id, step]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    with workspace:
        [row] = call(workspace, "image.forgotten").rows
        assert "not finished" in row[-1]
        assert call(workspace, "status").images in (11, 12)
        report = call(workspace, "image.forget", images=(image_id,))
        assert report.marked == ("digits@1",)
        assert holding(workspace.root, *needles) == []
        assert workspace.catalogue.datasets.get("digits@1").forgotten == 1
        assert call(workspace, "image.forgotten").rows[0][-1] == ""


def test_a_file_whose_rows_are_gone_already_is_answered_with_the_command_that_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        file = str(file_of(workspace, image_id))
        with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
            broken.setattr(Forgotten, "scrub", lambda *_: 1 / 0)
            call(workspace, "image.forget", images=(file,))
        with pytest.raises(NotFound) as refused:
            call(workspace, "image.forget", images=(file,))
        assert f"finish it: darkroom image forget {image_id[:12]}. Name it by" in refused.value.hint
        assert call(workspace, "image.forget", images=(image_id[:12],)).scrubbed
        with pytest.raises(NotFound) as refused:
            call(workspace, "image.forget", images=(file,))
        assert refused.value.hint.startswith("Name it by")


def test_between_two_tries_a_rendering_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        monkeypatch.setattr(Forgotten, "erase", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call(workspace, "image.forget", images=(a_member(workspace),))
        with pytest.raises(NotFound, match="is being forgotten") as refused:
            render(workspace, workspace.catalogue.datasets.get("digits@1"))
        assert refused.value.hint.startswith("Finish it: darkroom image forget")


def test_nothing_is_begun_while_somebody_uses_the_picture(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        reading = render(workspace, workspace.catalogue.datasets.get("digits@1"))
        with pytest.raises(Locked, match="reads the rendering"):
            call(workspace, "image.forget", images=(image_id,))
        assert call(workspace, "image.forgotten").rows == ()
        del reading
        call(workspace, "image.forget", images=(image_id,))


def test_a_picture_is_named_by_id_by_its_beginning_or_by_file(tmp_path: Path, monkeypatch) -> None:
    from darkroom.operations.image_names import images_named

    with frozen(tmp_path / "project", tmp_path / "photos", count=6) as workspace:
        image_id = a_member(workspace)
        file = file_of(workspace, image_id)
        monkeypatch.chdir(tmp_path)
        place = f"s-1/{file.parent.name}/{file.name}"
        names = (image_id, image_id[:8].upper(), str(file), os.path.relpath(file, tmp_path), place)
        for name in names:
            assert images_named(workspace, [name]) == (image_id,), name
        assert images_named(workspace, names) == (image_id,)
        for name in (
            "",
            ".",
            "..",
            image_id[:7],
            "f" * 64,
            "s-1/",
            "s-9/cat/0.png",
            "photos/none.png",
            "\0",
        ):
            with pytest.raises(NotFound, match="No picture"):
                images_named(workspace, [name])
        with pytest.raises(Invalid, match="No picture is named"):
            images_named(workspace, [])


def test_only_a_forgotten_picture_may_come_back(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        with pytest.raises(NotFound, match="was forgotten here"):
            call(workspace, "image.remember", images=(image_id,))


def test_masks_go_with_their_picture(tmp_path: Path) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        image_id = a_member(workspace)
        own, shared = (workspace.blobs.put(png(seed)) for seed in (700, 701))
        masks = [MaskLabel(blob=blob, classes=("a", "b")) for blob in (own, shared)]
        events = [event(0, mask, slot="mask", image_id=image_id) for mask in masks]
        events.append(event(0, masks[1], slot="mask", image_id=a_member(workspace, "train")))
        workspace.catalogue.annotations.append(events)
        call(workspace, "image.forget", images=(image_id,))
        assert not workspace.blobs.has(own)
        assert workspace.blobs.has(shared)


def test_two_that_delete_do_not_cross(tmp_path: Path) -> None:
    from darkroom.operations.holding import hold_project

    with frozen(tmp_path / "project", count=6) as workspace, hold_project(Workspace(workspace.root)):
        for name, values in (("image.forget", {"images": (a_member(workspace),)}), ("project.clean", {})):
            with pytest.raises(Conflict, match="somebody who deletes"):
                call(workspace, name, **values)
