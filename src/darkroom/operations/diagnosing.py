"""Gather the evidence of a diagnosis: the run's answers, labels against features, short trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from darkroom.diagnosis.evidence import Evidence
from darkroom.diagnosis.labels import LabelEvidence, disagreement, pixel_features
from darkroom.diagnosis.plan import phases
from darkroom.diagnosis.standing import HALF, LARGER, RATES, REGULARISED, rate_name
from darkroom.errors import DarkroomError, NotFound
from darkroom.operations.run_pictures import pictures_of, recipe_kept
from darkroom.records import Run
from darkroom.training import Augment, Recipe
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.networks.start import NetworkStart
    from darkroom.training.probe import ProbeAnswers, Probed

__all__ = ["gathered"]

MOST_TRAIN, MOST_VAL, MOST_LABELS = 500, 1000, 2000
"""Pictures that are asked about, evenly spread over those of the split."""

AT_ONCE = 64
"""Pictures in memory at a time."""

MOST_STEPS = 300
"""Of a short training."""

PROBES = 8
"""Short trainings that a diagnosis makes, at most, about."""

NO_TIME = "Short trainings: {minutes:g} min are too few for an epoch of each. Give more: --minutes"

CHANGED = Augment(rotate_deg=10.0, zoom=0.1, shift=0.1)
DECAY, DROPOUT = 0.05, 0.3

PATIENCE = 2
"""A regularised training gets so many times the steps: what changes each epoch is learnt slowly."""

LARGER_NETWORK = "lenet5"
"""Small, and enough for most small pictures; tried beside a network a quarter of its size or less."""


class _Sample:
    """Some pictures of train and val together, as a store of features wants them."""

    def __init__(self, splits: Sequence[Any], most: int) -> None:
        sizes = [len(split) for split in splits]
        share = min(1.0, most / max(1, sum(sizes)))
        self._parts = [
            (s, _spread(n, max(1, round(share * n)))) for s, n in zip(splits, sizes, strict=True) if n
        ]
        self.image_ids = tuple(s.image_ids[place] for s, places in self._parts for place in places)
        self.groups = tuple(s.groups[place] for s, places in self._parts for place in places)
        self.labels = np.concatenate([np.asarray(s.labels)[places] for s, places in self._parts])

        self._starts = np.cumsum([0, *(len(places) for _, places in self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), *self._parts[0][0].shape), np.uint8) if out is None else out
        of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(of).tolist():
            here, (split, places) = np.flatnonzero(of == number), self._parts[number]
            out[here] = split.gather(places[indices[here] - self._starts[number]])
        return out

    def pixels(self) -> np.ndarray:
        """Returns the pictures averaged down, (N, D) float32, some at a time."""
        starts = range(0, len(self), AT_ONCE)
        parts = [np.arange(start, min(start + AT_ONCE, len(self))) for start in starts]
        return np.concatenate([pixel_features(self.gather(part)) for part in parts])


class _Case(NamedTuple):
    """What is diagnosed."""

    run: Run
    recipe: Recipe
    rendering: Any
    start: NetworkStart
    train_ids: tuple[str, ...]
    val_ids: tuple[str, ...]
    steps: int
    """Of a short training."""
    threads: int


def gathered(workspace: Workspace, run: Run, *, minutes: float) -> Evidence:
    """Returns all evidence about a run; short trainings take about as many minutes as allowed.

    Raises:
        NotFound: the run has no recipe, or its pictures are gone.
        Cancelled: a person stopped it.
    """
    evidence, case = _begun(workspace, run, minutes)
    total = PROBES
    for number in range(4 * PROBES):
        name = next(phases(evidence), None) if case.steps else None
        if name is None:
            return evidence
        workspace.report(
            f"diagnosing {run.id}: {name}", done=number, total=max(total, number + 1), unit="probes"
        )
        try:
            found = _probed(workspace, case, name)
        except DarkroomError as error:
            if workspace.stop_requested.is_set():
                raise
            missing = (*evidence.missing, f"{name}: {error.message}")
            return evidence._replace(missing=missing)
        evidence = evidence._replace(probes={**evidence.probes, name: found})
    return evidence


def _begun(workspace: Workspace, run: Run, minutes: float) -> tuple[Evidence, _Case]:
    """Returns the evidence that needs no training, and what the trainings need."""
    from darkroom.training.broken import read_broken
    from darkroom.training.device import default_threads
    from darkroom.training.probe import steps_of_epoch
    from darkroom.training.run_folder import read_metrics

    folder, version = workspace.runs_folder / run.id, workspace.catalogue.datasets.get(run.dataset)
    recipe, rendering = _recipe_of(workspace, run), pictures_of(workspace, run.id)
    train, val = rendering.split("train"), rendering.split("val")
    points, broken = read_metrics(folder), read_broken(folder)
    threads = workspace.settings.threads or default_threads()
    train_places, val_places = _spread(len(train), MOST_TRAIN), _spread(len(val), MOST_VAL)
    epoch_steps = steps_of_epoch(len(train), recipe)
    case = _Case(
        run=run,
        recipe=recipe,
        rendering=rendering,
        start=_start_of(workspace, run, recipe),
        train_ids=tuple(train.image_ids[place] for place in train_places),
        val_ids=tuple(val.image_ids[place] for place in val_places),
        steps=_affordable(points, recipe, epoch_steps, minutes),
        threads=threads,
    )
    own, parameters = _own_answers(workspace, case, train_places, val_places)
    evidence = Evidence(
        run=run.id,
        classes=len(version.classes),
        train_count=len(train),
        val_count=len(val),
        steps=points[-1].step if points else 0,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        lacks=_lacks(recipe),
        network=recipe.network,
        parameters=parameters,
        points=points,
        train=own[0] if own else None,
        val=own[1] if own else None,
        groups=tuple(val.groups[place] for place in val_places),
        labels=_labels(workspace, case, len(version.classes)),
        larger=_larger(case, parameters),
        broken=broken.cause if broken else "",
        broken_said=broken.said if broken else "",
        missing=() if case.steps or not minutes else (NO_TIME.format(minutes=minutes),),
    )
    return evidence, case


def _recipe_of(workspace: Workspace, run: Run) -> Recipe:
    kept = recipe_kept(workspace, run.id)
    if not kept:
        raise NotFound(
            "diagnose.not-begun",
            "Run {run} ({state}) has not begun to train: there is nothing to diagnose.",
            do="Train it: darkroom run",
            run=run.id,
            state=run.state,
        )
    recipe = Recipe.model_validate(kept)
    if recipe.network_file is None:
        return recipe
    own = workspace.runs_folder / run.id / recipe.network_file.name
    return recipe.model_copy(update={"network_file": own})


def _start_of(workspace: Workspace, run: Run, recipe: Recipe) -> NetworkStart:
    from darkroom.operations.starting import earlier_run, start_of

    if run.parent is None:
        return start_of(workspace, recipe.network, recipe.network_file, recipe.weights)
    version = workspace.catalogue.datasets.get(run.dataset)
    return earlier_run(workspace, run.parent, 0, recipe, version)


def _affordable(points: Sequence[Any], recipe: Recipe, epoch_steps: int, minutes: float) -> int:
    """Returns how many steps a short training may have; 0 where there is no time for an epoch of each."""
    speed = max((point.images_per_second for point in points), default=0.0)
    step_s = recipe.batch_size * recipe.accumulate_batches / speed if speed else 0.0
    most = int(60 * minutes / (PROBES * step_s)) if step_s else MOST_STEPS
    if minutes <= 0 or most < epoch_steps:
        return 0
    return min(recipe.epochs * epoch_steps, most, max(MOST_STEPS, epoch_steps))


def _own_answers(
    workspace: Workspace, case: _Case, train_places: np.ndarray, val_places: np.ndarray
) -> tuple[tuple[ProbeAnswers, ProbeAnswers] | None, int]:
    """Returns what the newest weights answer, and how many weights there are; None where there are none."""
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load
    from darkroom.operations.snapshots import snapshot_of
    from darkroom.training.device import choose_device, reproducible
    from darkroom.training.probe import ProbeAnswers

    try:
        path, _ = snapshot_of(workspace, case.run.id)
    except NotFound:
        return None, 0
    network, card = load(path)
    model = ImageModel.of(network, card)

    def asked(split: Any, places: np.ndarray) -> ProbeAnswers:
        if not len(places):
            return ProbeAnswers(np.empty(0), np.empty(0, bool), np.empty(0))
        parts = [split.gather(part).copy() for part in np.array_split(places, max(1, len(places) // 64))]
        found = predict(model, parts).astype(np.float64)
        labels = np.asarray(split.labels)[places]
        own = found[np.arange(len(labels)), labels]
        return ProbeAnswers(-np.log(np.maximum(own, 1e-12)), found.argmax(1) == labels, found.max(1))

    with reproducible(choose_device("cpu"), case.threads):
        answers = asked(case.rendering.split("train"), train_places)
        return (answers, asked(case.rendering.split("val"), val_places)), network.parameter_count


def _labels(workspace: Workspace, case: _Case, classes: int) -> LabelEvidence | None:
    """Holds labels against features of the pretrained network; against pixels where there is none."""
    sample = _Sample([case.rendering.split("train"), case.rendering.split("val")], MOST_LABELS)
    if len(np.unique(sample.labels)) < 2:
        return None
    if case.recipe.weights:
        features = _pretrained(workspace, case, sample, classes)
        basis = f"features by {case.recipe.weights}"
    else:
        features, basis = sample.pixels(), "pixels"
    facts = {"image_ids": sample.image_ids, "groups": sample.groups}
    return disagreement(features, sample.labels, **facts, classes=classes, basis=basis)


def _pretrained(workspace: Workspace, case: _Case, sample: _Sample, classes: int) -> np.ndarray:
    from darkroom.features import of
    from darkroom.operations.starting import start_of
    from darkroom.training.device import choose_device, reproducible
    from darkroom.training.last_layer import embedders, feature_network

    recipe = case.recipe.model_copy(update={"feature_views": 1})
    start = start_of(workspace, recipe.network, recipe.network_file, recipe.weights)
    contract = workspace.catalogue.datasets.get(case.run.dataset).contract
    with reproducible(choose_device("cpu"), case.threads):
        train = case.rendering.split("train")
        network, normalisation = feature_network(recipe, contract, classes, start, train)
        embedder = embedders(network, recipe, contract, normalisation, start)[0]
        return of(workspace, sample, embedder).array


def _lacks(recipe: Recipe) -> tuple[str, ...]:
    """Returns what could still be added against learning by heart."""
    from darkroom.networks import find

    found = []
    if recipe.augment == Augment() and recipe.train_layers != "last":
        found.append("augmentation")
    if recipe.weight_decay < 1e-4:
        found.append("weight decay")
    if found and recipe.dropout == 0 and "dropout" in find(recipe.network).options:
        found.append("dropout")
    return tuple(found)


def _larger(case: _Case, parameters: int) -> str:
    from darkroom.networks import check_input, find

    entry, height_width = find(LARGER_NETWORK), case.rendering.split("train").shape[:2]
    if not parameters or case.recipe.train_layers == "last" or 4 * parameters > entry.parameters:
        return ""
    try:
        check_input(entry, height_width)
    except DarkroomError:
        return ""
    return f"{entry.name} ({entry.parameters:,} weights)"


def _changed(case: _Case, name: str) -> tuple[Recipe, NetworkStart | None, int | None]:
    """Returns a probe's recipe, what it begins with if that is another, and how many pictures it has."""
    recipe = case.recipe
    rates = {rate_name(factor): factor for factor in RATES}
    if name in rates:
        rate = min(100.0, recipe.learning_rate * rates[name])
        return recipe.model_copy(update={"learning_rate": rate}), None, None
    if name == HALF:
        return recipe, None, max(2, len(case.rendering.split("train")) // 2)
    if name == LARGER:
        from darkroom.networks.start import NetworkStart

        changes: dict[str, Any] = {"network": LARGER_NETWORK, "network_file": None, "weights": ""}
        return recipe.model_copy(update=changes), NetworkStart(), None
    if name == REGULARISED:
        lacks, changes = _lacks(recipe), {}
        if "augmentation" in lacks:
            changes["augment"] = CHANGED
        if "weight decay" in lacks:
            changes["weight_decay"] = DECAY
        if "dropout" in lacks:
            changes["dropout"] = DROPOUT
        return recipe.model_copy(update=changes), None, None
    return recipe, None, None


def _probed(workspace: Workspace, case: _Case, name: str) -> Probed:
    from darkroom.features import project_store
    from darkroom.operations.run_making import card_facts
    from darkroom.training.probe import probe

    recipe, start, count = _changed(case, name)
    version = workspace.catalogue.datasets.get(case.run.dataset)
    return probe(
        case.rendering,
        recipe,
        case.run.seed,
        card_facts(workspace, version),
        start or case.start,
        project_store(workspace, recipe.network),
        steps=case.steps * (PATIENCE if name == REGULARISED else 1),
        train_ids=case.train_ids,
        val_ids=case.val_ids,
        count=count,
        threads=case.threads,
        should_stop=workspace.stop_requested.is_set,
    )


def _spread(count: int, most: int) -> np.ndarray:
    """Returns places spread evenly over so many pictures."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).astype(np.int64))
