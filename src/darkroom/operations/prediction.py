"""Ask a model about pictures: `darkroom predict photo.jpg`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PrivateAttr

from darkroom.domain.answer import DomainAnswer
from darkroom.errors import NotFound
from darkroom.operation import BundleRef, LocalPath, Produced, RunRef, operation
from darkroom.records import Fact, Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

__all__ = ["predict"]

NEAREST = 3
"""Labels that are not given and shown all the same: those that lie nearest to their threshold."""

FEW = 5
"""Of so many pictures each one's fixes and nearest training pictures are shown; of more, the sums."""


class PredictedImage(Fact):
    """The answer to one picture."""

    image: str
    label: str
    """The most probable class."""
    probability: float
    """Of that class."""
    sure: bool = True
    """False where the model's operating point calls the answer "not sure"."""
    probabilities: dict[str, float]
    domain: DomainAnswer | None = None
    """Whether it looks like the training pictures; None where no sketch of them was made."""


class PredictedLabels(Fact):
    """The labels of one picture: any number of them, also none."""

    image: str
    labels: tuple[str, ...]
    """Those whose probability reaches their threshold, in the order of the model's output."""
    probabilities: dict[str, float]
    """Per label, each by itself: they do not sum to 1."""
    thresholds: dict[str, float]
    """Per label, the probability from which on it is given."""
    domain: DomainAnswer | None = None
    """Whether it looks like the training pictures; None where no sketch of them was made."""


class PredictedMask(Fact):
    """The mask of one picture, written into the project."""

    image: str
    mask: Produced
    """PNG of the photo's size, upright: the number of the class of each pixel, 255 where there is no answer
    as the contract cut the photo off."""
    overlay: Produced
    """The photo with the mask as a transparent layer, PNG; the first class stays as the photo is."""
    width_px: int
    height_px: int
    shares: dict[str, float]
    """Share of the answered pixels per class, in the order of the numbers in the mask."""
    unanswered: float = 0.0
    """Share of the photo for which there is no answer."""
    mask_png: str = ""
    """The mask's file in base64, where it was asked for."""
    domain: DomainAnswer | None = None
    """Whether it looks like the training pictures; None where no sketch of them was made."""

    _root: Path | None = PrivateAttr(default=None)

    def inside(self, root: Path) -> PredictedMask:
        """Returns it with its files found below a folder, so that `pixels` can read them."""
        self._root = root
        return self

    @property
    def pixels(self) -> np.ndarray:
        """The mask, (H, W) uint8."""
        return self._read(self.mask, self.mask_png)

    @property
    def overlay_pixels(self) -> np.ndarray:
        """The photo with the mask, (H, W, 3) uint8."""
        return self._read(self.overlay, "")

    def _read(self, place: str, inline: str) -> np.ndarray:
        import base64
        import io

        import numpy as np
        from PIL import Image

        data = base64.b64decode(inline) if inline else ((self._root or Path()) / place).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)


class RefusedFile(Fact):
    """A file that no answer was given for."""

    image: str
    why: str


class PredictReport(Result):
    """Answers to pictures."""

    model: str
    """File or run that answered."""
    runtime: str
    images: tuple[PredictedImage, ...] = ()
    """Of a model that answers for whole pictures."""
    label_sets: tuple[PredictedLabels, ...] = ()
    """Of a model that answers any number of labels."""
    masks: tuple[PredictedMask, ...] = ()
    """Of a model that answers masks."""
    refused: tuple[RefusedFile, ...] = ()
    """Files of the folders named that are no pictures which can be read."""
    page: Produced = ""
    """The page, where one was asked for."""

    def display(self) -> Iterator[str | Table]:
        """Yields each picture's label and the largest probabilities."""
        for found in self.images:
            ranked = sorted(found.probabilities.items(), key=lambda pair: -pair[1])[:5]
            others = "  ".join(f"{label} {share:.4f}" for label, share in ranked)
            said = found.label if found.sure else f"not sure (most likely {found.label})"
            yield f"{found.image}: {said}   {others}"
            yield from _shown_domain(found.domain, details=len(self.images) <= FEW)
        for found in self.label_sets:
            yield from _shown_labels(found)
            yield from _shown_domain(found.domain, details=len(self.label_sets) <= FEW)
        for found in self.masks:
            yield from _shown_mask(found)
            yield from _shown_domain(found.domain, details=len(self.masks) <= FEW)
        for file in self.refused:
            yield f"{file.image}: not answered. {file.why}"
        yield f"Answered by {self.model} ({self.runtime})"
        yield from _counted([one.domain for one in (*self.images, *self.label_sets, *self.masks)])
        if self.page:
            yield f"Page: {self.page}"


