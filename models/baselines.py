"""Baselines: ImageNet classification networks with a new last layer."""

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from .trunks import Trunk, efficientnet_lite0

# name -> (convolutional steps, how many of them are "early", their channels, pooling, the rest,
# last layer)
_PARTS = {
    "resnet18": (
        ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"],
        5,
        512,
        "avgpool",
        ["fc"],
        "fc",
    ),
    "vgg11": (["features"], 0, 512, "avgpool", ["classifier"], "classifier.6"),
    "efficientnet_lite0": (
        ["_conv_stem", "_bn0", "_swish"]
        + [f"_blocks.{i}" for i in range(16)]
        + ["_conv_head", "_bn1", "_swish"],
        6,
        1280,
        "_avg_pooling",
        ["_dropout", "_fc"],
        "_fc",
    ),
}


class Baseline(nn.Module):
    """ResNet18, VGG11 or EfficientNet-Lite0 on one picture.

    Cross-entropy on the logits; softmax_twice applies it to the softmax output instead, as the
    published code did, and is here only to reproduce that.
    """

    def __init__(self, name: str, classes: int = 3, softmax_twice: bool = False) -> None:
        """A network with random weights; ValueError if the name is not a trunk's."""
        super().__init__()
        if name not in _PARTS:
            raise ValueError(f"no baseline '{name}': one of {', '.join(_PARTS)}")
        steps, early, channels, self.pool, self.rest, self.last = _PARTS[name]
        if name == "efficientnet_lite0":
            model = efficientnet_lite0(classes)
        else:
            model = torchvision.models.get_model(name, num_classes=classes)
        self.conv = Trunk(model, steps, channels, early, side=lambda side: -(-side // 32))
        self.softmax_twice = softmax_twice

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """The one trunk."""
        return (self.conv,)

    def features(self, images: Tensor) -> tuple[Tensor]:
        """(B, 3, S, S) RGB in [0, 1] -> the last feature map, (B, C, S/32, S/32)."""
        return (self.conv(images),)

    def head(self, features: Tensor) -> Tensor:
        """Feature map -> logits (B, classes)."""
        model = self.conv.model
        x = model.get_submodule(self.pool)(features).flatten(1)
        for layer in self.rest:
            x = model.get_submodule(layer)(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in [0, 1] -> logits (B, classes)."""
        return self.head(*self.features(images))

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,), a mean over the batch."""
        return F.cross_entropy(output.softmax(1) if self.softmax_twice else output, labels)

    @staticmethod
    def scores(output: Tensor) -> Tensor:
        """Logits -> class probabilities (B, classes)."""
        return output.softmax(dim=1)
