"""Baselines: ImageNet classification networks with a new last layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torchvision
from torch import Tensor, nn

from .network import logits_loss
from .registry import TRUNKS, Plan, load
from .trunks import OneStream, Trunk, efficientnet_lite0


@dataclass(frozen=True)
class Parts:
    """How a classification network is put together, in names of its submodules."""

    model: Callable[[int], nn.Module]  # of so many classes, with random weights
    steps: list[str]  # convolutional layers
    early: int  # of the steps: what freezing "early" means
    channels: int  # of the last feature map
    pool: str
    rest: list[str]  # after the pooling
    last: str  # the layer with one output a class


def _torchvision(name: str, classes: int) -> nn.Module:
    return torchvision.models.get_model(name, num_classes=classes)


RESNET18 = Parts(
    model=partial(_torchvision, "resnet18"),
    steps=["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"],
    early=5,
    channels=512,
    pool="avgpool",
    rest=["fc"],
    last="fc",
)
VGG11 = Parts(
    model=partial(_torchvision, "vgg11"),
    steps=["features"],
    early=0,
    channels=512,
    pool="avgpool",
    rest=["classifier"],
    last="classifier.6",
)
EFFICIENTNET_LITE0 = Parts(
    model=efficientnet_lite0,
    steps=["_conv_stem", "_bn0", "_swish"]
    + [f"_blocks.{i}" for i in range(16)]
    + ["_conv_head", "_bn1", "_swish"],
    early=6,
    channels=1280,
    pool="_avg_pooling",
    rest=["_dropout", "_fc"],
    last="_fc",
)


class Baseline(OneStream):
    """ResNet18, VGG11 or EfficientNet-Lite0 on one picture.

    Cross-entropy on the logits; softmax_twice applies it to the softmax output instead, as the
    published code did, and is here only to reproduce that.
    """

    def __init__(self, name: str, classes: int = 3, softmax_twice: bool = False) -> None:
        """A network with random weights; ValueError if the trunk has no whole network."""
        super().__init__()
        place = TRUNKS[name].baseline if name in TRUNKS else None
        if place is None:
            names = [name for name, entry in TRUNKS.items() if entry.baseline]
            raise ValueError(f"no baseline '{name}': one of {', '.join(names)}")
        self.parts: Parts = load(place)
        parts = self.parts
        self.conv = Trunk(
            parts.model(classes),
            parts.steps,
            parts.channels,
            parts.early,
            side=lambda side: -(-side // 32),
            own_layer=parts.last,  # a backbone's file has it for its own 1000 classes
        )
        self.softmax_twice = softmax_twice

    def head(self, *features: Tensor) -> Tensor:
        """Feature map -> logits (B, classes)."""
        model = self.conv.model
        x = model.get_submodule(self.parts.pool)(*features).flatten(1)
        for layer in self.parts.rest:
            x = model.get_submodule(layer)(x)
        return x

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) and labels (B,), a mean over the batch."""
        return logits_loss(output.softmax(1) if self.softmax_twice else output, labels)

    def scores(self, output: Tensor) -> Tensor:
        """Logits -> class probabilities (B, classes)."""
        return output.softmax(dim=1)

    def shown(self, output: Tensor) -> Tensor:
        """Logits -> each class's own probability (B, classes)."""
        return output.sigmoid()


def build(plan: Plan) -> Baseline:
    """The baseline of an experiment."""
    return Baseline(plan.trunk, plan.classes, plan.softmax_twice)
