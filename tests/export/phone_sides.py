"""Other sides, written as other people write them: each leaves the contract at one place, by its own code.

Pillow, NumPy and torch are used here as apps use them; nothing of Darkroom computes the fault.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps

from darkroom.bundle.dump import Dump, DumpSide
from darkroom.bundle.dump_writer import DumpedPicture
from darkroom.bundle.profiled import wide_profile
from darkroom.images import Decoded, apply_contract, decode
from darkroom.networks import build
from darkroom.networks.network import Network
from darkroom.records import Contract, ModelCard, Normalisation, now

Pixels = np.ndarray
Prepare = Callable[[bytes, Contract], Pixels]

CONTRACT = Contract(width_px=28, height_px=24, colour="rgb", resize="crop")
LABELS = ("red", "green", "blue", "grey")
WIDTH, HEIGHT = CONTRACT.width_px, CONTRACT.height_px


def photos(seed: int = 5) -> dict[str, bytes]:
    """Pictures of odd sizes, plain, turned, with a colour profile, with transparent pixels."""
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "plain.png": _png(_scene(97, 61, seed)),
        "high.png": _png(_scene(53, 118, seed + 1)),
        "turned.png": _png(_scene(101, 67, seed + 2), exif=turned),
        "profile.png": _png(_scene(90, 71, seed + 3), icc_profile=wide_profile()),
        "small.png": _png(_scene(19, 13, seed + 4)),
        "alpha.png": _png(_with_alpha(_scene(83, 59, seed + 5))),
    }


def _scene(width: int, height: int, seed: int) -> Image.Image:
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int64)
    return Image.fromarray((smooth + draw.integers(-30, 31, smooth.shape)).clip(0, 255).astype(np.uint8))


def _with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(
        Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1)))
    )
    return image


def _png(image: Image.Image, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **more)
    return file.getvalue()


# --- From bytes to the tensor, as contract sides do it, and with one fault each. ---


def sound(data: bytes, contract: Contract) -> Pixels:
    return apply_contract(decode(data), contract).tensor


def bgr(data: bytes, contract: Contract) -> Pixels:
    """OpenCV's order of channels."""
    return np.ascontiguousarray(np.asarray(_cut(_opened(data), contract))[:, :, ::-1])


def squash(data: bytes, contract: Contract) -> Pixels:
    image = _opened(data)
    return np.asarray(_two_calls(image, contract.width_px, contract.height_px))


def vertical_first(data: bytes, contract: Contract) -> Pixels:
    image = _box(_opened(data), contract)
    rows = image.resize((image.width, contract.height_px), Image.Resampling.BILINEAR)
    return np.asarray(rows.resize((contract.width_px, contract.height_px), Image.Resampling.BILINEAR))


def twice(data: bytes, contract: Contract) -> Pixels:
    """To 256 pixels by the app, which cuts the middle out; then once more for the network."""
    image = _two_calls(_box(_opened(data), contract), 256, 256)
    return np.asarray(_two_calls(image, contract.width_px, contract.height_px))


def floats(data: bytes, contract: Contract) -> Pixels:
    """torch's own antialiased resize, of floating point numbers."""
    pixels = torch.from_numpy(np.array(_box(_opened(data), contract))).permute(2, 0, 1)[None].float()
    size = (contract.height_px, contract.width_px)
    resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return (resized[0].permute(1, 2, 0) + 0.5).floor().clamp(0, 255).byte().numpy()


def without_exif(data: bytes, contract: Contract) -> Pixels:
    found = decode(data)
    return apply_contract(Decoded(found.image), contract).tensor


def stripped(data: bytes) -> bytes:
    """The same pixels without what the camera noted."""
    return _png(Image.open(io.BytesIO(data)).copy(), exif=Image.Exif())


def without_profile(data: bytes, contract: Contract) -> Pixels:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(_cut(_on_white(image), contract))


def nearest_four(data: bytes, contract: Contract) -> Pixels:
    """Bilinear without antialiasing, as graphics cards do it."""
    pixels = torch.from_numpy(np.array(_box(_opened(data), contract))).permute(2, 0, 1)[None].float()
    size = (contract.height_px, contract.width_px)
    resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", align_corners=False)
    return (resized[0].permute(1, 2, 0) + 0.5).floor().clamp(0, 255).byte().numpy()


def alpha_on_black(data: bytes, contract: Contract) -> Pixels:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode != "RGBA":
        return sound(data, contract)
    ground = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return np.asarray(_cut(Image.alpha_composite(ground, image).convert("RGB"), contract))


@dataclass(frozen=True)
class Fault:
    prepare: Prepare
    step: str
    """The step that is to be named."""
    cause: str
    """How the cause begins."""
    shown_by: tuple[str, ...] = ()
    """Pictures that show it; all where none are named."""


