"""Pages of images: every order, every filter, to the end and without a gap."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from darkroom.catalogue import Catalogue, pages
from darkroom.catalogue.images import IMAGE_SORTS, ImageFilter
from darkroom.errors import Invalid
from darkroom.records import CameraFacts, Image, State, Undo
from tests.conformance.examples import MOMENT, event, image, image_id, location, source

COUNT = 60
SORTS = [f"{sign}{name}" for sign in ("", "-") for name in IMAGE_SORTS]
FILTERS = (
    ImageFilter(),
    ImageFilter(source="s-2"),
    ImageFilter(label="cat"),
    ImageFilter(label="nobody"),
    ImageFilter(state="unlabelled"),
    ImageFilter(state="skipped"),
    ImageFilter(split="val"),
    ImageFilter(source="s-1", label="cat", split="train"),
    ImageFilter(source="s-2", state="unlabelled"),
)
KEYS: dict[str, Callable[[Image], Any]] = {
    "added": lambda one: 0,
    "id": lambda one: one.id,
    "size": lambda one: one.size_bytes,
    "width": lambda one: one.width_px,
    "height": lambda one: one.height_px,
    "pixels": lambda one: one.width_px * one.height_px,
    "taken": lambda one: one.camera.taken_at.timestamp() if one.camera.taken_at else float("-inf"),
}


def made() -> list[Image]:
    """Images with many equal values, so that only the row's number parts them."""
    return [
        image(
            number,
            width_px=600 + number % 3,
            height_px=400 + number % 5,
            size_bytes=1000 + number % 4,
            group="a group" if number % 2 else None,
            camera=CameraFacts(
                taken_at=MOMENT - timedelta(days=30_000 * (number % 7)) if number % 3 else None
            ),
        )
        for number in range(COUNT)
    ]


def fits(where: ImageFilter, number: int) -> bool:
    label = "cat" if number % 4 == 0 else None
    state = "skipped" if number % 4 == 1 else "unlabelled" if number % 4 > 1 else None
    return (
        (where.source is None or where.source == ("s-1" if number < 20 else "s-2"))
        and (where.label is None or where.label == label)
        and (where.state is None or where.state == state)
        and (where.split is None or where.split == ("val" if number % 5 == 0 else "train"))
    )


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    ids = [source(catalogue, f"../{name}").id for name in ("first", "second")]
    places = [location(ids[number >= 20], number, f"{number}.jpg") for number in range(COUNT)]
    # A second place in the same source makes no second row of a page.
    catalogue.images.add(made(), [*places, location(ids[1], 30, "again.jpg")])
    catalogue.annotations.append(event(number, "cat") for number in range(0, COUNT, 4))
    catalogue.annotations.append(event(number, State(state="skipped")) for number in range(1, COUNT, 4))
    catalogue.annotations.append(event(number, State(state="unlabelled")) for number in range(2, COUNT, 4))
    catalogue.splits.assign(
        {f"image:{image_id(number)}": "train" if number % 5 else "val" for number in range(COUNT)}
    )
    return catalogue


def all_pages(catalogue: Catalogue, sort: str, where: ImageFilter, limit: int) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = catalogue.images.page(after=after, limit=limit, sort=sort, where=where)
        found += [one.id for one in page.items]
        after = page.next
        if after is None:
            return found
        assert len(page.items) == limit


def expected(sort: str, where: ImageFilter) -> list[str]:
    key = KEYS[sort.removeprefix("-")]
    numbered = [(key(one), number, one.id) for number, one in enumerate(made()) if fits(where, number)]
    return [found for *_, found in sorted(numbered, reverse=sort.startswith("-"))]


# Few images fit here; the second and third way of finding them are tried by forbidding those before.
@pytest.mark.parametrize(("few", "steps"), [(pages.FEW, pages.SHORT), (-1, 3), (-1, pages.SHORT)])
def test_pages_hold_what_fits_in_the_order_asked_for(
    filled: Catalogue, monkeypatch: pytest.MonkeyPatch, few: int, steps: int
) -> None:
    monkeypatch.setattr(pages, "FEW", few)
    monkeypatch.setattr(pages, "SHORT", steps)
    monkeypatch.setattr(pages, "SOME", -1 if few < 0 else pages.SOME)
    monkeypatch.setattr(pages, "LONG", steps)
    monkeypatch.setattr(pages, "MORE", 1 if steps == 3 else pages.MORE)
    for sort in SORTS:
        for where in FILTERS:
            assert all_pages(filled, sort, where, 19) == expected(sort, where), (sort, where)


def test_images_that_come_meanwhile_are_neither_repeated_nor_lost(filled: Catalogue) -> None:
    first = filled.images.page(sort="-size", limit=20)
    filled.images.add([image(1000, size_bytes=10**9), image(1001, size_bytes=1)])
    rest: list[str] = []
    after = first.next
    while after:
        page = filled.images.page(sort="-size", limit=20, after=after)
        rest += [one.id for one in page.items]
        after = page.next
    seen = [one.id for one in first.items] + rest
    assert seen[:COUNT] == expected("-size", ImageFilter())
    assert seen[COUNT:] == [image_id(1001)]


def text_of(*said: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token", ["", "nonsense", "é", "WzFd", text_of(), text_of(1, 2, 3), "A" * 100_000, "5", "[" * 2000]
)
def test_a_text_that_is_no_end_of_a_page_is_refused(filled: Catalogue, token: str) -> None:
    with pytest.raises(Invalid, match="not the end of a page"):
        filled.images.page(after=token)


def test_the_end_of_a_page_counts_for_its_own_sort_and_filter_only(filled: Catalogue) -> None:
    token = filled.images.page(sort="width", limit=5).next
    assert token is not None
    for sort, where in (("-width", None), ("height", None), ("width", ImageFilter(source="s-1"))):
        with pytest.raises(Invalid):
            filled.images.page(sort=sort, where=where, after=token)
    asked, *keys = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for wrong in (
        [asked, *keys, 1],
        [asked, keys[0]],
        [asked, "1", 2],
        [asked, True, 2],
        [asked, 10**30, 1],
    ):
        with pytest.raises(Invalid):
            filled.images.page(sort="width", after=text_of(*wrong))


def waiting(catalogue: Catalogue) -> set[str]:
    found = catalogue.images.page(where=ImageFilter(state="unlabelled"), limit=1000)
    return {one.id for one in found.items}


def test_who_waits_for_a_label_follows_the_log(catalogue: Catalogue) -> None:
    catalogue.images.add(made()[:4])
    everybody = {image_id(number) for number in range(4)}
    assert waiting(catalogue) == everybody
    (first,) = catalogue.annotations.append([event(0, "cat")])
    (second,) = catalogue.annotations.append([event(1, State(state="unusable"))])
    assert waiting(catalogue) == {image_id(2), image_id(3)}
    catalogue.annotations.append([event(0, State(state="unlabelled")), event(1, Undo(event=second.id))])
    assert waiting(catalogue) == everybody
    catalogue.annotations.append([event(0, Undo(event=catalogue.annotations.history(image_id(0))[-1].id))])
    assert waiting(catalogue) == everybody - {image_id(0)}
    catalogue.annotations.append([event(0, Undo(event=first.id))])
    catalogue.annotations.append([event(3, State(state="skipped"), slot="mask")])
    assert waiting(catalogue) == everybody, "an answer to another question"
    catalogue.annotations.append([event(2, "dog")])
    catalogue.annotations.rebuild_current()
    assert waiting(catalogue) == everybody - {image_id(2)}
    assert catalogue.annotations.is_used("class", "dog")
    assert not catalogue.annotations.is_used("class", "cat")
