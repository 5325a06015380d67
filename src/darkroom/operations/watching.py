"""Operations that look at a training while it goes on: how it stands, how good a snapshot is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from darkroom.errors import Invalid
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Interval, MetricPoint, Result, Run, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from darkroom.documents.watching import Watched

__all__ = ["try_epoch", "watch", "watch_page_of", "watched_of"]

SHOWN = 10
"""Newest epochs that the shell shows; the page shows all."""

CONFUSED = 5


class WatchReport(Result):
    """How a training stands."""

    run: RunRef
    state: str
    """"running", "finished", …; "lost" where its process is gone."""
    epochs: int
    """Trained so far."""
    of_epochs: int | None
    """Asked for; None where the training has not begun."""
    points: tuple[MetricPoint, ...]
    """Figures of every epoch."""
    kept: tuple[int, ...]
    """Epochs whose weights can be tried."""
    broken: str = ""
    """Why it stopped, where a loss or gradient was no longer a number."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the newest epochs and what can be tried."""
        from darkroom.documents.watching import EPOCH_COLUMNS, epoch_rows

        yield _spoken(self.run, self.state, self.points, self.of_epochs)
        rows = epoch_rows(self.points)
        if rows:
            title = f"The last {SHOWN} of {len(rows)} epochs" if len(rows) > SHOWN else ""
            yield Table(EPOCH_COLUMNS, tuple(rows[-SHOWN:]), title)
        if self.broken:
            yield self.broken
        if self.kept:
            yield f"Weights kept of epoch {', '.join(map(str, self.kept))}. Test them: " + (
                f"darkroom model try-epoch --run {self.run} --epoch {self.kept[-1]}"
            )
        yield f"Page: {self.path}"


@operation("model.watch", stage=6)
def watch(workspace: Workspace, *, run: RunRef) -> WatchReport:
    """Show how a training stands, also while another process trains it: figures, followed pictures.

    It only reads what the training has written; the training does not notice.

    Args:
        run: the run.
    """
    from darkroom import atomic
    from darkroom.documents.watching import watch_page
    from darkroom.operations.deliverables import thumbnails
    from darkroom.operations.run_pictures import recipe_kept
    from darkroom.operations.snapshots import kept_epochs
    from darkroom.training.broken import read_broken

    found = workspace.catalogue.runs.get(run)
    state, watched = _state(workspace, found), watched_of(workspace, found)
    asked = recipe_kept(workspace, found.id).get("epochs")
    points = tuple(watched.points)
    page = watch_page(
        project=workspace.project.project.name,
        run=found.id,
        state=state,
        lead=_spoken(found.id, state, points, asked),
        watched=watched,
        pictures=thumbnails(workspace, watched.image_ids),
    )
    path = workspace.deliverables / watch_page_of(found.id)
    atomic.write_bytes(path, page)
    broken = read_broken(workspace.runs_folder / found.id)
    return WatchReport(
        run=found.id,
        state=state,
        epochs=len(points),
        of_epochs=asked,
        points=points,
        kept=tuple(kept_epochs(workspace, found.id)),
        broken=broken.said if broken is not None and state != "running" else "",
        path=workspace.relative(path),
    )


class TryReport(Result):
    """How good the weights of one epoch are."""

    run: RunRef
    state: str
    """Of the run while it was asked."""
    epoch: int
    """After which the weights were saved."""
    split: str
    images: int
    figure: str
    """What `value` is: "accuracy", for masks "mean IoU", for several labels "mean AP"."""
    value: Interval
    loss: float | None
    """Mean cross-entropy, of several labels the binary one; None for masks."""
    confused: tuple[tuple[str, ...], ...] = ()
    """The most frequent mistakes: what it is, what was answered, how often."""
    beside: tuple[tuple[str, Interval], ...] = ()
    """For several labels: figures of the labels that are given from 0.5 on."""
    labels: tuple[tuple[str, ...], ...] = ()
    """For several labels, the weakest first: label, pictures that have it, average precision, precision,
    recall and F1 from 0.5 on."""

    def display(self) -> Iterator[str | Table]:
        """Yields the figure with its interval, and the most frequent mistakes or the weakest labels."""
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        yield (
            f"{self.run} after epoch {self.epoch} ({self.state}): {self.figure} {self.value} on "
            f"{self.images:,} pictures of {self.split}{loss}"
        )
        if self.confused:
            yield Table(("is", "answered", "times"), self.confused)
        if self.beside:
            yield "Given from 0.5 on: " + "; ".join(f"{name} {value}" for name, value in self.beside)
        if self.labels:
            title = f"The weakest {SHOWN} of {len(self.labels)} labels" if len(self.labels) > SHOWN else ""
            columns = ("label", "pictures", "average precision", "precision", "recall", "F1")
            yield Table(columns, self.labels[:SHOWN], title)


