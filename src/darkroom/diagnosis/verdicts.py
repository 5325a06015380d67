"""The rules: each holds a suspicion against the evidence: found, not found, or not enough evidence.

A cause is found only where something beside the curve shows it: a short training without the cause does
better on the same pictures, with the whole interval on the better side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from darkroom.diagnosis.evidence import Answers, Evidence, apart, gain, share
from darkroom.diagnosis.standing import (
    AS_IT_IS,
    HALF,
    LARGER,
    RATES,
    REGULARISED,
    WELL,
    best_rate,
    forgets,
    learns_badly,
    rate_name,
)
from darkroom.diagnosis.verdict import Verdict
from darkroom.diagnosis.words import (
    ends,
    gap_said,
    last_is_best,
    mean_loss,
    norm_said,
    percent,
    points_of,
    right_on,
    risen,
)
from darkroom.records import Interval

__all__ = ["diagnose", "labels", "rate_high", "rate_low"]

MUCH_LESS = 0.85
"""A short training beats a run where its loss is this share of the run's or less, in pairs."""

LABELS_WRONG = 0.04
"""From this share on, at the lower end of the interval, labels are called wrong. Of clean sets the surest
third of the pictures disagrees in up to about one in a hundred."""

STRONG = 0.7
"""Features tell enough about labels where they answer this share of what wrong labels leave."""

HALF_RIGHT = 0.5
"""And at least this share of all: of less, the surest third is not sure enough."""

FLAT = 0.6
"""With wrong labels the surest tenth disagrees as often as the surest third does; with weak features it
disagrees less often. From this ratio on it counts as the same."""

DOUBLING = 0.02
"""What half as many pictures must cost, at the lower end of the interval, to say that more would help."""

WIDE = 0.2
"""An interval of the validation accuracy that is wider says next to nothing."""

FEWEST = 20
"""Steps of a short training, at least."""


def diagnose(evidence: Evidence) -> tuple[Verdict, ...]:
    """Returns a verdict on each suspicion, what was found first; last, whether the run looks healthy."""
    rules: tuple[Callable[[Evidence], Verdict], ...] = (
        labels,
        too_small,
        rate_high,
        rate_low,
        too_few,
        overfitting,
    )
    found = [rule(evidence) for rule in rules]
    found = _explained(found)
    order = {"found": 0, "not enough evidence": 1, "not found": 2}
    return (*sorted(found, key=lambda one: order[one.state]), _healthy(evidence, found))


def labels(evidence: Evidence) -> Verdict:
    """Do labels look wrong?"""
    name, found = "labels look wrong", evidence.labels
    if found is None:
        return _open(name, "There were no features to hold the labels against.")
    sure, rest = found.among_sure, f"{found.basis}, {found.pictures:,} pictures of train and val"
    seen = [
        f"A logistic regression on {rest}, asked about pictures that it was not fitted on, disagrees with "
        f"{percent(sure)} of the labels where it is surest (a third of them), with {found.among_next:.1%} "
        f"in the next third, and answers {found.accuracy:.1%} of all.",
    ]
    facts = {"value": sure.value, "interval": sure, "evidence": tuple(seen)}
    weak = found.accuracy < max(HALF_RIGHT, STRONG * (1 - sure.value))
    weak = weak or found.among_few < FLAT * sure.value
    if weak and sure.low > LABELS_WRONG:
        said = "The features tell too little about these classes to doubt labels by them."
        return _open(name, said, **facts)
    if sure.low <= LABELS_WRONG:
        return Verdict(
            name=name, state="not found", said=f"At most {sure.high:.1%} of the labels.", **facts
        )
    own = _own_doubts(evidence)
    if own is not None:
        seen.append(f"The run itself disagrees with {percent(own)} of the val labels where it is surest.")
        if own.low <= LABELS_WRONG / 2 and share(evidence.val.right).value > found.accuracy:  # type: ignore[union-attr]
            said = "The features disagree with labels; the run, which answers better, does not."
            return _open(name, said, **{**facts, "evidence": tuple(seen)})
    ids = ", ".join(one[:12] for one in found.doubted[:5])
    return Verdict(
        name=name,
        state="found",
        said=f"About {sure.value:.0%} of the labels look wrong ({ends(sure)}).",
        value=sure.value,
        interval=sure,
        evidence=tuple(seen),
        next_steps=(
            f"Look at the most doubtful pictures, and relabel those that are wrong: {ids}.",
            "Freeze the dataset again, train again, and ask again: other causes hide behind wrong labels.",
        ),
    )


