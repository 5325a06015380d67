"""A folder is taken in again and again: only what changed is read, bad files are set aside."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import pytest

from darkroom.datasets.plan import SOURCE_SPLITS
from darkroom.errors import Invalid, InvalidConfig, NotFound
from darkroom.records import ClassLabel, MaskLabel
from darkroom.sources import ScanReport, scan_folder
from darkroom.sources import intake as intake_module
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, counts_of, project, scanned, touch
from tests.formats.pictures import mask_png, png, put


def labels(workspace: Workspace) -> dict[str, int]:
    return workspace.catalogue.annotations.counts("class").labels


def aside(workspace: Workspace, source_id: str = "s-1") -> dict[str, str]:
    return {found.path: found.reason for found in workspace.catalogue.quarantine.of_source(source_id)}


def refuse_to_read(*_: object, **__: object) -> None:
    raise AssertionError("a file was read")


def written(workspace: Workspace) -> tuple[object, ...]:
    """Everything that a scan writes."""
    catalogue = workspace.catalogue
    files = sorted(
        (path, path.stat().st_mtime_ns) for path in workspace.hidden.rglob("*") if path.suffix != ".db-shm"
    )
    database = [found for found in files if "catalogue.db" not in found[0].name]
    places = [
        place for source in catalogue.sources.list() for place in catalogue.locations.of_source(source.id)
    ]
    return (
        catalogue.images.count(),
        places,
        catalogue.annotations.last_sequence(),
        aside(workspace),
        database,
    )


def bomb() -> bytes:
    """Returns a PNG that says it has 30,000×30,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def test_pictures_labels_and_facts_are_taken_in(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 3, "dog": 2})
    report = scan_folder(workspace, add(workspace, "pictures"), licence="CC0", collector="me")
    assert counts_of(report) == (5, 0, 0, 0)
    assert (report.labelled, report.quarantined, report.conflicts) == (5, 0, 0)
    assert labels(workspace) == {"cat": 3, "dog": 2}
    image = workspace.catalogue.images.get(hashlib.sha256(png(0)).hexdigest())
    assert (image.origin, image.licence, image.collector) == ("pictures", "CC0", "me")
    assert image.collected_at is not None
    (event,) = workspace.catalogue.annotations.history(image.id)
    assert (event.author.kind, event.author.name) == ("import", "s-1/cat/0.png")


def test_a_second_scan_writes_nothing(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 3, "dog": 2})
    (tmp_path / "pictures" / "cat" / "bad.png").write_text("no picture")
    scan_folder(workspace, source)
    before = written(workspace)
    report = scan_folder(workspace, source)
    assert counts_of(report) == (0, 0, 0, 5)
    assert (report.labelled, report.quarantined) == (0, 1)
    assert written(workspace) == before


def test_a_second_scan_opens_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, source = scanned(tmp_path, {"cat": 3})
    (tmp_path / "pictures" / "cat" / "bad.png").write_text("no picture")
    scan_folder(workspace, source)

    monkeypatch.setattr(intake_module, "read_picture", refuse_to_read)
    assert counts_of(scan_folder(workspace, source)) == (0, 0, 0, 3)


def test_new_changed_and_vanished_files_are_told(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 4})
    folder = tmp_path / "pictures" / "cat"
    (folder / "new.png").write_bytes(png(100))
    (folder / "0.png").write_bytes(png(101, 6))
    (folder / "1.png").unlink()
    assert counts_of(scan_folder(workspace, source)) == (1, 1, 1, 2)
    assert {place.path for place in workspace.catalogue.locations.of_source("s-1")} == {
        f"cat/{name}.png" for name in ("new", 0, 2, 3)
    }
    assert counts_of(scan_folder(workspace, source)) == (0, 0, 0, 4)


