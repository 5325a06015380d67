"""Augmentation of whole batches on the training's device: one warp, one colour matrix, noise.

What is drawn for a picture is drawn for a whole epoch at once; a batch then costs one grid and one
sampling. A mask goes through the same warp as its picture. Pictures come in normalised, as the network
takes them; what is said in grey levels is translated when it is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.images.overlay import overlay
from darkroom.networks.image_model import scale_and_shift
from darkroom.records import Normalisation
from darkroom.tasks.overlap import IGNORE
from darkroom.training.recipe import Augment

__all__ = ["Augmenter", "Draws", "preview", "warp"]

PADDING = {"edge": "border", "mirror": "reflection", "mean": "zeros"}  # 0 is the mean, normalised
MIDDLE_GREY = 127.5
GREY_OF_RGB = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in the contract


@dataclass(frozen=True)
class Draws:
    """What was drawn for N pictures; None where nothing changes."""

    theta: Tensor | None
    """(N, 2, 3): where in the picture each point of the result is read, both in -1..1."""
    colour: Tensor | None
    """(N, C, C + 1): matrix and offset for normalised values."""

    def part(self, start: int, end: int) -> Draws:
        """Returns the draws of pictures start..end."""
        return Draws(
            None if self.theta is None else self.theta[start:end],
            None if self.colour is None else self.colour[start:end],
        )


class Augmenter:
    """Draws random changes and makes them.

    Args:
        augment: which changes, and how large.
        shape: (height, width, channels) of a picture.
        normalisation: that of the pictures.
        device: where batches are.
        mean_image: (H, W, C), for pictures from which a mean picture was subtracted: it stays where it is
            while the pictures move.
    """

    grid: Tensor
    """(3, h·w): x, y, 1 of each pixel's centre in -1..1; what `warp` takes."""
    size: tuple[int, int]
    """(h, w) of what training sees: of the picture, or of a crop."""

    def __init__(
        self,
        augment: Augment,
        shape: tuple[int, int, int],
        normalisation: Normalisation,
        device: torch.device,
        mean_image: Tensor | None = None,
    ) -> None:
        self.augment = augment
        self._difference = _from_mean(mean_image, normalisation, device)
        scale, shift = scale_and_shift(normalisation)
        self._scale, self._shift = scale[:, None].to(device), shift[:, None].to(device)
        self._height, self._width, self._channels = shape
        self._device = device
        self.size = (augment.crop_px, augment.crop_px) if augment.crop_px else (self._height, self._width)
        self.grid = _points(*self.size).to(device)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Draws the changes of `count` pictures from a generator of the processor."""
        theta, colour = self._draw_theta(count, generator), self._draw_colour(count, generator)
        return Draws(
            None if theta is None else theta.float().to(self._device),
            None if colour is None else colour.float().to(self._device),
        )

    def apply(self, values: Tensor, draws: Draws, noise: torch.Generator) -> Tensor:
        """Returns changed pictures (n, C, h, w).

        Args:
            values: (n, C, H, W) float32, normalised.
            draws: for these n pictures.
            noise: a generator of the device.
        """
        if self._difference is None or self.augment == Augment():
            return self._changed(values, draws, noise)
        return self._changed(values + self._difference, draws, noise) - self._difference

    def apply_to_labels(self, labels: Tensor, draws: Draws) -> Tensor:
        """Returns labels for changed pictures: masks (n, H, W) uint8 moved as they were, (n, h, w); others
        as they are. What comes in from outside is not said.
        """
        if labels.ndim < 3 or draws.theta is None:
            return labels
        # 0 is what comes in from outside, so it has to mean "not said" while the masks are moved.
        shifted = torch.where(labels == IGNORE, 0, labels + 1).float()[:, None]
        moved = warp(shifted, draws.theta, self.grid, edge="mean", mode="nearest", size=self.size)
        return torch.where(moved == 0, float(IGNORE), moved - 1)[:, 0].to(torch.uint8)

    def _changed(self, values: Tensor, draws: Draws, noise: torch.Generator) -> Tensor:
        if draws.theta is not None:
            values = warp(values, draws.theta, self.grid, edge=self.augment.edge, size=self.size)
        if draws.colour is not None:
            matrix, offset = draws.colour[:, :, :-1], draws.colour[:, :, -1:]
            values = self._clamp(torch.baddbmm(offset, matrix, values.flatten(2)), values.shape)
        if self.augment.noise > 0:
            grain = torch.empty_like(values).normal_(0, 255 * self.augment.noise, generator=noise)
            values = self._clamp((values + grain * self._scale[:, :, None]).flatten(2), values.shape)
        return values

    def _clamp(self, flat: Tensor, shape: torch.Size) -> Tensor:
        """Keeps (n, C, H·W) within black and white."""
        return torch.clamp(flat, self._shift, 255 * self._scale + self._shift).view(shape)

    def _draw_theta(self, count: int, generator: torch.Generator) -> Tensor | None:
        chosen = self.augment
        moves = chosen.rotate_deg or chosen.zoom or chosen.shift or chosen.crop or chosen.flip != "none"
        if not (moves or chosen.crop_px):
            return None
        draw = _Drawer(count, generator)
        angle = draw.around_zero(math.radians(chosen.rotate_deg))
        size = torch.exp(-draw.around_zero(math.log1p(chosen.zoom)))
        kept = 1 - chosen.crop * draw.zero_to_one()
        x = draw.around_zero(1.0) * (1 - kept) + draw.around_zero(2 * chosen.shift)
        y = draw.around_zero(1.0) * (1 - kept) + draw.around_zero(2 * chosen.shift)
        mirror_x, mirror_y = draw.sign(), draw.sign()
        scale_x = size * kept * (mirror_x if chosen.flip in ("horizontal", "both") else 1)
        scale_y = size * kept * (mirror_y if chosen.flip in ("vertical", "both") else 1)
        slant = self._height / self._width  # a turn is a turn in pixels, not in units of -1..1
        rows = (
            torch.stack([scale_x * torch.cos(angle), -scale_y * torch.sin(angle) * slant, x], 1),
            torch.stack([scale_x * torch.sin(angle) / slant, scale_y * torch.cos(angle), y], 1),
        )
        theta = torch.stack(rows, 1)
        return self._cut(theta, draw) if chosen.crop_px else theta

    def _cut(self, theta: Tensor, draw: _Drawer) -> Tensor:
        """Returns the warp of squares cut from anywhere in the result of a warp (N, 2, 3).

        The square's left edge lies from 0 to as far right as it can without leaving the picture, at whole
        pixels; where the picture is the smaller one, the square lies around it in the same way.
        """
        matrix = torch.eye(3, dtype=theta.dtype).repeat(len(theta), 1, 1)
        sides = zip(self.size[::-1], (self._width, self._height), strict=True)
        for axis, (cut, whole) in enumerate(sides):
            room = whole - cut
            first = torch.floor(draw.zero_to_one() * (abs(room) + 1)) * (1 if room >= 0 else -1)
            matrix[:, axis, axis] = cut / whole
            matrix[:, axis, 2] = (2 * first + cut) / whole - 1
        return theta @ matrix

    def _draw_colour(self, count: int, generator: torch.Generator) -> Tensor | None:
        chosen, channels = self.augment, self._channels
        of_rgb = channels == 3 and (chosen.saturation or chosen.hue_deg)
        if not (chosen.brightness or chosen.contrast or chosen.invert or of_rgb):
            return None
        draw = _Drawer(count, generator)
        lighter = draw.around_zero(255 * chosen.brightness)
        contrast = 1 + draw.around_zero(chosen.contrast)
        inverted = torch.where(draw.zero_to_one() < chosen.invert, -1.0, 1.0)
        matrix = torch.eye(channels, dtype=torch.float64).expand(count, channels, channels)
        if of_rgb:
            matrix = _saturation(1 + draw.around_zero(chosen.saturation)) @ matrix
            matrix = _hue(draw.around_zero(math.radians(chosen.hue_deg))) @ matrix
        gain = contrast * inverted
        offset = MIDDLE_GREY * (1 - gain) + lighter * inverted
        return self._as_normalised(matrix * gain[:, None, None], offset[:, None, None])

    def _as_normalised(self, matrix: Tensor, offset: Tensor) -> Tensor:
        """Translates q = M·p + o for p in 0..255 into the same for p·scale + shift."""
        scale, shift = self._scale.cpu().double(), self._shift.cpu().double()
        translated = scale * matrix / scale.T
        return torch.cat([translated, scale * offset + shift - translated @ shift], 2)


def warp(
    values: Tensor,
    theta: Tensor,
    grid: Tensor,
    *,
    edge: str = "edge",
    mode: str = "bilinear",
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Returns pictures (n, C, h, w) read at moved points.

    Args:
        values: (n, C, H, W) float32.
        theta: (n, 2, 3), see `Draws`.
        grid: (3, h·w): x, y, 1 of each pixel's centre in -1..1.
        edge: "edge", "mirror" or "mean".
        mode: "bilinear" for pictures, "nearest" for masks.
        size: (h, w) of the result; as the pictures are when not given.
    """
    count = len(values)
    height, width = (values.shape[2], values.shape[3]) if size is None else size
    points = (theta.reshape(-1, 3) @ grid).view(count, 2, height, width)  # one product for the batch
    return functional.grid_sample(
        values, points.permute(0, 2, 3, 1), mode=mode, padding_mode=PADDING[edge], align_corners=False
    )


