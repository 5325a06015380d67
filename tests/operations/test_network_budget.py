"""Before any training the table says which networks can meet the brief; a phone's latency is unmeasured."""

from __future__ import annotations

from pathlib import Path

import darkroom
from darkroom.networks import NETWORKS
from darkroom.operations.network_budget import COLUMNS, budget_rows
from darkroom.records import Contract, DatasetVersion, Limits, now
from tests.jobs.projects import project
from tests.operations.clone_projects import call

FEW = [NETWORKS[name] for name in ("lenet5", "mobilenetv2_035", "mobilenetv2_100", "resnet18")]


def standing(limits: Limits, version: DatasetVersion | None = None, most: int | None = None) -> list[str]:
    rows = budget_rows(FEW, limits, version, most)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert {row[COLUMNS.index("latency on a phone")] for row in rows} == {"unmeasured"}
    return [row[-1] for row in rows]


def photos(side: int, *, task: str = "classification") -> DatasetVersion:
    return DatasetVersion.model_validate(
        {
            "name": "photos", "version": 1, "id": "0" * 64, "task": task, "classes": ("a", "b"),
            "contract": Contract(width_px=side, height_px=side), "counts": {"train": 9},
            "created_at": now(),
        }
    )  # fmt: skip


def test_a_limit_on_size_tells_networks_apart_and_which_need_eight_bits() -> None:
    found = standing(Limits(model_bytes=4_000_000), photos(224))
    assert found[1] == "can meet it"  # 0.4 million weights without ImageNet's last layer
    assert found[2] == "only with 8-bit weights"  # 2.2 million
    assert found[3].startswith("no: even in 8 bits 12.")  # 11.2 million
    assert found[3].endswith("MB, at most 4.00 MB")


def test_the_smaller_of_size_and_memory_decides() -> None:
    assert standing(Limits(model_bytes=90_000_000, memory_bytes=4_000_000), photos(224))[2] == (
        "only with 8-bit weights"
    )


def test_operations_are_those_of_the_dataset_s_size() -> None:
    small, large = standing(Limits(), photos(96), 200_000_000), standing(Limits(), photos(224), 200_000_000)
    assert small[2] == "can meet it"
    assert large[2].startswith("no: 6")
    assert "M operations, at most 200 M" in large[2]


def test_a_network_for_another_task_or_for_larger_pictures_cannot() -> None:
    assert standing(Limits(), photos(224, task="segmentation"))[1].startswith(
        "no: it answers classification"
    )
    assert standing(Limits(), photos(8))[0] == "no: it needs 12 px on each side"


def test_the_second_table_comes_with_a_limit_or_an_option_alone(tmp_path: Path) -> None:
    workspace = project(tmp_path / "p")
    assert call(workspace, "model.networks").budget == ()
    assert call(workspace, "model.networks", most_flops=10**9).budget
    (tmp_path / "p" / "darkroom.toml").write_text(
        '[project]\nname = "tried"\n[brief.limits]\nmodel_bytes = 4000000\n'
    )
    with darkroom.open(tmp_path / "p") as opened:
        report = opened.model.networks()
    assert len(report.budget) == len(NETWORKS)
    assert "unmeasured" in str(list(report.display()))
    assert darkroom.outside().model.networks().budget == ()