def rate_high(evidence: Evidence) -> Verdict:
    """Is the learning rate too high?"""
    found = _other_rates(evidence, "learning rate too high", [one for one in RATES if one < 1])
    if found.state != "found" and evidence.broken == "learning rate":
        return Verdict(
            name=found.name,
            state="found",
            said=f"The run stopped at a value that is no number. {evidence.broken_said}",
            evidence=found.evidence,
            next_steps=(f"--recipe.learning-rate {evidence.learning_rate / 10:g}",),
        )
    return found


def rate_low(evidence: Evidence) -> Verdict:
    """Is the learning rate too low?"""
    return _other_rates(evidence, "learning rate too low", [one for one in RATES if one > 1])


def too_small(evidence: Evidence) -> Verdict:
    """Is the network too small?"""
    name = "network too small"
    if evidence.train is not None and not learns_badly(evidence):
        return _learns(name, evidence.train)
    if forgets(evidence):
        said = "It learns clearly more of train than of val: its size is not what holds it back."
        return Verdict(name=name, state="not found", said=said, evidence=(gap_said(evidence),))
    rival, probe = best_rate(evidence), evidence.probes.get(LARGER)
    if rival is not None and share(rival[0].right).value >= WELL:
        return Verdict(
            name=name, state="not found", said="At another rate it learns its training pictures."
        )
    if rival is None or probe is None:
        return _open(name, "No larger network was tried beside it.")
    compared = gain(probe.train, rival[0])
    seen = (
        f"{evidence.larger}, trained for {probe.steps} steps, has a loss of {mean_loss(probe.train):.3g} "
        f"on train; the run's {evidence.parameters:,} weights {mean_loss(rival[0]):.3g} at the best rate.",
        *([right_on(evidence.train, "training pictures, in evaluation mode")] if evidence.train else []),
    )
    facts = {"value": compared.right.value, "interval": compared.right, "evidence": seen}
    if not _beats(evidence._replace(train=rival[0], val=rival[1]), probe.train, probe.val):
        return Verdict(name=name, state="not found", said="A larger network does no better.", **facts)
    return Verdict(
        name=name,
        state="found",
        said=f"A larger network answers {points_of(compared.right)} more of train than this one does at "
        "any rate, and more of val.",
        next_steps=(
            "Take a larger network: darkroom model networks",
            "Or begin with pretrained weights: darkroom model weights",
        ),
        **facts,
    )


def too_few(evidence: Evidence) -> Verdict:
    """Are there too few images?"""
    name = "too few images"
    if evidence.val is None or not len(evidence.val.right):
        return _open(name, "There are no answers to val pictures.")
    val = share(evidence.val.right)
    if val.high - val.low > WIDE:
        said = f"{val.count} val pictures say next to nothing: the accuracy lies between {ends(val)}."
        return Verdict(name=name, state="found", said=said, value=val.value, interval=val, next_steps=MORE)
    if evidence.train is not None and not forgets(evidence):
        return _no_gap(name, evidence)
    whole, half = evidence.probes.get(AS_IT_IS), evidence.probes.get(HALF)
    if whole is None or half is None:
        return _open(name, "What half as many pictures give was not measured.")
    lost = gain(whole.val, half.val, evidence.groups).right
    seen = (
        f"With half of the {evidence.train_count:,} training pictures and as many steps ({whole.steps}) "
        f"{points_of(lost)} fewer of the val pictures are answered.",
        gap_said(evidence),
    )
    facts = {"value": lost.value, "interval": lost, "evidence": seen}
    if lost.low <= DOUBLING:
        said = f"Half as many pictures cost {points_of(lost)}: no evidence that more would help much."
        return Verdict(name=name, state="not found", said=said, **facts)
    said = (
        f"{evidence.train_count:,} training pictures are too few: half of them cost {points_of(lost)} of "
        "val accuracy, so more would very probably help."
    )
    return Verdict(name=name, state="found", said=said, next_steps=MORE, **facts)


