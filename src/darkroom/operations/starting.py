"""What a network begins with, found by the names in a request: pretrained weights, the user's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from darkroom.errors import InvalidConfig, NotFound, Unsupported
from darkroom.networks import check_input, find
from darkroom.networks.start import NetworkStart
from darkroom.networks.table import CUSTOM, library_of
from darkroom.networks.weights import find_weights, weights_places
from darkroom.operation import library_versions
from darkroom.records import Contract, DatasetVersion
from darkroom.settings import memory_bytes
from darkroom.training import CardFacts, Recipe
from darkroom.training.combinations import check_accumulation
from darkroom.training.recipe import check_fits, network_options
from darkroom.training.task_options import check_network_options
from darkroom.workspace import Workspace

__all__ = ["check_network", "check_start", "earlier_run", "start_of", "starting_inputs"]

TRAINING_BYTES = 16
"""For each weight: itself, its gradient, and the two means of Adam, four bytes each."""


def start_of(workspace: Workspace, network: str, network_file: Path | None, weights: str) -> NetworkStart:
    """Returns what a network begins with.

    Args:
        workspace: the project; a path that is not absolute is taken from its folder.
        network: name in the table, "timm/NAME" or "custom".
        network_file: for "custom".
        weights: name of pretrained weights; empty for none.

    Raises:
        NotFound: there are no such weights, or there is no such file.
        InvalidConfig: a file without "custom", or the other way round.
    """
    if (network == CUSTOM.name) != (network_file is not None):
        raise InvalidConfig(
            "network.custom-or-not",
            'network = "custom" and network_file go together. Received: network = "{network}", {file}.',
            do='Set both, for example network = "custom" and network_file = "my_network.py".',
            network=network,
            file=f"network_file = {network_file}" if network_file else "no network_file",
        )
    places = weights_places(workspace.settings, workspace.root)
    return NetworkStart(
        weights=find_weights(weights, places) if weights else None,
        code=None if network_file is None else _existing(workspace.root / network_file),
    )


def earlier_run(
    workspace: Workspace, run: str, epoch: int, recipe: Recipe, version: DatasetVersion
) -> NetworkStart:
    """Returns the weights of an earlier run as what a training begins with.

    Args:
        workspace: the project.
        run: the earlier run.
        epoch: the snapshot that is gone on from; 0 takes the best epoch.
        recipe: how the new training trains.
        version: what it trains on.

    Raises:
        NotFound: there is no such run, it has no weights, or no snapshot of that epoch.
        InvalidConfig: the recipe names pretrained weights as well.
    """
    from darkroom.networks.earlier import EarlierRun
    from darkroom.operations.run_weights import refuse_lost_run
    from darkroom.operations.stopped import weights_of_now

    if recipe.weights:
        raise InvalidConfig(
            "start.two-beginnings",
            "A training begins either with weights = {weights} or with those of run {run}.",
            do="Leave recipe.weights or start_from out.",
            weights=recipe.weights,
            run=run,
        )
    found = workspace.catalogue.runs.get(run)
    if not weights_of_now(workspace, found):  # the best epoch of a stopped run may be begun with
        refuse_lost_run(workspace, found)
    name = f"epoch-{epoch:03d}" if epoch else "best"
    checkpoint = workspace.runs_folder / run / "checkpoints" / f"{name}.safetensors"
    if not checkpoint.is_file():
        kept = sorted(int(path.stem[6:]) for path in checkpoint.parent.glob("epoch-*.safetensors"))
        raise NotFound(
            "start.no-snapshot",
            "Run {run} kept no snapshot of epoch {epoch}. Kept: {kept}.",
            do="Name one of them, or leave start_epoch out for the best epoch.",
            run=run,
            epoch=epoch,
            kept=", ".join(map(str, kept)) or "none beside the best epoch",
        )
    code = None if recipe.network_file is None else _existing(workspace.root / recipe.network_file)
    return EarlierRun(run=found.id, checkpoint=checkpoint, labels=version.classes, code=code)


def check_network(network: str, contract: Contract) -> None:
    """Makes sure, before anything is made for it, that a network is known and takes the pictures.

    Raises:
        NotFound: there is no such network.
        InvalidConfig: the pictures are too small for it.
        Unsupported: this machine's memory cannot hold its training.
    """
    entry = find(network)
    check_input(entry, (contract.height_px, contract.width_px))
    needed, there = entry.parameters * TRAINING_BYTES, memory_bytes()
    if needed > there:
        raise Unsupported(
            "network.too-large",
            "Network {network} has {parameters:,} weights; training needs {needed:.1f} GB for them alone, "
            "and this machine has {there:.1f} GB.",
            do="Choose a smaller network. See: darkroom model networks",
            network=network,
            parameters=entry.parameters,
            needed=needed / 1e9,
            there=there / 1e9,
        )


def check_start(start: NetworkStart, recipe: Recipe, version: DatasetVersion) -> None:
    """Holds recipe, machine and data against each other, so that a misfit is said before there is a run.

    A network that begins with weights or comes from the user's file is built once.

    Raises:
        Invalid: there is nothing to train on.
        InvalidConfig: more batches are to make a step than there are, or as `check_fits`.
        Unsupported: the machine has no such device, or the device not that precision.
        DarkroomError: as `NetworkStart.network`.
    """
    from darkroom.datasets import refuse_empty
    from darkroom.training.device import check_precision, choose_device
    from darkroom.training.stopwatch import batches_of

    refuse_empty(version)
    check_precision(choose_device(recipe.device), recipe.precision)
    counts = version.counts
    train_count, val_count = counts.get("train", 0), counts.get("val", 0)
    facts = CardFacts(task=version.task, labels=version.classes, contract=version.contract)
    check_fits(recipe, facts, version.contract.shape, train_count, val_count)
    check_network_options(recipe, find(recipe.network))
    check_accumulation(recipe, batches_of(train_count, recipe.batch_size))
    if start.code is None and start.weights is None and not start.goes_on:
        return
    contract = version.contract
    start.network(
        recipe.network,
        channels=contract.channels,
        size=(contract.height_px, contract.width_px),
        classes=len(version.classes),
        options=dict(network_options(recipe)),
    )


def starting_inputs(
    workspace: Workspace, network: str, network_file: Path | None, weights: str
) -> Mapping[str, str]:
    """Returns the content of weights and of the user's file, and the version of the package whose code the
    network is, as name → content id; see `start_of`.
    """
    start = start_of(workspace, network, network_file, weights)
    found = {f"weights {weights}": start.weights.content} if start.weights else {}
    found |= library_versions(library_of(network))
    return found | ({"network file": start.code_sha256} if start.code else {})


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFound(
            "network.no-file",
            "Cannot read the network's file {path}: {reason}.",
            do="Correct network_file in the recipe.",
            path=path,
            reason="there is no such file",
        )
    return path