def preview(
    images: np.ndarray,
    augment: Augment,
    normalisation: Normalisation | None = None,
    *,
    seed: int,
    columns: int = 8,
    masks: np.ndarray | None = None,
) -> np.ndarray:
    """Returns a contact sheet (H, W, C) uint8: each row a picture as it is, then changed versions.

    Args:
        images: (n, H, W, C) uint8.
        augment: which changes.
        normalisation: that of the training; None takes the mean of these pictures.
        seed: what decides the draws.
        columns: pictures in a row.
        masks: (n, H, W) uint8, moved as the pictures are and drawn over them; the sheet is in RGB then.
    """
    if normalisation is None:
        mean = images.mean((0, 1, 2), dtype=np.float64) / 255
        normalisation = Normalisation(mean=tuple(mean.tolist()), std=(1.0,) * images.shape[3])
    generator = torch.Generator().manual_seed(seed)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    augmenter = Augmenter(augment, shape, normalisation, torch.device("cpu"))
    scale, shift = (row[:, None, None] for row in scale_and_shift(normalisation))
    pictures = torch.from_numpy(np.array(images))
    repeated = pictures.repeat_interleave(columns - 1, 0).permute(0, 3, 1, 2)
    draws = augmenter.draw(len(repeated), generator)
    values = (augmenter.apply(repeated * scale + shift, draws, generator) - shift) / scale
    changed = values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    if masks is not None:
        moved = augmenter.apply_to_labels(
            torch.from_numpy(np.array(masks)).repeat_interleave(columns - 1, 0), draws
        )
        changed = torch.from_numpy(overlay(changed.numpy(), moved.numpy()))
        pictures = torch.from_numpy(overlay(images, masks))
    changed = _as_large(changed, images.shape[1:3]).unflatten(0, (len(images), columns - 1))
    cells = torch.cat([pictures[:, None], changed], 1)
    enlarged = max(1, 56 // min(images.shape[1:3]))  # so that small pictures can be seen
    cells = cells.repeat_interleave(enlarged, 2).repeat_interleave(enlarged, 3)
    cells = functional.pad(cells, (0, 0, 1, 1, 1, 1), value=128)
    rows, _, height, width, channels = cells.shape
    return cells.permute(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels).numpy()


def _as_large(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns crops (n, h, w, C) in the middle of cells of a picture's size; what is too large is cut."""
    height, width = size
    pictures = pictures[:, :height, :width]
    top, left = (height - pictures.shape[1]) // 2, (width - pictures.shape[2]) // 2
    bottom, right = height - pictures.shape[1] - top, width - pictures.shape[2] - left
    return functional.pad(pictures, (0, 0, left, right, top, bottom), value=128)


class _Drawer:
    """Rows of random numbers, float64."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._count, self._generator = count, generator

    def zero_to_one(self) -> Tensor:
        return torch.rand(self._count, generator=self._generator, dtype=torch.float64)

    def around_zero(self, most: float) -> Tensor:
        return (2 * self.zero_to_one() - 1) * most

    def sign(self) -> Tensor:
        return torch.where(self.zero_to_one() < 0.5, -1.0, 1.0)


def _from_mean(image: Tensor | None, normalisation: Normalisation, device: torch.device) -> Tensor | None:
    """Returns how far a mean picture (H, W, C) is from its mean, as the network's input (C, H, W)."""
    if image is None:
        return None
    mean, std = (
        torch.tensor(part, dtype=torch.float64) for part in (normalisation.mean, normalisation.std)
    )
    return ((image.double().cpu() - mean) / std).float().permute(2, 0, 1).to(device)


def _points(height: int, width: int) -> Tensor:
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)]).reshape(3, -1).float()


def _saturation(amount: Tensor) -> Tensor:
    grey = torch.tensor(GREY_OF_RGB, dtype=torch.float64).expand(3, 3)
    eye = torch.eye(3, dtype=torch.float64)
    return amount[:, None, None] * eye + (1 - amount)[:, None, None] * grey


def _hue(angle: Tensor) -> Tensor:
    """Turns colours about the grey axis. Source: Rodrigues' rotation formula with axis (1, 1, 1)/√3."""
    third = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    cosine, sine = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cosine * torch.eye(3, dtype=torch.float64) + sine * cross + (1 - cosine) * third
