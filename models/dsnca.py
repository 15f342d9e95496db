"""DSNCA: dual-stream network with coordinate attention.

Stream 1 reads the apex frame, stream 2 the views of its 3D reconstruction; each has a trunk of
its own. Sizes are for resnet18 at 224 px.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import CoordinateAttention
from .mecapsulenet import CHANNELS, CapsuleHead, to_capsule_channels
from .trunks import Trunk

FUSIONS = ("attention", "concat", "sum")


class DSNCA(CapsuleHead):
    """Two streams -> fusion -> capsule head.

    fusion: attention (the paper's: coordinate attention in each stream and after the fusion),
    concat (the same without attention), sum (of the streams' maps, without attention).
    """

    def __init__(
        self,
        frame_trunk: Trunk,
        views_trunk: Trunk,
        image_size: int = 224,
        classes: int = 3,
        fusion: str = "attention",
    ) -> None:
        """ValueError if the fusion is none, or the image too small."""
        super().__init__(frame_trunk, image_size, classes)
        if fusion not in FUSIONS:
            raise ValueError(f"no fusion '{fusion}': one of {', '.join(FUSIONS)}")
        self.fusion = fusion
        self.streams = nn.ModuleList([frame_trunk, views_trunk])
        self.adapt = nn.ModuleList([to_capsule_channels(trunk) for trunk in self.streams])
        attention = fusion == "attention"
        self.attend = nn.ModuleList(
            [CoordinateAttention(CHANNELS) if attention else nn.Identity() for _ in self.streams]
        )
        if fusion != "sum":
            self.fuse = nn.Sequential(
                nn.Conv2d(2 * CHANNELS, CHANNELS, 1),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU(),
                CoordinateAttention(CHANNELS) if attention else nn.Identity(),
            )
        inputs = " and ".join(f"{len(t.mean)}x{image_size}x{image_size}" for t in self.streams)
        self.sizes = f"images {inputs} -> two streams, fusion by {fusion} -> {self.sizes}"

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The frame's trunk and the views'."""
        return tuple(self.streams)

    def features(self, frame: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 224, 224) and (B, 39, 224, 224) RGB in [0, 1] -> two (B, 256, 28, 28)."""
        return self.streams[0](frame), self.streams[1](views)

    def head(self, frame: Tensor, views: Tensor) -> Tensor:
        """Two feature maps (B, 256, 28, 28) -> class scores (B, classes)."""
        maps = [
            attend(adapt(x)) for attend, adapt, x in zip(self.attend, self.adapt, (frame, views))
        ]  # two (B, 256, 28, 28)
        if self.fusion == "sum":
            return self.classify(F.relu(maps[0] + maps[1]))
        return self.classify(self.fuse(torch.cat(maps, dim=1)))  # (B, 512, …) -> (B, 256, …)

    def forward(self, frame: Tensor, views: Tensor) -> Tensor:
        """(B, 3, 224, 224) and (B, 39, 224, 224) RGB in [0, 1] -> class scores (B, classes)."""
        return self.head(*self.features(frame, views))
