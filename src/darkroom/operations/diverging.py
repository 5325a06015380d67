"""Write a dump, and compare one, or two formats, with what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from darkroom.errors import Damaged, DarkroomError, Invalid, NotFound
from darkroom.formats import is_picture
from darkroom.operations.bundling import refuse_lost_folder
from darkroom.operations.divergence import DiffReport, DumpReport
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from darkroom.bundle import Bundle
    from darkroom.bundle.dump import DumpPicture
    from darkroom.bundle.dump_reader import DumpFile
    from darkroom.catalogue.bundles import CataloguedBundle
    from darkroom.export.divergence_report import Divergence
    from darkroom.export.sides import Side

__all__ = ["find_divergence", "make_dump"]

MOST_IMAGES = 1000
"""Pictures that one dump, or one comparison of formats, takes; fewer of large masks."""


class _Picture(NamedTuple):
    name: str
    """Unique among those of one comparison."""
    read: Callable[[], bytes]
    """Returns its encoded bytes, which are not held."""


def make_dump(
    workspace: Workspace,
    bundle: str | None,
    images: Sequence[Path],
    target: str,
    precision: str,
    *,
    layers: bool,
    originals: bool,
) -> DumpReport:
    """Writes what a side makes of pictures.

    Raises:
        NotFound: there is no such bundle, file or picture.
        InvalidImage: a file named is no picture.
        Unsupported: the format hands out no layers.
        StorageFailed: the disk refuses; nothing half-written is left.
    """
    from darkroom.bundle.dump_writer import write_dump
    from darkroom.export.dumping import dumped_pictures, head_of

    found = _bundle(workspace, bundle)
    content = _read(workspace, found)
    pictures = _pictures(content, images)
    side = _side(workspace, found, content, target, precision)
    file = content.model_path(target, precision) if target != "pytorch" else None
    said = "" if precision == "float32" else f"-{precision}"
    path = workspace.deliverables / "09-mobile" / f"dump-{found.id}-{target}{said}.zip"
    most = {"layers": 0}

    def counted():
        read = ((one.name, one.read()) for one in pictures)
        for done, one in enumerate(dumped_pictures(side, read, layers=layers), start=1):
            most["layers"] = max(most["layers"], len(one.layers))
            workspace.report("dumping", done=done, total=len(pictures), unit="images")
            yield one

    write_dump(path, head_of(side, bundle=content.manifest.id, file=file), counted(), originals=originals)
    return DumpReport(
        bundle=found.id,
        side=side.title,
        pictures=tuple(one.name for one in pictures),
        layers=most["layers"],
        size_bytes=path.stat().st_size,
        path=workspace.relative(path),
    )


def find_divergence(
    workspace: Workspace,
    dump: Path | None,
    target: str | None,
    against: str,
    bundle: str | None,
    precision: str,
    images: Sequence[Path],
) -> DiffReport:
    """Compares a dump, or a file of a bundle, with what is right.

    Raises:
        Invalid: neither or both are given, pictures beside a dump, the parts of the dump do not fit
            together, or a file would be compared with itself.
        InvalidImage: a file named is no picture.
        NotFound: there is no such dump, bundle, file or picture.
        Damaged: the dump or the bundle is not what was written.
        Unsupported: a newer Darkroom's dump or bundle.
    """
    if (dump is None) == (target is None):
        raise Invalid(
            "diff.one-of-two",
            "Comparing needs a dump or a target, one of the two.",
            do="Say: darkroom export diff dump.zip, or darkroom export diff --target litert --against onnx",
        )
    if dump is not None and images:
        raise Invalid(
            "diff.pictures-of-a-dump",
            "A dump is compared on its own pictures; others were named beside it.",
            do="Leave --images out, or compare two formats on them: "
            "darkroom export diff --target onnx --against pytorch --images photo.jpg",
        )
    if dump is not None:
        found, divergence = _of_dump(workspace, dump, against, bundle)
        place = f"09-mobile/diff-{found.id}-dump.html"
    else:
        assert target is not None
        found, divergence = _of_formats(workspace, target, against, bundle, precision, images)
        said = "" if precision == "float32" else f"-{precision}"
        place = f"09-mobile/diff-{found.id}-{target}{said}-{against}.html"
    first = divergence.first
    return DiffReport(
        bundle=found.id,
        same=divergence.same,
        first=first.title if first is not None else "",
        divergence=divergence,
        page=_page(workspace, place, divergence),
    )


def _of_dump(
    workspace: Workspace, dump: Path, against: str, bundle: str | None
) -> tuple[CataloguedBundle, Divergence]:
    from darkroom.bundle.dump_reader import open_dump
    from darkroom.export.divergence import compare_dump

    with open_dump(dump) as file:
        found, notes = _named_by(workspace, file, bundle)
        content = _read(workspace, found)
        side, more = _reference(workspace, found, content, against)
        golden = _golden_bytes(content)

        def find_bytes(picture: DumpPicture) -> bytes | None:
            return golden.get(picture.sha256.lower()) or _project_bytes(workspace, picture.sha256.lower())

        def show(done: int) -> None:
            workspace.report("comparing", done=done, total=len(file.dump.pictures), unit="images")

        divergence = compare_dump(
            file,
            side,
            workspace.project.brief.limits,
            find_bytes=find_bytes,
            on_progress=show,
        )
    return found, divergence.model_copy(update={"notes": (*notes, *more, *divergence.notes)})


def _of_formats(
    workspace: Workspace,
    target: str,
    against: str,
    bundle: str | None,
    precision: str,
    images: Sequence[Path],
) -> tuple[CataloguedBundle, Divergence]:
    from darkroom.export.divergence import compare_sides

    found = _bundle(workspace, bundle)
    content = _read(workspace, found)
    pictures = _pictures(content, images)
    reference, notes = _reference(workspace, found, content, against)
    other = _side(workspace, found, content, target, precision)
    if getattr(other, "path", None) == getattr(reference, "path", Path()):
        raise Invalid(
            "diff.same-file",
            "That would compare {file} with itself.",
            do="Name another format: darkroom export diff --target {target} --against {others}",
            file=other.title,
            target=target,
            others=next(name for name in ("onnx", "litert") if name != target),
        )
    tensors = _tensors(content, pictures)
    workspace.report("comparing", done=0, total=len(pictures), unit="images")
    names = [one.name for one in pictures]
    divergence = compare_sides(reference, other, names, tensors, workspace.project.brief.limits)
    return found, divergence.model_copy(update={"notes": (*notes, *divergence.notes)})


def _bundle(workspace: Workspace, name: str | None) -> CataloguedBundle:
    bundles = workspace.catalogue.bundles
    known = bundles.list()
    if name is None and not known:
        raise NotFound(
            "diff.no-bundle", "There is no bundle yet.", do="Make one: darkroom export convert --run RUN"
        )
    return bundles.get(name) if name else known[-1]


def _named_by(
    workspace: Workspace, file: DumpFile, bundle: str | None
) -> tuple[CataloguedBundle, tuple[str, ...]]:
    """Returns the bundle that a dump is compared with, and what a reader must know of the choice."""
    if bundle is not None or not file.dump.bundle:
        return _bundle(workspace, bundle), ()
    for one in reversed(workspace.catalogue.bundles.list()):
        if one.manifest.id == file.dump.bundle:
            return one, ()
    found = _bundle(workspace, None)
    return found, (
        f"The dump names the bundle {file.dump.bundle[:12]}, which this project does not hold; it is "
        f"compared with {found.id}.",
    )


def _read(workspace: Workspace, found: CataloguedBundle) -> Bundle:
    from darkroom.bundle import read_bundle

    folder = workspace.root / found.path
    refuse_lost_folder(folder, found.id)
    return read_bundle(folder)


def _reference(
    workspace: Workspace, found: CataloguedBundle, content: Bundle, against: str
) -> tuple[Side, tuple[str, ...]]:
    """Returns what is right; where the network is gone, the first float32 file of the bundle."""
    if against != "pytorch":
        return _side(workspace, found, content, against, "float32"), ()
    try:
        return _side(workspace, found, content, "pytorch", "float32"), ()
    except (NotFound, Damaged) as error:
        file = next((model for model in content.models if model.precision == "float32"), None)
        if file is None:
            raise
        side = _side(workspace, found, content, file.target, file.precision)
        return side, (f"The run's network cannot be loaded, so {side.title} takes its place. {error}",)


def _side(
    workspace: Workspace, found: CataloguedBundle, content: Bundle, target: str, precision: str
) -> Side:
    from darkroom.export.sides import FileSide, TorchSide

    if target != "pytorch":
        return FileSide(content.model_path(target, precision), target, precision, content.card)
    from darkroom.networks.saved import load

    network, _ = load(workspace.runs_folder / found.run_id / "checkpoints/best.safetensors")
    return TorchSide(network, content.card)


def _pictures(content: Bundle, images: Sequence[Path]) -> list[_Picture]:
    """Returns pictures by unique names: the files named, or the golden pictures.

    Raises:
        NotFound: there is no such file, or a folder holds none.
        Invalid: they are too many.
    """
    from darkroom.export.portions import MOST_VALUES, values_of

    if not images:
        return [_Picture(vector.name, lambda data=vector.image: data) for vector in content.golden.vectors]
    files = [file for path in images for file in _files(path)]
    most = min(MOST_IMAGES, max(1, MOST_VALUES // values_of(content.card)))
    if len(files) > most:
        raise Invalid(
            "diff.too-many",
            "{count:,} pictures are named; at most {limit:,} are taken.",
            do="Name fewer.",
            count=len(files),
            limit=most,
        )
    pictures: dict[str, _Picture] = {}
    for file in files:
        name = next(one for one in _names(file) if one not in pictures)
        pictures[name] = _Picture(name, lambda file=file: _bytes_of(file))
    return list(pictures.values())


def _names(file: Path) -> Iterator[str]:
    """Yields what a file may be called, until one is free: `a.png`, then `2-a.png` and so on."""
    yield file.name
    for number in count(2):
        yield f"{number}-{file.name}"


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if path.is_file():
            return [path]
        raise NotFound(
            "diff.no-picture",
            "There is no picture at {path}.",
            do="Name pictures, or a folder that holds some: --images photo.jpg",
            path=path,
        )
    inside = sorted(file for file in path.iterdir() if file.is_file() and is_picture(file.name))
    if not inside:
        raise NotFound(
            "diff.empty-folder",
            "The folder {path} holds no picture; folders inside it are not looked into.",
            do="Name pictures, or a folder that holds some: --images photo.jpg",
            path=path,
        )
    return inside


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NotFound(
            "diff.unreadable",
            "{path} cannot be read: {why}.",
            do="Check the rights on the file, or leave it out.",
            path=file,
            why=error.strerror or error,
        ) from error


def _tensors(content: Bundle, pictures: Sequence[_Picture]) -> np.ndarray:
    """Returns what the contract makes of pictures, (N, height, width, channels) uint8."""
    import numpy as np

    from darkroom.export.dumping import decoded
    from darkroom.images import apply_contract

    tensors = np.empty((len(pictures), *content.contract.shape), np.uint8)
    for place, one in enumerate(pictures):
        tensors[place] = apply_contract(decoded(one.name, one.read()), content.contract).tensor
    return tensors


def _golden_bytes(content: Bundle) -> dict[str, bytes]:
    import hashlib

    return {hashlib.sha256(vector.image).hexdigest(): vector.image for vector in content.golden.vectors}


def _project_bytes(workspace: Workspace, sha256: str) -> bytes | None:
    if not sha256:
        return None
    try:
        return workspace.read_image(sha256)
    except (DarkroomError, OSError):
        return None


def _page(workspace: Workspace, place: str, divergence: Divergence) -> str:
    from darkroom.documents.divergence import divergence_sections
    from darkroom.operations.found_pages import deliver_found

    first = divergence.first
    lead = (
        f"No step differs on {len(divergence.pictures)} pictures."
        if first is None
        else f"The first step that differs: {first.title}. {first.words}"
    )
    page, _ = deliver_found(
        workspace,
        place,
        kind="Where two sides part",
        lead=lead,
        sections=divergence_sections(divergence),
        papers=False,
    )
    return page
