"""After a picture was forgotten, SQLite's files do not hold what was said about it."""

from __future__ import annotations

from pathlib import Path

from darkroom.catalogue import Catalogue
from darkroom.catalogue.database import connect
from darkroom.records import Author
from tests.conformance.examples import event, image_id, images, location, source

SECRET = "Mrs. Quagmire of Elm Street 7"


def told(folder: Path) -> Catalogue:
    catalogue = Catalogue.open(f"sqlite:///{folder / 'catalogue.db'}", create=True)
    place = source(catalogue)
    catalogue.images.add(images(400), [location(place.id, 0, f"{SECRET}.jpg")])
    author = Author(kind="person", name=SECRET)
    catalogue.annotations.append([event(number, "cat") for number in range(400)])
    catalogue.annotations.append([event(0, f"{SECRET} {number}", author=author) for number in range(40)])
    return catalogue


def holding(folder: Path, words: str) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if words.encode() in path.read_bytes()]


def test_the_bytes_are_gone_from_the_file_and_from_the_log(tmp_path: Path) -> None:
    with told(tmp_path) as catalogue:
        assert holding(tmp_path, SECRET)
        catalogue.forgotten.erase([image_id(0)])
        assert catalogue.forgotten.can_scrub
        assert catalogue.forgotten.scrub()
        assert holding(tmp_path, SECRET) == []
        assert holding(tmp_path, image_id(0)) == []
        assert catalogue.images.count() == 399
        assert catalogue.annotations.last_sequence() == 400
    assert holding(tmp_path, SECRET) == []


def test_while_somebody_reads_it_says_that_it_is_not_done(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("darkroom.catalogue.scrubbing.WAIT_S", 0.2)
    with told(tmp_path) as catalogue:
        reader = connect(f"sqlite:///{tmp_path / 'catalogue.db'}", create=False)
        with reader.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM images").all()
            catalogue.forgotten.erase([image_id(0)])
            assert not catalogue.forgotten.scrub()
        reader.close()
        assert catalogue.forgotten.scrub()
    assert holding(tmp_path, SECRET) == []