MORE = (
    "Collect more pictures, of the weakest classes first: darkroom source add",
    "Until then: pretrained weights (darkroom model weights), augmentation (--recipe.augment.shift 0.1 …).",
)


def overfitting(evidence: Evidence) -> Verdict:
    """Does it learn by heart for lack of regularisation?"""
    name = "overfitting for lack of regularisation"
    if evidence.val is None or evidence.train is None or not len(evidence.val.right):
        return _open(name, "There are no answers to val pictures.")
    if not forgets(evidence):
        return _no_gap(name, evidence)
    if not evidence.lacks:
        said = "It learns by heart although the recipe has weight decay and augmentation."
        return Verdict(name=name, state="not found", said=said, evidence=(gap_said(evidence),))
    probe = evidence.probes.get(REGULARISED)
    if probe is None:
        return _open(name, "A training with regularisation was not tried beside it.")
    compared = gain(probe.val, evidence.val, evidence.groups)
    seen = (
        f"The same recipe with {', '.join(evidence.lacks)}, {probe.steps} steps: val loss "
        f"{mean_loss(probe.val):.3g} instead of {mean_loss(evidence.val):.3g}.",
        gap_said(evidence),
        *risen(evidence),
    )
    facts = {"value": compared.loss.value, "interval": compared.loss, "evidence": seen}
    if compared.loss.low <= 0 or compared.ratio > MUCH_LESS or compared.right.high < 0:
        said = "Regularisation does not make val better within these steps."
        return Verdict(name=name, state="not found", said=said, **facts)
    said = (
        f"It learns {percent(share(evidence.train.right))} of the training pictures and answers "
        f"{percent(share(evidence.val.right))} of val; with {', '.join(evidence.lacks)} the val loss falls "
        f"by {compared.loss.value:.3g} [{compared.loss.low:.3g}, {compared.loss.high:.3g}]."
    )
    steps = tuple(ADVICE[lack] for lack in evidence.lacks if lack in ADVICE)
    return Verdict(name=name, state="found", said=said, next_steps=steps, **facts)


ADVICE = {
    "augmentation": "--recipe.augment.rotate-deg 10 --recipe.augment.shift 0.1 --recipe.augment.zoom 0.1",
    "weight decay": "--recipe.weight-decay 0.05",
    "dropout": "--recipe.dropout 0.3",
}


def _other_rates(evidence: Evidence, name: str, factors: list[float]) -> Verdict:
    if evidence.train is not None and not learns_badly(evidence):
        return _learns(name, evidence.train)
    tried = {one: evidence.probes[rate_name(one)] for one in factors if rate_name(one) in evidence.probes}
    if not tried or max(probe.steps for probe in tried.values()) < FEWEST:
        return _open(name, "Other rates were not tried for long enough.")
    fine = {one: probe for one, probe in tried.items() if not probe.diverged}
    own = f"loss {mean_loss(evidence.train):.3g}" if evidence.train else "no weights"
    seen = [
        f"At {evidence.learning_rate * one:.2g} ({one:g} × the rate), {probe.steps} steps: loss "
        f"{mean_loss(probe.train):.3g} on the same training pictures, against the run's {own} after "
        f"{evidence.steps:,} steps."
        for one, probe in fine.items()
    ]
    if evidence.train is not None:
        seen.append(right_on(evidence.train, "training pictures, in evaluation mode"))
    seen += norm_said(evidence)
    best = min(fine, key=lambda one: mean_loss(fine[one].train), default=None)
    if best is None or not _beats(evidence, fine[best].train, fine[best].val):
        said = f"No rate {'below' if factors[0] < 1 else 'above'} it does better in a short training."
        return Verdict(name=name, state="not found", said=said, evidence=tuple(seen))
    compared = gain(fine[best].train, evidence.train) if evidence.train is not None else None
    gained = f", and {points_of(compared.right)} more of them are answered" if compared else ""
    return Verdict(
        name=name,
        state="found",
        said=f"{evidence.learning_rate:.2g} is {name.removeprefix('learning rate ')}: a short training at "
        f"{evidence.learning_rate * best:.2g} learns train better than the whole run{gained}.",
        value=compared.loss.value if compared else None,
        interval=compared.loss if compared else None,
        evidence=tuple(seen),
        next_steps=(
            f"--recipe.learning-rate {evidence.learning_rate * best:.2g}",
            "Or let it be searched: darkroom model tune --space recipe.learning_rate=…",
        ),
    )


