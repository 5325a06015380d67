"""Every place that keeps something of a picture gives it up, also beside a server that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from filelock import FileLock

from darkroom import atomic
from darkroom.errors import Locked
from darkroom.export import Flip
from darkroom.features import FeatureStore
from darkroom.operations.kept import kept_parity
from darkroom.workspace import Workspace
from tests.documents.pages import parity
from tests.features.fake import CONTRACT, Sums
from tests.operations.test_forgetting import a_member, call, file_of, frozen, holding, traces
from tests.server.apps import served, shell
from tests.tree import ROOT


class Members:
    """Pictures of a project as the store of features takes them; what they look like does not matter."""

    def __init__(self, image_ids: list[str]) -> None:
        self.image_ids = image_ids

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((len(indices), *CONTRACT.shape), np.uint8)


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    with frozen(tmp_path / "project", count=6) as opened:
        yield opened


def members(workspace: Workspace) -> list[str]:
    return [one.image_id for one in workspace.catalogue.datasets.members("digits@1")]


def test_a_comparison_of_a_bundle_loses_the_picture_and_keeps_the_others(workspace: Workspace) -> None:
    gone, stays, *_ = members(workspace)
    report = parity()
    flips = [
        Flip(image_id=one, truth="cat", reference_answer="cat", answer="dog", margin=0.1)
        for one in (gone, stays)
    ]
    files = tuple(file.model_copy(update={"flips": tuple(flips)}) for file in report.files)
    place = workspace.bundles_folder / "b-1-parity.json"
    atomic.write_text(place, report.model_copy(update={"files": files}).model_dump_json())
    told = call(workspace, "image.forget", images=(gone,))
    found = kept_parity(place)
    assert [[flip.image_id for flip in file.flips] for file in found.files] == [[stays], [stays]]
    assert [file.flip_count for file in found.files] == [file.flip_count for file in files]
    assert found.image_count == report.image_count
    assert ".darkroom/bundles/b-1-parity.json (rows of the picture)" in told.deleted


def test_a_comparison_that_cannot_be_read_goes_as_a_whole(workspace: Workspace) -> None:
    gone = members(workspace)[0]
    place = workspace.bundles_folder / "b-1-parity.json"
    atomic.write_text(place, f'{{"flips": ["{gone}"')
    call(workspace, "image.forget", images=(gone,))
    assert not place.exists()


def test_folders_of_jobs_that_name_the_picture_go_and_others_stay(workspace: Workspace) -> None:
    gone = members(workspace)[0]
    file = file_of(workspace, gone)
    said = {
        "j-1": ("output.txt", f"cannot read {file}"),
        "j-2": ("events.jsonl", json.dumps({"data": {"image": gone}})),
        "j-3": ("output.txt", "nothing about it"),
        "j-4": ("output.txt", f"at work on {gone}"),
    }
    for job, (name, text) in said.items():
        atomic.write_text(workspace.jobs_folder / job / name, text)
    with FileLock(workspace.jobs_folder / "j-4" / "process.lock"):
        call(workspace, "image.forget", images=(gone,))
    assert sorted(path.name for path in workspace.jobs_folder.iterdir()) == ["j-3", "j-4"]


def test_files_of_features_that_hold_the_picture_go_and_others_stay(workspace: Workspace) -> None:
    gone, *others = members(workspace)
    store = FeatureStore(workspace.features_folder)
    store.of(Members([gone, others[0]]), Sums())
    store.of(Members(others), Sums())  # a second file, of those that are not there yet
    call(workspace, "image.forget", images=(gone,))
    assert holding(workspace.features_folder, gone.encode()) == []
    assert store.missing(others, Sums()) == 1
    assert store.missing(others[1:], Sums()) == 0


def test_a_copy_of_the_catalogue_that_was_never_finished_goes_too(workspace: Workspace) -> None:
    left = workspace.hidden / ".aside-1-catalogue-before-0004-20260101T000000Z.db"
    left.write_bytes(b"rows")
    call(workspace, "image.forget", images=(members(workspace)[0],))
    assert not left.exists()


READER = """
import sys
from pathlib import Path
from darkroom.features import FeatureStore
from tests.features.fake import Sums
from tests.operations.test_erasing import Members

table = FeatureStore(Path(sys.argv[1])).of(Members(sys.argv[2:]), Sums())
print("held", flush=True)
sys.stdin.readline()
assert table.array.shape == (len(table), 5)
"""


def test_nothing_is_begun_while_a_process_reads_features_of_the_picture(workspace: Workspace) -> None:
    gone, other, *_ = members(workspace)
    FeatureStore(workspace.features_folder).of(Members([gone, other]), Sums())
    command = [sys.executable, "-c", READER, str(workspace.features_folder), other]
    reader = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"held\n"
    with pytest.raises(Locked, match="reads the features"):
        call(workspace, "image.forget", images=(gone,))
    assert call(workspace, "image.forgotten").rows == ()
    reader.communicate(b"go on\n", timeout=60)
    assert reader.returncode == 0
    call(workspace, "image.forget", images=(gone,))
    assert holding(workspace.features_folder, gone.encode()) == []


def test_beside_a_server_a_picture_is_forgotten_through_it_and_nothing_holds_it(
    tmp_path: Path,
) -> None:
    with frozen(tmp_path / "project", count=6) as workspace:
        call(workspace, "dataset.show", dataset="digits@1")
        gone = a_member(workspace)
        file, needles = file_of(workspace, gone), traces(workspace, gone)
        name = f"{file.parent.name}/{file.name}".encode()
    root = workspace.root
    assert any("deliverables/04-dataset" in path for path in holding(root, *needles))
    with served(root) as server:
        headers = {"Authorization": f"Bearer {server.facts.token}"}
        sent = httpx.post(
            f"{server.facts.url}/api/uploads",
            params={"name": "same.png"},
            content=needles[0],
            headers=headers,
            trust_env=False,
        )
        assert sent.status_code == 201
        done = shell("image", "forget", str(file.relative_to(root)), folder=root)
        assert done.returncode == 0, done.stderr
        assert gone in done.stdout
        assert "may still lie" not in done.stdout
        assert holding(root, *needles) == []
        assert holding(root, name) == [], "the job that forgot it still names its file"
        left = {path.removesuffix("-wal") for path in holding(root, gone.encode())}
        jobs = {".darkroom/jobs/j-1/events.jsonl"}  # it says which one was forgotten, as the tombstone does
        assert left <= {".darkroom/catalogue.db"} | jobs
        listed = shell("image", "forgotten", folder=root)
        assert gone[:20] in listed.stdout
        assert "not finished" not in listed.stdout
        code, out, _ = server.stop()
    assert (code, "has stopped" in out) == (0, True)
    with Workspace(root) as after:
        assert after.catalogue.images.count() == 11
