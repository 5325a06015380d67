"""What a catalogue keeps, the same on SQLite and on PostgreSQL: images, sources, runs, bundles, stages."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest

from darkroom.catalogue import Catalogue
from darkroom.errors import Conflict, Invalid, NotFound
from darkroom.records import CameraFacts, Image, Location, Quarantined
from tests.conformance.examples import (
    MOMENT,
    image,
    image_id,
    images,
    location,
    manifest,
    run,
    source,
    stage,
)


def test_an_image_comes_back_with_every_fact(catalogue: Catalogue) -> None:
    full = Image(
        id=image_id(7),
        width_px=4000,
        height_px=3000,
        mode="I;16",
        format="PNG",
        size_bytes=2**40,
        group="patient 7 · été",
        origin="Flickr, ‘cats’ 🐈",
        licence="CC-BY-4.0",
        collector="crawler",
        collected_at=datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        camera=CameraFacts(
            taken_at=MOMENT, device="Fuji X100", orientation=6, place=(-33.865143, 151.2099)
        ),
        metadata={"city": "Żółć", "store": "北"},
    )
    catalogue.images.add([full])
    found = catalogue.images.get(full.id)
    assert found == full
    assert found.collected_at is not None
    assert found.collected_at.tzinfo is UTC
    assert {
        name for name in Image.model_fields if getattr(full, name) == Image.model_fields[name].default
    } == {"schema_version"}, "a field of the record is not tried here"


def test_adding_an_image_again_changes_nothing_and_counts_nothing(catalogue: Catalogue) -> None:
    assert catalogue.images.add(images(3)) == 3
    assert catalogue.images.add([image(1, group="late"), image(3), image(3)]) == 1
    assert catalogue.images.count() == 4
    assert catalogue.images.get(image_id(1)).group is None


def test_an_unknown_image_is_not_found(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match="No image"):
        catalogue.images.get("0" * 64)


def test_many_images_come_in_the_order_asked_for(catalogue: Catalogue) -> None:
    catalogue.images.add(images(2500))
    wanted = [image_id(number) for number in (2400, 3, 9999, 1200, 3)]
    assert list(catalogue.images.many(wanted)) == [image_id(2400), image_id(3), image_id(1200)]


@pytest.mark.parametrize(
    "sort", ["added", "-added", "size", "-size", "width", "-width", "height", "-height"]
)
def test_pages_hold_each_image_once_in_the_order_asked_for(catalogue: Catalogue, sort: str) -> None:
    # Few distinct sizes: ties must not lose or repeat an image at the edge of a page.
    sizes = random.Random(5).choices(range(1, 6), k=237)
    added = [
        image(number, width_px=size, height_px=7 - size, size_bytes=size * 3**20)
        for number, size in enumerate(sizes)
    ]
    catalogue.images.add(added)
    walked, after = [], None
    while True:
        page = catalogue.images.page(after=after, limit=20, sort=sort)
        walked += page.items
        after = page.next
        if after is None:
            break
        assert len(page.items) == 20
    keys = {
        "added": lambda place: place,
        "size": lambda place: (added[place].size_bytes, place),
        "width": lambda place: (added[place].width_px, place),
        "height": lambda place: (added[place].height_px, place),
    }
    order = sorted(range(237), key=keys[sort.lstrip("-")], reverse=sort.startswith("-"))
    assert [found.id for found in walked] == [added[place].id for place in order]


def test_a_page_after_new_images_goes_on_where_it_was(catalogue: Catalogue) -> None:
    catalogue.images.add(images(10))
    first = catalogue.images.page(limit=4)
    catalogue.images.add([image(99)])
    second = catalogue.images.page(limit=100, after=first.next)
    assert [found.id for found in second.items] == [image_id(number) for number in (*range(4, 10), 99)]
    assert second.next is None


@pytest.mark.parametrize(
    ("sort", "after"), [("sizes", None), ("size", "1"), ("added", "1; DROP TABLE images")]
)
def test_a_sort_or_page_that_is_none_is_refused(catalogue: Catalogue, sort: str, after: str | None) -> None:
    with pytest.raises(Invalid):
        catalogue.images.page(sort=sort, after=after)


def test_groups_can_be_set_and_taken_back(catalogue: Catalogue) -> None:
    catalogue.images.add(images(3))
    catalogue.images.set_group({image_id(0): "scene", image_id(1): "scene"})
    catalogue.images.set_group({image_id(1): None})
    assert [catalogue.images.get(image_id(number)).group for number in range(3)] == ["scene", None, None]
    with pytest.raises(NotFound):
        catalogue.images.set_group({image_id(2): "other", image_id(77): "other"})
    assert catalogue.images.get(image_id(2)).group is None


def test_ids_of_all_images_and_of_one_source_come_sorted_and_once(catalogue: Catalogue) -> None:
    here, there = source(catalogue), source(catalogue, "../more")
    catalogue.images.add(
        images(4),
        [
            location(here.id, 0, "a"),
            location(here.id, 0, "b"),
            location(here.id, 2, "c"),
            location(there.id, 3, "d"),
        ],
    )
    assert list(catalogue.images.ids()) == sorted(image_id(number) for number in range(4))
    assert list(catalogue.images.ids(here.id)) == sorted([image_id(0), image_id(2)])
    assert list(catalogue.images.ids("s-9")) == []


def test_sources_get_short_ids_that_are_never_given_again(catalogue: Catalogue) -> None:
    first, second = source(catalogue), source(catalogue, "../more")
    assert (first.id, second.id) == ("s-1", "s-2")
    assert catalogue.sources.list() == [first, second]
    assert catalogue.sources.get("s-2") == second
    assert catalogue.sources.find("folder", "../photos") == first
    assert catalogue.sources.find("folder", "photos") is None
    assert catalogue.sources.new_id() == "s-3"
    assert catalogue.sources.new_id() == "s-4"


def test_a_source_can_be_changed_but_not_added_twice(catalogue: Catalogue) -> None:
    first = source(catalogue)
    changed = first.model_copy(update={"mode": "copy"})
    catalogue.sources.add(changed)
    assert catalogue.sources.list() == [changed]
    with pytest.raises(Conflict, match="already"):
        source(catalogue)
    with pytest.raises(NotFound, match="Known: s-1"):
        catalogue.sources.get("s-7")


def test_locations_are_replaced_by_path_and_listed_by_path(catalogue: Catalogue) -> None:
    here = source(catalogue)
    catalogue.images.add(images(3))
    names = ["b/é.jpg", "B/z.jpg", "a b/1.jpg", "a.jpg", "a/1.jpg", "ж.png"]
    catalogue.locations.put([location(here.id, 0, name) for name in names])
    catalogue.locations.put([location(here.id, 1, "a.jpg"), location(here.id, 2, "a.jpg")])
    found = list(catalogue.locations.of_source(here.id))
    assert [place.path for place in found] == sorted(names, key=lambda name: name.encode())
    assert next(place for place in found if place.path == "a.jpg") == location(here.id, 2, "a.jpg")


def test_locations_of_images_and_their_removal(catalogue: Catalogue) -> None:
    here, there = source(catalogue), source(catalogue, "../more")
    one, two, three = location(here.id, 0, "x"), location(there.id, 0, "y"), location(here.id, 1, "z")
    catalogue.images.add(images(3), [one, two, three])
    assert catalogue.locations.of_images([image_id(0), image_id(2)]) == {image_id(0): [one, two]}
    assert catalogue.locations.remove(here.id, ["x", "y", "never"]) == 1
    assert catalogue.locations.of_images([image_id(0), image_id(1)]) == {
        image_id(0): [two],
        image_id(1): [three],
    }
    assert catalogue.images.count() == 3


def test_the_content_of_sources_depends_on_their_images_alone(catalogue: Catalogue) -> None:
    here, there = source(catalogue), source(catalogue, "../more")
    catalogue.images.add(images(2))
    catalogue.locations.put([location(here.id, 0, "a"), location(here.id, 1, "b")])
    catalogue.locations.put(
        [location(there.id, 1, "x"), location(there.id, 0, "y"), location(there.id, 0, "z")]
    )
    both = catalogue.locations.content([here.id])
    assert both[0] == 2
    assert (
        catalogue.locations.content([there.id]) == both == catalogue.locations.content([here.id, there.id])
    )
    catalogue.locations.remove(here.id, ["b"])
    assert catalogue.locations.content([here.id])[0] == 1
    assert catalogue.locations.content([here.id])[1] != both[1]
    assert catalogue.locations.content([]) == catalogue.locations.content(["s-9"])


def test_a_location_of_nothing_is_refused(catalogue: Catalogue) -> None:
    here = source(catalogue)
    with pytest.raises(NotFound):
        catalogue.locations.put([location(here.id, 0, "x")])
    catalogue.images.add(images(1))
    with pytest.raises(NotFound):
        catalogue.locations.put([location("s-9", 0, "x")])
    assert list(catalogue.locations.of_source(here.id)) == []


def test_a_path_that_is_not_text_is_refused_in_words(catalogue: Catalogue) -> None:
    here = source(catalogue)
    catalogue.images.add(images(1))
    with pytest.raises(Invalid, match="not text"):
        catalogue.locations.put([location(here.id, 0, "caf\udce9.jpg")])


def test_quarantine_holds_one_entry_per_path(catalogue: Catalogue) -> None:
    here, there = source(catalogue), source(catalogue, "../more")
    bad = [
        Quarantined(
            source_id=owner.id, path=path, reason="image.truncated", message="It ends early.", mtime_ns=5
        )
        for owner, path in [(here, "b"), (here, "a"), (there, "c")]
    ]
    catalogue.quarantine.put(bad)
    worse = bad[0].model_copy(update={"reason": "image.bomb", "size_bytes": 2**33})
    catalogue.quarantine.put([worse])
    assert list(catalogue.quarantine.of_source(here.id)) == [bad[1], worse]
    assert (catalogue.quarantine.count(), catalogue.quarantine.count(here.id)) == (3, 2)
    assert catalogue.quarantine.clear(here.id, ["a", "never"]) == 1
    assert catalogue.quarantine.clear(here.id) == 1
    assert catalogue.quarantine.count() == 1


def test_runs_get_ids_and_keep_their_facts(catalogue: Catalogue) -> None:
    first = catalogue.runs.create(run(seed=3, tags=("a", "b"), note="été", metrics={"val.accuracy": 0.1}))
    second = catalogue.runs.create(run(key="a" * 64, dataset="letters@1"))
    assert (first.id, second.id) == ("r-1", "r-2")
    assert catalogue.runs.get("r-1") == first
    assert catalogue.runs.list() == [first, second]
    assert catalogue.runs.list(dataset="letters@1") == [second]
    assert catalogue.runs.list(state="running") == []
    with pytest.raises(NotFound, match="Newest: r-2, r-1"):
        catalogue.runs.get("r-7")


def test_a_key_finds_its_newest_run(catalogue: Catalogue) -> None:
    catalogue.runs.create(run())
    newest = catalogue.runs.create(run(seed=1))
    assert catalogue.runs.find("f" * 64) == newest
    assert catalogue.runs.find("0" * 64) is None


def test_a_run_ends_and_cannot_begin_again(catalogue: Catalogue) -> None:
    made = catalogue.runs.create(run())
    running = catalogue.runs.update(made.id, state="running", metrics={"epoch": 1.0})
    assert (running.state, running.finished_at) == ("running", None)
    finished = catalogue.runs.update(made.id, state="finished", metrics={"epoch": 2.0})
    assert finished.finished_at is not None
    assert dict(finished.metrics) == {"epoch": 2.0}
    assert catalogue.runs.get(made.id) == finished
    for state in ("queued", "running", "failed", "cancelled", "lost"):
        with pytest.raises(Conflict, match="is finished"):
            catalogue.runs.update(made.id, state=state)
    assert catalogue.runs.update(made.id, note="good").note == "good"


@pytest.mark.parametrize("ended", ["failed", "cancelled", "lost"])
def test_a_run_that_stopped_early_can_go_on(catalogue: Catalogue, ended: str) -> None:
    made = catalogue.runs.create(run())
    catalogue.runs.update(made.id, state="running")
    stopped = catalogue.runs.update(made.id, state=ended)
    assert (stopped.finished_at is None) == (ended == "lost")
    assert catalogue.runs.update(made.id, state="running").finished_at is None


def test_a_queued_run_does_not_finish_unseen_and_its_identity_is_fixed(catalogue: Catalogue) -> None:
    made = catalogue.runs.create(run())
    with pytest.raises(Conflict):
        catalogue.runs.update(made.id, state="finished")
    with pytest.raises(ValueError, match="seed"):
        catalogue.runs.update(made.id, seed=5)
    with pytest.raises(ValueError, match="colour"):
        catalogue.runs.update(made.id, colour="red")
    with pytest.raises(NotFound):
        catalogue.runs.update("r-9", note="x")
    assert catalogue.runs.get(made.id) == made


def test_bundles_get_ids_and_are_listed_by_run(catalogue: Catalogue) -> None:
    taken = catalogue.bundles.new_id()
    first = catalogue.bundles.add(run_id="r-1", path="a", manifest=manifest(), bundle_id=taken)
    second = catalogue.bundles.add(run_id="r-2", path="b", manifest=manifest())
    assert (first.id, second.id) == ("b-1", "b-2")
    assert catalogue.bundles.list() == [first, second]
    assert catalogue.bundles.list("r-2") == [second]
    assert catalogue.bundles.get("b-1").manifest == manifest()
    with pytest.raises(NotFound, match="Known: b-1, b-2"):
        catalogue.bundles.get("b-3")


def test_a_stage_remembers_what_it_did_last(catalogue: Catalogue) -> None:
    assert catalogue.stages.last("train") is None
    catalogue.stages.save(stage("train"))
    catalogue.stages.save(stage("prepare", finished_at=MOMENT + timedelta(seconds=1)))
    latest = stage("train", duration_s=2.5, finished_at=MOMENT + timedelta(seconds=2), result={})
    catalogue.stages.save(latest)
    assert catalogue.stages.last("train") == latest
    assert list(catalogue.stages.all()) == ["prepare", "train"]
    assert catalogue.stages.all()["train"] == latest


def test_everything_is_there_after_opening_again(catalogue: Catalogue, catalogue_url: str) -> None:
    here = source(catalogue)
    catalogue.images.add(images(2), [location(here.id, 0, "x")])
    catalogue.close()
    with Catalogue.open(catalogue_url) as again:
        assert again.images.count() == 2
        assert list(again.locations.of_source(here.id)) == [
            Location(image_id=image_id(0), source_id="s-1", path="x", size_bytes=10, mtime_ns=2**60)
        ]
