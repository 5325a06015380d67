"""The brief: the problem in words and the limits in numbers, as they stand in darkroom.toml."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field

from darkroom.records.record import Config, FrozenMap

__all__ = ["Approval", "Brief", "Limits", "Mistake", "Rule", "Scenario"]

Share = Annotated[float, Field(ge=0, le=1)]


class Scenario(Config):
    """One situation in which the model is used."""

    title: str
    text: str = ""
    """What happens, in a few sentences."""
    met_by: str = ""
    """Who met this situation, and when."""


class Rule(Config):
    """A rule that makes a picture valid or not."""

    name: str
    """Short name, used as the reason when a picture is called unusable."""
    text: str = ""
    """The rule, so that two people decide alike."""


class Mistake(Config):
    """What one kind of mistake costs."""

    truth: str
    """The class that is right; "*" for any. The most specific entry counts, the truth before the answer."""
    answer: str
    """The class that was answered; "*" for any other."""
    cost: Annotated[float, Field(ge=0)]
    """In any unit, the same for all mistakes; a right answer costs 0."""


class Limits(Config):
    """Numbers that must hold; a limit left out is not checked."""

    LATER: ClassVar[frozenset[str]] = frozenset(
        {
            "mean_ap",
            "miou",
            "iou",
            "must_pass_wrong",
            "parity_pixels",
            "parity_margin",
            "parity_float16_agreement",
            "parity_float16_max_abs",
            "parity_int8_agreement",
            "accuracy_loss",
        }
    )

    accuracy: Annotated[Share | None, Field(examples=[0.95])] = None
    """Smallest accuracy; for segmentation of pixels, for several labels of pictures whose labels are all
    right."""
    recall: Annotated[FrozenMap[str, Share], Field(examples=[{"cat": 0.9}])] = {}
    """Smallest recall per class, or per rule whose name is a class; for segmentation of pixels."""
    mean_ap: Annotated[Share | None, Field(examples=[0.8])] = None
    """Several labels: smallest mean average precision of the labels."""
    miou: Annotated[Share | None, Field(examples=[0.8])] = None
    """Segmentation: smallest mean IoU of the classes."""
    iou: Annotated[FrozenMap[str, Share], Field(examples=[{"person": 0.8}])] = {}
    """Segmentation: smallest IoU per class."""
    expected_cost: Annotated[Annotated[float, Field(ge=0)] | None, Field(examples=[0.2])] = None
    """Largest mean cost per picture, by the costs under [[brief.mistakes]]."""
    must_pass_wrong: Annotated[Annotated[int, Field(ge=0)] | None, Field(examples=[0])] = None
    """Largest number of pictures of the must-pass list that may be answered wrongly; 0 for none."""
    model_bytes: Annotated[Annotated[int, Field(gt=0)] | None, Field(examples=[5_000_000])] = None
    """Largest size of one model file."""
    bundle_bytes: Annotated[Annotated[int, Field(gt=0)] | None, Field(examples=[12_000_000])] = None
    """Largest size of the bundle."""
    memory_bytes: Annotated[Annotated[int, Field(gt=0)] | None, Field(examples=[50_000_000])] = None
    """Largest peak memory of one prediction, on top of interpreter and library, on this host."""
    latency_ms: Annotated[Annotated[float, Field(gt=0)] | None, Field(examples=[20])] = None
    """Advisory: shown beside what this host measures, never failed; a phone is unmeasured."""
    parity_agreement: Share = 1.0
    """Smallest share of pictures on which an exported float32 file answers as the evaluation did."""
    parity_max_abs: Annotated[float, Field(gt=0)] = 1e-4
    """Largest difference of a probability between an exported float32 file and the evaluation; for
    segmentation parity_margin takes its place."""
    parity_pixels: Share = 0.9999
    """Segmentation: smallest share of pixels that an exported float32 file answers as the evaluation."""
    parity_margin: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Segmentation: a pixel that an exported float32 file answers otherwise must have been that close: its
    two largest probabilities in the evaluation no further apart. No probability may differ by more."""
    parity_float16_agreement: Share = 0.999
    """Smallest share of pictures, or of pixels, that an exported float16 file answers as the evaluation."""
    parity_float16_max_abs: Annotated[float, Field(gt=0, le=1)] = 5e-3
    """Largest difference of a probability between an exported float16 file and the evaluation."""
    parity_int8_agreement: Share = 0.97
    """Smallest share of pictures, or of pixels, that an exported file with weights of eight bits or fewer
    answers as the evaluation."""
    accuracy_loss: Share = 0.02
    """Largest loss of accuracy (of mean IoU for segmentation) of such a file against the evaluation. From
    1,000 pictures on the far end of the loss's interval must hold, below that the loss measured."""


class Approval(Config):
    """A person's yes to a stage."""

    stage: str
    by: str
    on: date
    note: str = ""


class Brief(Config):
    """The problem, and what a good answer to it is."""

    LATER: ClassVar[frozenset[str]] = frozenset({"not_sure_cost"})

    statement: str = ""
    """The problem in one or two sentences: who has it, and what it costs them."""
    ideal: str = ""
    """The ideal solution."""
    insight: str = ""
    """What makes a solution possible now."""
    owner: str = ""
    """Who answers for the model."""
    intended_use: str = ""
    """What the model is for; travels in the model card."""
    not_for: str = ""
    """What the model must not be used for; travels in the model card."""
    human_review: str = ""
    """Which answers a person must look at before they count."""
    licence: str = ""
    """Licence under which the model is handed on."""
    human_baseline: Share | None = None
    """Accuracy of people on the same pictures."""
    requirements: tuple[str, ...] = ()
    """What the solution must do beside the limits."""
    risks: tuple[str, ...] = ()
    """Bias, misuse, feedback loops."""
    scenarios: tuple[Scenario, ...] = ()
    """Situations in which the model is used, and who met them."""
    rules: tuple[Rule, ...] = ()
    """What makes a picture valid or not."""
    mistakes: tuple[Mistake, ...] = ()
    """Costs of mistakes."""
    not_sure_cost: Annotated[Annotated[float, Field(ge=0)] | None, Field(examples=[0.3])] = None
    """What a picture costs that is answered with "not sure", in the unit of the mistakes; thresholds are
    chosen by it."""
    approvals: tuple[Approval, ...] = ()
    """Who said yes to which stage."""
    limits: Limits = Limits()
    """Numbers that must hold."""
