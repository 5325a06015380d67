"""Networks of the timm library, with their last layer as a head of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from darkroom.errors import Unsupported
from darkroom.networks.libraries import load_timm
from darkroom.networks.network import BodyNetwork

__all__ = ["TimmNetwork", "as_timm_says", "build_mobilenetv1", "build_timm"]


class TimmNetwork(BodyNetwork):
    """A network of timm; its embedding is what timm pools before the last layer."""

    body: Any

    def features(self, x: Tensor) -> Tensor:
        """Returns the embedding (N, E) of normalised pictures (N, C, H, W)."""
        return self.body.forward_head(self.body.forward_features(x), pre_logits=True)


def build_timm(
    *, channels: int, size: tuple[int, int], classes: int, model: str, **options: Any
) -> TimmNetwork:
    """Builds a network by timm's name.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (height, width) in pixels; only networks with a fixed input are told.
        classes: how many answers it tells apart.
        model: what timm calls it.
        **options: `dropout` and `padding`, where the network has them.

    Raises:
        Unsupported: it does not end in one dense layer.
    """
    timm = load_timm()
    known = timm.get_pretrained_cfg(model)
    if known is not None and known.fixed_input_size:
        options["img_size"] = size
    body = timm.create_model(model, num_classes=classes, in_chans=channels, **as_timm_says(options))
    return _parted(body, model)


def build_mobilenetv1(
    *, channels: int, size: tuple[int, int], classes: int, width: float, **options: Any
) -> TimmNetwork:
    """Builds a MobileNetV1 of any width, also of those for which timm has no name.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (height, width) in pixels; it takes any.
        classes: how many answers it tells apart.
        width: share of the channels, 0.25 to 1.
        **options: `dropout` and `padding`.

    Source: Howard et al., MobileNets, 2017, table 1.
    """
    load_timm()
    from timm.models.efficientnet import _gen_mobilenet_v1

    said = as_timm_says(options)
    body = _gen_mobilenet_v1("mobilenetv1_100", width, num_classes=classes, in_chans=channels, **said)
    return _parted(body, f"mobilenetv1_{round(100 * width):03d}")


def as_timm_says(options: dict[str, Any]) -> dict[str, Any]:
    """Returns a network's options under the names that timm has for them."""
    names = {"dropout": "drop_rate", "padding": "pad_type"}
    said = {names.get(name, name): value for name, value in options.items()}
    if said.get("pad_type") == "default":
        said["pad_type"] = ""
    return said


def _parted(body: Any, model: str) -> TimmNetwork:
    """Takes the last layer out of a network of timm."""
    head = body.get_classifier() if hasattr(body, "forward_head") else None
    if not isinstance(head, nn.Linear):
        raise Unsupported(
            "network.no-dense-head",
            "Network timm/{model} does not end in one dense layer, which Darkroom replaces and trains.",
            do="Choose another network. See: darkroom model networks",
            model=model,
        )
    body.reset_classifier(0)
    facts = body.pretrained_cfg
    first = facts.get("first_conv") or ()
    return TimmNetwork(
        body,
        head,
        library_head=facts["classifier"],
        first_layers=(first,) if isinstance(first, str) else tuple(first),
    )
