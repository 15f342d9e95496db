"""Small networks for motion maps (u, v, strain): class scores and action units.

Maps come in any scale: pixels of one's own flow, or each channel stretched to its own range, as
published maps are. So every network standardises its input, channel by channel.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .network import Network, logits_loss
from .registry import Plan

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 24, 25, 26)  # FACS numbers, in this order
CLIP = 4.0  # standard deviations; more is an eyelid or a glint


def standardise(maps: Tensor) -> Tensor:
    """Maps (B, 3, S, S) in any scale -> each channel's median at 0, its RMS at 1, within ±CLIP.

    u and v keep their sign: the median is the motion of what does not move. A channel without
    any motion becomes 0. ValueError for anything but three channels.
    """
    _check(maps)
    flat = maps.flatten(2).double()  # float32 would lose a small motion on a large offset
    flat = flat - flat.quantile(0.5, dim=2, keepdim=True)
    size = flat.square().mean(2, keepdim=True).sqrt()
    flat = flat / size.clamp_min(1e-12)
    return flat.clamp(-CLIP, CLIP).to(maps.dtype).view_as(maps)


def stretch(maps: Tensor, top: float = 255.0) -> Tensor:
    """Maps (B, 3, S, S) in any scale -> each channel from 0 to `top`, as published maps are.

    A channel without any motion becomes 0. ValueError for anything but three channels.
    """
    _check(maps)
    flat = maps.flatten(2).double()
    low, high = flat.amin(2, keepdim=True), flat.amax(2, keepdim=True)
    flat = (flat - low) / (high - low).clamp_min(1e-12)
    return (top * flat).to(maps.dtype).view_as(maps)


def _check(maps: Tensor) -> None:
    if maps.ndim != 4 or maps.shape[1] != 3:
        raise ValueError(f"motion maps are (B, 3, S, S), got {tuple(maps.shape)}")


class ClassNet(Network[tuple[Tensor, ...]]):
    """Motion maps -> features -> classes: what every network of motion alone is.

    forward: (B, 3, S, S) -> class logits (B, classes), first of a tuple. Maps of another size
    than the network's own are resized to it.
    """

    trunks = ()
    motion = None

    def __init__(
        self,
        body: nn.Module,
        classes: nn.Module,
        size: int,
        prepare: Callable[[Tensor], Tensor] = standardise,
    ) -> None:
        """`body` makes features of a prepared map of side `size`, `classes` logits of those."""
        super().__init__()
        self.body = body
        self.classes = classes
        self.size = size
        self.prepare = prepare

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, 3, S, S) -> (B, width), what the head reads."""
        (maps,) = inputs
        return (self.body(self.prepared(maps)).flatten(1),)

    def prepared(self, maps: Tensor) -> Tensor:
        """Maps (B, 3, S, S) as the body reads them: of its size, and in its scale."""
        if maps.shape[-2:] != (self.size, self.size):
            maps = F.interpolate(maps, size=(self.size, self.size), mode="area")
        return self.prepare(maps)

    def head(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Features (B, width) -> class logits (B, classes)."""
        return (self.classes(*features),)

    def loss(
        self, output: tuple[Tensor, ...], labels: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy of the classes alone: real corpora are trained on those.

        weight: of each class (classes,).
        """
        return logits_loss(output[0], labels, weight)

    def scores(self, output: tuple[Tensor, ...]) -> Tensor:
        """Class probabilities (B, classes)."""
        return output[0].softmax(1)

    def shown(self, output: tuple[Tensor, ...]) -> Tensor:
        """Each class's own probability (B, classes)."""
        return output[0].sigmoid()

    def heat_layers(self) -> tuple[nn.Module | None, ...]:
        """The maps' own pixels: no layer has a finer map."""
        return (None,)


class MotionNet(ClassNet):
    """A network that tells action units beside the classes.

    forward: (B, 3, S, S) -> class logits (B, classes) and unit logits (B, 16).
    """

    classes: nn.Linear

    def __init__(self, body: nn.Module, width: int, size: int, classes: int = 3) -> None:
        """`body` makes `width` features of a standardised map of side `size`."""
        super().__init__(body, nn.Linear(width, classes), size)
        self.units = nn.Linear(width, len(UNITS))

    def head(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Features (B, width) -> class logits (B, classes) and unit logits (B, 16)."""
        return self.classes(*features), self.units(*features)

    def unit_scores(self, output: tuple[Tensor, ...]) -> Tensor:
        """Probabilities of the action units (B, 16)."""
        return output[1].sigmoid()


class Lean(nn.Sequential):
    """Two shallow convolutions and a coarse grid: (B, 3, S, S) -> (B, 16, 5, 5).

    Little capacity and strong dropout on purpose: a net that fits synthetic maps closely reads real
    ones worse.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 12, 5, padding=2, bias=False),  # 12 x S x S
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1, bias=False),  # 16 x S/2 x S/2
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(5),
            nn.Dropout(0.5),
        )


