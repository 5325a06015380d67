"""What makes a run another one: the versions of the packages whose code it uses, and of no other."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from darkroom.operation import find_operation, fingerprint, fingerprint_parts
from darkroom.operations.run_making import wanted_run
from darkroom.records import Contract
from darkroom.training import Recipe
from darkroom.workspace import Workspace
from tests.operations.test_forgetting import call, frozen

LARGER = Contract(width_px=64, height_px=64, colour="rgb", resize="squash")
NETWORKS = {
    "lenet5": "",
    "mobilenetv1_025": "timm",
    "timm/test_efficientnet": "timm",
    "alexnet": "torchvision",
}


def keys(workspace: Workspace, network: str) -> tuple[str, str]:
    """Returns the key of a run, and the fingerprint of a stage that trains it."""
    recipe = Recipe(network=network, device="cpu")
    train = find_operation("model.train")
    request = train.validate({"dataset": "digits@2", "recipe": {"network": network, "device": "cpu"}})
    assert train.inputs is not None
    inputs = train.inputs(
        workspace, **{name: getattr(request, name) for name in type(request).model_fields}
    )
    stage = fingerprint(fingerprint_parts(train, request, inputs=inputs))
    return wanted_run(workspace, "digits@2", recipe, 0).key, stage


def test_another_version_of_a_library_makes_runs_of_its_networks_anew_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions: dict[str, str] = {}
    module = sys.modules["darkroom.operation.fingerprint"]
    monkeypatch.setattr(module, "version", lambda name: versions.get(name) or version(name))
    with frozen(tmp_path / "project", count=6) as workspace:
        call(workspace, "dataset.freeze", dataset="digits", contract=LARGER)
        before = {network: keys(workspace, network) for network in NETWORKS}
        for changed in ("timm", "torchvision"):
            versions = {changed: "0.0.0"}
            for network, library in NETWORKS.items():
                now = keys(workspace, network)
                same = [one == two for one, two in zip(now, before[network], strict=True)]
                assert same == [library != changed] * 2, (network, changed)
