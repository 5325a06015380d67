"""Measure a run's pictures and learn the sketch of its training pictures from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from darkroom.domain import Examples, Sketch, learn, measure, measured_on, read_sketch
from darkroom.domain.files import FOLDER
from darkroom.domain.learning import NO_FEATURES
from darkroom.domain.properties import PROPERTIES
from darkroom.errors import Cancelled, Invalid, NotFound
from darkroom.images import Transform, transform_of
from darkroom.operations.kept import kept_toml
from darkroom.operations.run_pictures import pictures_of
from darkroom.operations.run_weights import refuse_lost_run
from darkroom.records import Contract, FalseAlarms, ModelCard, Run
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets import RenderedSplit
    from darkroom.features import Embedder
    from darkroom.networks.network import Network
    from darkroom.training import Augment

__all__ = ["Sample", "false_alarms_of", "make_sketch", "sketch_folder", "sketch_of"]

NO_VAL = (
    "The dataset has no val pictures: the thresholds were chosen on every fifth training picture, and the "
    "network's features, which know these pictures, have no say."
)
AT_ONCE = 256


class Sample:
    """Some pictures of a rendered split, as the store of features wants them.

    Args:
        split: the rendered split.
        places: (n,) which of its pictures.
    """

    def __init__(self, split: RenderedSplit, places: np.ndarray) -> None:
        self._split, self._places = split, places
        self.image_ids: Sequence[str] = tuple(split.image_ids[place] for place in places)
        self.groups: tuple[str | None, ...] = tuple(split.groups[place] for place in places)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8."""
        return self._split.gather(self._places[np.asarray(indices, np.int64)], out=out)


def sketch_folder(workspace: Workspace, run: str) -> Path:
    """Returns where the sketch of a run is kept."""
    return workspace.runs_folder / run / FOLDER


def sketch_of(workspace: Workspace, run: str) -> Sketch | None:
    """Returns the sketch of a run; None where none was made.

    Raises:
        Damaged: it is not what was written.
        Unsupported: a newer Darkroom wrote it.
    """
    try:
        return read_sketch(sketch_folder(workspace, run))
    except NotFound:
        return None


def false_alarms_of(sketch: Sketch | None) -> tuple[FalseAlarms, ...]:
    """Returns what a model's card says about its domain check; nothing where there is no sketch."""
    if sketch is None:
        return ()
    return tuple(
        FalseAlarms(
            used=one.used,
            asked=sketch.facts.asked_rate,
            expected=one.expected,
            held_out=sketch.facts.held_out,
            measured=one.measured,
        )
        for one in sketch.facts.calibrations
    )


def make_sketch(workspace: Workspace, run: Run, *, rate: float, most_images: int) -> Sketch:
    """Learns the sketch of a run's training pictures.

    Args:
        workspace: the project.
        run: a finished run.
        rate: share of false alarms that is asked for.
        most_images: pictures of each split that are looked at, drawn at random where there are more.

    Raises:
        NotFound: the run's weights or the dataset's pictures are gone.
        Invalid: there are too few pictures.
        Cancelled: a person stopped it.
    """
    from darkroom.networks.saved import load
    from darkroom.training.device import default_threads, reproducible

    refuse_lost_run(workspace, run)
    network, card = load(workspace.runs_folder / run.id / "checkpoints" / "best.safetensors")
    version = workspace.catalogue.datasets.get(run.dataset)
    rendering = pictures_of(workspace, run.id, version)
    train, val = rendering.split("train"), rendering.split("val")
    has_val = bool(len(val))
    places = _places(len(train), most_images)
    apart = np.arange(len(places)) % 5 == 4
    held_out = Sample(val, _places(len(val), most_images)) if has_val else Sample(train, places[apart])
    with reproducible(network.device, workspace.settings.threads or default_threads()):
        look = _Looker(workspace, version.contract, _embedder(network, card) if has_val else None)
        known = look.at(
            Sample(train, places if has_val else places[~apart]), "train", _augment(workspace, run.id)
        )
        others = look.at(held_out, "val")
        alone = () if look.has_features else (NO_FEATURES,)
        sketch = learn(
            known,
            others,
            contract=version.contract,
            rate=rate,
            held_out_name="val" if has_val else "a fifth of train",
            run=run.id,
            dataset=version.ref,
            dataset_id=version.id,
            notes=alone if has_val else (NO_VAL,),
        )
        if not version.counts.get("test"):
            return sketch
        test = rendering.split("test")
        return measured_on(sketch, look.at(Sample(test, _places(len(test), most_images)), "test"))


