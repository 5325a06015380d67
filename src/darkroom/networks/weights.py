"""Pretrained weights by name: looked up in the project and on this machine, then on timm's hub; loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from darkroom.errors import DarkroomError, InvalidConfig, NotFound, Unsupported, nearest
from darkroom.networks.table import NETWORKS
from darkroom.networks.weights_file import HUB_FILE, SUFFIX, WeightsFacts, read_facts
from darkroom.settings import Settings

if TYPE_CHECKING:
    from darkroom.networks.network import Network

__all__ = [
    "FoundWeights",
    "WeightsFacts",
    "find_weights",
    "list_weights",
    "load_pretrained",
    "survey_weights",
    "weights_places",
]

FOLDER = "weights"
"""Where a project keeps its own."""

LONGEST_NAME_BYTES = 200
"""A longer name is none of a file. Source: 255, NAME_MAX of Linux and macOS, less the suffixes."""

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")


class FoundWeights(NamedTuple):
    """A file of weights in one of the places, with its facts or why it has none."""

    name: str
    path: Path
    facts: WeightsFacts | None
    problem: str = ""


class _File(NamedTuple):
    name: str
    path: Path
    notes: Path | None


def weights_places(settings: Settings, root: Path | None = None) -> tuple[Path, ...]:
    """Returns the files and folders in which weights are looked for, in order.

    Args:
        settings: machine settings; DARKROOM_WEIGHTS names places, parted as in PATH.
        root: the project's folder; its `weights/` comes first.
    """
    named = (Path(part).expanduser() for part in settings.weights.split(os.pathsep) if part.strip())
    return (*((root / FOLDER,) if root is not None else ()), *named)


def find_weights(name: str, places: Sequence[Path]) -> WeightsFacts:
    """Returns the facts of weights, fetched from timm's hub when they are in none of the places.

    Args:
        name: what they are called: "mobilenetv2_100.ra_in1k"; never a path.
        places: see `weights_places`.

    Raises:
        InvalidConfig: the name is a path, or the facts are not what was expected.
        NotFound: neither a place nor the hub has them.
        Damaged: the file is cut, or not the one that its TOML means.
        Unsupported: the file is a pickle, or the hub cannot be reached.
    """
    _refuse_path(name)
    files = {file.name: file for file in reversed(list(_files(places)))}
    if name in files:
        file = files[name]
        return read_facts(file.path, file.name, file.notes)
    _refuse_pickle(name, places)
    if "." in name:
        from darkroom.networks.weights_hub import fetch

        fetched = fetch(name, looked=_looked(files, places))
        if fetched is not None:
            return fetched
    raise NotFound(
        "weights.unknown",
        'No weights "{name}" on this machine, and timm publishes none of that name.{nearest} {looked}',
        do="Put {name}.safetensors and {name}.toml into weights/, or name their folder in "
        "DARKROOM_WEIGHTS. See: darkroom model weights",
        name=name,
        nearest=_nearest(name, [*files, *(tag for entry in NETWORKS.values() for tag in entry.weights)]),
        looked=_looked(files, places),
    )


def list_weights(places: Sequence[Path]) -> tuple[WeightsFacts, ...]:
    """Returns the facts of all weights in the places; those without usable facts are left out."""
    return tuple(found.facts for found in survey_weights(places) if found.facts is not None)


def survey_weights(places: Sequence[Path]) -> tuple[FoundWeights, ...]:
    """Returns all files of weights in the places, by name, also those that cannot be used."""
    files = {file.name: file for file in reversed(list(_files(places)))}
    return tuple(_surveyed(files[name]) for name in sorted(files))


def load_pretrained(network: Network, facts: WeightsFacts) -> None:
    """Fills all of a network but its head.

    Args:
        network: as `build` made it, with the options that the facts demand.
        facts: as `find_weights` gave them.

    Raises:
        InvalidConfig: the weights are those of another network.
        Damaged: the file was changed since it was looked up.
    """
    from darkroom.networks.weights_loading import load_into

    load_into(network, facts)


def _surveyed(file: _File) -> FoundWeights:
    try:
        return FoundWeights(file.name, file.path, read_facts(file.path, file.name, file.notes))
    except DarkroomError as error:
        return FoundWeights(file.name, file.path, None, error.message)


def _files(places: Sequence[Path]) -> Iterator[_File]:
    """Yields the files of weights in the places, and in each folder that came from the hub."""
    for place in places:
        if place.is_file():
            if place.suffix == SUFFIX:
                yield _file(place, places)
        elif place.is_dir():
            yield from (_file(path, places) for path in sorted(place.glob(f"*{SUFFIX}")) if path.is_file())
            for path in sorted(place.glob(f"*/{HUB_FILE}")):
                yield _file(path, places, name=path.parent.name)


def _file(path: Path, places: Sequence[Path], name: str = "") -> _File:
    """Returns a file with its TOML: beside it, else in another of the places."""
    name = name or path.name.removesuffix(SUFFIX)
    folders = [path.parent, *(place if place.is_dir() else place.parent for place in places)]
    notes = next(
        (folder / f"{name}.toml" for folder in folders if (folder / f"{name}.toml").is_file()), None
    )
    return _File(name, path, notes)


def _looked(files: Mapping[str, _File], places: Sequence[Path]) -> str:
    if not places:
        return "No place was given to look in."
    looked = ", ".join(str(place) if place.exists() else f"{place} (not there)" for place in places)
    return f"Looked in {looked}; found {', '.join(sorted(files)) or 'none'}."


def _nearest(name: str, known: Sequence[str]) -> str:
    """Returns the name that was meant; the beginning of one is nearer than a similar one."""
    longer = next((one for one in known if name and one.startswith(name)), None)
    return f' Did you mean "{longer}"?' if longer else nearest(name, known)


def _refuse_path(name: str) -> None:
    stem = Path(name.replace("\\", "/")).name.removesuffix(SUFFIX)
    if name != stem or name in {"", ".", ".."} or "\0" in name or len(name.encode()) > LONGEST_NAME_BYTES:
        raise InvalidConfig(
            "weights.path",
            "Weights are named, not given as a path. Received: {name!r}.",
            do="Put the file into the project's folder weights/, or name its folder in DARKROOM_WEIGHTS; "
            'then write weights = "{stem}".',
            name=name,
            stem=stem.rpartition(".")[0] if Path(stem).suffix in PICKLES else stem,
        )


def _refuse_pickle(name: str, places: Sequence[Path]) -> None:
    for place in places:
        folder = place if place.is_dir() else place.parent
        for suffix in PICKLES:
            path = folder / f"{name}{suffix}" if not name.endswith(suffix) else folder / name
            if path.is_file():
                raise Unsupported(
                    "weights.pickle",
                    "{path} is not read: files of that kind can run code of whoever made them.",
                    do="Ask for the weights as safetensors, or convert them where you trust the file: "
                    'safetensors.torch.save_file(torch.load("{file}", weights_only=True), '
                    '"{stem}.safetensors")',
                    path=path,
                    file=path.name,
                    stem=path.stem,
                )
