"""One writer, called again and again on a full disk that refuses one kind of file after another.

Called as `python -m tests.bad_input.full_writers WRITER FOLDER`. It answers with a JSON line per call: what
was refused, what a person would have been told, and what was left aside. The last call is not refused, and
the writer itself looks whether everything is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darkroom.errors import DarkroomError, told
from darkroom.operation import find_operation
from darkroom.workspace import Workspace
from tests.bad_input.full_disk import Disk, files_of_at_most

FILE_SIZES_BYTES = (0, 100)
CAST = 300 << 10

uploads_of: list[Any] = []


class Writer(NamedTuple):
    """What is tried, and what it needs before."""

    write: Callable[[Path], None]
    """Writes into a folder, and looks whether all is there."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Makes what it needs, once."""
    reset: Callable[[Path], None] = lambda folder: None
    """Takes away what the last call made."""
    silent: tuple[str, ...] = ()
    """Ends of the names of what may be refused without a word, as everything goes on without it."""
    sizes_bytes: tuple[int, ...] = FILE_SIZES_BYTES
    """Largest sizes of files that are tried beside."""


def call(folder: Path, name: str, /, **values: Any) -> Any:
    """Calls an operation on a folder as the shell does."""
    with Workspace(folder) as workspace:
        operation = find_operation(name)
        return operation.call(workspace, operation.validate(values))


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def keep_features(folder: Path) -> None:
    from darkroom.features import FeatureStore
    from tests.features.fake import Shots, Sums, expected

    shots = Shots(range(40))
    table = FeatureStore(folder / "features").of(shots, Sums())
    assert np.array_equal(table.array, expected(shots.gather(np.arange(40))))


def make_project(folder: Path) -> None:
    (folder / "darkroom.toml").write_text('[project]\nname = "full"\n')
    with Workspace.open(folder) as workspace:
        assert workspace.catalogue.images.count() == 0


def send_upload(folder: Path) -> None:
    from darkroom.server.uploads import Uploads

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(range(256))

    # One for all calls, with room for one file: bytes that were refused must not be counted for ever.
    if not uploads_of:
        uploads_of.append(Uploads(folder / "uploads", file_bytes=2_048, all_bytes=2_048))
    sent = asyncio.run(uploads_of[0].take("a.png", blocks()))
    assert uploads_of[0].path(sent.upload).read_bytes() == bytes(range(256)) * 8


def start_server(folder: Path) -> None:
    from darkroom.pipeline.ownership import running_server
    from darkroom.server.listening import listening

    with Workspace(folder) as workspace:
        try:
            with listening(workspace) as (_, _, url):
                found = running_server(workspace)
                assert found is not None
                assert found.url == url
        finally:
            assert running_server(workspace) is None
            assert not (workspace.hidden / "server.json").exists()


def run_job(folder: Path) -> None:
    """Runs the process of a job here; a job that was asked for once is never there twice."""
    from darkroom.jobs import JobRunner
    from darkroom.jobs.work import main

    with Workspace(folder) as workspace:
        jobs = workspace.catalogue.jobs
        before = len(jobs.list(limit=None))
        try:
            job = JobRunner(workspace).submit("project.clean", {})
        except Exception:
            assert len(jobs.list(limit=None)) == before, "it was refused, and is there all the same"
            raise
        assert main([str(folder), job.id]) in (0, 1)
        job = jobs.get(job.id)
        if job.error is not None:
            assert job.state == "failed"
            raise DarkroomError.from_dict(job.error)
        assert job.state == "finished", job


def start_job(folder: Path) -> None:
    """Starts the process of a job as the server does."""
    from darkroom.jobs import JobRunner

    with Workspace(folder) as workspace, JobRunner(workspace) as runner:
        job = runner.wait(runner.submit("project.clean", {}).id, timeout_s=60)
        if job.error is not None:
            assert job.state == "failed"
            raise DarkroomError.from_dict(job.error)
        assert job.state == "finished", job


def put_pictures(folder: Path) -> None:
    from tests.datasets.projects import classes

    classes(folder / "pictures", {"cat": 3, "dog": 3})


def init_project(folder: Path) -> None:
    call(folder, "init", name=str(folder / "new"), images=folder / "pictures")
    assert "[[stage]]" in (folder / "new" / "darkroom.toml").read_text()


def write_quickstart(folder: Path) -> None:
    from darkroom.pipeline.quickstart import write_digits

    assert write_digits(folder / "demo" / "pictures") == len(list(folder.glob("demo/pictures/*/*.png")))


def write_formats(folder: Path) -> None:
    from darkroom.formats import FORMATS, Export
    from tests.conformance.test_formats import CLASSES, TASKS, picture

    for one in FORMATS.values():
        for slot in sorted(one.holds):
            place = folder / f"{one.name}-{slot}"
            pictures = [picture(one, slot, number) for number in range(4)]
            one.write(place, Export(CLASSES, TASKS[slot], pictures))
            assert len(list(one.read(place).entries)) == 4


def make_old_catalogue(folder: Path) -> None:
    from darkroom.catalogue import Catalogue, schema
    from tests.conformance.examples import images
    from tests.conformance.test_migrations import NEWER, NEXT

    shutil.copytree(Path(schema.__file__).parent / "migrations", folder.parent / "migrations")
    text = NEXT.format(statement="UPDATE images SET licence = 'later'", newer=NEWER, now=schema.REVISION)
    (folder.parent / "migrations" / "versions" / f"{NEWER}_later.py").write_text(text)
    with Catalogue.open(f"sqlite:///{folder.parent / 'old.db'}", create=True) as catalogue:
        catalogue.images.add(images(2000))


