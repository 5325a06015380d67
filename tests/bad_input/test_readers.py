"""Whatever a file or a text holds, its reader gives a sound result or one of our errors."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tomlkit.exceptions import TOMLKitError

from darkroom.bundle import read_bundle
from darkroom.catalogue import Catalogue
from darkroom.errors import DarkroomError
from darkroom.evaluation import load_evaluation, load_predictions
from darkroom.formats import find_format
from darkroom.formats.png_masks import load_mask
from darkroom.images import decode, describe, thumbnail
from darkroom.jobs.events import EventReader
from darkroom.networks.saved import load, pack
from darkroom.networks.weights_file import read_facts
from darkroom.operation import find_operation
from darkroom.pipeline.defaults import main_job
from darkroom.pipeline.project_file import project_text
from darkroom.records import Contract, JobEvent, now
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Workspace
from tests.bad_input.mutations import CHANGES, whole_pictures
from tests.bad_input.test_damaged_project import METRICS
from tests.bundle import made
from tests.conformance.examples import images
from tests.formats.pictures import png

Reader = Callable[[Path, st.DataObject], object]

FEW, MANY = 30, 300
PICTURES = whole_pictures()
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([-1, 0, 2**31, 2**63, 2**70, 1e308, "nan", "", "\0", "../..", "/etc/passwd", "@x"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
DEEP = st.sampled_from(["[", '{"a":', "a.", "["]).map(lambda piece: piece * 20_000)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


def bytes_of(data: st.DataObject, whole: bytes) -> bytes:
    """Draws bytes: any, or those of a whole file after some damage."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(st.binary(max_size=200) | DEEP.map(str.encode))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for _ in range(data.draw(st.integers(1, 3))):
        whole = data.draw(st.sampled_from(CHANGES))(whole, random) or whole
    return whole


def changed(data: st.DataObject, value: Any) -> Any:
    """Draws what becomes of a nested value when some part of it is another one, gone or new."""
    whole = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3))):
        here = whole
        while isinstance(here, dict | list) and here:
            keys = list(here) if isinstance(here, dict) else range(len(here))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(here[key], dict | list) or data.draw(st.booleans()):
                what = data.draw(st.sampled_from(["other", "gone"]))
                if what == "gone":
                    del here[key]
                else:
                    here[key] = data.draw(VALUES)
                break
            here = here[key]
    return whole


def read_image(folder: Path, data: st.DataObject) -> None:
    content = bytes_of(data, PICTURES[data.draw(st.sampled_from(sorted(PICTURES)))])
    for reader in (describe, decode, thumbnail):
        try:
            reader(content)
        except DarkroomError:
            continue


def read_mask(folder: Path, data: st.DataObject) -> None:
    (folder / "mask.png").write_bytes(bytes_of(data, PICTURES["palette.png"]))
    found = load_mask(folder / "mask.png", {}, size_px=(90, 70))
    assert found.shape == (70, 90)


def read_project_bytes(folder: Path, data: st.DataObject) -> None:
    (folder / "darkroom.toml").write_bytes(bytes_of(data, project_toml().encode()))
    assert Workspace(folder).project.project.name


def read_project_values(folder: Path, data: st.DataObject) -> None:
    try:
        text = tomlkit.dumps(changed(data, tomlkit.parse(project_toml()).unwrap()))
    except (ValueError, TypeError, TOMLKitError):  # what TOML cannot say
        return
    (folder / "darkroom.toml").write_text(text, "utf-8", errors="replace")
    for stage in Workspace(folder).project.stage:
        find_operation(stage.operation).validate(stage.request)


def project_toml() -> str:
    contract = Contract(width_px=28, height_px=28)
    stages = main_job("x", "p", format="csv", contract=contract, recipe={}, clones=2)
    return project_text("x", stages)


def read_weights_toml(folder: Path, data: st.DataObject) -> None:
    said = {"network": "lenet5", "mean": [0.5], "std": [0.25], "input_px": 28, "licence": "MIT"}
    try:
        text = tomlkit.dumps(changed(data, said)).encode("utf-8", "replace")
    except (ValueError, TypeError):
        return
    (folder / "w.safetensors").write_bytes(pack({"a": torch.zeros(2)}, {}))
    (folder / "w.toml").write_bytes(text if data.draw(st.booleans()) else bytes_of(data, text))
    assert read_facts(folder / "w.safetensors", "w", folder / "w.toml").input_px >= 1


def read_weights(folder: Path, data: st.DataObject) -> None:
    card = made.card(network="lenet5").model_dump_json()
    if data.draw(st.booleans()):
        card = json.dumps(changed(data, json.loads(card)))
    path = folder / "w.safetensors"
    content = pack({"a": torch.ones(3, 4)}, {"card": card})
    path.write_bytes(content if data.draw(st.booleans()) else bytes_of(data, content))
    read_facts(path, "w")
    load(path)


