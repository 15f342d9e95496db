"""Small networks for motion maps (u, v, strain): class scores and action units.

Maps come in any scale: pixels of one's own flow, or each channel stretched to its own range, as
published maps are. So every network standardises its input, channel by channel.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 24, 25, 26)  # FACS numbers, in this order
CLIP = 4.0  # standard deviations; more is an eyelid or a glint
MotionKind = Literal["linear", "three_stream"]


def standardise(maps: Tensor) -> Tensor:
    """Maps (B, 3, S, S) in any scale -> each channel's median at 0, its RMS at 1, within ±CLIP.

    u and v keep their sign: the median is the motion of what does not move. A channel without
    any motion becomes 0. ValueError for anything but three channels.
    """
    if maps.ndim != 4 or maps.shape[1] != 3:
        raise ValueError(f"motion maps are (B, 3, S, S), got {tuple(maps.shape)}")
    flat = maps.flatten(2).double()  # float32 would lose a small motion on a large offset
    flat = flat - flat.quantile(0.5, dim=2, keepdim=True)
    size = flat.square().mean(2, keepdim=True).sqrt()
    flat = flat / size.clamp_min(1e-12)
    return flat.clamp(-CLIP, CLIP).to(maps.dtype).view_as(maps)


class MotionNet(nn.Module):
    """Standardised maps -> features -> classes and action units.

    forward: (B, 3, S, S) -> class logits (B, classes) and unit logits (B, 16).
    """

    def __init__(self, features: nn.Module, width: int, classes: int = 3) -> None:
        super().__init__()
        self.body = features
        self.classes = nn.Linear(width, classes)
        self.units = nn.Linear(width, len(UNITS))

    def features(self, maps: Tensor) -> Tensor:
        """Maps (B, 3, S, S) -> (B, width), what both heads read."""
        return self.body(standardise(maps)).flatten(1)

    def head(self, features: Tensor) -> Tensor:
        """Features (B, width) -> class logits (B, classes)."""
        return self.classes(features)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, classes) and unit logits (B, 16)."""
        features = self.features(maps)
        return self.classes(features), self.units(features)

    def loss(self, output: tuple[Tensor, Tensor] | Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the classes alone: real corpora are trained on those."""
        return F.cross_entropy(output if isinstance(output, Tensor) else output[0], labels)

    def scores(self, output: tuple[Tensor, Tensor] | Tensor) -> Tensor:
        """Class probabilities (B, classes)."""
        return (output if isinstance(output, Tensor) else output[0]).softmax(1)

    def unit_scores(self, output: tuple[Tensor, Tensor]) -> Tensor:
        """Probabilities of the action units (B, 16)."""
        return output[1].sigmoid()


class ThreeStream(nn.Module):
    """Three shallow convolutions side by side, after STSTNet (Liong et al. 2019).

    Each stream: 3x3 convolution, batch norm, ReLU, 3x3 max-pooling of stride 3. Joined, averaged
    to a 5 x 5 grid: (B, 3, S, S) -> (B, 25 * filters).
    """

    def __init__(self, filters: tuple[int, ...] = (3, 5, 8)) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, count, 3, padding=1, bias=False),
                nn.BatchNorm2d(count),
                nn.ReLU(),
                nn.MaxPool2d(3, padding=1),
            )
            for count in filters
        )
        self.pool = nn.AdaptiveAvgPool2d(5)
        self.drop = nn.Dropout(0.5)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 25 * filters)."""
        joined = torch.cat([stream(maps) for stream in self.streams], 1)  # (B, 16, S/3, S/3)
        return self.drop(self.pool(joined).flatten(1))
