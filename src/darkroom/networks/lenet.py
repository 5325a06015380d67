"""LeNet-5, in the form that is used today: ReLU for tanh, max-pooling for trained averages."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks.network import Network

__all__ = ["LeNet5", "build_lenet5"]

FULL_SIDE_PX = 28


class LeNet5(Network):
    """Two convolutions and three dense layers.

    Takes any size from 12×12 px on. When the shorter side is 56 px or more, the picture is first
    averaged down by the whole factor that brings it to 28..55 px, so that the dense layers stay small.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (height, width) of the input in pixels.
        classes: how many answers it tells apart.
        dropout: share of values set to zero before each dense layer while training.

    Source: LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition,
    1998, fig. 2; as there, a 28×28 picture is padded to 32×32.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.factor = max(1, min(size) // FULL_SIDE_PX)
        height, width = ((side // self.factor // 2 - 4) // 2 for side in size)
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dense1 = nn.Linear(16 * height * width, 120)
        self.dense2 = nn.Linear(120, 84)
        self.head = nn.Linear(84, classes)
        self.dropout = dropout

    def features(self, x: Tensor) -> Tensor:
        """Returns the embedding (N, 84) of normalised pictures (N, C, H, W)."""
        if self.factor > 1:
            x = functional.avg_pool2d(x, self.factor)
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)  # (N, 6, 14, 14) for 28×28
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)  # (N, 16, 5, 5)
        x = functional.relu(self.dense1(self._drop(x.flatten(1))))
        x = functional.relu(self.dense2(self._drop(x)))
        return self._drop(x)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout > 0 else x


def build_lenet5(*, channels: int, size: tuple[int, int], classes: int, dropout: float) -> LeNet5:
    """Builds a LeNet-5; see the class."""
    return LeNet5(channels, size, classes, dropout)
