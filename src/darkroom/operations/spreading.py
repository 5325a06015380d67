"""Say how much chance decides: clones on the same pictures, as they are and under stress, and together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.errors import InvalidConfig
from darkroom.evaluation.record import CloneSpread
from darkroom.evaluation.stress import STRESSES, Stress
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.judged import DRAWS, count_looks, judged
from darkroom.operations.label_set_judged import judged_label_sets
from darkroom.operations.mask_judged import judged_masks
from darkroom.operations.run_pictures import pictures_of
from darkroom.operations.run_tasks import DECIDING, common_task
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.spreads import COLUMNS, clipped_spread, spread_row
from darkroom.operations.stressing import stressed_figures
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import FrozenDict, FrozenMap, Interval, Result, Split, Spread, Table, Task
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import EnsembleGain

__all__ = ["SpreadReport", "spread"]

EVERY: tuple[Stress, ...] = tuple(STRESSES)


class SpreadReport(Result):
    """How much clones differ on the same pictures."""

    runs: tuple[RunRef, ...]
    """The clones that count."""
    split: str
    images: int
    figure: str
    """What decides, as a person calls it."""
    figures: FrozenMap[str, Spread]
    """Each figure over the clones: mean, sd, min, max, and the interval of the mean."""
    stress: FrozenMap[str, FrozenMap[str, Spread]] = {}
    """The same for pictures that were changed, by what was done to them."""
    churn: float | None = None
    """Share of pictures on which two clones answer differently, mean over pairs; for masks of pixels."""
    ensemble: float | None = None
    """The deciding figure of the mean of the probabilities."""
    ensemble_gain: Interval | None = None
    """That less the mean clone, on the same pictures; other pictures are counted, other clones not."""
    ensemble_verdict: str = ""
    """"better", "worse" or "no difference shown", of the ensemble against the mean clone."""
    looks: str = ""
    """How often these pictures of the dataset version were looked at, over all runs."""
    remarks: tuple[str, ...] = ()
    """What whoever reads the figures must know."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the spread of each figure, that under stress, churn, and what the ensemble gains."""
        title = f"{len(self.runs)} clones on {self.images:,} pictures of {self.split}"
        yield Table(("figure", *COLUMNS), tuple(spread_row(*pair) for pair in self.figures.items()), title)
        if self.stress:
            yield Table(("pictures", *COLUMNS), tuple(self._under_stress()), f"{self.figure} under stress")
        yield from self.notes()
        yield f"Page: {self.path}"

    def notes(self) -> Iterator[str]:
        """Yields churn, the gain of the ensemble, and what must be known."""
        if self.churn is not None:
            what = "pixels" if self.figure == "mean IoU" else "pictures"
            yield f"Two clones answer {self.churn:.1%} of the {what} differently (churn, mean over pairs)."
        if self.ensemble_gain is not None:
            gain = self.ensemble_gain
            yield (
                f"Ensemble (mean of the probabilities): {self.figure} {self.ensemble:.4f}, "
                f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] against the mean clone: "
                f"{self.ensemble_verdict}. The interval counts other pictures, not other clones."
            )
        yield self.looks
        yield from self.remarks

    def _under_stress(self) -> Iterator[tuple[str, ...]]:
        by = next(iter(self.figures))
        yield spread_row("as they are", self.figures[by])
        for name, found in self.stress.items():
            yield spread_row(name, found[by])


@operation("model.spread", slow=True, stage=7, libraries=LIBRARIES)
def spread(
    workspace: Workspace,
    *,
    runs: tuple[RunRef, ...],
    split: Split = "test",
    stress: tuple[Stress, ...] = EVERY,
    ensemble: bool = True,
) -> SpreadReport:
    """Say how much chance decides: the spread of clones on a split and under stress, churn, ensemble gain.

    Under stress all pictures are changed alike: moved by an eighth, blurred, light and dark swapped, or
    recoloured. Clones that agree on the split and scatter under stress learnt different things. Nothing is
    to be chosen by these figures on test.

    Args:
        runs: the clones.
        split: the pictures.
        stress: how pictures are changed; none leaves it out.
        ensemble: hold the mean of the clones' probabilities against the mean clone.
    """
    counted = distinct_clones(workspace, runs)
    _check(workspace, counted.runs)
    task = common_task(workspace, counted.runs)
    answered = _answered(workspace, counted.runs, split, task)
    figures = _spreads(answered.figures, task)
    changed = {
        name: FrozenDict(_spreads(rows, task))
        for name, rows in stressed_figures(workspace, counted.runs, split, stress).items()
    }
    gain = _gain(workspace, counted.runs, split, task, answered.answers) if ensemble else None
    dataset = workspace.catalogue.runs.get(counted.runs[0]).dataset
    looks = f"{split} of {dataset} was looked at {count_looks(workspace, dataset, split).words}."
    remarks = (*counted.notes(), *_too_coarse(DECIDING[task][1], figures, answered.images))
    found = CloneSpread(
        runs=counted.runs,
        split=split,
        images=answered.images,
        figure=DECIDING[task][1],
        figures=figures,
        stress=changed,
        churn=answered.churn,
        ensemble=gain,
    )
    return SpreadReport(
        runs=found.runs,
        split=split,
        images=found.images,
        figure=found.figure,
        figures=found.figures,
        stress=found.stress,
        churn=found.churn,
        ensemble=gain.value if gain else None,
        ensemble_gain=gain.gain if gain else None,
        ensemble_verdict=gain.verdict if gain else "",
        looks=looks,
        remarks=remarks,
        path=_deliver(workspace, found, dataset, (looks, *remarks)),
    )


