"""timm and torchvision come in whatever build of torch there is, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said(code: str) -> str:
    """Returns what a fresh interpreter prints, in which a warning is an error."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.strip()


def test_timm_builds_a_network_in_a_fresh_interpreter():
    code = (
        "from darkroom.networks.libraries import load_timm\n"
        "print(load_timm().create_model('test_efficientnet', num_classes=3).num_classes)"
    )
    assert said(code) == "3"


def test_who_imports_torchvision_afterwards_gets_the_same():
    code = (
        "from darkroom.networks.libraries import load_torchvision\n"
        "mine = load_torchvision()\n"
        "import torchvision, torchvision.ops, torchvision.transforms.functional\n"
        "print(torchvision is mine and load_torchvision() is mine)"
    )
    assert said(code) == "True"


def test_the_exporter_to_onnx_fills_its_table_of_operations_afterwards():
    code = (
        "from darkroom.networks.libraries import load_torchvision\n"
        "load_torchvision()\n"
        "from torch.onnx._internal.exporter._registration import ONNXRegistry\n"
        "print(len(ONNXRegistry.from_torchlib().functions) > 100)"
    )
    assert said(code) == "True"


def test_where_the_operators_are_there_nothing_is_declared():
    code = (
        "import torch\n"
        "library = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "for name in ('nms', 'qnms'):\n"
        "    library.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from darkroom.networks import libraries\n"
        "libraries.load_torchvision()\n"
        "print(libraries.DECLARED)"
    )
    assert said(code) == "[]"


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_an_absent_library_is_named_with_the_command_that_installs_it(package: str):
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from darkroom.errors import MissingExtra\n"
        "from darkroom.networks.libraries import load_timm\n"
        "try:\n"
        "    load_timm()\n"
        "except MissingExtra as error:\n"
        "    print(error)"
    )
    assert said(code) == (
        f"This network needs the package {package}, which is not installed. "
        "Run: pip install 'darkroom[train]'"
    )