def _shown_domain(domain: DomainAnswer | None, *, details: bool) -> Iterator[str]:
    """Yields how a picture differs, and what could be done; nothing where it looks in-domain."""
    if domain is None or domain.in_domain:
        return
    yield f"    {domain.words}"
    if not details:
        return
    yield from (f"    could be done: {fix}" for fix in domain.fixes)
    yield f"    nearest training pictures: {', '.join(near.image_id[:12] for near in domain.nearest)}"


def _shown_labels(found: PredictedLabels) -> Iterator[str]:
    """Yields the labels that a picture was given with their probabilities, and those that came closest."""
    from darkroom.tasks.label_sets import spoken_set

    said = spoken_set([f"{label} {found.probabilities[label]:.4f}" for label in found.labels])
    others = [label for label in found.probabilities if label not in found.labels]
    others.sort(key=lambda label: found.probabilities[label] - found.thresholds[label], reverse=True)
    near = "  ".join(f"{label} {found.probabilities[label]:.4f}" for label in others[:NEAREST])
    yield f"{found.image}: {said}{f'   not given: {near}' if near else ''}"


def _shown_mask(found: PredictedMask) -> Iterator[str]:
    """Yields what covers a picture, and where its files are."""
    ranked = sorted(found.shares.items(), key=lambda pair: -pair[1])[:5]
    covers = "  ".join(f"{label} {share:.1%}" for label, share in ranked if share)
    cut = f"   no answer for {found.unanswered:.1%}" if found.unanswered else ""
    yield f"{found.image}: {covers}{cut}"
    yield f"    mask {found.mask}, over the photo {found.overlay}"


def _counted(domains: Sequence[DomainAnswer | None]) -> Iterator[str]:
    """Yields how many pictures differ, and in what."""
    checked = [one for one in domains if one is not None]
    if not checked:
        yield "No domain check: there is no sketch of the training pictures. See: darkroom model domain"
        return
    differing = [one for one in checked if not one.in_domain]
    causes = Counter(one.name for found in differing for one in found.reasons if not one.follows)
    said = ", ".join(f"{name} {count}" for name, count in causes.most_common())
    fine = f"{len(checked) - len(differing)} of {len(checked)} look in-domain"
    rest = f"; {len(differing)} differ ({said})" if differing else ""
    yield f"Domain check by {checked[0].used}: {fine}{rest}"
    if len(domains) > FEW:
        fixes = Counter(fix for found in differing for fix in found.fixes)
        yield from (f"    could be done for {count}: {fix}" for fix, count in fixes.most_common(3))


@operation("predict", stage=8, positional=("images",), later=("epoch",))
def predict(
    workspace: Workspace,
    *,
    images: tuple[LocalPath, ...],
    using: Literal["auto", "torch", "onnx", "litert", "executorch", "coreml"] = "auto",
    run: RunRef | None = None,
    bundle: BundleRef | None = None,
    page: bool = False,
    inline: bool = False,
    epoch: Annotated[int, Field(ge=0, le=10_000)] | None = None,
) -> PredictReport:
    """Ask a model about pictures; all files of a bundle give the same answer as the run.

    Each answer says whether the picture looks like the training pictures, and how it differs if not.
    A model for several labels gives those whose probability reaches their threshold. A model for masks
    writes two files for each picture: the mask at the photo's size, and the photo with the mask.

    Args:
        images: the pictures, or folders of them.
        using: what answers; auto takes the bundle's first file, or the run where there is no bundle.
        run: ask this run's best weights.
        bundle: ask this bundle; the newest when neither is given.
        page: write a page with the pictures, the answers, and the nearest training pictures.
        inline: give masks inside the answer as well, PNG in base64, for callers that cannot read the
            project's folder.
        epoch: ask the weights that the run had after this epoch; 0 for the newest that are saved. It works
            while another process trains the run.
    """
    from darkroom.operations.asking import ask

    if not images:
        raise NotFound(
            "predict.no-images", "No picture was named.", do="Say which: darkroom predict photo.jpg"
        )
    report = ask(workspace, images, using=using, run=run, bundle=bundle, inline=inline, epoch=epoch)
    if not page:
        return report
    from darkroom.operations.domain_pages import deliver_checked

    return report.model_copy(update={"page": deliver_checked(workspace, report)})
