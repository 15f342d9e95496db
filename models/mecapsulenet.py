"""MECapsuleNet: an ImageNet trunk and capsules on one picture.

Quang, Chun, Tokuyama, "CapsuleNet for Micro-Expression Recognition" (FG 2019). State-dict
names are those of the published checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .capsules import (
    CLASS_DIM,
    PRIMARY_DIM,
    PrimaryCapsules,
    RoutedCapsules,
    capsule_lengths,
    margin_loss,
)
from .network import Network, Output, class_output
from .trunks import OneStream, Trunk

KERNELS = (9, 5, 3)  # the paper's, then the smaller ones that smaller images need
CHANNELS = 256


def head_sizes(side: int) -> tuple[int, int, int] | None:
    """The largest kernel of both head convolutions that fits a feature map of this side.

    Returns (kernel, side after conv1, side of the grid of primary capsules), the latter at
    least 2; None if no kernel fits.
    """
    for kernel in KERNELS:
        conv = side - kernel + 1
        primary = (conv - kernel) // 2 + 1
        if primary >= 2:
            return kernel, conv, primary
    return None


class CapsuleHead(Network[Output]):
    """Convolution -> primary capsules -> one capsule a class, on a 256-channel feature map.

    Its layers are attributes of the network that inherits from it, under the published names.
    Sizes below are for a 28 x 28 map, which resnet18 gives at 224 px.
    """

    def __init__(self, trunk: Trunk, image_size: int, classes: int) -> None:
        """ValueError if the image is too small for a 2 x 2 grid of primary capsules."""
        super().__init__()
        side = trunk.side(image_size)
        sizes = head_sizes(side)
        if sizes is None:
            smallest = next(s for s in range(image_size, 10_000) if head_sizes(trunk.side(s)))
            raise ValueError(f"images of {image_size} px are too small: {smallest} at least")
        kernel, conv_side, grid = sizes
        capsules = CHANNELS // PRIMARY_DIM * grid * grid
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, kernel)
        self.primarycaps = PrimaryCapsules(CHANNELS, CHANNELS, kernel, stride=2)
        self.digitcaps = RoutedCapsules(capsules, classes)
        self.sizes = (
            f"trunk {trunk.channels}x{side}x{side} -> "
            f"conv {kernel}x{kernel} {CHANNELS}x{conv_side}x{conv_side} -> "
            f"{capsules} primary capsules x {PRIMARY_DIM} ({grid}x{grid} grid) -> "
            f"{classes} capsules x {CLASS_DIM}"
        )

    def classify(self, x: Tensor) -> Tensor:
        """(B, 256, 28, 28) -> class scores (B, classes) in [0, 1): the capsules' lengths."""
        x = F.relu(self.conv1(x))  # (B, 256, 20, 20)
        x = self.primarycaps(x)  # (B, 1152, 8)
        with torch.autocast(x.device.type, enabled=False):  # lengths near 0.01 matter to the loss
            return capsule_lengths(self.digitcaps(x.float()))

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """The margin loss of the capsules' lengths."""
        return margin_loss(class_output(output), labels)

    def scores(self, output: Output) -> Tensor:
        """The class scores, in [0, 1): what the network puts out."""
        return class_output(output)

    def shown(self, output: Output) -> Tensor:
        """The same: a capsule's length says by itself whether its class is there."""
        return class_output(output)

    def extra_repr(self) -> str:
        """The sizes, from image to class capsules, and the number of parameters."""
        parameters = sum(parameter.numel() for parameter in self.parameters())
        return f"{self.sizes}; {parameters:,} parameters"


def to_capsule_channels(channels: int) -> nn.Module:
    """What brings a feature map to 256 channels: nothing, or a 1x1 convolution."""
    return nn.Identity() if channels == CHANNELS else nn.Conv2d(channels, CHANNELS, 1)


class MECapsuleNet(OneStream, CapsuleHead):
    """One stream: trunk -> capsule head.

    The picture is the apex frame, or several pictures stacked along channels (3D views).
    """

    def __init__(self, trunk: Trunk, image_size: int = 224, classes: int = 3) -> None:
        """ValueError if the image is too small for a 2 x 2 grid of primary capsules."""
        super().__init__(trunk, image_size, classes)
        self.conv = trunk
        self.adapt = to_capsule_channels(trunk.channels)
        self.sizes = f"image {len(trunk.mean)}x{image_size}x{image_size} -> {self.sizes}"

    def head(self, *features: Tensor) -> Tensor:
        """(B, 256, 28, 28) -> class scores (B, classes)."""
        return self.classify(self.adapt(*features))

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """What the capsules' first convolution reads: the last map that places anything."""
        return (self.adapt,)
