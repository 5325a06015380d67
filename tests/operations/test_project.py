"""What a project could do without is shown with sizes and reasons, and goes only when nothing uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from darkroom.datasets import render
from darkroom.datasets.renderer import rendering_folder
from darkroom.errors import InvalidConfig
from darkroom.operations.leftovers import size_of
from darkroom.records import Contract, MaskLabel, Run, RunState
from darkroom.workspace import Workspace
from tests.conformance.examples import event, manifest, run, stage
from tests.datasets.projects import classes
from tests.operations.test_forgetting import call, frozen

DAY_S = 24 * 3600.0
LARGER = Contract(width_px=32, height_px=32, colour="rgb", resize="squash")


def old(path: Path, *, days: float = 60) -> Path:
    """Makes a file, or a folder with one, as old as that."""
    if path.suffix not in (".png", ".db", ".json"):
        path.mkdir(parents=True, exist_ok=True)
        (path / "content").write_bytes(b"x" * 1000)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    moment = time.time() - days * DAY_S
    os.utime(path, (moment, moment))
    return path


def could_go(workspace: Workspace) -> dict[str, str]:
    return {one.path: one.what for one in call(workspace, "project.usage").could_go}


def deleted(workspace: Workspace, *what: str) -> set[str]:
    report = call(workspace, "project.clean", **({"what": what} if what else {}))
    assert report.freed_bytes == sum(one.size_bytes for one in report.deleted)
    said = "\n".join(line for line in report.display() if isinstance(line, str))
    assert ("darkroom project usage" in said) is not bool(report.deleted)
    return {one.path for one in report.deleted}


def a_run(workspace: Workspace, *states: RunState) -> Run:
    found = workspace.catalogue.runs.create(run(dataset="digits@1"))
    for state in states:
        found = workspace.catalogue.runs.update(found.id, state=state)
    old(workspace.runs_folder / found.id)
    return found


@pytest.fixture
def workspace(tmp_path: Path):
    with frozen(tmp_path / "project", count=6) as opened:
        yield opened


def test_a_project_that_is_in_order_loses_nothing(workspace: Workspace) -> None:
    before = {path for path in workspace.root.rglob("*") if path.is_file()}
    assert set(could_go(workspace).values()) == {"caches"}
    assert deleted(workspace) == set()
    assert {path for path in workspace.root.rglob("*") if path.is_file()} - before <= {workspace.run_lock}


def test_usage_says_what_takes_how_much_and_deletes_nothing(workspace: Workspace) -> None:
    old(workspace.uploads_folder / "photo.png")
    report = call(workspace, "project.usage")
    [upload] = [one for one in report.could_go if one.what == "unneeded"]
    assert (upload.path, upload.size_bytes) == (".darkroom/uploads/photo.png", 1000)
    assert "more than a day ago" in upload.why
    assert ".darkroom/renderings" in {name for name, _ in report.rows}
    assert report.total_bytes > 1000
    assert (workspace.root / upload.path).is_file()
    assert any("could go" in str(part).lower() for part in report.display())


def test_the_rendering_of_an_older_version_goes_unless_a_stage_or_a_run_needs_it(
    workspace: Workspace,
) -> None:
    first = rendering_folder(workspace, workspace.catalogue.datasets.get("digits@1"))
    call(workspace, "dataset.freeze", dataset="digits", contract=LARGER)
    name = workspace.relative(first)
    assert could_go(workspace)[name] == "unneeded"
    a_run(workspace, "running", "cancelled")
    assert could_go(workspace)[name] == "caches"
    workspace.catalogue.runs.update("r-1", state="running")
    workspace.catalogue.runs.update("r-1", state="failed")
    assert could_go(workspace)[name] == "unneeded"
    with (workspace.root / "darkroom.toml").open("a") as file:
        file.write('[[stage]]\nname = "prepare"\noperation = "dataset.freeze"\ndataset = "digits"\n')
    workspace.catalogue.stages.save(stage("prepare", result={"results": [{"dataset": "digits@1"}]}))
    with Workspace(workspace.root) as again:
        assert could_go(again)[name] == "caches"
    assert deleted(workspace) == {name}  # this one still holds darkroom.toml as it was
    assert len(render(workspace, workspace.catalogue.datasets.get("digits@1")).split("train")) > 0


def test_what_a_process_uses_is_left_alone_and_named(workspace: Workspace) -> None:
    reading = render(workspace, workspace.catalogue.datasets.get("digits@1")).split("train")
    lost = a_run(workspace, "running", "cancelled")
    with FileLock(workspace.runs_folder / f"{lost.id}.lock"):
        report = call(workspace, "project.clean", what=("caches", "runs"))
    assert report.deleted == ()
    assert [(one.path.split("/")[1], one.why) for one in report.kept] == [
        ("renderings", "a process uses it")
    ]
    assert len(reading) > 0
    del reading
    assert len(deleted(workspace, "caches", "runs")) == 2


def test_only_runs_that_did_not_finish_and_that_nothing_names_could_go(workspace: Workspace) -> None:
    a_run(workspace, "running", "finished")
    a_run(workspace, "running", "failed")
    a_run(workspace, "running", "cancelled")
    a_run(workspace, "running", "lost")
    a_run(workspace, "running")  # its process was killed
    a_run(workspace, "running", "failed")
    workspace.catalogue.bundles.add(run_id="r-3", path=".darkroom/bundles/b-1", manifest=manifest())
    workspace.catalogue.stages.save(stage("train", result={"results": [{"runs": ["r-2"]}]}))
    expected = {f".darkroom/runs/r-{number}" for number in (4, 5, 6)}
    assert {path for path, what in could_go(workspace).items() if what == "runs"} == expected
    assert deleted(workspace, "runs") == expected
    assert workspace.catalogue.runs.get("r-4").state == "lost"


def test_what_was_set_aside_goes_only_when_it_is_named(workspace: Workspace) -> None:
    old(workspace.runs_folder / "r-1.left-1")
    assert deleted(workspace) == set()
    assert deleted(workspace, "left") == {".darkroom/runs/r-1.left-1"}


def test_the_newest_copy_of_the_catalogue_stays(workspace: Workspace) -> None:
    for number in (1, 2, 3):
        old(workspace.hidden / f"catalogue-before-000{number}-x.db", days=10 - number)
    assert deleted(workspace) == set()
    assert deleted(workspace, "copies") == {
        ".darkroom/catalogue-before-0001-x.db",
        ".darkroom/catalogue-before-0002-x.db",
    }


def test_bytes_that_no_picture_and_no_mask_refers_to_go_when_they_are_old(workspace: Workspace) -> None:
    loose, young, mask = (workspace.blobs.put(name.encode()) for name in ("loose", "young", "mask"))
    held = next(workspace.catalogue.images.ids())
    said = MaskLabel(blob=mask, classes=("a", "b"))
    workspace.catalogue.annotations.append([event(0, said, slot="mask", image_id=held)])
    moment = time.time() - DAY_S
    for blob in (loose, mask, held):
        os.utime(workspace.blobs.path(blob), (moment, moment))
    assert deleted(workspace) == {workspace.relative(Path(workspace.blobs.path(loose)))}
    assert all(workspace.blobs.has(blob) for blob in (young, mask, held))


def test_what_dead_processes_left_goes(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    places = (
        workspace.root,
        workspace.deliverables / "04-dataset",
        workspace.runs_folder / "r-9" / "checkpoints",
        workspace.hidden / "blobs" / "ab",
    )
    left = {workspace.relative(old(place / f".aside-{dead.pid}-abc", days=0)) for place in places}
    old(workspace.root / f".aside-{os.getpid()}-abc", days=0)
    assert deleted(workspace) == left


def test_unfinished_bundles_old_uploads_and_the_output_of_old_jobs_go(workspace: Workspace) -> None:
    workspace.catalogue.bundles.add(run_id="r-1", path=".darkroom/bundles/b-1", manifest=manifest())
    for place in ("bundles/b-1", "bundles/b-7", "uploads/u-1", "jobs/j-1"):
        old(workspace.hidden / place)
    old(workspace.hidden / "bundles/b-7-parity.json")
    old(workspace.hidden / "bundles/b-1-parity.json")
    old(workspace.hidden / "uploads/young.png", days=0.5)
    old(workspace.hidden / "jobs/j-2", days=20)
    gone = ("bundles/b-7", "bundles/b-7-parity.json", "uploads/u-1", "jobs/j-1")
    assert deleted(workspace) == {f".darkroom/{place}" for place in gone}
    report = call(workspace, "project.clean", older_than_days=10)
    assert [one.path for one in report.deleted] == [".darkroom/jobs/j-2"]


def test_no_link_is_followed_out_of_the_project(workspace: Workspace, tmp_path: Path) -> None:
    far = tmp_path / "far"
    for name in ("b-9", "r-1.left-1", "old"):
        old(far / name)
    for place in ("bundles", "uploads", "features"):
        if not (workspace.hidden / place).exists():
            (workspace.hidden / place).symlink_to(far)
    old(workspace.runs_folder / "r-2.left-1")
    (workspace.runs_folder / "r-2.left-1" / "far").symlink_to(far)
    (workspace.runs_folder / "r-3.left-1").symlink_to(far)
    assert deleted(workspace, "unneeded", "caches", "runs", "left", "copies") >= {
        ".darkroom/runs/r-2.left-1"
    }
    assert sorted(path.name for path in far.iterdir()) == ["b-9", "old", "r-1.left-1"]
    assert all((path / "content").is_file() for path in far.iterdir())


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from darkroom.workspace import Workspace
from tests.operations.test_forgetting import call
shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
call(Workspace(Path(sys.argv[1])), "project.clean", what=("caches",))
"""


