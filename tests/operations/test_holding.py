"""Whoever takes in pictures and whoever forgets some keep out of each other's way."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import Locked
from darkroom.operation import find_operation
from darkroom.workspace import Workspace
from tests.datasets.projects import classes, project


def call(workspace: Workspace, name: str, **values: object) -> Any:
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def test_nothing_is_forgotten_while_pictures_are_taken_in_and_two_may_take_in_at_once(
    tmp_path: Path,
) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom darkroom.operations.holding import take_in\n"
        "from darkroom.workspace import Workspace\n"
        "with take_in(Workspace(Path(sys.argv[1]))):\n    print('in', flush=True)\n    sys.stdin.read()\n"
    )
    with project(tmp_path / "project", threads=1) as workspace:
        classes(workspace.root / "pictures", {"cat": 3})
        call(workspace, "source.add", folder=workspace.root / "pictures", mode="copy")
        image_id = workspace.catalogue.images.page().items[0].id
        command = [sys.executable, "-c", code, str(workspace.root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "in\n"
            with pytest.raises(Locked, match="takes in pictures"):
                call(workspace, "image.forget", images=(image_id,))
            assert call(workspace, "source.add", folder=workspace.root / "pictures", mode="copy").unchanged
            other.communicate()
        call(workspace, "image.forget", images=(image_id,))
        assert call(workspace, "image.forgotten").rows
