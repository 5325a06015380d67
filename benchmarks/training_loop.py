"""Our whole training loop against the fastest bare loop and against the usual way, LeNet on MNIST.

    python benchmarks/training_loop.py [--mnist DIR] [--json] [--rounds 30]

All run in one process with the same batch size, threads, precision and optimiser. After each step of
`train()`, where it asks whether to stop, the bare loop makes one step; after each epoch the usual way
trains an epoch (not a step: its workers would work on in our time). Ours is all the time outside these
pauses, summed over each epoch: gather, augmentation, forward, backward, step, loss and accuracy, metrics,
curves, events, checkpoints. Compared are medians and 20th percentiles over epochs.

- bare: pictures normalised beforehand, float32 in memory, channels-last, fused optimiser, no logging.
- usual: DataLoader over PIL pictures with 0 or 2 workers, whichever is faster, and for each picture what
  torchvision's RandomAffine, RandomHorizontalFlip, ToTensor and Normalize call, written out here, as
  torchvision is not among the dependencies; loss and accuracy are read with .item() at each step.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mnist import BESIDE, MemoryRendering, read_mnist
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from darkroom.networks import build
from darkroom.records import Contract
from darkroom.training import Augment, CardFacts, Optimiser, Recipe, Schedule
from darkroom.training.loop import train

IMAGES, THREADS, WARM_UP = 4500, 2, 3
AUGMENT = Augment(rotate_deg=15, zoom=0.1, shift=0.1, flip="horizontal")
FACTS = CardFacts(
    labels=tuple("0123456789"), contract=Contract(width_px=28, height_px=28, colour="grey"), dataset="mnist"
)


def main() -> int:
    options = _options()
    images, labels = read_mnist(options.mnist, count=IMAGES)
    held = True
    for batch_size in (64, 128):
        for augment in (Augment(), AUGMENT):
            bare = _bare_steps(images, labels, batch_size)
            usual = {}
            if augment != Augment():
                usual = {f"usual{n}": _usual_epochs(images, labels, batch_size, n) for n in (0, 2)}
            times = _interleave(images, labels, batch_size, augment, bare, usual, options.rounds)
            held &= _report(times, batch_size, augment != Augment(), options.json)
    return 0 if held else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, default=BESIDE, help="folder with MNIST's idx.gz files")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--rounds", type=int, default=30, help="epochs of each")
    return parser.parse_args()


class _Rivals:
    """Runs the rivals in the pauses of `train()` and keeps the time of each, epoch by epoch."""

    def __init__(self, bare, usual):
        self.bare, self.usual = bare, usual
        self.times = {"ours": [0.0], "bare": [0.0], **{name: [] for name in usual}}
        self.resumed = time.perf_counter()

    def after_step(self):
        self.times["ours"][-1] += time.perf_counter() - self.resumed
        torch.use_deterministic_algorithms(False)
        self.times["bare"][-1] += _seconds(self.bare)
        torch.use_deterministic_algorithms(True)
        self.resumed = time.perf_counter()
        return False

    def after_epoch(self, done, total, figures):
        if "train_loss" not in figures:
            return
        self.times["ours"][-1] += time.perf_counter() - self.resumed
        torch.use_deterministic_algorithms(False)
        for name, rival in self.usual.items():
            self.times[name].append(_seconds(rival))
        torch.use_deterministic_algorithms(True)
        self.times["ours"].append(0.0)
        self.times["bare"].append(0.0)
        self.resumed = time.perf_counter()


def _seconds(rival):
    start = time.perf_counter()
    next(rival)
    return time.perf_counter() - start


def _interleave(images, labels, batch_size, augment, bare, usual, rounds):
    """Returns seconds per epoch by name."""
    recipe = Recipe(
        epochs=rounds + WARM_UP,
        batch_size=batch_size,
        learning_rate=0.01,
        optimiser=Optimiser(name="sgd"),
        schedule=Schedule(name="cosine"),
        augment=augment,
        threads=THREADS,
        device="cpu",
    )
    rivals = _Rivals(bare, usual)
    with tempfile.TemporaryDirectory() as folder:
        train(
            Path(folder),
            rendering=MemoryRendering(images, labels),
            recipe=recipe,
            seed=0,
            facts=FACTS,
            on_progress=rivals.after_epoch,
            should_stop=rivals.after_step,
        )
    epochs = slice(WARM_UP, WARM_UP + rounds)
    return {name: np.array(values[epochs]) for name, values in rivals.times.items()}


def _network():
    torch.manual_seed(0)
    network = build("lenet5", channels=1, size=(28, 28), classes=10)
    return network.to(memory_format=torch.channels_last).train()


def _bare_steps(images, labels, batch_size):
    network = _network()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    x = (torch.from_numpy(images.copy()).float() / 255 - 0.1307) / 0.3081
    x, y = x.permute(0, 3, 1, 2), torch.from_numpy(labels)
    while True:
        for chosen in torch.randperm(len(x)).split(batch_size):
            functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimiser.step()
            optimiser.zero_grad()
            yield


class _Pictures(Dataset):
    def __init__(self, images, labels):
        self.pictures = [Image.fromarray(image[..., 0]) for image in images]
        self.labels = labels
        self.transforms = (_RandomAffine(), _RandomHorizontalFlip(), _ToTensor(), _Normalize())

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        picture = self.pictures[index]
        for transform in self.transforms:
            picture = transform(picture)
        return picture, int(self.labels[index])


class _RandomAffine(torch.nn.Module):
    """What torchvision draws (torch's generator) and hands to Pillow, without its checks of arguments."""

    def forward(self, picture):
        width, height = picture.size
        angle = float(torch.empty(1).uniform_(-AUGMENT.rotate_deg, AUGMENT.rotate_deg).item())
        most_x, most_y = AUGMENT.shift * width, AUGMENT.shift * height
        x = round(torch.empty(1).uniform_(-most_x, most_x).item())
        y = round(torch.empty(1).uniform_(-most_y, most_y).item())
        scale = float(torch.empty(1).uniform_(1 - AUGMENT.zoom, 1 + AUGMENT.zoom).item())
        turn, middle_x, middle_y = math.radians(angle), width / 2, height / 2
        cosine, sine = math.cos(turn) / scale, math.sin(turn) / scale
        matrix = [cosine, sine, 0.0, -sine, cosine, 0.0]
        matrix[2] += middle_x - cosine * (middle_x + x) - sine * (middle_y + y)
        matrix[5] += middle_y + sine * (middle_x + x) - cosine * (middle_y + y)
        affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return picture.transform((width, height), affine, matrix, bilinear, fillcolor=0)


class _RandomHorizontalFlip(torch.nn.Module):
    def forward(self, picture):
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(1) < 0.5 else picture


class _ToTensor:
    def __call__(self, picture):
        tensor = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        tensor = tensor.view(picture.size[1], picture.size[0], 1).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255)