def test_a_file_that_was_only_touched_is_unchanged_and_read_once_more(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    touch(tmp_path / "pictures" / "cat" / "0.png")
    assert counts_of(scan_folder(workspace, source)) == (0, 0, 0, 2)
    before = written(workspace)
    scan_folder(workspace, source)
    assert written(workspace) == before


def test_rehash_finds_a_change_that_size_and_time_hide(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    path = tmp_path / "pictures" / "cat" / "0.png"
    data, facts = bytearray(path.read_bytes()), path.stat()
    other = png(55)
    other += b"\0" * (len(data) - len(other)) if len(other) < len(data) else b""
    path.write_bytes(other)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    if path.stat().st_size == facts.st_size:
        assert counts_of(scan_folder(workspace, source)) == (0, 0, 0, 2)
    assert counts_of(scan_folder(workspace, source, rehash=True)) == (0, 1, 0, 1)


def test_a_moved_file_changes_its_label_and_keeps_its_picture(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2, "dog": 1})
    folder = tmp_path / "pictures"
    (folder / "cat" / "1.png").rename(folder / "dog" / "moved.png")
    report = scan_folder(workspace, source)
    assert counts_of(report) == (1, 0, 1, 2)
    assert labels(workspace) == {"cat": 1, "dog": 2}
    assert workspace.catalogue.images.count() == 3
    (folder / "dog" / "moved.png").rename(folder / "cat" / "1.png")
    scan_folder(workspace, source)
    assert labels(workspace) == {"cat": 2, "dog": 1}


def test_bad_files_are_set_aside_with_the_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = classes(tmp_path / "pictures", {"cat": 3})
    (folder / "cat" / "empty.png").touch()
    (folder / "cat" / "text.png").write_text("no picture at all")
    (folder / "cat" / "cut.png").write_bytes(png(1)[:60])
    (folder / "cat" / "bomb.png").write_bytes(bomb())
    (folder / "cat" / "link.png").symlink_to(folder / "nowhere.png")
    report = scan_folder(workspace, add(workspace, "pictures"))
    assert counts_of(report) == (3, 0, 0, 0)
    assert aside(workspace) == {
        "cat/empty.png": "image.empty",
        "cat/text.png": "image.not-a-picture",
        "cat/cut.png": "image.broken",
        "cat/bomb.png": "image.too-large",
        "cat/link.png": "file.not-a-file",
    }


def test_files_larger_than_the_limit_are_set_aside_unread(tmp_path: Path) -> None:
    workspace = project(tmp_path, max_file_bytes=200)
    folder = classes(tmp_path / "pictures", {"cat": 1})
    (folder / "cat" / "large.png").write_bytes(png(9, 50, 50))
    scan_folder(workspace, add(workspace, "pictures"))
    assert aside(workspace) == {"cat/large.png": "image.file-too-large"}


def test_an_unreadable_file_is_set_aside(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # The administrator may read everything: here a file vanishes between listing and reading instead.
        workspace = project(tmp_path)
        folder = classes(tmp_path / "pictures", {"cat": 2})

        class Vanishing(type(workspace.engine)):  # type: ignore[misc]
            def map(self, function, items, **options):
                (folder / "cat" / "1.png").unlink()
                return super().map(function, items, **options)

        workspace.__dict__["engine"] = Vanishing(workspace.settings)
    else:
        workspace = project(tmp_path)
        folder = classes(tmp_path / "pictures", {"cat": 2})
        (folder / "cat" / "1.png").chmod(0)
    scan_folder(workspace, add(workspace, "pictures"))
    assert aside(workspace) == {"cat/1.png": "file.unreadable"}
    assert workspace.catalogue.images.count() == 1


def test_a_mended_file_leaves_the_quarantine(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 1})
    path = tmp_path / "pictures" / "cat" / "bad.png"
    path.write_text("no picture")
    scan_folder(workspace, source)
    assert aside(workspace) == {"cat/bad.png": "image.not-a-picture"}
    path.write_bytes(png(77))
    assert scan_folder(workspace, source).new == 1
    assert aside(workspace) == {}


def test_a_picture_that_breaks_is_set_aside_and_its_place_forgotten(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    (tmp_path / "pictures" / "cat" / "0.png").write_text("broken")
    report = scan_folder(workspace, source)
    assert (counts_of(report), report.quarantined) == ((0, 0, 0, 1), 1)
    assert [place.path for place in workspace.catalogue.locations.of_source("s-1")] == ["cat/1.png"]


@pytest.mark.parametrize("content", [[], ["notes.txt"]], ids=["empty", "no pictures"])
def test_a_folder_without_pictures_is_refused_and_nothing_is_forgotten(
    tmp_path: Path, content: list[str]
) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    for path in (tmp_path / "pictures" / "cat").iterdir():
        path.unlink()
    for name in content:
        (tmp_path / "pictures" / name).write_text("x")
    with pytest.raises(Invalid, match="No picture in"):
        scan_folder(workspace, source)
    assert len(list(workspace.catalogue.locations.of_source("s-1"))) == 2


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    with pytest.raises(NotFound, match="is gone"):
        scan_folder(workspace, add(workspace, "nowhere"))


def test_an_unknown_format_is_told(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 1})
    with pytest.raises(InvalidConfig, match="Did you mean"):
        scan_folder(workspace, add(workspace, "pictures", format="cvs"))


@pytest.mark.timeout(60)
def test_a_loop_of_links_does_not_hang(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 1})
    (tmp_path / "pictures" / "cat" / "loop").symlink_to(tmp_path / "pictures", target_is_directory=True)
    report = scan_folder(workspace, source)
    assert counts_of(report) == (0, 0, 0, 1)
    assert aside(workspace) == {"cat/loop": "folder.link-inside"}