class _Looker:
    """Brings pictures to the numbers that a sketch is made of."""

    def __init__(self, workspace: Workspace, contract: Contract, embedder: Embedder | None) -> None:
        self._workspace, self._contract, self._embedder = workspace, contract, embedder

    @property
    def has_features(self) -> bool:
        """Whether the network gave features of all that was looked at."""
        return self._embedder is not None

    def at(self, sample: Sample, name: str, augment: Augment | None = None) -> Examples:
        """Returns the numbers of some pictures.

        Args:
            sample: the pictures.
            name: of their split, for whoever watches.
            augment: as which training saw them: to each picture a changed copy is added.
        """
        rows = list(self._measured(sample, name))
        plain = Examples(tuple(sample.image_ids), _table(rows), self._features(sample), sample.groups)
        return plain if augment is None else plain.joined(self._changed(sample, augment))

    def _features(self, sample: Sample) -> np.ndarray | None:
        """Returns the network's features (n, E); None, from then on, where it gives none."""
        from darkroom.features import of

        if self._embedder is None or not len(sample.image_ids):
            return None
        try:
            return of(self._workspace, sample, self._embedder).array
        except Invalid:  # such as numbers that are none: what is measured on pictures has to do
            self._embedder = None
            return None

    def _changed(self, sample: Sample, augment: Augment) -> Examples:
        """Returns the numbers of one changed copy of each picture; what was known of the photos stays."""
        from darkroom.training.changed import changed_copies

        photos, count = self._photos(sample.image_ids), len(sample.image_ids)
        rows, vectors = list[np.ndarray](), list[np.ndarray]()
        for start in range(0, count, AT_ONCE):
            self._stop_if_asked("train, changed", start, count)
            indices = np.arange(start, min(start + AT_ONCE, count))
            tensors = changed_copies(sample.gather(indices), augment, seed=start)
            ids = [sample.image_ids[int(index)] for index in indices]
            rows += [measure(*pair) for pair in zip(tensors, map(photos.get, ids), strict=True)]
            vectors += self._embedded(tensors, ids)
            self._workspace.report(
                "measuring changed", done=int(indices[-1]) + 1, total=count, unit="images"
            )
        features = np.concatenate(vectors) if vectors else None
        return Examples(tuple(sample.image_ids), _table(rows), features, sample.groups)

    def _embedded(self, tensors: np.ndarray, ids: Sequence[str]) -> Iterator[np.ndarray]:
        embedder = self._embedder
        if embedder is not None:
            for start in range(0, len(tensors), embedder.batch_size):
                part = slice(start, start + embedder.batch_size)
                yield embedder.embed(tensors[part], ids[part])

    def _measured(self, sample: Sample, name: str) -> Iterator[np.ndarray]:
        photos, count = self._photos(sample.image_ids), len(sample.image_ids)
        for start in range(0, count, AT_ONCE):
            self._stop_if_asked(name, start, count)
            indices = np.arange(start, min(start + AT_ONCE, count))
            for index, tensor in zip(indices, sample.gather(indices), strict=True):
                yield measure(tensor, photos.get(sample.image_ids[int(index)]))
            self._workspace.report(
                f"measuring {name}", done=int(indices[-1]) + 1, total=count, unit="images"
            )

    def _stop_if_asked(self, split: str, done: int, total: int) -> None:
        if self._workspace.stop_requested.is_set():
            raise Cancelled(
                "domain.cancelled",
                "Measuring pictures was stopped after {done:,} of {total:,} of {split}.",
                do="Begin it again: darkroom model domain",
                done=done,
                total=total,
                split=split,
            )

    def _photos(self, image_ids: Sequence[str]) -> dict[str, Transform]:
        """Returns the geometry of the contract for the photos behind some tensors."""
        found = {}
        for image_id, image in self._workspace.catalogue.images.many(image_ids).items():
            turned, size = image.camera.orientation, (image.width_px, image.height_px)
            width_px, height_px = size if turned < 5 else size[::-1]
            found[image_id] = transform_of(width_px, height_px, self._contract, orientation=turned)
        return found


def _augment(workspace: Workspace, run: str) -> Augment | None:
    """Returns how a run's training changed its pictures; None where it did not."""
    from darkroom.training import Augment

    config = kept_toml(workspace.runs_folder / run / "config.toml")
    found = Augment.model_validate(config.get("recipe", {}).get("augment", {}))
    found = found.model_copy(update={"crop_px": Augment().crop_px})  # a sketch is of whole pictures
    return None if found == Augment() else found


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(rows) if rows else np.empty((0, len(PROPERTIES)))


def _places(count: int, most: int) -> np.ndarray:
    """Returns at most so many places among `count`, the same for the same numbers, in order."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _embedder(network: Network, card: ModelCard) -> Embedder:
    from darkroom.networks.embedder import NetworkEmbedder

    return NetworkEmbedder(
        network,
        name=card.network,
        options=card.options,
        contract=card.contract,
        normalisation=card.normalisation,
    )
