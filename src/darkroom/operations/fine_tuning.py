"""Fine-tuning in one call: the last layer on features, then deeper, and which of the two val speaks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from darkroom.errors import InvalidConfig
from darkroom.operation import DatasetRef, Produced, RunRef, operation
from darkroom.operations.gates import check_names, hold_quality, quality_content
from darkroom.operations.judged import judged
from darkroom.operations.run_costs import remarks, shown_costs, took
from darkroom.operations.run_making import run_for
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.starting import starting_inputs
from darkroom.records import Gate, Result, Run, Table, Task, gate_notes, shown_gates
from darkroom.records.numbers import counted
from darkroom.training import Recipe
from darkroom.training.fine_tuning import FineTuning, fine_recipes
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Comparison

__all__ = ["fine_tune"]

FIGURES = {
    "classification": "val.accuracy",
    "multi-label": "val.mean_ap",
    "segmentation": "val.miou",
}


LEARNT = {"last": "last layer alone", "gradual": "group after group", "all": "all layers at once"}


class FineTuneReport(Result):
    """The last layer alone, the deeper training that began from it, and which of the two goes on."""

    run: RunRef
    """The run with the better validation figure; of equal ones that with the smaller loss, and without val
    pictures the one that learnt more."""
    runs: tuple[RunRef, ...]
    """The last layer alone, then the deeper training."""
    network: str
    weights: str
    """Name of the weights it began with, or the earlier run."""
    rows: tuple[tuple[str, ...], ...]
    """What learnt, run, best epoch, validation figure, time."""
    figure: str
    """What of the validation pictures the rows show."""
    comparison: str = ""
    """What the deeper training gained on the validation pictures, with its interval, in words."""
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the val pictures by the run that goes on."""
    took: tuple[tuple[str, ...], ...] = ()
    """Run; time, memory and disk, foreseen and measured."""
    remarks: tuple[str, ...] = ()
    """What a person should know about recipe and runs."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields a row per run, what the deeper training gained, and the choice."""
        yield Table(("what learnt", "run", "best epoch", self.figure, "time"), self.rows)
        if self.comparison:
            yield self.comparison
        yield f"Goes on: {self.run}. The test pictures had no say."
        yield from shown_costs(self.took)
        yield from shown_gates(self.gates)
        yield f"Page: {self.path}"

    def notes(self) -> Iterable[str]:
        """Yields the limits that do not pass, and what should be known about the recipe."""
        yield from gate_notes(self.gates)
        yield from self.remarks


def _read_by_fine_tuning(workspace: Workspace, *, recipe: FineTuning, **values: Any) -> Mapping[str, str]:
    start_from = values.get("start_from")
    network, weights = _beginning(workspace, recipe, start_from)
    if not network:  # the operation says what is missing
        return quality_content(workspace, recipe=recipe, **values)
    start = starting_inputs(workspace, network, recipe.network_file, weights)
    return {**quality_content(workspace, recipe=recipe, **values), **start}


@operation(
    "model.fine_tune", version=1, slow=True, stage=6, inputs=_read_by_fine_tuning, libraries=LIBRARIES
)
def fine_tune(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: FineTuning = FineTuning(),
    seed: int = 0,
    again: bool = False,
    start_from: RunRef | None = None,
    start_epoch: Annotated[int, Field(ge=0, le=10_000)] = 0,
) -> FineTuneReport:
    """Fine-tune a pretrained network: the last layer on features first, then the others, from above.

    Two runs: the first trains the last layer alone, in seconds; the second begins with it and opens the
    other layers from above, each group at a smaller rate than the one above. Both choose their best
    epoch on val, and the better one goes on. A finished run is taken as it is, a stopped one goes on.

    Args:
        dataset: the dataset version.
        recipe: how to fine-tune; without network and weights the best weights at hand are taken.
        seed: decides the first last layer, order and augmentation.
        again: train anew although such runs are there.
        start_from: an earlier run whose weights are begun with, in place of pretrained ones.
        start_epoch: the snapshot of that run; 0 for its best epoch.
    """
    from darkroom.operations.deliverables import deliver_training

    check_names(workspace, dataset)
    version = workspace.catalogue.datasets.get(dataset)
    network, weights = _beginning(workspace, recipe, start_from)
    if start_from is None:
        _refuse_no_beginning(network, weights, version.task, named=bool(recipe.network))
    recipes = fine_recipes(recipe, network, weights, version.task)
    runs: list[Run] = []
    for one in recipes:
        begins = {
            "start_from": runs[-1].id if runs else start_from,
            "start_epoch": 0 if runs else start_epoch,
        }
        runs.append(run_for(workspace, dataset, one, seed, again=again, **begins)[0])
    figure = FIGURES[version.task]
    chosen = _chosen(runs, figure)
    gates = hold_quality(workspace, (chosen.id,))
    paths = {run.id: deliver_training(workspace, [run], gates if run is chosen else ()) for run in runs}
    said = [words for one, run in zip(recipes, runs, strict=True) for words in remarks(one, [run])]
    if figure not in chosen.metrics and len(runs) > 1:
        said.append(f"There are no val pictures, so nothing chose: {chosen.id} goes on, which learnt more.")
    return FineTuneReport(
        run=chosen.id,
        runs=tuple(run.id for run in runs),
        network=network,
        weights=weights or str(start_from),
        rows=tuple(_row(one, run, figure) for one, run in zip(recipes, runs, strict=True)),
        figure=figure.replace(".", " ").replace("_", " "),
        comparison=_gained(workspace, runs) if version.task == "classification" else "",
        gates=gates,
        took=took(runs),
        remarks=tuple(dict.fromkeys(said)),
        path=paths[chosen.id],
    )


