"""Operation that finds a learning rate: the range test on real batches, its curve, and a number to use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from darkroom import atomic
from darkroom.operation import DatasetRef, Produced, RunRef, operation
from darkroom.operations.run_making import card_facts, own_recipe, wanted_run
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.starting import check_start, starting_inputs
from darkroom.records import Result, Table
from darkroom.training import Recipe
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.training.rate_test import RateTest

__all__ = ["find_rate"]

SHOWN = 12
"""Points of the curve that a shell shows."""


class RateReport(Result):
    """What a range test showed."""

    dataset: DatasetRef
    network: str
    learning_rate: float | None
    """What to write as `learning_rate`; None where no rate made the loss fall."""
    why: str
    """The reason, in sentences."""
    lowest_at: float
    """Rate at which the loss was lowest."""
    steepest_at: float
    """Rate at which the loss fell steepest."""
    rates: tuple[float, ...]
    """Learning rate of each step."""
    losses: tuple[float, ...]
    """Smoothed loss of each step."""
    path: Produced
    """The page with the curve."""

    def display(self) -> Iterator[str | Table]:
        """Yields some points of the curve, the suggestion and its reason."""
        step = max(1, len(self.rates) // SHOWN)
        points = list(zip(self.rates, self.losses, strict=True))[::step]
        yield Table(
            ("learning rate", "loss"),
            tuple((f"{rate:.2g}", f"{loss:.4g}") for rate, loss in points),
            f"{self.network} on {self.dataset}",
        )
        if self.learning_rate is not None:
            yield f"learning_rate = {self.learning_rate:g}"
        yield self.why
        yield f"Page: {self.path}"

    def notes(self) -> Iterable[str]:
        """Yields that nothing was found."""
        if self.learning_rate is None:
            yield "No learning rate showed itself. Look at labels, normalisation and network."


def _read_by_rates(workspace: Workspace, *, recipe: Recipe, **_: Any) -> Mapping[str, str]:
    return starting_inputs(workspace, recipe.network, recipe.network_file, recipe.weights)


@operation("model.find_rate", version=1, slow=True, stage=6, inputs=_read_by_rates, libraries=LIBRARIES)
def find_rate(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: Recipe = Recipe(),
    start_from: RunRef | None = None,
    start_epoch: Annotated[int, Field(ge=0, le=10_000)] = 0,
) -> RateReport:
    """Find a learning rate: train a hundred steps while the rate rises, and look where the loss falls.

    Real batches, with the recipe's own loss, augmentation and optimiser; nothing of the training is kept.
    The same request finds the same rate, and `find_learning_rate = true` in a recipe finds it too.

    Args:
        dataset: the dataset version.
        recipe: how to train; its learning_rate and schedule have no say.
        start_from: the run whose weights it begins with.
        start_epoch: the snapshot of that run; 0 for its best epoch.
    """
    wanted = wanted_run(workspace, dataset, recipe, 0, start_from=start_from, start_epoch=start_epoch)
    check_start(wanted.start, recipe, wanted.version)
    found = _tested(workspace, wanted)
    return RateReport(
        dataset=wanted.version.ref,
        network=recipe.network,
        learning_rate=found.rate,
        why=found.why,
        lowest_at=found.lowest_at,
        steepest_at=found.steepest_at,
        rates=found.rates,
        losses=found.losses,
        path=_deliver(workspace, wanted.version.ref, recipe.network, found),
    )


def _tested(workspace: Workspace, wanted: Any) -> RateTest:
    from darkroom.datasets import render
    from darkroom.features import project_store
    from darkroom.training.rates import rates_of

    workspace.report("finding a learning rate")
    return rates_of(
        render(workspace, wanted.version),
        own_recipe(workspace, wanted.recipe),
        card_facts(workspace, wanted.version),
        project_store(workspace, wanted.recipe.network),
        wanted.start,
        should_stop=workspace.stop_requested.is_set,
    )


def _deliver(workspace: Workspace, dataset: str, network: str, found: RateTest) -> str:
    from darkroom.documents.rates import rates_page

    page = rates_page(
        project=workspace.project.project.name, dataset=dataset, network=network, found=found.model_dump()
    )
    path = workspace.deliverables / "06-training" / f"learning-rate-{dataset.replace('@', '-')}.html"
    atomic.write_bytes(path, page)
    return workspace.relative(path)
