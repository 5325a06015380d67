"""Operations that find where another side goes another way: write a dump, compare one, or two formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkroom.export.divergence_report import Divergence
from darkroom.operation import BundleRef, LocalPath, Produced, operation
from darkroom.operations.export import EXPORT_LIBRARIES
from darkroom.records import Result, Table
from darkroom.workspace import Workspace

__all__ = ["diff", "dump"]

Target = Literal["onnx", "litert", "executorch", "coreml"]
Against = Literal["pytorch", "onnx", "litert", "executorch", "coreml"]
WrittenAs = Literal["float32", "float16", "dynamic-int8", "weight-int8", "int8", "palette6", "palette4"]

LAYERS_SHOWN = 6
"""Layers around the first one that differs."""


class DumpReport(Result):
    """A dump, written."""

    bundle: BundleRef
    side: str
    """What answered, with versions."""
    pictures: tuple[str, ...]
    """Names of the pictures in it."""
    layers: int
    """Layers for each picture; 0 where they were not asked for."""
    size_bytes: int
    path: Produced
    """The file."""

    def display(self) -> Iterator[str | Table]:
        """Yields what it holds, and where it is."""
        layers = f", {self.layers} layers each" if self.layers else ""
        yield f"{len(self.pictures)} pictures through {self.side}{layers}"
        yield f"Dump: {self.path} ({self.size_bytes / 1e6:.1f} MB)"
        yield f"Compare it: darkroom export diff {self.path}"


class DiffReport(Result):
    """Where another side goes another way."""

    bundle: BundleRef
    same: bool
    """Whether nothing differs."""
    first: str = ""
    """The first step that differs: "resize, horizontal pass", "label order", …; empty where none does."""
    divergence: Divergence
    """Everything that was compared and found."""
    page: Produced

    @property
    def exit_code(self) -> int:
        """7 when a step differs."""
        return 0 if self.same else 7

    def display(self) -> Iterator[str | Table]:
        """Yields each step, and the layers around the first one that differs."""
        found = self.divergence
        yield f"{found.side}, held against {found.reference}"
        yield found.check_table()
        if found.layers and not self.same:
            yield self._layers()
        yield from self.notes()
        yield f"Page: {self.page}"

    def notes(self) -> Iterator[str]:
        """Yields what differs first, why, and what to do; then the rest."""
        found = self.divergence
        if self.same:
            yield f"No step differs on {_pictures(len(found.pictures))}."
        for place, one in enumerate(found.found):
            begin = "The first step that differs" if place == 0 else "Further"
            size = "" if one.largest is None else f", by up to {one.largest:.3g}"
            yield f"{begin}: {one.title}, on {_pictures(len(one.pictures))}{size}. {one.words}"
            if one.do:
                yield f"  {one.do}"
        yield from found.notes

    def _layers(self) -> Table:
        """Returns the layers around the first one that differs."""
        places = [place for place, pair in enumerate(self.divergence.layers) if pair.differs]
        start = max(0, (places[0] if places else 0) - LAYERS_SHOWN // 2)
        whole = self.divergence.layer_table()
        return whole._replace(
            rows=whole.rows[start : start + LAYERS_SHOWN], title="Layers around the first that differs"
        )


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"


@operation("export.dump", slow=True, stage=9, libraries=EXPORT_LIBRARIES)
def dump(
    workspace: Workspace,
    *,
    bundle: BundleRef | None = None,
    images: tuple[LocalPath, ...] = (),
    target: Against = "pytorch",
    precision: WrittenAs = "float32",
    layers: bool = False,
    originals: bool = True,
) -> DumpReport:
    """Write what happens to pictures here, step by step, as another side would.

    The file holds the pixels after each step, the tensor, the probabilities and the labels; docs/dump.md
    states each field. It is what `export diff` compares, and what a library for phones writes there.

    Args:
        bundle: the bundle; the newest when not given.
        images: pictures, or folders of them; the golden pictures of the bundle when none are given.
        target: what answers: the run's network in PyTorch, or the bundle's file of a format.
        precision: which file of that format.
        layers: write what each layer gives, too.
        originals: put the pictures themselves in; otherwise only their hashes.
    """
    from darkroom.operations.diverging import make_dump

    return make_dump(workspace, bundle, images, target, precision, layers=layers, originals=originals)


@operation("export.diff", slow=True, stage=9, positional=("dump",), libraries=EXPORT_LIBRARIES)
def diff(
    workspace: Workspace,
    *,
    dump: LocalPath | None = None,
    target: Target | None = None,
    against: Against = "pytorch",
    bundle: BundleRef | None = None,
    precision: WrittenAs = "float32",
    images: tuple[LocalPath, ...] = (),
) -> DiffReport:
    """Name the first step at which another side, or another format, goes another way.

    A dump is followed from the pictures' bytes to the labels: decode, colour profile, orientation, alpha,
    grey, crop, resize, normalise, layers, softmax, label order; two formats from the tensor on.
    A step that differs ends with exit code 7.

    Args:
        dump: what another side made of pictures; see docs/dump.md.
        target: in place of a dump: a format whose file is compared.
        against: what is right: the run's network in PyTorch, or the bundle's float32 file of a format.
        bundle: the bundle; for a dump the one that it names, else the newest.
        precision: which file of the format given by target.
        images: pictures to compare two formats on; the golden pictures of the bundle when none are given.
    """
    from darkroom.operations.diverging import find_divergence

    return find_divergence(workspace, dump, target, against, bundle, precision, images)
