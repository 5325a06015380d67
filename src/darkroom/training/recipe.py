"""The recipe: everything that a person may decide about a training, with bounds and defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from darkroom.errors import Invalid, InvalidConfig
from darkroom.networks import find
from darkroom.operation import UserCode
from darkroom.records import Config, FrozenMap
from darkroom.records.numbers import counted
from darkroom.training.chance import Chance
from darkroom.training.outcome import CardFacts
from darkroom.training.recipe_parts import Layers, Mixing

__all__ = [
    "Augment",
    "EarlyStopping",
    "Layers",
    "Loss",
    "Mixing",
    "Optimiser",
    "Recipe",
    "Schedule",
    "check_fits",
    "network_options",
]

Share = Annotated[float, Field(ge=0, le=1)]


class Optimiser(Config):
    """How weights follow the gradient."""

    name: Literal["sgd", "nag", "adam", "adamw", "rmsprop", "adagrad", "adadelta"] = "adamw"
    """sgd: with momentum; nag: with Nesterov's momentum; adamw: weight decay of its own; in all others it
    is part of the gradient."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For sgd and nag: share of the last step that goes on; nag needs more than 0."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For adam and adamw: decay of the mean gradient."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """For adam and adamw: decay of the mean squared gradient."""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-8
    """For adam, adamw, rmsprop and adagrad: keeps the division away from zero."""
    rms_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """For rmsprop: decay of the mean squared gradient."""
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For adadelta: decay of the mean squared gradient and of the mean squared step."""
    adadelta_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-6
    """For adadelta: how large the first steps are, squared. Its usual learning rate is 1."""


class Schedule(Config):
    """How the learning rate moves, from batch to batch."""

    name: Literal[
        "fixed",
        "step",
        "multistep",
        "exponential",
        "inverse",
        "polynomial",
        "sigmoid",
        "cosine",
        "one-cycle",
    ] = "cosine"
    """fixed; step: times `step_factor` every `step_epochs`; multistep: times `step_factor` after each of
    `milestones`; exponential: times `epoch_factor` in each epoch; inverse: (1 + gamma · epochs) to the
    power −`power`; polynomial: the share of epochs that are left, to the power `power`; sigmoid: down
    along an S around `middle_share`; cosine: down to `final_share` along half a cosine; one-cycle: up to
    the learning rate along a cosine, then down."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Epochs in which the rate first rises in a straight line; one-cycle has its own rise."""
    step_epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """For step: epochs between two steps."""
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """For step and multistep: what each step multiplies the rate by."""
    milestones: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = ()
    """For multistep: epochs after which the rate steps, in rising order."""
    epoch_factor: Annotated[float, Field(gt=0, le=1)] = 0.95
    """For exponential: what a whole epoch multiplies the rate by."""
    gamma: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """For inverse: how fast the rate falls, per epoch."""
    power: Annotated[float, Field(gt=0, le=20)] = 1.0
    """For inverse and polynomial: the exponent; more falls faster."""
    steepness: Annotated[float, Field(gt=0, le=1000)] = 0.5
    """For sigmoid: how sharp the S is, per epoch."""
    middle_share: Share = 0.5
    """For sigmoid: share of the training after which the rate is half the learning rate."""
    start_share: Share = 0.04
    """For one-cycle: first rate as a share of the learning rate."""
    rise_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """For one-cycle: share of the training in which the rate rises."""
    final_share: Share = 0.0
    """For cosine and one-cycle: last rate as a share of the learning rate."""