@operation("model.try_epoch", stage=6, slow=True, libraries=LIBRARIES)
def try_epoch(
    workspace: Workspace,
    *,
    run: RunRef,
    epoch: Annotated[int, Field(ge=0, le=10_000)] = 0,
    split: Literal["train", "val"] = "val",
) -> TryReport:
    """Say how good the weights of one epoch are, also while another process trains the run.

    It only reads; the training does not notice, beside sharing the processor. Test is not offered: its
    pictures are for a training that is done.

    Args:
        run: the run.
        epoch: after which epoch; 0 for the newest weights that are saved.
        split: the pictures to ask about.
    """
    import numpy as np

    from darkroom.operations.run_pictures import pictures_of
    from darkroom.operations.snapshots import snapshot_of

    found = workspace.catalogue.runs.get(run)
    state = _state(workspace, found)
    path, saved = snapshot_of(workspace, found.id, epoch)
    images = pictures_of(workspace, found.id).split(split)
    if len(images) == 0:
        raise Invalid(
            "try.no-pictures",
            "Dataset {dataset} has no pictures in {split}.",
            do="Ask about the other split, or freeze the dataset with a val share.",
            dataset=found.dataset,
            split=split,
        )

    def show(done: int, total: int) -> None:
        workspace.report(
            f"trying {found.id}, epoch {saved}", done=done, total=total, unit="images", stops=True
        )

    facts: dict[str, Any] = {"run": found.id, "state": state, "epoch": saved, "split": split}
    facts |= {"images": len(images)}
    with _half_the_cores(workspace):
        card, answered = _answered(path, images, show)
    facts["epoch"] = card.epoch  # the training may have replaced the file in between
    if card.task == "segmentation":
        return TryReport(**facts, figure="mean IoU", value=answered, loss=None)
    if card.task == "multi-label":
        return TryReport(**facts, **_judged_sets(card.labels, images, answered))
    labels = np.asarray(images.labels)
    return TryReport(**facts, **_judged(card.labels, labels, answered, images.groups))


def watch_page_of(run: str) -> str:
    """Returns the place of the page of a training that is watched, inside the deliverables."""
    return f"06-training/{run}-watch.html"


def watched_of(workspace: Workspace, run: Run) -> Watched:
    """Returns what the folder of a run says about its training so far."""
    from darkroom.documents.watching import Watched
    from darkroom.training.run_folder import read_metrics
    from darkroom.training.samples import read_samples
    from darkroom.training.seen import list_seen

    folder = workspace.runs_folder / run.id
    samples = read_samples(folder)
    seen: list[tuple[int, bytes]] = []
    for epoch, path in list_seen(folder / "watch"):
        try:
            seen.append((epoch, path.read_bytes()))
        except FileNotFoundError:  # the training made room for a newer one
            continue
    return Watched(
        points=read_metrics(folder),
        image_ids=samples.image_ids if samples else (),
        labels=samples.labels if samples else (),
        answers=samples.epochs if samples else (),
        seen=tuple(seen),
    )


def _state(workspace: Workspace, run: Run) -> str:
    from darkroom.operations.holding import runs_at_work

    if run.state == "running" and run.id not in runs_at_work(workspace):
        return "lost"
    return run.state


