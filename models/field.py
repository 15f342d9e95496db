"""The field's convolutional networks on motion maps (u, v, strain).

Layers follow what is published of each: its paper's description, and the authors' code where the
paper leaves something open. They are for maps of 28 px; at another --motion-size the same layers
see more pixels.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .motion import ClassNet, stretch
from .registry import Plan


class ApexFlow(nn.Module):
    """OFF-ApexNet's two streams: (B, 3, S, S) -> (B, 1024).

    Gan, Liong, Yau, Huang, Tan, "OFF-ApexNet on micro-expression recognition system", Signal
    Processing: Image Communication 74, 2019 (with Liong first, arXiv 1805.08699). u and v each go
    through their own two convolutions of 5 x 5 with 6 and 16 filters, are joined, and pass two
    layers of 1024. Strain is not read. 2.66 million parameters with the last layer.
    """

    def __init__(self, size: int) -> None:
        """`size`: side of the maps."""
        super().__init__()
        self.streams = nn.ModuleList(self._stream() for _ in "uv")
        self.dense = nn.Sequential(
            nn.Linear(2 * 16 * (size // 4) ** 2, 1024),  # of 1568 at 28 px
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
        )

    @staticmethod
    def _stream() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),  # 6 x S x S
            nn.ReLU(),
            nn.MaxPool2d(2),  # 6 x S/2 x S/2
            nn.Conv2d(6, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 16 x S/4 x S/4
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Prepared maps (B, 3, S, S) -> (B, 1024)."""
        seen = [stream(maps[:, i : i + 1]).flatten(1) for i, stream in enumerate(self.streams)]
        return self.dense(torch.cat(seen, 1))


class TripleStream(nn.Module):
    """STSTNet's three streams: (B, 3, S, S) -> (B, 16, 5, 5).

    Liong, Gan, See, Khor, Huang, "Shallow triple stream three-dimensional CNN (STSTNet) for
    micro-expression recognition", FG 2019, table I: 3, 5 and 8 filters of 3 x 3 x 3, each over u, v
    and strain together, are pooled to 10 x 10, joined, and averaged to 5 x 5. Batch norm and
    dropout as in the authors' Python. 1,683 parameters with the last layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, filters, 3, padding=1),  # filters x 28 x 28
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(3, padding=1),  # filters x 10 x 10
                nn.Dropout(0.5),
            )
            for filters in (3, 5, 8)
        )
        self.pool = nn.AdaptiveAvgPool2d(5)  # 2 x 2 at 28 px

    def forward(self, maps: Tensor) -> Tensor:
        """Prepared maps (B, 3, S, S) -> (B, 16, 5, 5)."""
        return self.pool(torch.cat([stream(maps) for stream in self.streams], 1))


class SingleStream(nn.Sequential):
    """SSSNet but for its last layer: (B, 3, S, S) -> (B, 256).

    Varanka, Peng, Zhao, "Micro-expression recognition with noisy labels", Electronic Imaging
    2021; sizes as in the authors' library meb (Varanka et al., arXiv 2211.11425), where maps have
    64 px: two convolutions without padding, 32 of 5 x 5 and 64 of 3 x 3, and a layer of 256.
    """

    def __init__(self, size: int) -> None:
        """`size`: side of the maps. ValueError if nothing would be left of them."""
        side = ((size - 4) // 3 - 2) // 2  # 3 of 28, 9 of 64
        if side < 1:
            raise ValueError(f"{size} px are too few for sssnet: at least 16")
        super().__init__(
            nn.Conv2d(3, 32, 5),  # 32 x S-4 x S-4
            nn.ReLU(),
            nn.MaxPool2d(3),
            nn.BatchNorm2d(32),
            nn.Dropout2d(0.5),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 64 x side x side
            nn.BatchNorm2d(64),
            nn.Dropout2d(0.5),
            nn.Flatten(),
            nn.Linear(64 * side * side, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
        )


class RecurrentConv(nn.Module):
    """RCN's recurrent convolution: (B, C, h, w) -> (B, C, h/2, w/2).

    A 1 x 1 convolution starts the state; a 3 x 3 one, the same twice, then reads input and state.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

        def conv(kernel: int) -> nn.Sequential:
            layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
            return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())

        self.forwards, self.recurrent = conv(1), conv(3)
        self.shrink = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        state = self.forwards(x)
        for _ in range(2):
            state = self.recurrent(x + state)
        return self.shrink(state)


class RecurrentNet(ClassNet):
    """RCN-A: a recurrent convolution and an attention unit without parameters of its own.

    Xia, Peng, Khor, Feng, Zhao, "Revealing the invisible with model and data shrinking for
    composite-database micro-expression recognition", IEEE TIP 29, 2020 (arXiv 2006.09674): A is
    the variant with the attention unit alone. Like a class activation map, the unit weighs the
    first layer's features with the last layer's weights, class by class, and where they agree it
    lets the recurrent layer's features through. 51,139 parameters with the published 64 filters.
    The paper's maps have 60 px.
    """

    SIDE = 5  # of the grid that both are pooled to

    def __init__(self, size: int, classes: int, channels: int = 64) -> None:
        """`size`: side of the maps. ValueError if nothing would be left of them."""
        if size < 8:
            raise ValueError(f"{size} px are too few for rcn_a: at least 8")
        body = nn.Sequential(
            nn.Conv2d(3, channels, 5),  # 64 x S-4 x S-4
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.5),
        )
        last = nn.Linear(channels * self.SIDE**2, classes)
        super().__init__(body, last, size, partial(stretch, top=1.0))
        self.recurrent = RecurrentConv(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

    def features(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, 3, S, S) -> first (B, 64 x 25) and recurrent features (B, 64 x 25)."""
        (maps,) = inputs
        first = self.body(self.prepared(maps))  # (B, 64, h, w)
        pooled = [F.adaptive_avg_pool2d(x, self.SIDE) for x in (first, self.recurrent(first))]
        return tuple(x.flatten(1) for x in pooled)

    def head(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Both features -> class logits (B, classes)."""
        first, recurrent = features
        seen = first.unflatten(1, (-1, self.SIDE**2))  # (B, 64, 25)
        weight = self.classes.get_parameter("weight").unflatten(1, (-1, self.SIDE**2))
        evidence = torch.einsum("kcp,bcp->bkp", weight, seen) / seen.shape[1]  # (B, classes, 25)
        evidence = evidence - evidence.amin(2, keepdim=True)
        evidence = evidence / evidence.amax(2, keepdim=True).clamp_min(1e-12)
        attended = recurrent.view_as(seen) * evidence.mean(1, keepdim=True)
        return (self.classes(attended.flatten(1)),)


def build_off_apexnet(plan: Plan) -> ClassNet:
    """OFF-ApexNet; ValueError for maps below 4 px."""
    if plan.motion_size < 4:
        raise ValueError(f"{plan.motion_size} px are too few for off_apexnet: at least 4")
    return ClassNet(ApexFlow(plan.motion_size), nn.Linear(1024, plan.classes), plan.motion_size)


def build_ststnet(plan: Plan) -> ClassNet:
    """STSTNet."""
    return ClassNet(TripleStream(), nn.Linear(400, plan.classes), plan.motion_size, stretch)


def build_sssnet(plan: Plan) -> ClassNet:
    """SSSNet; ValueError for maps below 16 px."""
    return ClassNet(SingleStream(plan.motion_size), nn.Linear(256, plan.classes), plan.motion_size)


def build_rcn_a(plan: Plan) -> ClassNet:
    """RCN-A; ValueError for maps below 8 px."""
    return RecurrentNet(plan.motion_size, plan.classes)