def _beats(evidence: Evidence, train: Answers, val: Answers) -> bool:
    """Says whether a short training does better than the whole run, on train and on val."""
    if evidence.train is None:
        return mean_loss(train) < 0.9 * math.log(evidence.classes)
    on_train = gain(train, evidence.train)
    better = on_train.loss.low > 0 and on_train.ratio <= MUCH_LESS
    if better and evidence.val is not None and len(evidence.val.right):
        better = gain(val, evidence.val, evidence.groups).loss.low > 0
    return better


def _own_doubts(evidence: Evidence) -> Interval | None:
    """Returns how often the run disagrees with val labels where it is surest."""
    if evidence.val is None or len(evidence.val.right) < 30:
        return None
    order = evidence.val.confidences.argsort()[::-1][: len(evidence.val.right) // 3]
    return share(~evidence.val.right[order])


def _explained(found: list[Verdict]) -> list[Verdict]:
    """Takes back what a graver cause explains: of wrong labels, or a wrong rate, all the rest may come."""
    for cause in ("labels look wrong", "learning rate too high", "learning rate too low"):
        if any(one.name == cause and one.state == "found" for one in found):
            said = f"Not asked, as this may come from the first finding: {cause}. Ask again without it."
            kept = ("labels look wrong", "network too small", "too few images") if "rate" in cause else ()
            return [
                one if one.name == cause or (one.name in kept and one.state != "not enough evidence")
                else _open(one.name, said)
                for one in found
            ]  # fmt: skip
    return found


def _healthy(evidence: Evidence, found: list[Verdict]) -> Verdict:
    name = "looks healthy"
    causes = [one.name for one in found if one.state == "found"]
    if causes:
        return Verdict(name=name, state="not found", said=f"No: {', '.join(causes)}.")
    if evidence.val is None or evidence.train is None or not len(evidence.val.right):
        return _open(name, "There are no answers of the run to train and val.")
    val, train = share(evidence.val.right), share(evidence.train.right)
    open_ones = [one.name for one in found if one.state == "not enough evidence"]
    facts = {"value": val.value, "interval": val, "evidence": (gap_said(evidence), *last_is_best(evidence))}
    if val.low <= 1.5 / evidence.classes and train.value < WELL:
        said = f"It answers {percent(val)} of val, hardly more than guessing, and no cause was found."
        return Verdict(name=name, state="not found", said=said, **facts)
    if forgets(evidence):
        said = "It answers more of train than of val, and nothing was shown to help against it."
        return _open(name, said, **facts)
    if learns_badly(evidence):
        said = f"It answers {percent(train)} of its own training pictures, and no cause was found."
        return _open(name, said, **facts)
    if open_ones:
        said = f"Nothing was found, and not all could be asked: {', '.join(open_ones)}."
        return _open(name, said, **facts)
    said = f"Nothing was found that holds it back: {percent(train)} of train and {percent(val)} of val."
    return Verdict(name=name, state="found", said=said, **facts)


def _learns(name: str, train: Answers) -> Verdict:
    right = share(train.right)
    said = f"It answers {percent(right)} of its training pictures: it learns as it should."
    return Verdict(name=name, state="not found", said=said, value=right.value, interval=right)


def _no_gap(name: str, evidence: Evidence) -> Verdict:
    assert evidence.train is not None
    assert evidence.val is not None
    gap = apart(share(evidence.train.right), share(evidence.val.right))
    said = f"Train is {points_of(gap)} ahead of val: not shown to be much."
    facts = {"value": gap.value, "interval": gap, "evidence": (gap_said(evidence),)}
    return Verdict(name=name, state="not found", said=said, **facts)


def _open(name: str, said: str, **facts: object) -> Verdict:
    return Verdict.model_validate({"name": name, "state": "not enough evidence", "said": said, **facts})
