"""What the domain check says about drawn digits, and what its proposals gain.

    python benchmarks/digits_domain.py [--mnist DIR] [--clones 5] [--epochs 30] [--hands 12] [--images 5000]
        [--folder DIR]
        [--page docs/digits-experiment.md] [--json]

The clones of way (a) of digits_experiment.py, each with the sketch of its training pictures. For each
condition: how many drawings are called different, in what, and how many that look in-domain are answered
wrongly. Then the two fixes that the check proposes for red on white: polarity in the contract, and training
with swapped and fainter pictures; what each gains over the same clones. With --page it replaces the part of
the page from its heading on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from digits_experiment import CONTRACT, DOMAIN_PART, TRAIN, TUTORIAL, VAL
from drawn_digits import CONDITIONS, Condition, draw
from mnist import read_mnist
from PIL import Image

import darkroom
from darkroom.domain import DomainAnswer, DomainCheck, Sketch, read_sketch
from darkroom.images import apply_contract, decode
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict_with_embedding
from darkroom.networks.saved import load
from darkroom.records import Contract, Spread
from darkroom.statistics import paired_difference, spread

DARK = CONTRACT.model_copy(update={"enhance": ("dark_background",)})
AUGMENT = {"invert": 0.5, "contrast": 0.4, "brightness": 0.1}
"""What the check proposes for red on white: recipe.augment.invert = 0.5 and .contrast = 0.35 to 0.4; with a
little brightness, for grey sheets."""

WAYS = {
    "as it is": "the clones as they are",
    "contract": 'contract.enhance = ["dark_background"]',
    "augmented": ", ".join(f"augment.{name} = {value:g}" for name, value in AUGMENT.items()),
}


@dataclass(frozen=True)
class Asked:
    """What one clone says about the drawings of one condition."""

    right: np.ndarray
    """(drawings,) bool."""
    answers: list[DomainAnswer]


def main() -> None:
    options = _options()
    with contextlib.ExitStack() as stack:
        folder = options.folder or stack.enter_context(tempfile.TemporaryDirectory())
        project = _project(Path(folder), options)
        plain, swapped = (_trained(project, options, augment) for augment in (None, AUGMENT))
        sketches = [_sketch(project, run, options) for run in (*plain, *swapped)]
        rows = {
            "as it is": [
                _asked(project, *one, CONTRACT, options)
                for one in zip(plain, sketches[: len(plain)], strict=True)
            ],
            "contract": [
                _asked(project, *one, DARK, options)
                for one in zip(plain, sketches[: len(plain)], strict=True)
            ],
            "augmented": [
                _asked(project, *one, CONTRACT, options)
                for one in zip(swapped, sketches[len(plain) :], strict=True)
            ],
        }
        accuracies = {"as it is": _tested(project, plain), "augmented": _tested(project, swapped)}
        same = _same_under_dark(project)
        project.close()
    found = list(_figures(rows, sketches, accuracies))
    if options.json:
        for row in found:
            print(json.dumps(row))
    text = "\n".join(_page(options, rows, sketches[: len(plain)], accuracies, same)) + "\n"
    if options.page:
        before = options.page.read_text(encoding="utf-8").partition(DOMAIN_PART)[0].rstrip()
        options.page.write_text(f"{before}\n\n{text}", encoding="utf-8")
    elif not options.json:
        print(text)


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mnist", type=Path, default=beside, help="folder with MNIST's idx.gz files")
    parser.add_argument("--clones", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hands", type=int, default=12, help="drawings of each digit under each condition")
    parser.add_argument("--test", type=int, default=5000, help="pictures of MNIST's test set")
    parser.add_argument("--images", type=int, default=5000, help="pictures of a split that a sketch sees")
    parser.add_argument("--page", type=Path, help="file of the page whose last part is written")
    parser.add_argument("--folder", type=Path, help="keep the project here: the same call goes on with it")
    parser.add_argument("--json", action="store_true", help="one object per line")
    return parser.parse_args()


def _read(mnist: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_mnist(mnist, name)
    return images[..., 0], labels


def _project(folder: Path, options: argparse.Namespace) -> Any:
    """Makes a project: the pictures of digits_experiment.py, and MNIST's test pictures as test.

    One that lies there already, whole, is opened.
    """
    if (folder / "whole").is_file():
        return darkroom.open(folder)
    images, labels = _read(options.mnist, "train")
    tests = tuple(part[: options.test] for part in _read(options.mnist, "t10k"))
    parts = {
        "train": (images[:TRAIN], labels[:TRAIN]),
        "val": (images[TRAIN : TRAIN + VAL], labels[TRAIN : TRAIN + VAL]),
        "test": tests,
    }
    for split, (pictures, digits) in parts.items():
        for number, (pixels, label) in enumerate(zip(pictures, digits, strict=True)):
            place = folder / "pictures" / split / str(label) / f"{number:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place)
    (folder / "darkroom.toml").write_text('schema_version = 1\n[project]\nname = "experiment"\n')
    project: Any = darkroom.open(folder)
    source = project.source.add(folder=folder / "pictures", format="class-folders")
    for contract in (CONTRACT, DARK):
        project.dataset.freeze(
            dataset="mnist", sources=(source.source,), contract=contract.model_dump(), pictures="none"
        )
    (folder / "whole").touch()
    return project


def _trained(project: Any, options: argparse.Namespace, augment: dict[str, float] | None) -> list[str]:
    schedule = {**TUTORIAL["schedule"], "step_epochs": max(1, options.epochs // 3)}
    recipe = {**TUTORIAL, "epochs": options.epochs, "schedule": schedule, "augment": augment or {}}
    return [
        project.model.train(dataset="mnist@1", recipe=recipe, seed=seed).run
        for seed in range(options.clones)
    ]


def _sketch(project: Any, run: str, options: argparse.Namespace) -> Sketch:
    project.model.domain(run=run, most_images=options.images)
    return read_sketch(project.workspace.runs_folder / run / "domain")


def _same_under_dark(project: Any) -> int:
    """Returns how many pictures of train and val the step `dark_background` changes."""
    from darkroom.datasets import render

    changed = 0
    for split in ("train", "val"):
        first, second = (
            render(project.workspace, project.workspace.catalogue.datasets.get(f"mnist@{number}")).split(
                split
            )
            for number in (1, 2)
        )
        every = np.arange(len(first))
        by_id = {image_id: place for place, image_id in enumerate(second.image_ids)}
        order = np.array([by_id[image_id] for image_id in first.image_ids])
        changed += int((first.gather(every) != second.gather(order)).any((1, 2, 3)).sum())
    if changed:
        raise SystemExit(f"{changed} pictures change: the clones have to be trained again under {DARK}.")
    return changed


def _tested(project: Any, runs: list[str]) -> list[float]:
    return [float(project.model.evaluate(runs=(run,), split="test").rows[0][2]) for run in runs]


def _asked(
    project: Any, run: str, sketch: Sketch, contract: Contract, options: argparse.Namespace
) -> dict[str, Asked]:
    """Asks a clone about all drawings, under a contract that changes none of its training pictures."""
    network, card = load(project.workspace.runs_folder / run / "checkpoints/best.safetensors")
    model = ImageModel.of(network, card)
    facts = sketch.facts.model_copy(update={"contract": contract})
    check = DomainCheck(replace(sketch, facts=facts))
    return {one.name: _asked_about(model, check, one, contract, options.hands) for one in CONDITIONS}


def _asked_about(
    model: ImageModel, check: DomainCheck, condition: Condition, contract: Contract, hands: int
) -> Asked:
    pairs = [(digit, hand) for digit in range(10) for hand in range(hands)]
    prepared = [apply_contract(decode(_png(*pair, condition)), contract) for pair in pairs]
    probabilities, features = predict_with_embedding(model, [np.stack([one.tensor for one in prepared])])
    answers = [
        check.check(one.tensor, one.transform, vector)
        for one, vector in zip(prepared, features, strict=True)
    ]
    return Asked(probabilities.argmax(1) == [digit for digit, _ in pairs], answers)


def _png(digit: int, hand: int, condition: Condition) -> bytes:
    file = io.BytesIO()
    draw(digit, hand, condition).save(file, "PNG")
    return file.getvalue()


def _flagged(one: Asked) -> np.ndarray:
    return np.array([not answer.in_domain for answer in one.answers])


def _named(clones: list[Asked]) -> Counter[str]:
    """Counts the causes named, over all clones."""
    return Counter(
        reason.name
        for one in clones
        for answer in one.answers
        for reason in answer.reasons
        if not reason.follows
    )


def _unnoticed(one: Asked) -> tuple[int, int]:
    """Returns the wrong answers among drawings that look in-domain, and how many drawings look so."""
    fine = ~_flagged(one)
    return int((fine & ~one.right).sum()), int(fine.sum())


def _gain(
    before: list[dict[str, Asked]], after: list[dict[str, Asked]], name: str
) -> tuple[Spread, Spread, Any, Spread]:
    """Returns accuracies before and after, the gain with its interval over drawings, and over clones."""
    first, second = (np.stack([one[name].right for one in way]).astype(float) for way in (before, after))
    paired = paired_difference(second.mean(0), first.mean(0))
    return spread(first.mean(1)), spread(second.mean(1)), paired, spread(second.mean(1) - first.mean(1))


def _figures(
    rows: dict[str, list[dict[str, Asked]]], sketches: list[Sketch], accuracies: dict[str, list[float]]
) -> Iterator[dict[str, Any]]:
    for way, clones in rows.items():
        for condition in CONDITIONS:
            asked = [clone[condition.name] for clone in clones]
            drawings = sum(len(one.right) for one in asked)
            yield {
                "way": way,
                "condition": condition.name,
                "accuracy": [round(float(one.right.mean()), 4) for one in asked],
                "flagged": round(float(np.mean([_flagged(one).mean() for one in asked])), 4),
                "causes": {name: round(n / drawings, 4) for name, n in _named(asked).most_common()},
                "unnoticed_wrong": [sum(pair) for pair in zip(*map(_unnoticed, asked), strict=True)],
            }
    for number, sketch in enumerate(sketches):
        for one in sketch.facts.calibrations:
            yield {"sketch": number, **one.model_dump(mode="json")}
    for way, found in accuracies.items():
        yield {"way": way, "test_accuracy": found}


def _page(
    options: argparse.Namespace,
    rows: dict[str, list[dict[str, Asked]]],
    sketches: list[Sketch],
    accuracies: dict[str, list[float]],
    changed: int,
) -> Iterator[str]:
    yield DOMAIN_PART
    yield ""
    yield "This part is written by `benchmarks/digits_domain.py`. It trains clones as those of (a) again:"
    yield f"{options.clones} of them, {options.epochs} epochs, each at its best epoch with a sketch of"
    yield f"{min(TRAIN, options.images):,} of its training pictures. The thresholds are chosen on"
    yield f"{min(VAL, options.images):,} validation pictures"
    yield f"for 1 % false alarms. {10 * options.hands} drawings per condition: ten digits by"
    yield f"{options.hands} hands."
    yield ""
    yield from _alarm_table(sketches)
    yield from _condition_table(rows["as it is"])
    yield from _gain_table(rows, accuracies, changed)


def _alarm_table(sketches: list[Sketch]) -> Iterator[str]:
    yield "### False alarms"
    yield ""
    yield "| check by | expected, from val | on MNIST's test pictures, mean | lowest, highest clone |"
    yield "|---|---|---|---|"
    for place, first in enumerate(sketches[0].facts.calibrations):
        found = [sketch.facts.calibrations[place].measured for sketch in sketches]
        shares = [one.value for one in found if one is not None]
        expected, count = first.expected, max(one.count for one in found if one is not None)
        yield (
            f"| {first.used} | {expected.value:.2%} [{expected.low:.2%}, {expected.high:.2%}] "
            f"| {statistics.fmean(shares):.2%} of {count:,} | {min(shares):.2%}, {max(shares):.2%} |"
        )
    yield ""


def _condition_table(clones: list[dict[str, Asked]]) -> Iterator[str]:
    yield "### What it says about the drawings"
    yield ""
    yield "Shares are means over the clones; a drawing may differ in several things. The last column says"
    yield 'how often "looks in-domain" was followed by a wrong answer.'
    yield ""
    yield "| condition | answered rightly | called different | cause named | wrong, yet looks in-domain |"
    yield "|---|---|---|---|---|"
    for condition in CONDITIONS:
        asked = [clone[condition.name] for clone in clones]
        drawings = sum(len(one.right) for one in asked)
        named = ", ".join(f"{name} {n / drawings:.0%}" for name, n in _named(asked).most_common(4))
        wrong, fine = (sum(part) for part in zip(*map(_unnoticed, asked), strict=True))
        rest = f"{wrong} of {fine} ({wrong / fine:.0%})" if fine else "none looks so"
        right = statistics.fmean(float(one.right.mean()) for one in asked)
        flagged = statistics.fmean(float(_flagged(one).mean()) for one in asked)
        yield f"| {condition.name} | {right:.2f} | {flagged:.0%} | {named or '—'} | {rest} |"
    yield ""
    red = next(one for one in CONDITIONS if one.name.startswith("red"))
    answer = clones[0][red.name].answers[0]
    yield f'For the first drawing in red on white the first clone\'s check says: "{answer.words}".'
    yield "It proposes:"
    yield ""
    yield from (f"- {fix}" for fix in answer.fixes)
    yield ""


def _gain_table(
    rows: dict[str, list[dict[str, Asked]]], accuracies: dict[str, list[float]], changed: int
) -> Iterator[str]:
    tested = {way: spread(found) for way, found in accuracies.items()}
    yield "### What the fixes gain"
    yield ""
    yield f"- **contract**: `{WAYS['contract']}`. It changes {changed} of the {TRAIN + VAL:,} training"
    yield "  and validation pictures: a training under it gives the same weights again, which are asked."
    yield f"- **augmented**: the same clones trained with `{WAYS['augmented']}`. On MNIST's test pictures"
    yield f"  they are right on {_spoken(tested['augmented'])},"
    yield f"  those without on {_spoken(tested['as it is'])}."
    yield ""
    yield "Accuracy on the drawings: mean over the clones ± sd, [worst, best clone]. The gain is paired:"
    yield "the same drawings and seeds; its 95 % interval over drawings, then over clones (Student's t)."
    yield ""
    yield "| condition | before | contract | gain | augmented | gain |"
    yield "|---|---|---|---|---|---|"
    for condition in CONDITIONS:
        cells = []
        for way in ("contract", "augmented"):
            before, after, paired, over_clones = _gain(rows["as it is"], rows[way], condition.name)
            cells += [_spoken(after), _spoken_gain(paired, over_clones)]
        yield f"| {condition.name} | {_spoken(before)} | " + " | ".join(cells) + " |"
    yield ""
    yield "How many are called different afterwards, and the causes named:"
    yield ""
    yield "| condition | contract | augmented |"
    yield "|---|---|---|"
    for condition in CONDITIONS:
        cells = []
        for way in ("contract", "augmented"):
            asked = [clone[condition.name] for clone in rows[way]]
            share = statistics.fmean(float(_flagged(one).mean()) for one in asked)
            names = ", ".join(name for name, _ in _named(asked).most_common(3))
            cells.append(f"{share:.0%}" + (f" ({names})" if names else ""))
        yield f"| {condition.name} | " + " | ".join(cells) + " |"
    yield ""


def _spoken(found: Spread) -> str:
    return f"{found.mean:.3f} ± {found.sd or 0:.3f} [{found.min:.3f}, {found.max:.3f}]"


def _spoken_gain(paired: Any, clones: Spread) -> str:
    over = clones.interval
    t = f"; clones [{over.low:+.3f}, {over.high:+.3f}]" if over is not None else ""
    return f"{paired.value:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]{t}"


if __name__ == "__main__":
    os.environ.setdefault("DARKROOM_PROGRESS", "0")
    main()
