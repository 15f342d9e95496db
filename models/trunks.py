"""Trunks: the first layers of ImageNet networks, from pictures to feature maps."""

from collections.abc import Callable

import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import Conv2dDynamicSamePadding
from torch import Tensor, nn
from torch.func import functional_call

from .network import Network
from .registry import Freeze

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Some submodules of `model`, run one after the other on normalised pictures.

    A frozen submodule gets no gradient and keeps its batch-norm statistics, so that its output
    for a picture never changes.
    """

    # Of the pictures' channels, (3 x pictures, 1, 1).
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        steps: list[str],
        channels: int,
        early: int,
        side: Callable[[int], int],
        pictures: int = 1,
        own_layer: str | None = None,
    ) -> None:
        """Keep `steps` of `model`; `early` of them are what freezing "early" means.

        `pictures` RGB pictures come stacked along channels; the first convolution is widened.
        own_layer: one of `model` that is never filled from a backbone's file.
        """
        super().__init__()
        if pictures > 1:
            _widen(model, pictures)
        self.model = model
        self.steps = steps
        self.channels = channels
        self.early = early
        self.side = side  # image side -> side of the feature map
        self.frozen: list[str] = []
        self.mean: Tensor
        self.std: Tensor
        self.own_layer = own_layer
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            stacked = torch.tensor(values).repeat(pictures).view(-1, 1, 1)
            self.register_buffer(name, stacked, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3 x pictures, S, S) RGB in [0, 1] -> (B, channels, side(S), side(S)).

        Of several pictures, the last may be grey, one channel each instead of three.
        """
        x, first = images, self.model.get_submodule(self.steps[0])
        if x.shape[1] == len(self.mean):
            x = first((x - self.mean) / self.std)
        else:
            x = functional_call(first, *self._for_grey(first.get_parameter("weight"), x))
        for step in self.steps[1:]:
            x = self.model.get_submodule(step)(x)
        return x

    def _for_grey(self, weight: Tensor, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """First filters that read grey pictures as they are, and what they read.

        The normalisation, and the sum over three equal channels, go into the filters; a channel
        of ones carries what the mean takes off (the border's padding is zero after that).
        """
        grey = (len(self.mean) - images.shape[1]) // 2  # pictures
        weight = weight / self.std
        offset = -(weight * self.mean).sum(1, keepdim=True)
        colour, rest = weight.split([weight.shape[1] - 3 * grey, 3 * grey], dim=1)
        weight = torch.cat([colour, rest.unflatten(1, (grey, 3)).sum(2), offset], dim=1)
        return {"weight": weight}, torch.cat([images, torch.ones_like(images[:, :1])], dim=1)

    def stacked(self, weight: Tensor, expected: Tensor) -> Tensor:
        """A backbone's weight, its RGB filters repeated where they are to read several pictures."""
        if weight.dim() == 4 and weight.shape[1] == 3 and expected.shape[1] > 3:
            return repeat_filters(weight, expected.shape[1] // 3)
        return weight

    def freeze(self, depth: Freeze) -> None:
        """Fix nothing ("none"), the first layers ("early") or all of the trunk ("trunk")."""
        self.frozen = self.steps[: {"none": 0, "early": self.early, "trunk": None}[depth]]
        for step in self.frozen:
            self.model.get_submodule(step).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Trunk":
        """Set training mode for all but the frozen submodules."""
        super().train(mode)
        for step in self.frozen:
            self.model.get_submodule(step).eval()
        return self


class OneStream(Network[Tensor]):
    """What networks with one trunk, `conv`, have in common."""

    conv: Trunk
    motion = None

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The one trunk."""
        return (self.conv,)

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 3 x pictures, S, S) RGB in [0, 1] -> the trunk's feature map."""
        return (self.conv(*inputs),)

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """The trunk: its feature map is the last one."""
        return (self.conv,)


def resnet18(pictures: int) -> Trunk:
    """ResNet18 without the max-pooling after conv1: 256 channels at an eighth of the side."""
    model = torchvision.models.resnet18()
    for unused in ("maxpool", "layer4", "avgpool", "fc"):
        delattr(model, unused)
    steps = ["conv1", "bn1", "relu", "layer1", "layer2", "layer3"]
    # 224: conv1 64x112x112, layer1 64x112x112, layer2 128x56x56, layer3 256x28x28
    return Trunk(model, steps, 256, 4, _halvings(3, up=True), pictures)


def vgg11(pictures: int) -> Trunk:
    """VGG11's first 11 layers: 256 channels at an eighth of the side."""
    model = torchvision.models.vgg11().features[:11]
    # 224: 64x112x112, 128x56x56, 256x56x56, 256x28x28
    return Trunk(model, [str(i) for i in range(11)], 256, 4, _halvings(3, up=False), pictures)


def lite0(pictures: int) -> Trunk:
    """EfficientNet-Lite0's first eight blocks: 80 channels at a sixteenth of the side."""
    model = efficientnet_lite0(classes=1000)
    model._blocks = model._blocks[:8]
    for block in model._blocks:
        block._depthwise_conv.__class__ = DepthwiseConv
    for unused in ("_conv_head", "_bn1", "_avg_pooling", "_dropout", "_fc"):
        delattr(model, unused)
    steps = ["_conv_stem", "_bn0", "_swish"] + [f"_blocks.{i}" for i in range(8)]
    # 160: stem 32x80x80, blocks 16x80x80, 24x40x40 (2), 40x20x20 (2), 80x10x10 (3)
    return Trunk(model, steps, 80, 6, _halvings(4, up=True), pictures)


def repeat_filters(weight: Tensor, pictures: int) -> Tensor:
    """RGB filters (O, 3, k, k) for stacked pictures: repeated, and divided by their number.

    On equal pictures the output equals the RGB filters'.
    """
    return weight.repeat(1, pictures, 1, 1) / pictures


def _widen(model: nn.Module, pictures: int) -> None:
    """Let the first convolution read `pictures` RGB pictures."""
    _, conv = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    conv.in_channels *= pictures
    conv.weight = nn.Parameter(repeat_filters(conv.weight.detach(), pictures))


class DepthwiseConv(Conv2dDynamicSamePadding):
    """A depthwise convolution, in float32 on a CPU even under autocast.

    oneDNN has no fast gradients for those of stride 2 or 5x5 filters in bf16: they take three to
    forty times as long as in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride)."""
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


def efficientnet_lite0(classes: int) -> EfficientNet:
    """The whole EfficientNet-Lite0 for pictures of any size, random weights."""
    return EfficientNet.from_name("efficientnet-lite0", image_size=None, num_classes=classes)


def _halvings(times: int, up: bool) -> Callable[[int], int]:
    def side(image_side: int) -> int:
        for _ in range(times):
            image_side = (image_side + up) // 2
        return image_side

    return side
