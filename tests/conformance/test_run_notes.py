"""What people write about runs, the same on SQLite and on PostgreSQL; nothing is overwritten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from darkroom.catalogue import Catalogue, schema
from darkroom.catalogue.database import connect
from darkroom.catalogue.migrations.upgrade import run_migrations
from darkroom.errors import NotFound
from darkroom.records import RunNote, now
from tests.conformance.examples import image_id, run


def said(kind: str, text: str, run_id: str = "r-1", **facts: str) -> RunNote:
    return RunNote.model_validate({"run": run_id, "kind": kind, "text": text, "at": now(), **facts})


def test_the_last_note_holds_and_the_log_keeps_all(catalogue: Catalogue) -> None:
    catalogue.runs.create(run())
    words = [said("note", "été 😀", author="ada"), said("note", "learns slowly")]
    catalogue.run_notes.add(words[:1])
    catalogue.run_notes.add(words[1:])
    assert catalogue.run_notes.log("r-1") == words
    assert catalogue.run_notes.notes() == {"r-1": "learns slowly"}
    catalogue.run_notes.add([said("note", "")])
    assert catalogue.run_notes.notes() == {}
    assert len(catalogue.run_notes.log()) == 3


def test_tags_are_given_and_taken_back_in_order(catalogue: Catalogue) -> None:
    for seed in range(2):
        catalogue.runs.create(run(seed=seed))
    catalogue.run_notes.add([said("tag", "b"), said("tag", "a"), said("tag", "b"), said("tag", "a", "r-2")])
    assert catalogue.run_notes.tags() == {"r-1": ("b", "a"), "r-2": ("a",)}
    catalogue.run_notes.add([said("untag", "b"), said("untag", "a", "r-2"), said("untag", "never given")])
    assert catalogue.run_notes.tags() == {"r-1": ("a",)}
    catalogue.run_notes.add([said("tag", "b")])
    assert catalogue.run_notes.tags()["r-1"] == ("a", "b")


def test_nothing_is_written_about_a_run_that_is_not_there(catalogue: Catalogue) -> None:
    catalogue.runs.create(run())
    with pytest.raises(NotFound, match="r-9"):
        catalogue.run_notes.add([said("tag", "best"), said("tag", "best", "r-9")])
    assert catalogue.run_notes.log() == []


def test_words_of_several_people_at_once_are_all_kept(catalogue: Catalogue) -> None:
    catalogue.runs.create(run())
    with ThreadPoolExecutor(4) as people:
        list(people.map(lambda one: catalogue.run_notes.add([said("tag", f"t{one}")]), range(12)))
    assert set(catalogue.run_notes.tags()["r-1"]) == {f"t{one}" for one in range(12)}


def test_what_a_training_writes_leaves_notes_alone(catalogue: Catalogue) -> None:
    catalogue.runs.create(run(tags=("study-s-1",)))
    catalogue.run_notes.add([said("tag", "best"), said("note", "good")])
    catalogue.runs.update("r-1", state="running", metrics={"epoch": 1.0})
    assert catalogue.run_notes.tags() == {"r-1": ("best",)}
    assert catalogue.runs.get("r-1").tags == ("study-s-1",)


def test_a_picture_that_is_forgotten_leaves_the_notes(catalogue: Catalogue) -> None:
    catalogue.runs.create(run())
    catalogue.run_notes.add([said("note", f"wrong on {image_id(1)}, see there"), said("tag", "kept")])
    catalogue.forgotten.erase([image_id(1)])
    assert catalogue.run_notes.notes() == {"r-1": "wrong on (forgotten), see there"}
    assert catalogue.run_notes.tags() == {"r-1": ("kept",)}


def test_a_catalogue_of_before_gets_its_log_and_keeps_its_runs(catalogue_url: str) -> None:
    database = connect(catalogue_url, create=True)
    with database.write() as connection:
        run_migrations(connection, "0004")
        facts = run(note="of before", tags=("a",))
        row = {"id": "r-1", "number": 1, "key": facts.key, "state": facts.state, "dataset": facts.dataset}
        connection.execute(sa.insert(schema.runs), {**row, "record_json": facts.model_dump_json()})
    database.close()
    with Catalogue.open(catalogue_url) as catalogue:
        assert catalogue.revision == schema.REVISION
        catalogue.run_notes.add([said("tag", "best")])
        assert catalogue.run_notes.tags() == {"r-1": ("best",)}
        assert catalogue.runs.list()[0].note == "of before"