def test_copied_pictures_survive_their_folder(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = classes(tmp_path / "pictures", {"cat": 2})
    source = add(workspace, "pictures", mode="copy")
    scan_folder(workspace, source)
    (folder / "cat" / "0.png").unlink()
    scan_folder(workspace, source)
    assert workspace.read_image(hashlib.sha256(png(0)).hexdigest()) == png(0)


def test_a_project_can_be_moved_with_its_pictures(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path / "old", {"cat": 2})
    workspace.close()
    (tmp_path / "old").rename(tmp_path / "new")
    with Workspace.open(tmp_path / "new") as moved:
        source = moved.catalogue.sources.get("s-1")
        assert counts_of(scan_folder(moved, source)) == (0, 0, 0, 2)


def test_tables_give_groups_splits_and_metadata(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", "a.png", "b.png")
    (folder / "annotations.csv").write_text(
        "image,label,split,group,city\na.png,cat,test,g1,Ulm\nb.png,dog,,,\nc.png,x,,,\n"
    )
    source = add(workspace, "pictures", format="csv")
    scan_folder(workspace, source)
    first = hashlib.sha256(png(0)).hexdigest()
    image = workspace.catalogue.images.get(first)
    assert (image.group, dict(image.metadata)) == ("g1", {"city": "Ulm"})
    assert workspace.catalogue.splits.assigned([f"image:{first}"], SOURCE_SPLITS) == {
        f"image:{first}": "test"
    }
    assert aside(workspace) == {"annotations.csv:4": "csv.no-such-picture"}
    (folder / "annotations.csv").write_text("image,label,group\na.png,dog,g2\nb.png,dog,g2\n")
    report = scan_folder(workspace, source)
    assert counts_of(report) == (0, 0, 0, 2)
    assert workspace.catalogue.images.get(first).group == "g2"
    assert labels(workspace) == {"dog": 2}
    assert aside(workspace) == {}


def test_a_label_that_is_taken_out_of_the_table_holds_no_more(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", "a.png", "b.png")
    (folder / "annotations.csv").write_text("image,label\na.png,cat\nb.png,dog\n")
    source = add(workspace, "pictures", format="csv")
    scan_folder(workspace, source)
    (folder / "annotations.csv").write_text("image,label\na.png,\nb.png,dog\n")
    assert scan_folder(workspace, source).labelled == 1
    assert labels(workspace) == {"dog": 1}
    assert scan_folder(workspace, source).labelled == 0


def test_masks_become_blobs_of_indices_and_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", "images/1.png", "images/2.png", "images/3.png")
    indices = np.array([[0, 1, 1, 0, 255]] * 4)
    (folder / "masks").mkdir()
    (folder / "masks" / "1.png").write_bytes(mask_png(indices, "P"))
    (folder / "masks" / "2.png").write_bytes(mask_png(indices[:2]))
    (folder / "classes.txt").write_text("background\nroad\n")
    source = add(workspace, "pictures", format="png-masks")
    report = scan_folder(workspace, source)
    assert (counts_of(report), report.labelled) == ((3, 0, 0, 0), 1)
    assert aside(workspace) == {"masks/2.png": "masks.size"}
    (current,) = workspace.catalogue.annotations.current("mask")
    assert isinstance(current.value, MaskLabel)
    assert current.value.classes == ("background", "road")
    assert workspace.blobs.get(current.value.blob) == mask_png(indices)
    before = written(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_picture", refuse_to_read)
        again = scan_folder(workspace, source)
    assert (counts_of(again), again.labelled, written(workspace)) == ((0, 0, 0, 3), 0, before)
    (folder / "masks" / "1.png").write_bytes(mask_png(1 - np.minimum(indices, 1)))
    changed = scan_folder(workspace, source)
    assert (counts_of(changed), changed.labelled) == ((0, 0, 0, 3), 1)


def test_a_scan_that_was_killed_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 3, "dog": 2})
    source = add(workspace, "pictures")
    with monkeypatch.context() as patch:
        patch.setattr(
            "darkroom.sources.folder.settle", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            scan_folder(workspace, source)
    report = scan_folder(workspace, source)
    assert (counts_of(report), report.labelled) == ((0, 0, 0, 5), 5)
    assert labels(workspace) == {"cat": 3, "dog": 2}


def test_files_that_are_no_pictures_are_counted_and_named(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 1})
    (tmp_path / "pictures" / "cat" / "notes.txt").write_text("x")
    report: ScanReport = scan_folder(workspace, source)
    assert (report.skipped, report.skipped_files, report.quarantined) == (1, ("cat/notes.txt",), 0)


@pytest.mark.parametrize("name", ["with space", "dots.v1.0", "🌷 tulip", "شجرة", "-dash", "=cmd()"])
def test_classes_may_be_called_anything(tmp_path: Path, name: str) -> None:
    workspace, _ = scanned(tmp_path, {name: 1, "other": 1})
    assert labels(workspace) == {name: 1, "other": 1}
    values = {current.value for current in workspace.catalogue.annotations.current("class")}
    assert ClassLabel(label=name) in values


def test_the_flowers_are_taken_in_by_worker_processes(tmp_path: Path, shared_data: Path) -> None:
    with project(tmp_path) as workspace:
        workspace.settings = type(workspace.settings)(workers=2)
        report = scan_folder(workspace, add(workspace, shared_data / "flowers"))
        assert counts_of(report) == (1200, 0, 0, 0)
        assert report.quarantined == 0
        assert len(labels(workspace)) == 5
        assert scan_folder(workspace, workspace.catalogue.sources.get("s-1")).labelled == 0


@pytest.mark.slow
def test_ten_thousand_unchanged_files_are_looked_through_at_once(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {f"class {number}": 1000 for number in range(10)})
    report = scan_folder(workspace, source)
    assert counts_of(report) == (0, 0, 0, 10_000)
    assert report.seconds < 3  # under 1 s on an idle machine; see benchmarks