def as_class_net(network: nn.Module) -> ClassNet:
    """A network of motion alone as what it is; TypeError for another one."""
    if not isinstance(network, ClassNet):
        raise TypeError(f"{type(network).__name__} is no ClassNet")
    return network


def as_motion_net(network: nn.Module) -> MotionNet:
    """A network of motion that tells action units as what it is; TypeError for another one."""
    if not isinstance(network, MotionNet):
        raise TypeError(f"{type(network).__name__} is no MotionNet")
    return network


def build_linear(plan: Plan) -> MotionNet:
    """One weight a pixel and output: 45,000 at 28 px."""
    size = plan.motion_size
    return MotionNet(nn.Flatten(), 3 * size * size, size, plan.classes)


def build_lean(plan: Plan) -> MotionNet:
    """10,000 parameters at any size."""
    return MotionNet(Lean(), 400, plan.motion_size, plan.classes)


class MotionStream(nn.Module):
    """Motion maps as a further stream beside pictures: (B, 3, S, S) -> (B, 16, side, side).

    Batch norm keeps its statistics, as wherever the lean network is tuned: a fold is too small.
    """

    channels = 16

    def __init__(self, body: nn.Module, frozen: bool) -> None:
        """`body` of a lean network, a Lean; `frozen`: it is not trained at all."""
        super().__init__()
        self.body = body
        self.frozen = frozen
        self.body.requires_grad_(not frozen)

    def forward(self, maps: Tensor, side: int) -> Tensor:
        """Maps in any scale -> features on a grid as fine as the pictures' feature maps."""
        features = self.body(standardise(maps.float()))  # (B, 16, 5, 5)
        return F.interpolate(features, size=(side, side), mode="bilinear", align_corners=False)

    def train(self, mode: bool = True) -> "MotionStream":
        """Set training mode, but for batch norm, and for all of it where it is frozen."""
        super().train(mode and not self.frozen)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def flip(maps: Tensor) -> Tensor:
    """The maps of mirrored faces: u changes its sign."""
    mirrored = maps.flip(-1)
    return torch.cat([-mirrored.narrow(-3, 0, 1), mirrored.narrow(-3, 1, 2)], -3)


def vary(maps: Tensor, generator: torch.Generator, noise: float = 0.5) -> Tensor:
    """Standardised maps (B, 3, S, S), varied for training.

    Mirrored at random, one of three without its strain (which depends most on how flow was
    estimated), noise of two grains up to `noise` standard deviations, and a random
    affine warp (5% of shift, 6% of scale, 4% of shear): a map of another crop, flow or face.
    """
    count, side = len(maps), maps.shape[-1]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def some() -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator)

    maps = torch.where(some() < 0.5, flip(maps), maps)
    maps = maps * torch.cat([torch.ones(count, 2, 1, 1), (some() > 1 / 3).float()], 1)
    coarse = F.interpolate(normal(count, 3, 9, 9), size=side, mode="bilinear")
    maps = maps + noise * some() * coarse + 0.6 * noise * some() * normal(count, 3, side, side)
    scale = torch.tensor([[0.06, 0.04, 0.05], [0.04, 0.06, 0.05]])
    warp = torch.eye(2, 3) + scale * normal(count, 2, 3)
    grid = F.affine_grid(warp, list(maps.shape), align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
