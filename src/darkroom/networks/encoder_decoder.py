"""U-Net and DeepLabV3+ of segmentation-models-pytorch, on encoders of timm."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor, nn

from darkroom.errors import MissingExtra
from darkroom.networks.encoders import map_facts
from darkroom.networks.libraries import load_timm
from darkroom.networks.mask_network import MaskNetwork
from darkroom.networks.timm_network import as_timm_says

__all__ = ["EncoderDecoder", "build_deeplabv3plus", "build_unet"]


class EncoderDecoder(MaskNetwork):
    """A network of segmentation-models-pytorch in our three parts.

    Args:
        built: the library's network.
        model: what timm calls the encoder.
    """

    def __init__(self, built: Any, *, model: str, dropout: float = 0.0) -> None:
        # What stands behind the convolution stretches the answer, which `answer` does for any size.
        super().__init__(built.encoder, built.decoder, built.segmentation_head[0], model=model)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()

    def features(self, x: Tensor) -> Tensor:
        """Returns the map before the last layer (N, E, h, w) of normalised pictures (N, C, H, W)."""
        return self.dropout(super().features(x))

    @property
    def timm_layers(self) -> nn.Module:
        """The encoder as timm made it."""
        return self.encoder.model


def build_unet(
    *, channels: int, size: tuple[int, int], classes: int, model: str, dropout: float = 0.0, **options: Any
) -> EncoderDecoder:
    """Builds U-Net on an encoder by timm's name; see `build_lraspp` for the arguments.

    Source: Ronneberger, Fischer, Brox, U-Net: convolutional networks for biomedical image
    segmentation, 2015.

    Raises:
        MissingExtra: segmentation-models-pytorch is not installed.
        Unsupported: timm's network gives no maps.
    """
    return _built("Unet", channels, classes, model, dropout, options)


def build_deeplabv3plus(
    *, channels: int, size: tuple[int, int], classes: int, model: str, dropout: float = 0.0, **options: Any
) -> EncoderDecoder:
    """Builds DeepLabV3+ on an encoder by timm's name; see `build_lraspp` for the arguments.

    Source: Chen et al., Encoder-decoder with atrous separable convolution for semantic image
    segmentation, 2018.

    Raises:
        MissingExtra: segmentation-models-pytorch is not installed.
        Unsupported: timm's network gives no maps.
    """
    return _built("DeepLabV3Plus", channels, classes, model, dropout, options)


def _built(
    kind: str, channels: int, classes: int, model: str, dropout: float, options: dict[str, Any]
) -> EncoderDecoder:
    library = _load_library()
    map_facts(model)
    built = getattr(library, kind)(
        encoder_name=f"tu-{model}",
        encoder_weights=None,
        in_channels=channels,
        classes=classes,
        **as_timm_says(options),
    )
    return EncoderDecoder(built, model=model, dropout=dropout)


def _load_library() -> ModuleType:
    load_timm()
    try:
        import segmentation_models_pytorch
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "network.segmentation-missing",
            "U-Net and DeepLabV3+ need the package segmentation-models-pytorch, which is not installed.",
            do="Run: pip install 'darkroom[segmentation]'; or take a network lraspp/…, which needs it not.",
        ) from error
    return segmentation_models_pytorch