def test_killed_in_the_middle_the_project_is_whole_and_the_rest_goes_next_time(
    workspace: Workspace,
) -> None:
    command = [sys.executable, "-c", KILLED, str(workspace.root)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = workspace.renderings.glob(".aside-*")
    assert could_go(workspace) == {workspace.relative(left): "unneeded"}
    assert len(render(workspace, workspace.catalogue.datasets.get("digits@1")).split("train")) > 0
    assert not left.exists()  # rendering swept it on its way


def test_a_misspelt_kind_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InvalidConfig, match="unneded"):
        call(workspace, "project.clean", what=("unneded",))


def test_a_young_unfinished_bundle_may_still_be_in_the_making(workspace: Workspace) -> None:
    old(workspace.bundles_folder / "b-7", days=0)
    assert deleted(workspace) == set()


def test_a_picture_that_was_added_again_is_no_loose_blob(workspace: Workspace) -> None:
    classes(workspace.root / "more", {"cat": 2}, first_seed=500)
    call(workspace, "source.add", folder=workspace.root / "more", mode="copy")
    moment = time.time() - DAY_S
    for blob in workspace.blobs.list():
        os.utime(workspace.blobs.path(blob), (moment, moment))
    assert deleted(workspace) == set()


def test_what_goes_while_it_is_measured_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert (size_of(tmp_path), size_of(tmp_path / "a"), size_of(tmp_path / "gone")) == (5, 5, 0)