class _Normalize(torch.nn.Module):
    def forward(self, tensor):
        tensor = tensor.clone()
        mean = torch.as_tensor((0.1307,), dtype=tensor.dtype)
        deviation = torch.as_tensor((0.3081,), dtype=tensor.dtype)
        if (deviation == 0).any():
            raise ValueError(deviation)
        return tensor.sub_(mean.view(-1, 1, 1)).div_(deviation.view(-1, 1, 1))


def _usual_epochs(images, labels, batch_size, workers):
    network = _network().to(memory_format=torch.contiguous_format)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    loader = DataLoader(
        _Pictures(images, labels),
        batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        total, correct = 0.0, 0
        for x, y in loader:
            optimiser.zero_grad()
            logits = network(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
            correct += (logits.argmax(1) == y).sum().item()
        yield


def _report(times, batch_size, augmented, as_json):
    kind = "warp" if augmented else "plain"
    bare = {"median": np.median(times["bare"]), "p20": np.percentile(times["bare"], 20)}
    ours = {"median": np.median(times["ours"]), "p20": np.percentile(times["ours"], 20)}
    lines = [
        (f"{kind}.batch{batch_size}.over_bare.{what}", bare[what] / ours[what], 0.85 if augmented else 0.95)
        for what in ("median", "p20")
    ]
    if augmented:
        rivals = [times["usual0"], times["usual2"]]
        best = {
            "median": min(np.median(rival) for rival in rivals),
            "p20": min(np.percentile(rival, 20) for rival in rivals),
        }
        lines += [
            (f"{kind}.batch{batch_size}.over_usual.{what}", best[what] / ours[what], 2.3) for what in best
        ]
    for name, value, bar in lines:
        line = {"name": f"training_loop.{name}", "value": round(float(value), 3), "bar": bar}
        line["holds"] = bool(value >= bar)
        sys.stdout.write(json.dumps(line) + "\n" if as_json else _sentence(**line, times=ours))
    sys.stdout.flush()
    return all(value >= bar for _, value, bar in lines)


def _sentence(name, value, bar, holds, times):
    verdict = "holds" if holds else "MISSED"
    return f"{name:48s} {value:6.3f}  bar {bar:4.2f}  {verdict}  (ours {times['median'] * 1e3:.0f} ms)\n"


if __name__ == "__main__":
    raise SystemExit(main())
