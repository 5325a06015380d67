"""The weights that a run has kept so far, also while another process trains it; no lock is taken.

A file of weights is replaced whole, so a reader has the old one or the new one.
"""

from __future__ import annotations

from pathlib import Path

from darkroom.errors import NotFound
from darkroom.workspace import Workspace

__all__ = ["kept_epochs", "snapshot_of"]


def snapshot_of(workspace: Workspace, run: str, epoch: int = 0) -> tuple[Path, int]:
    """Returns a file of weights of a run, finished or not, and the epoch that it was saved after.

    Args:
        workspace: the project.
        run: the run.
        epoch: after which epoch; 0 for the newest that is saved.

    Raises:
        NotFound: there is no such run, or it has not kept the weights of that epoch.
        Damaged: a file of weights cannot be read.
    """
    folder = workspace.runs_folder / workspace.catalogue.runs.get(run).id / "checkpoints"
    found = _files(folder)
    if epoch or found:
        path = found.get(epoch or max(found))
        if path is not None:
            return path, epoch or max(found)
    raise NotFound(
        "run.no-snapshot",
        "Run {run} has kept no weights {which}. Kept: {kept}.",
        do="Name one of them, or wait: weights are saved at the ends of epochs, as often as costs next to "
        "nothing. recipe.snapshot_every = 1 keeps those of every epoch.",
        run=run,
        which=f"of epoch {epoch}" if epoch else "yet",
        kept=", ".join(f"epoch {one}" for one in sorted(found)) or "none",
    )


def kept_epochs(workspace: Workspace, run: str) -> list[int]:
    """Returns the epochs whose weights a run has kept, in order."""
    return sorted(_files(workspace.runs_folder / run / "checkpoints"))


def _files(folder: Path) -> dict[int, Path]:
    """Returns the files of weights by their epoch."""
    from darkroom.networks.saved import load_card

    found = {}
    for name in ("best", "last"):
        path = folder / f"{name}.safetensors"
        if path.is_file():
            found[load_card(path).epoch] = path
    named = (path for path in folder.glob("epoch-*.safetensors") if path.stem[6:].isdigit())
    return found | {int(path.stem[6:]): path for path in named}