def _spoken(run: str, state: str, points: tuple[MetricPoint, ...], asked: int | None) -> str:
    from darkroom.documents import wording

    if not points:
        return f"{run}: {state}; no epoch is done yet."
    last = points[-1]
    of = f" of {asked}" if asked else ""
    said = f"{run}: {state}, epoch {last.epoch}{of}"
    if last.val_accuracy is not None:
        name, value = "accuracy", last.val_accuracy
        if last.val_miou is not None:
            name, value = "mean IoU", last.val_miou
        elif last.val_mean_ap is not None:
            name, value = "mean AP", last.val_mean_ap
        said += f", validation {name} {wording.share(value)}"
    if state == "running" and last.time_left_s:
        said += f", about {wording.duration(last.time_left_s)} left after it"
    return f"{said}."


def _half_the_cores(workspace: Workspace) -> AbstractContextManager[None]:
    """Leaves the other half to the training."""
    from darkroom.training.device import choose_device, default_threads, reproducible

    threads = max(1, (workspace.settings.threads or default_threads()) // 2)
    return reproducible(choose_device("cpu"), threads)


def _answered(path: Path, images: Any, show: Callable[[int, int], None]) -> tuple[Any, Any]:
    """Returns the card, and the probabilities (N, classes); of masks the mean IoU with its interval."""
    from darkroom.evaluation.batches import batches_of
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load

    network, card = load(path)
    batches = batches_of(images, card.contract.shape, 64, show)
    model = ImageModel.of(network, card)
    if card.task != "segmentation":
        return card, predict(model, batches)
    return card, _mean_iou(model, images, batches, len(card.labels))


def _mean_iou(model: Any, images: Any, batches: Iterator[Any], classes: int) -> Interval:
    import numpy as np

    from darkroom.networks.predictor import answered_masks
    from darkroom.tasks.segmentation import count_classes, interval_of, resample

    counts, done = [], 0
    for answers, _ in answered_masks(model, batches):
        masks = images.gather_masks(np.arange(done, done + len(answers)))
        counts.append(count_classes(masks, answers, classes))
        done += len(answers)
    found = interval_of(resample(np.concatenate(counts), images.groups), "miou")
    return found or Interval(value=0.0, low=0.0, high=1.0, count=done, method="nothing to measure")


def _judged(
    names: tuple[str, ...], labels: np.ndarray, probabilities: np.ndarray, groups: Any
) -> dict[str, Any]:
    """Returns accuracy with its interval, loss and mistakes."""
    from collections import Counter

    import numpy as np

    from darkroom.statistics import bootstrap_interval

    answers = probabilities.argmax(1)
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    wrong = Counter(
        (int(truth), int(said)) for truth, said in zip(labels, answers, strict=True) if truth != said
    )
    rows = [(names[truth], names[said], str(count)) for (truth, said), count in wrong.most_common(CONFUSED)]
    return {
        "figure": "accuracy",
        "value": bootstrap_interval((answers == labels).astype(float), groups),
        "loss": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        "confused": tuple(rows),
    }


def _judged_sets(names: tuple[str, ...], images: Any, probabilities: np.ndarray) -> dict[str, Any]:
    """Returns the mean average precision of several labels, what is given from 0.5 on, and each label.

    Where no picture has a label there is nothing to rank, and the share of pictures without a wrong label
    takes its place.
    """
    import numpy as np

    from darkroom.evaluation.label_set_judgement import judge_label_sets
    from darkroom.evaluation.predictions import Predictions, groups_of

    answers = Predictions(
        tuple(images.image_ids), np.asarray(images.labels), groups_of(images.groups), probabilities
    )
    found = judge_label_sets(answers, classes=names, worst=0).figures
    beside = {"macro F1": found.macro_f1, "micro F1": found.micro_f1, "all labels right": found.exact_match}
    ranked = sorted(
        found.classes, key=lambda row: row.average_precision.value if row.average_precision else 2.0
    )
    rows = [
        (
            row.label,
            f"{row.support:,}",
            *map(_four_places, (row.average_precision, row.precision, row.recall, row.f1)),
        )
        for row in ranked
    ]
    return {
        "figure": "all labels right" if found.mean_ap is None else "mean AP",
        "value": found.mean_ap or found.exact_match,
        "loss": found.log_loss.value,
        "beside": tuple(beside.items()),
        "labels": tuple(rows),
    }


def _four_places(figure: Interval | None) -> str:
    return "—" if figure is None else f"{figure.value:.4f}"
