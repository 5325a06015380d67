"""The operations on the whole project: init, run, status, quickstart, report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from darkroom.errors import Conflict, NotFound
from darkroom.operation import FolderName, LocalPath, operation
from darkroom.pipeline.board import Board, read_board
from darkroom.pipeline.runner import RunReport, run_stages
from darkroom.records import Result, Table
from darkroom.workspace import PROJECT_FILE, Workspace

if TYPE_CHECKING:
    from darkroom.records import Contract

__all__ = ["init", "quickstart", "run", "status"]

Clones = Annotated[int, Field(ge=1, le=1000)]


class InitReport(Result):
    """A new project."""

    project: str
    """Folder of the project."""
    file: str
    """Its darkroom.toml."""
    pictures: int
    """Files found in the folder of pictures."""
    classes: tuple[str, ...] = ()
    """Classes that the folder names."""
    several: bool = False
    """Whether a picture may have any number of them."""
    contract: str
    """What the pictures become."""
    picked: tuple[str, ...] = ()
    """Network, weights and recipe, and why, in sentences."""

    def display(self) -> Iterator[str | Table]:
        """Yields what was made and what comes next."""
        yield f"Made {self.project}/{self.file} for {self.pictures:,} files; they become {self.contract}."
        yield from self.picked
        if len(self.classes) > (0 if self.several else 1):
            more = f" and {len(self.classes) - 8} more" if len(self.classes) > 8 else ""
            what = f"label{'s' if len(self.classes) > 1 else ''}" if self.several else "classes"
            yield f"{len(self.classes)} {what}: {', '.join(self.classes[:8])}{more}."
        elif self.classes:
            yield (
                f"But a model needs two classes at least, and the folder names {self.classes[0]} alone: "
                "put the pictures into one sub-folder per class."
            )
        else:
            yield from self._without_labels()
            return
        yield f"Next: cd {shlex.quote(self.project)} && darkroom run"

    def _without_labels(self) -> Iterator[str]:
        """Yields how labels come to pictures that have none."""
        yield "No picture has a label yet, and a model learns from labels. They come in either of two ways:"
        yield (
            "- sort the pictures into one sub-folder per class, in the same folder, and run; what was "
            "taken in before is known by its content;"
        )
        yield (
            "- or put a table labels.csv beside the pictures, with the columns image and label, and write "
            'format = "csv" for the stage collect in darkroom.toml.'
        )
        yield f"Next: cd {shlex.quote(self.project)} && darkroom run --until collect"


class QuickstartReport(Result):
    """What the quickstart showed."""

    run: RunReport
    clones: tuple[tuple[str, ...], ...]
    """Rows of the table of clones."""
    formats: tuple[tuple[str, ...], ...]
    """Rows of the table of formats."""
    spread: str
    report: str
    """The page to open."""
    bundle: str
    folder: str

    def display(self) -> Iterator[str | Table]:
        """Yields the two tables and what to do next."""
        yield from (part for part in self.run.display() if isinstance(part, Table))
        yield Table(("clone", "seed", "test accuracy", "95 % interval"), self.clones, "Clones")
        yield self.spread
        yield Table(
            ("format", "size", "top-1 agreement", "max difference", "latency p50", "verdict"),
            self.formats,
            "Formats, compared with PyTorch on every test picture",
        )
        if self.run.missed:
            yield from self.run.summary
        yield f"Report:  {self.report}"
        yield f"Bundle:  {self.bundle}"
        yield f"Next:    cd {shlex.quote(self.folder)} && darkroom status"
        yield "         darkroom predict pictures/7/digit-0007.png"
        yield "         change something in darkroom.toml, then: darkroom run --explain"


@operation("init", positional=("name",), needs_project=False)
def init(
    workspace: Workspace,
    *,
    name: FolderName,
    images: LocalPath | None = None,
    format: str | None = None,
    clones: Clones = 3,
    network: str | None = None,
    weights: str | None = None,
) -> InitReport:
    """Make a project from a folder of pictures, with every option spelled out in darkroom.toml.

    Args:
        name: folder of the new project; its last part is the project's name.
        images: folder of pictures, one sub-folder per class; NAME/pictures when not given.
        format: how the folder says its labels; found out when not given. See the formats' page.
        clones: how many clones to train, from different seeds.
        network: name in the table of networks; picked when not given.
        weights: name of pretrained weights; picked when not given and some are at hand.
    """
    from darkroom.formats import detect, find_format
    from darkroom.networks.weights import weights_places
    from darkroom.operations.source import refuse_own_folder
    from darkroom.pipeline.defaults import choose, choose_masks, main_job
    from darkroom.pipeline.label_sets import said_by
    from darkroom.pipeline.project_file import project_text

    root = (workspace.root / name).resolve()
    folder = (images or root / "pictures").resolve()
    _refuse_old_project(root)
    _refuse_no_folder(folder)
    refuse_own_folder(root, folder)
    found = find_format(format or detect(folder))
    places = weights_places(workspace.settings, root)
    of_masks = found.holds == {"mask"}
    pick = choose_masks if of_masks else choose
    reading = found.read(folder)  # a bad classes.txt or table is said before anything is made
    task, said = ("segmentation", ()) if of_masks else said_by(reading)
    picked = pick(folder, places, network=network, weights=weights)
    stages = main_job(
        root.name,
        Workspace(root).relative(folder),
        format=found.name,
        contract=picked.contract,
        recipe=picked.recipe,
        clones=clones,
        task=task,
    )
    _write_project(root, project_text(root.name, stages))
    pictures = folder / "images" if of_masks else folder
    return InitReport(
        project=_shown(root),
        file=PROJECT_FILE,
        pictures=sum(1 for path in pictures.rglob("*") if path.is_file()),
        classes=reading.classes,
        several=task == "multi-label",
        contract=_spoken_contract(picked.contract),
        picked=(*said, *picked.why),
    )


@operation("run", slow=True, indifferent=("explain", "rehash", "again"))
def run(
    workspace: Workspace,
    *,
    explain: bool = False,
    rehash: bool = False,
    again: tuple[str, ...] = (),
    until: str | None = None,
) -> RunReport:
    """Bring every stage of darkroom.toml up to date; what did not change is skipped.

    Args:
        explain: say what would run and why, and run nothing.
        rehash: compare the pictures by content, not by size and time of change.
        again: stages to run although nothing changed.
        until: last stage to run.
    """
    return run_stages(workspace, explain=explain, rehash=rehash, again=again, until=until)


@operation("status")
def status(workspace: Workspace) -> Board:
    """Show the ten stages of the life cycle: done, missed, stale, missing or not built."""
    return read_board(workspace)


@operation("quickstart", positional=("folder",), needs_project=False)
def quickstart(
    workspace: Workspace, *, folder: FolderName = "digits-demo", clones: Clones = 3
) -> QuickstartReport:
    """Do the main job on 1,797 handwritten digits: from pictures to a proven bundle.

    Args:
        folder: folder of the new project; an unfinished one is gone on with.
        clones: how many clones to train, from different seeds.
    """
    from darkroom.pipeline.defaults import guess_contract, main_job
    from darkroom.pipeline.project_file import project_text
    from darkroom.pipeline.quickstart import DIGITS_RECIPE, write_digits
    from darkroom.pipeline.summary import quickstart_report

    root = (workspace.root / folder).resolve()
    if not (root / PROJECT_FILE).is_file():
        workspace.report("writing the digits", done=write_digits(root / "pictures"), unit="pictures")
        contract = guess_contract(root / "pictures")
        stages = main_job(
            "digits",
            "pictures",
            format="class-folders",
            contract=contract,
            recipe=DIGITS_RECIPE,
            clones=clones,
        )
        _write_project(root, project_text("digits", stages))
    with Workspace(root, settings=workspace.settings, listener=workspace.listener) as project:
        project.stop_requested = workspace.stop_requested
        return quickstart_report(project, run_stages(project), shown=_shown(root))


def _refuse_old_project(root: Path) -> None:
    if (root / PROJECT_FILE).exists():
        raise Conflict(
            "init.exists",
            "{root} holds a project already.",
            do="Work on it: cd {quoted} && darkroom run",
            root=root,
            quoted=shlex.quote(str(root)),
        )


def _refuse_no_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotFound(
            "init.no-folder",
            "No folder {folder}.",
            do="Give the folder that holds the pictures: darkroom init NAME --images FOLDER",
            folder=folder,
        )


def _write_project(root: Path, text: str) -> None:
    from darkroom import atomic

    atomic.write_text(root / PROJECT_FILE, text)


def _spoken_contract(contract: Contract) -> str:
    return f"{contract.colour} {contract.width_px}×{contract.height_px} ({contract.resize})"


def _shown(path: Path) -> str:
    """Returns a path as short as it can be typed from here."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