def _beginning(workspace: Workspace, recipe: FineTuning, start_from: str | None) -> tuple[str, str]:
    """Returns network and weights to begin with; no weights where an earlier run is gone on from.

    Raises:
        NotFound: there is no such run, or there are no such weights.
    """
    from darkroom.networks.favourite import best_weights
    from darkroom.networks.table import layers_of
    from darkroom.networks.weights import find_weights, weights_places

    if start_from is not None:
        earlier = workspace.catalogue.runs.get(start_from)
        return recipe.network or earlier.network, recipe.weights
    places = weights_places(workspace.settings, workspace.root)
    if recipe.weights:
        return recipe.network or find_weights(recipe.weights, places).network, recipe.weights
    found, _ = best_weights(places, layers_of(recipe.network) if recipe.network else None)
    return (recipe.network or found.network, found.name) if found else (recipe.network, "")


def _refuse_no_beginning(network: str, weights: str, task: Task, *, named: bool) -> None:
    if task == "segmentation" and not named:
        raise InvalidConfig(
            "fine-tune.masks-without-network",
            "The weights at hand are those of encoders; a network for masks has a decoder too.",
            do="Name one, for example: --recipe.network lraspp/mobilenetv2_100. "
            "See: darkroom model networks",
        )
    if weights:
        return
    raise InvalidConfig(
        "fine-tune.no-weights",
        "Fine-tuning begins with what a network has learnt, and there are no pretrained weights at hand"
        "{of}.",
        do="Put NAME.safetensors and NAME.toml into weights/ or name their folder in DARKROOM_WEIGHTS; "
        "name some of timm's hub with recipe.weights; or give start_from, an earlier run. "
        "See: darkroom model weights",
        of=f" for {network}" if network else "",
    )


def _chosen(runs: list[Run], figure: str) -> Run:
    """Returns the run with the larger figure; of equal ones that with the smaller loss."""
    if not any(figure in run.metrics for run in runs):
        return runs[-1]

    def rank(run: Run) -> tuple[float, float]:
        return run.metrics.get(figure, 0.0), -run.metrics.get("val.loss", float("inf"))

    return max(runs, key=rank)


def _gained(workspace: Workspace, runs: list[Run]) -> str:
    """Says what the second of two runs gained on the validation pictures that both answered."""
    from darkroom.evaluation import compare

    if len(runs) < 2 or "val.accuracy" not in runs[0].metrics:
        return ""
    last, deeper = (judged(workspace, run.id, "val").predictions for run in runs)
    found: Comparison = compare(deeper, last)
    ends = found.difference
    return (
        f"Deeper against the last layer alone, on {counted(found.same_images, 'val picture')}: "
        f"{ends.value:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}], {found.verdict}. One seed each: how much "
        "chance moves them, clones say."
    )


def _row(recipe: Recipe, run: Run, figure: str) -> tuple[str, ...]:
    from darkroom.documents import wording

    value = run.metrics.get(figure)
    return (
        LEARNT[recipe.train_layers],
        run.id,
        f"{run.metrics['best_epoch']:.0f}",
        "—" if value is None else f"{value:.4f}",
        wording.duration(run.metrics.get("duration_s")),
    )