def _too_coarse(figure: str, figures: Mapping[str, Spread], images: int) -> Iterator[str]:
    """Yields what equal figures do not say: few pictures hide how far clones are apart."""
    if next(iter(figures.values())).sd == 0:
        yield (
            f"All clones have the same {figure}, so the interval over seeds has no width. That proves "
            f"little: {images:,} pictures are too few to tell them apart."
        )


class _Answered(NamedTuple):
    """What clones answered."""

    figures: list[dict[str, float]]
    """The headline figures of each clone."""
    answers: list[Any]
    churn: float | None
    images: int


def _check(workspace: Workspace, runs: Sequence[str]) -> None:
    if len(runs) < 2:
        raise InvalidConfig(
            "spread.one-clone",
            "A spread needs two clones that differ by chance. Received: {runs}.",
            do="Train some: darkroom model clone --times 5",
            runs=", ".join(runs) or "none",
        )
    if not same_recipe(workspace, runs):
        raise InvalidConfig(
            "spread.no-clones",
            "{runs} are of different recipes or datasets: they are no clones of each other.",
            do="Name clones of one recipe. To see several recipes side by side: darkroom model runs --fold",
            runs=", ".join(runs),
        )


def _answered(workspace: Workspace, runs: Sequence[str], split: Split, task: Task) -> _Answered:
    from darkroom.evaluation import headline, summarise, summarise_label_sets, summarise_masks

    if task == "multi-label":
        sets = [judged_label_sets(workspace, name, split) for name in runs]
        evaluations: list[Any] = [one.evaluation for one in sets]
        answers: list[Any] = list(sets)
        _refuse_other_pictures([one.image_ids for one in answers], split)
        churn = summarise_label_sets(sets).churn
    elif task == "segmentation":
        masks = [judged_masks(workspace, name, split) for name in runs]
        evaluations, answers = [one.evaluation for one in masks], [one.answers for one in masks]
        _refuse_other_pictures([one.image_ids for one in answers], split)
        churn = summarise_masks(evaluations, answers).churn
    else:
        found = [judged(workspace, name, split) for name in runs]
        evaluations, answers = [one.evaluation for one in found], [one.predictions for one in found]
        _refuse_other_pictures([one.image_ids for one in answers], split)
        churn = summarise(evaluations, answers).churn
    rows = [{name: one.value for name, one in headline(found.figures).items()} for found in evaluations]
    return _Answered(rows, answers, churn, evaluations[0].figures.count)


def _refuse_other_pictures(asked: Sequence[tuple[str, ...]], split: str) -> None:
    if len(set(asked)) > 1:
        raise InvalidConfig(
            "spread.other-pictures",
            "The clones have splits of their own: their {split} pictures are not the same.",
            do="Ask about the pictures that none was trained on: --split test",
            split=split,
        )


def _spreads(rows: Sequence[Mapping[str, float]], task: Task) -> dict[str, Spread]:
    """Returns the spread of each figure that all clones have, the deciding one first."""
    first = DECIDING[task][0].removeprefix("val.")
    names = sorted(
        (name for name in rows[0] if all(name in row for row in rows)), key=lambda name: name != first
    )
    return {name: clipped_spread(name, [row[name] for row in rows]) for name in names}


def _gain(
    workspace: Workspace, runs: Sequence[str], split: Split, task: Task, answers: list[Any]
) -> EnsembleGain:
    from darkroom.evaluation import ensemble_gain, label_set_ensemble_gain, mask_ensemble_gain

    if task == "multi-label":
        return label_set_ensemble_gain(answers)
    if task == "classification":
        return ensemble_gain(answers, draws=DRAWS)
    from darkroom.evaluation import ClonePanel

    version = workspace.catalogue.datasets.get(workspace.catalogue.runs.get(runs[0]).dataset)
    panel = ClonePanel([workspace.runs_folder / run for run in runs], version.classes)

    def show(done: int, total: int) -> None:
        workspace.report(
            f"asking {len(runs)} clones together", done=done, total=total, unit="images", stops=True
        )

    together = panel.masks_together(pictures_of(workspace, runs[0], version).split(split), show)
    return mask_ensemble_gain(together, answers, draws=DRAWS)


def _deliver(workspace: Workspace, found: CloneSpread, dataset: str, remarks: Sequence[str]) -> str:
    """Writes the page, and its figures as JSON."""
    from darkroom import atomic
    from darkroom.documents import clones_page
    from darkroom.operations.deliverables import evaluation_page_of

    place = evaluation_page_of(found.runs, found.split).replace("07-evaluation/", "07-evaluation/clones-")
    path = workspace.deliverables / place
    atomic.write_text(path.with_suffix(".json"), found.model_dump_json(indent=1) + "\n")
    page = clones_page(
        project=workspace.project.project.name,
        dataset=dataset,
        found=found,
        channels=workspace.catalogue.datasets.get(dataset).contract.channels,
        remarks=remarks,
    )
    atomic.write_bytes(path, page)
    return workspace.relative(path)