FAULTS: dict[str, Fault] = {
    "bgr": Fault(bgr, "channels", "bgr"),
    "squash for crop": Fault(squash, "crop", "squash-for-crop"),
    "vertical then horizontal": Fault(vertical_first, "resize_horizontal", "vertical-first"),
    "resized twice": Fault(twice, "resize_horizontal", "double-"),
    "float coefficients": Fault(floats, "resize_horizontal", "float-32"),
    "EXIF ignored": Fault(without_exif, "orient", "orientation-ignored", ("turned.png",)),
    "profile ignored": Fault(without_profile, "profile", "profile-ignored", ("profile.png",)),
    "no antialiasing": Fault(nearest_four, "resize_horizontal", "points-half"),
    "alpha on black": Fault(alpha_on_black, "alpha", "alpha-on-black", ("alpha.png",)),
}


def _opened(data: bytes) -> Image.Image:
    """The upright picture in sRGB, RGB, on the contract's colour."""
    found = decode(data)
    flat = apply_contract(found, CONTRACT, trace=True)
    return Image.fromarray(next(step.pixels for step in flat.steps if step.name == "colour"))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, CONTRACT.alpha_colour)
    ground.paste(image, mask=image)
    return ground


def _box(image: Image.Image, contract: Contract) -> Image.Image:
    """The middle of the picture in the tensor's proportions."""
    wide, high = image.size
    across, down = contract.width_px, contract.height_px
    if wide * down > high * across:
        kept = max(1, (2 * high * across + down) // (2 * down))
        return image.crop(((wide - kept) // 2, 0, (wide - kept) // 2 + kept, high))
    kept = max(1, (2 * wide * down + across) // (2 * across))
    return image.crop((0, (high - kept) // 2, wide, (high - kept) // 2 + kept))


def _cut(image: Image.Image, contract: Contract) -> Image.Image:
    return _two_calls(_box(image, contract), contract.width_px, contract.height_px)


def _two_calls(image: Image.Image, width: int, height: int) -> Image.Image:
    rows = image.resize((width, image.height), Image.Resampling.BILINEAR)
    return rows.resize((width, height), Image.Resampling.BILINEAR)


# --- From the tensor to the label. ---


def card() -> ModelCard:
    return ModelCard(
        task="classification",
        labels=LABELS,
        network="lenet5",
        contract=CONTRACT,
        normalisation=Normalisation(mean=(0.42, 0.47, 0.36), std=(0.21, 0.27, 0.24)),
        created_at=now(),
    )


def network() -> Network:
    """A LeNet-5 whose answers spread over all classes."""
    torch.manual_seed(11)
    found = build("lenet5", channels=3, size=(HEIGHT, WIDTH), classes=len(LABELS), options={})
    for layer in found.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.weight.data *= 2.2
    return found.eval()


class Model:
    """The network behind a side; each argument plants a fault.

    Args:
        net: the network.
        mean: subtracted, per channel.
        std: divided by, per channel.
        last: what follows the logits.
        order: places of the classes in the output.
    """

    def __init__(
        self,
        net: Network,
        *,
        mean: tuple[float, ...] = (0.42, 0.47, 0.36),
        std: tuple[float, ...] = (0.21, 0.27, 0.24),
        last: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits.softmax(1),
        order: tuple[int, ...] = (0, 1, 2, 3),
    ) -> None:
        self.net, self.mean, self.std, self.last, self.order = net, mean, std, last, order

    def input(self, tensor: Pixels) -> Pixels:
        return ((tensor / 255.0 - np.array(self.mean)) / np.array(self.std)).astype(np.float32)

    def __call__(self, tensor: Pixels) -> Pixels:
        x = torch.from_numpy(self.input(tensor)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return self.last(self.net(x))[0].numpy()[list(self.order)]


def steps_of(data: bytes, contract: Contract) -> dict[str, Pixels]:
    """Every step of a sound side."""
    return {step.name: step.pixels for step in apply_contract(decode(data), contract, trace=True).steps}


def dumped(
    pictures: Mapping[str, bytes],
    prepare: Prepare,
    model: Callable[[Pixels], Pixels] | None = None,
    *,
    more: Callable[[str, bytes, Pixels], dict[str, Pixels]] = lambda name, data, tensor: {},
) -> Iterator[DumpedPicture]:
    """What a side that tells its tensor, and its answers, writes."""
    for name, data in pictures.items():
        tensor = prepare(data, CONTRACT)
        steps = {"tensor": tensor} | more(name, data, tensor)
        if model is not None:
            steps["probabilities"] = model(tensor)
        yield DumpedPicture(name=name, data=data, steps=steps)


def head(**more: object) -> Dump:
    side = DumpSide(platform="Android 14, a phone", library="an app of its own")
    return Dump(side=side, created_at=now(), labels=LABELS).model_copy(update=more)