class Loss(Config):
    """What training makes small; the figures `loss` and `accuracy` of train and val do not follow it."""

    LATER: ClassVar[frozenset[str]] = frozenset({"cross_entropy_weight", "dice_weight"})

    name: Literal["cross-entropy", "focal"] = "cross-entropy"
    """cross-entropy: −log of the right class's probability; focal: the same times
    (1 − probability)^`focal_gamma`, so that easy pictures count less."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    """For focal: how much less easy pictures count; 0 is cross-entropy."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """For cross-entropy: share of the right answer that is spread over all classes."""
    class_weights: Literal["none", "balanced", "by-name"] = "none"
    """How much a picture of each class counts, or a pixel of a mask: none: the same; balanced: the rarer in
    the train split the more, so that all classes count the same together; by-name: as `weight_by_class`
    says. Where a picture may have several labels, a weight counts where its label holds."""
    weight_by_class: FrozenMap[str, Annotated[float, Field(gt=0, le=1000)]] = {}
    """For by-name: weight of each class; a class that is not named has 1."""
    cross_entropy_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """For segmentation: weight of the loss named by `name` in the sum with Dice."""
    dice_weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    """For segmentation: weight of 1 − Dice, which looks at the overlap of whole shapes, in that sum."""


class Augment(Config):
    """Random changes of each training picture, new in each epoch; the default changes nothing.

    rotate, zoom, shift, crop and flip together are one warp, so that a picture is resampled once. A mask
    goes through the same warp; what comes in from outside is not learnt.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"crop_px"})

    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Turned by up to this angle either way, in degrees."""
    zoom: Annotated[float, Field(ge=0, le=4)] = 0.0
    """0.1: drawn between 1.1 times smaller and 1.1 times larger."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Moved by up to this share of each side."""
    crop: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Up to this share of the sides is cut away, anywhere, and the rest fills the picture."""
    crop_px: Annotated[int, Field(ge=0, le=4096)] = 0
    """For segmentation: training sees squares of this side, cut from anywhere in the picture; what they
    reach beyond its edge is not learnt. 0 takes whole pictures. Validation sees whole pictures."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Mirrored in every second picture; horizontal swaps left and right."""
    edge: Literal["edge", "mirror", "mean"] = "edge"
    """What comes in from outside by rotate_deg, zoom and shift: the outermost pixel, the picture mirrored,
    or the mean colour that `normalisation` subtracts."""
    brightness: Share = 0.0
    """Made lighter or darker by up to this share of the full scale."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Distance from middle grey multiplied by 1 ± this."""
    saturation: Share = 0.0
    """For colour pictures: distance from grey multiplied by 1 ± this."""
    hue_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    """For colour pictures: colours turned by up to this angle either way, in degrees."""
    invert: Share = 0.0
    """Share of pictures whose light and dark are swapped."""
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Standard deviation of noise added to each value, as a share of the full scale."""


class EarlyStopping(Config):
    """When a training ends before its last epoch."""

    patience_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Ends after this many epochs without a better validation figure; 0 never ends early."""
    least_gain: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest change that counts as better."""


class Recipe(Config):
    """How a network is trained."""

    LATER: ClassVar[frozenset[str]] = frozenset(
        {
            *("allow_smaller_batch", "chance", "find_learning_rate"),
            *("layers", "mixing", "quantise", "sampling"),
        }
    )

    network: str = "lenet5"
    """Name in the table of networks, "timm/NAME" for any other of timm, or "custom" with `network_file`."""
    network_file: UserCode | None = None
    """For custom: Python file that defines `build(*, channels, size, classes, **options)`, which returns a
    torch.nn.Module; a path inside the project is taken from its folder."""
    weights: str = ""
    """Name of the pretrained weights to begin with, never a path; empty for fresh ones. The last layer is
    always fresh. See: darkroom model weights"""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    """How often each training picture is seen."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Pictures that go through the network together."""
    accumulate_batches: Annotated[int, Field(ge=1, le=4096)] = 1
    """Batches whose gradients make one step: a larger batch where memory is short."""
    allow_smaller_batch: bool = False
    """When memory does not hold a batch, go on with the largest part of it that fits, and as many parts to
    a step as make the same batch; the run says so. Batch normalisation then looks at smaller batches."""
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 0.002
    """Largest learning rate; the schedule moves it."""
    find_learning_rate: bool = False
    """Measure the learning rate before the first epoch, by the range test of `model.find_rate`, in place of
    `learning_rate`; what was found is kept with the run, and clones find the same."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0005
    """Pull of weights towards zero; not on biases and normalisation layers."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of values set to zero while training, in networks that have dropout."""
    optimiser: Optimiser = Optimiser()
    """How weights follow the gradient."""
    schedule: Schedule = Schedule()
    """How the learning rate moves."""
    loss: Loss = Loss()
    """What training makes small."""
    normalisation: Literal["auto", "mean-std", "mean-pixel", "mean-image", "none"] = "auto"
    """What is subtracted from a picture's values and what they are divided by, p being 0..255.
    mean-std: (p / 255 − mean) / deviation of each channel over the train split; mean-pixel: p / 255 − mean
    of each channel; mean-image: p / 255 − the train split's mean picture; none: p / 255.
    auto: mean and deviation that pretrained weights ask for, else mean-std."""
    augment: Augment = Augment()
    """Random changes of training pictures."""
    mixing: Mixing = Mixing()
    """Two training pictures made into one; off by default."""
    sampling: Literal["each-once", "balanced"] = "each-once"
    """Which pictures make an epoch. each-once: every picture once; balanced: as many, drawn so that every
    class is seen as often as any other: those of rare classes several times, those of common ones not in
    every epoch. Figures of train are those of the pictures that were seen."""
    chance: Chance = Chance()
    """Seeds of single sources of chance, where they are not to follow the seed of the run."""
    train_layers: Literal["all", "last", "gradual"] = "all"
    """all: every weight is trained; last: only the last layer, on features that are computed once, and the
    rest stays as the pretrained weights give it. last takes seconds, and needs weights. For segmentation
    last keeps the encoder as it is and trains decoder and last layer; nothing is computed once. gradual:
    the last layer first, then from above group after group of the others, as `layers` says. It needs
    weights too."""
    layers: Layers = Layers()
    """Groups of layers: when each opens, how fast it learns."""
    feature_views: Annotated[int, Field(ge=1, le=64)] = 1
    """For last: views of each training picture that features are computed of: the picture as it is and
    changed views, as `augment` says; each epoch takes one. They are drawn once, not anew in each epoch."""
    early_stopping: EarlyStopping = EarlyStopping()
    """When to end before the last epoch."""
    select_by: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    """Which validation figure names the best epoch; equal accuracies are told apart by the loss. For
    segmentation the mean IoU stands in for the accuracy, for several labels the mean average precision."""
    snapshot_every: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Keep the weights of every so many epochs; 0 keeps only the best and the last."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where it trains; auto takes cuda, then mps, then cpu."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads on the processor; 0 takes one per core, at most 8. Part of what repeats a result exactly."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Precision of the network's arithmetic while training; weights stay float32. float16 scales the loss
    so that small gradients are kept, and needs cuda. auto: bfloat16 on cuda that has it, and on a processor
    that has it where it is at least 1.2 times as fast, which is timed; else float32."""
    quantise: bool = False
    """Round weights and activations to eight bits in every pass, so that the network learns to live with
    what an int8 file does to it; see `model.quantise`. The weights that are kept are not rounded."""


def check_fits(
    recipe: Recipe,
    facts: CardFacts,
    shape: tuple[int, int, int],
    train_count: int,
    val_count: int,
) -> None:
    """Makes sure that recipe, network and data go together.

    Args:
        recipe: the recipe.
        facts: task, classes and contract.
        shape: (height, width, channels) of the pictures.
        train_count: pictures to train on.
        val_count: pictures to validate on.

    Raises:
        NotFound: no such network.
        Invalid: nothing to train on, or only one class.
        InvalidConfig: network, early stopping or contract do not fit the data.
    """
    if train_count == 0 or len(facts.labels) < (1 if facts.task == "multi-label" else 2):
        raise Invalid(
            "training.nothing-to-learn",
            "Training needs pictures of {least}. Received: {pictures}, {classes}.",
            do="Label more pictures, then freeze the dataset again.",
            least="at least one label" if facts.task == "multi-label" else "at least two classes",
            pictures=counted(train_count, "picture"),
            classes=counted(len(facts.labels), "class", "classes"),
        )
    entry = find(recipe.network)
    if facts.task not in entry.tasks:
        raise InvalidConfig(
            "training.task-mismatch",
            "Network {network} is for {tasks}; the dataset is for {task}.",
            do="See: darkroom model networks",
            network=recipe.network,
            tasks=", ".join(entry.tasks),
            task=facts.task,
        )
    if shape != facts.contract.shape:
        raise InvalidConfig(
            "training.shape-mismatch",
            "The pictures are {shape} (height, width, channels); the contract makes {expected}.",
            do="Render the dataset again.",
            shape=shape,
            expected=facts.contract.shape,
        )
    if val_count == 0 and recipe.early_stopping.patience_epochs > 0:
        raise InvalidConfig(
            "training.no-validation",
            "Early stopping looks at validation pictures, and there are none.",
            do="Set early_stopping.patience_epochs = 0, or freeze the dataset with a val share.",
        )


def network_options(recipe: Recipe) -> dict[str, float]:
    """Returns what the recipe's network is built with.

    Raises:
        NotFound: no such network.
        InvalidConfig: it cannot take the recipe's dropout.
    """
    if "dropout" in find(recipe.network).options:
        return {"dropout": recipe.dropout}
    if recipe.dropout > 0:
        raise InvalidConfig(
            "training.no-dropout",
            "Network {network} has no dropout. Received: dropout = {dropout}.",
            do="Set dropout = 0 in the recipe.",
            network=recipe.network,
            dropout=recipe.dropout,
        )
    return {}
