"""A project whose own files somebody cut, emptied or replaced: every command says so, and none breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Damaged, NotFound
from darkroom.evaluation import load_evaluation, load_predictions
from darkroom.features.part import read_part
from darkroom.operations.kept import kept_json, kept_parity, kept_toml
from darkroom.records import MetricPoint
from darkroom.training.run_folder import read_metrics
from tests.bad_input.test_pictures import darkroom
from tests.bundle import made

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "overwritten": lambda data: b"\xff\xfe\0garbage\n" * 20,
    "nested without end": lambda data: b"[" * 100_000 + b"\n",
    "another object": lambda data: b'{"a": [1, null]}\n',
    "a list": lambda data: b"[1]\n",
}
POINT = MetricPoint(
    epoch=1,
    step=3,
    train_loss=1.0,
    train_accuracy=0.5,
    learning_rate=0.1,
    images_per_second=9.0,
    duration_s=1.0,
)
METRICS = POINT.model_dump_json().encode() + b"\n"


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_the_project_keeps_is_read_or_called_damaged(tmp_path: Path, damage: str) -> None:
    change = DAMAGES[damage]
    (tmp_path / "metrics.jsonl").write_bytes(METRICS * 2)
    assert len(read_metrics(tmp_path)) == 2
    for name in ("metrics.jsonl", "predictions-test.npy", "predictions-test.json", "evaluation-test.json"):
        (tmp_path / name).write_bytes(change(METRICS * 2))
    # A log that was cut in the middle of a line is one that is being written.
    assert damage in {"cut", "emptied"} or refused(lambda: read_metrics(tmp_path))
    assert refused(lambda: load_predictions(tmp_path, "test"))
    assert refused(lambda: load_evaluation(tmp_path, "test"))
    (tmp_path / "parity.json").write_bytes(change(METRICS))
    assert refused(lambda: kept_parity(tmp_path / "parity.json"))
    assert refused(lambda: kept_json(tmp_path / "parity.json")) or damage == "another object"
    assert refused(lambda: kept_toml(tmp_path / "parity.json")) or damage in {"emptied", "a list"}
    (tmp_path / "x.rows").write_bytes(change(np.zeros(99, np.float32).tobytes()))
    assert read_part(tmp_path / "x.rows", size=3) is None


def refused(read: Callable[[], object]) -> bool:
    try:
        read()
    except (Damaged, NotFound) as error:
        return bool(error.hint)
    return False


@pytest.mark.parametrize("place", ["bundle.json", "contract.json", "model-card.json", "golden/golden.json"])
def test_a_bundle_with_any_damaged_file_is_inspected_and_not_used(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "bundle"
    made.bundle(folder)
    (tmp_path / "darkroom.toml").write_text('[project]\nname = "x"\n')
    whole = (folder / place).read_bytes()
    for damage, change in DAMAGES.items():
        (folder / place).write_bytes(change(whole))
        said = darkroom(tmp_path, "export", "inspect", "bundle", "--json")
        assert said.code != 1, (damage, said.err)
        assert place in said.out + said.err, (damage, said)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_darkroom_toml_is_refused_with_its_path(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "darkroom.toml"
    file.write_bytes(DAMAGES[damage](b'[project]\nname = "a name that is cut"\n'))
    for words in (["status"], ["run"], ["run", "--explain"]):
        said = darkroom(tmp_path, *words, "--json")
        assert said.code == 2, said
        assert str(file) in json.loads(said.err)["error"]
        assert not (tmp_path / "deliverables").exists()