def put_old_catalogue(folder: Path) -> None:
    clear(folder / ".darkroom")
    shutil.copyfile(folder.parent / "old.db", folder / ".darkroom" / "catalogue.db")


def migrate(folder: Path) -> None:
    from darkroom.catalogue.database import connect
    from darkroom.catalogue.revision import prepare, revision_of
    from tests.conformance.test_migrations import NEWER, NOW

    place = folder / ".darkroom"
    database = connect(f"sqlite:///{place / 'catalogue.db'}", create=False)
    try:
        prepare(database, create=False, newest=NEWER, scripts=folder.parent / "migrations")
        assert revision_of(database) == NEWER
    except BaseException:
        assert revision_of(database) == NOW
        assert not list(place.glob("catalogue-before-*"))
        raise
    finally:
        database.close()
    assert len(list(place.glob("catalogue-before-*.db"))) == 1


def fetch_weights(folder: Path) -> None:
    from darkroom.networks.weights import find_weights
    from tests.networks.test_weights_hub import NAME

    assert os.environ["HF_HOME"] == str(folder)
    assert find_weights(NAME, ()).path.stat().st_size > CAST


def save_network(folder: Path) -> None:
    from darkroom.export.precisions import Recipe
    from darkroom.networks.saved import save
    from tests.export import models

    trained = models.stripes()
    folder.joinpath("work").mkdir()
    save(folder / "network.safetensors", trained.network, trained.card)
    for target, labels in (("onnx", trained.card.labels), ("litert", ("two\nlines", "b", "c"))):
        card = trained.card.model_copy(update={"labels": labels})
        save(folder / f"{target}.safetensors", trained.network, card)
        recipe = Recipe(precision="float32").to_json()
        request = {"target": target, "recipe": recipe, "embedding": False}
        request |= {"weights": str(folder / f"{target}.safetensors")}
        request |= {"path": str(folder / "work" / f"model.{target}")}
        (folder / f"{target}.json").write_text(json.dumps(request))


def forget_conversion(folder: Path) -> None:
    for name in ("refusal.json", "seconds", "work/model.onnx"):
        folder.joinpath(name).unlink(missing_ok=True)


def convert_in_the_child(folder: Path) -> None:
    """Runs the converter's process here: once it writes a file, once a refusal."""
    from darkroom.errors import StorageFailed
    from darkroom.export.child import run
    from darkroom.export.exporters import DISK_REFUSED

    for target in ("onnx", "litert"):
        code = run(folder / f"{target}.json")
        assert code in (0, DISK_REFUSED)
        if code:
            assert not (folder / "refusal.json").exists()
            raise StorageFailed("child.refused", "The parent says which.", do="as it does")
    assert (folder / "work" / "model.onnx").stat().st_size > 1000
    assert json.loads((folder / "refusal.json").read_text())["id"] == "label.line-break"


WRITERS = {
    "features": Writer(keep_features, reset=clear),
    "uploads": Writer(send_upload),
    "server": Writer(start_server, make_project),
    "job": Writer(
        run_job,
        make_project,
        silent=("j-#/events.lock", "j-#/events.jsonl"),
        sizes_bytes=(),
    ),
    "job process": Writer(
        start_job,
        make_project,
        silent=("j-#/events.lock", "j-#/events.jsonl"),
        sizes_bytes=(),
    ),
    "init": Writer(
        init_project, put_pictures, reset=lambda folder: shutil.rmtree(folder / "new", ignore_errors=True)
    ),
    "quickstart": Writer(write_quickstart, reset=clear, sizes_bytes=(0,)),
    "formats": Writer(write_formats, reset=clear),
    "migration": Writer(migrate, make_old_catalogue, put_old_catalogue, sizes_bytes=(4_000, 100_000, CAST)),
    "weights": Writer(
        fetch_weights,
        reset=clear,
        silent=("CACHEDIR.TAG", "/blobs/tmp_#", "/blobs/#"),
        sizes_bytes=(0, CAST),
    ),
    "conversion": Writer(convert_in_the_child, save_network, forget_conversion, sizes_bytes=(4_000,)),
}


def main() -> None:
    """Calls a writer with short files, then until no kind of file is left that was not refused."""
    writer, folder = WRITERS[sys.argv[1]], Path(sys.argv[2])
    folder.mkdir()
    writer.prepare(folder)
    disk = Disk(folder)
    for size_bytes in writer.sizes_bytes:
        writer.reset(folder)
        with files_of_at_most(size_bytes):
            said = _told(writer, folder)
        _say(folder, f"files of at most {size_bytes} bytes", said)
    while True:
        before = len(disk.refused)
        writer.reset(folder)
        with disk.full():
            said = _told(writer, folder)
        new = disk.refused[before:]
        _say(folder, new[0] if new else "nothing", said)
        if not new:
            return


def _told(writer: Writer, folder: Path) -> dict[str, Any]:
    try:
        writer.write(folder)
    except AssertionError:
        raise
    except Exception as error:
        shown = told(error)
        return {"kind": type(shown).__name__, "id": shown.id, "said": shown.message, "hint": shown.hint}
    return {"kind": ""}


def _say(folder: Path, refused: str, said: dict[str, Any]) -> None:
    left = [path.relative_to(folder).as_posix() for path in folder.rglob(".aside-*")]
    left += [path.name for path in folder.rglob("*.incomplete")]
    print(json.dumps({"refused": refused, "left": left, **said}), flush=True)


if __name__ == "__main__":
    main()