def read_bundle_file(folder: Path, data: st.DataObject) -> None:
    bundle = folder / "bundle"
    if not bundle.exists():
        made.bundle(bundle)
        shutil.copytree(bundle, folder / "whole")
    place = data.draw(
        st.sampled_from(["bundle.json", "contract.json", "model-card.json", "golden/golden.json"])
    )
    whole = (folder / "whole" / place).read_bytes()
    try:
        if data.draw(st.booleans()):
            content = bytes_of(data, whole)
        else:
            content = json.dumps(changed(data, json.loads(whole))).encode()
        (bundle / place).write_bytes(content)
        if place != "bundle.json":
            made.sign(bundle)
        found = read_bundle(bundle)
        assert found.golden.differing() is not None
    finally:
        shutil.rmtree(bundle)
        shutil.copytree(folder / "whole", bundle)


def read_cursor(folder: Path, data: st.DataObject) -> None:
    with Catalogue.open(f"sqlite:///{folder / 'catalogue.db'}", create=True) as catalogue:
        if not catalogue.images.count():
            catalogue.images.add(images(6))
        sort = data.draw(st.sampled_from(["added", "-added", "size", "taken"]))
        token = catalogue.images.page(limit=2).next or ""
        drawn = data.draw(st.text(max_size=40) | st.just(token))
        cut = token[: data.draw(st.integers(0, len(token)))] + drawn
        catalogue.images.page(after=data.draw(st.sampled_from([drawn, cut])), sort=sort, limit=2)


def read_events(folder: Path, data: st.DataObject) -> None:
    events = [JobEvent(seq=one, at=now(), kind="progress", data={"done": one}) for one in range(1, 4)]
    lines = [event.model_dump_json().encode() for event in events]
    at = data.draw(st.integers(0, 3))
    lines.insert(at, data.draw(st.binary(max_size=60) | VALUES.map(lambda one: json.dumps(one).encode())))
    (folder / "events.jsonl").write_bytes(bytes_of(data, b"\n".join(lines) + b"\n"))
    found = list(EventReader(folder / "events.jsonl", data.draw(st.integers(0, 2**80))).read())
    assert [event.seq for event in found] == sorted({event.seq for event in found})


def read_run(folder: Path, data: st.DataObject) -> None:
    (folder / "metrics.jsonl").write_bytes(bytes_of(data, METRICS * 3))
    facts = {"probabilities_sha256": "x", "labels": [0], "groups": None, "image_ids": ["a"]}
    (folder / "predictions-test.npy").write_bytes(bytes_of(data, b"\x93NUMPY\x01\x00" + bytes(60)))
    (folder / "predictions-test.json").write_text(json.dumps(changed(data, facts)))
    (folder / "evaluation-test.json").write_bytes(bytes_of(data, b'{"split": "test", "figures": {}}'))
    for reader in (
        read_metrics,
        lambda path: load_predictions(path, "test"),
        lambda path: load_evaluation(path, "test"),
    ):
        try:
            reader(folder)
        except DarkroomError:
            continue


def read_folder(folder: Path, data: st.DataObject) -> None:
    """Draws a folder of pictures with odd names, and reads it in each format."""
    place = folder / "pictures"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    paths = data.draw(st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=5))
    special = st.sampled_from(
        ["images", "masks", "train", "test", "a.png", "classes.txt", "annotations.csv"]
    )
    paths += data.draw(st.lists(st.lists(special, min_size=1, max_size=3), max_size=5))
    for parts in paths:
        path = place.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(1) if data.draw(st.booleans()) else b"image,label\na.png,cat\n")
        except OSError:  # a file where a folder should be, "..", a name that is too long
            continue
    for name in ("class-folders", "csv", "png-masks"):
        try:
            entries = list(find_format(name).read(place).entries)
        except DarkroomError:
            continue
        assert all((place / entry.path).is_file() for entry in entries)


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        read_image, read_mask, read_project_bytes, read_project_values, read_weights_toml, read_weights,
        read_bundle_file, read_cursor, read_events, read_run, read_folder,
    )
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_no_content_gets_past_the_errors(reader: str, tmp_path: Path) -> None:
    search(READERS[reader], tmp_path, examples=FEW, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("reader", READERS)
def test_no_content_gets_past_the_errors_after_a_long_search(reader: str, tmp_path: Path) -> None:
    search(READERS[reader], tmp_path, examples=MANY, derandomize=False)


def search(reader: Reader, folder: Path, *, examples: int, derandomize: bool) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        try:
            reader(folder, data)
        except DarkroomError:
            return  # that is an answer too

    holds()
