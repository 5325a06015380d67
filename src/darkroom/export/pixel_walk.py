"""Follow a picture of a dump from its bytes to the tensor, and find where it leaves the contract."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from darkroom.bundle.dump import DumpPicture, step_order
from darkroom.bundle.dump_reader import DumpFile
from darkroom.errors import DarkroomError
from darkroom.export.developing import Development, Pixels, Start, ours
from darkroom.images import Decoded, decode
from darkroom.records import Contract

__all__ = ["Parting", "PixelWalk", "walk_pixels"]

DECODERS_APART = 3
"""Levels by which decoders of lossy files, and ways to apply a colour profile, differ on the same bytes."""

LOSSY = (b"\xff\xd8\xff", b"RIFF", b"\x00\x00\x00")
"""How files of lossy formats begin: JPEG, WebP, and what lies in an ISO base media file (AVIF)."""


@dataclass(frozen=True)
class Parting:
    """A step after which one picture is another on both sides."""

    picture: str
    step: str
    way: Development
    """From what both sides still share, or the side itself had before."""
    got: Pixels
    want: Pixels
    lossy: bool = False
    """Whether decoding alone may explain a level or two: the side tells nothing of its own decoding."""

    @property
    def largest(self) -> float | None:
        """Largest difference in levels; None where the shapes differ."""
        return None if self.got.shape != self.want.shape else float(apart(self.got, self.want).max())

    @property
    def share(self) -> float | None:
        """Share of the values that differ."""
        return None if self.got.shape != self.want.shape else float((self.got != self.want).mean())


@dataclass
class PixelWalk:
    """What was seen on the way of one picture."""

    compared: dict[str, float] = field(default_factory=dict)
    """Step → largest difference, for each step that was compared."""
    partings: list[Parting] = field(default_factory=list)
    tensor: Pixels | None = None
    """What the side gave its network, or would have: its tensor, or the contract's of its bytes."""
    notes: list[str] = field(default_factory=list)


def walk_pixels(file: DumpFile, picture: DumpPicture, data: bytes | None, contract: Contract) -> PixelWalk:
    """Follows one picture.

    Each step is held against two things: what the contract makes of the bytes, and what it makes of the
    pixels that the side itself had before. So each step answers for itself alone, and what a later step
    puts right again (a decoder that turns pictures upright by itself) is no fault.

    Args:
        file: the dump.
        picture: one of its pictures.
        data: its encoded bytes; None where nobody has them.
        contract: what should have been followed.

    Raises:
        Invalid: an array of the dump is of another kind than its step.
        Damaged: one cannot be read.
    """
    return _Walk(file, picture, data, contract).walked()


class _Walk:
    def __init__(
        self, file: DumpFile, picture: DumpPicture, data: bytes | None, contract: Contract
    ) -> None:
        self.file, self.picture, self.contract = file, picture, contract
        self.seen = PixelWalk()
        self.data = b""
        self.mine: dict[str, Pixels] = {}
        self.start: Start | None = None
        self.orientation = picture.orientation or 1
        self.size_px: tuple[int, int] | None = None
        self.lossy = False
        if data is not None:
            self._decode(data)

    def walked(self) -> PixelWalk:
        for step in step_order(self.contract):
            got = self.file.step(self.picture, step)
            if got is None:
                continue
            if step in ("orient", "alpha", "colour") and self.size_px is None:
                self.size_px = (got.shape[1], got.shape[0])
            self._hold(step, got)
            if step == "tensor":
                self.seen.tensor = got
        if self.seen.tensor is None:
            self.seen.tensor = self._tensor()
        return self.seen

    def _decode(self, data: bytes) -> None:
        try:
            found: Decoded = decode(data)
        except DarkroomError as error:
            self.seen.notes.append(f"{self.picture.name} is not read here: {error.message}")
            return
        self.data, self.orientation = data, found.orientation
        self.mine = ours(found, self.contract)
        self.start = Start("decode", found.pixels)
        self.size_px = (self.mine["orient"].shape[1], self.mine["orient"].shape[0])
        profile = any("profile applied" in note for note in found.notes)
        self.lossy = profile or data.startswith(LOSSY)

    def _hold(self, step: str, got: Pixels) -> None:
        if self.start is None:
            self.start = Start(step, got)
            self.seen.notes.append(
                f"{self.picture.name}: nobody has its bytes, so it is taken as it is from {step} on"
            )
            return
        way = self._way()
        wants = [want for want in (self.mine.get(step), way.until(step)) if want is not None]
        if not wants:
            self.start, self.data = Start(step, got), b""
            return
        got = _in_layout(got, wants[0])
        near = self._nearest(step, got, wants)
        self.seen.compared[step] = max(self.seen.compared.get(step, 0.0), near)
        if near <= (DECODERS_APART if step == "decode" and self.lossy else 0):
            if step in self.mine and np.array_equal(got, self.mine[step]):
                self.seen.partings.clear()  # what differed before is put right
        elif not self._upright_by_itself(step, got):
            unsaid = self.lossy and way.start.step == "decode" and step != "decode" and bool(way.data)
            self.seen.partings.append(Parting(self.picture.name, step, way, got, wants[-1], unsaid))
        else:
            return
        self.start, self.data = Start(step, got), b""

    def _way(self) -> Development:
        assert self.start is not None
        orientation = self.orientation if self.start.step == "decode" else 1
        return Development(self.contract, self.start, orientation, self.size_px, self.data)

    def _nearest(self, step: str, got: Pixels, wants: list[Pixels]) -> float:
        alike = [float(apart(got, want).max()) for want in wants if want.shape == got.shape]
        return min(alike, default=float("inf"))

    def _upright_by_itself(self, step: str, got: Pixels) -> bool:
        """Takes decoded pixels that are those of a later step already."""
        if step != "decode":
            return False
        for later in ("orient", "alpha", "colour"):
            mine = self.mine.get(later)
            if mine is None or mine.shape != got.shape:
                continue
            if apart(got, mine).max() <= (DECODERS_APART if self.lossy else 0):
                self.start, self.data = Start(later, got), b""
                self.seen.notes.append(
                    f"{self.picture.name}: its decoder does what the steps up to {later} do"
                )
                self.seen.compared[step] = 0.0
                return True
        return False

    def _tensor(self) -> Pixels | None:
        if self.start is None:
            return None
        made = self._way().until("tensor")
        return made if made is not None and made.shape == self.contract.shape else None


def apart(one: Pixels, other: Pixels) -> np.ndarray:
    """Returns how far two pictures of one shape lie apart, value by value, in levels."""
    return np.maximum(one, other) - np.minimum(one, other)


def _in_layout(got: Pixels, want: Pixels) -> Pixels:
    """Returns the same picture in as many channels as are wanted, where that loses nothing."""
    have, asked = got.shape[2], want.shape[2]
    if have == 4 and asked in (1, 3) and (got[:, :, 3] == 255).all():
        got = got[:, :, :3]
        have = 3
    if have == 1 and asked == 3:
        return np.repeat(got, 3, axis=2)
    if have == 3 and asked == 1 and (got == got[:, :, :1]).all():
        return got[:, :, :1]
    return got
