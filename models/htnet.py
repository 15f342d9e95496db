"""HTNet: a hierarchical transformer on four areas of a motion map, around eyes and lip corners.

Wang, Zhang, Luo, Sankaranarayana, "HTNet for micro-expression recognition", Neurocomputing 602,
2024 (arXiv 2307.14637). Its hierarchy is NesT's (Zhang et al., "Nested hierarchical transformer",
AAAI 2022): blocks attend within themselves, a convolution joins neighbours, four become one.
Heads, depths and patches are those of the authors' experiments (wangzhifengharrison/HTNet on
GitHub). Their width of 256 makes 139,582,982 parameters, which need a GPU and hundreds of epochs;
at a width of 48 a CPU trains them. At 28 px each block is one token, which attends to itself alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .motion import ClassNet
from .registry import Plan

# Centres (x, y) of the areas as shares of the map: eyes above, lip corners below, the left ones
# first. Eyes are where data.motion.flow puts them; lip corners where a mean face then has them.
AREAS = (((0.30, 0.33), (0.70, 0.33)), ((0.35, 0.71), (0.65, 0.71)))
LEVELS = 3
WIDTH, HEADS, DEPTHS, PATCH = 48, 3, (2, 2, 10), 7


def four_areas(maps: Tensor) -> Tensor:
    """Maps (B, C, S, S) -> the areas, each half as wide and high, side by side: (B, C, S', S').

    S' is S, or S - 1 where that is odd.
    """
    half = maps.shape[-1] // 2

    def start(centre: float) -> int:
        return min(max(round(centre * maps.shape[-1] - half / 2), 0), maps.shape[-1] - half)

    def area(x: float, y: float) -> Tensor:
        left, top = start(x), start(y)
        return maps[..., top : top + half, left : left + half]

    return torch.cat([torch.cat([area(*at) for at in row], -1) for row in AREAS], -2)


class Attention(nn.Module):
    """Multi-head self-attention: tokens (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = width // heads * heads
        self.asks = nn.Linear(width, 2 * inner, bias=False)  # queries and keys
        self.values = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        values = self.values(x)
        if x.shape[1] == 1:  # a token alone attends to itself, whatever it asks for
            return self.out(values)
        parts = [*self.asks(x).chunk(2, -1), values]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(q, k, v)  # (B, heads, T, D / heads)
        return self.out(attended.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A transformer layer: tokens (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = x + self.attend(x)
        return x + self.mix(x)


class Level(nn.Module):
    """Layers within the `blocks` x `blocks` blocks of a map: (B, D, h, w) -> the same."""

    def __init__(self, width: int, heads: int, depth: int, blocks: int, tokens: int) -> None:
        """`tokens`: of a block; each has a place of its own, one number as the authors have it."""
        super().__init__()
        self.blocks = blocks
        self.places = nn.Parameter(torch.randn(tokens))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        n, (batch, width, height, _) = self.blocks, x.shape
        side = height // n
        x = x.view(batch, width, n, side, n, side).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(batch * n * n, side * side, width) + self.places[:, None]
        x = self.layers(x).view(batch, n, n, side, side, width)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(batch, width, height, height)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class HierarchicalTransformer(nn.Module):
    """HTNet but for its last layer: maps (B, 3, S, S) -> (B, 4 D)."""

    def __init__(self, size: int, width: int, heads: int, depths: tuple[int, ...]) -> None:
        """`size`: side of the maps; `width`: D. ValueError for a size that blocks do not tile."""
        super().__init__()
        blocks = 2 ** (LEVELS - 1)
        if size % (blocks * PATCH):
            raise ValueError(f"{size} px: htnet reads multiples of {blocks * PATCH}")
        side = size // PATCH // blocks  # of a block, in tokens
        self.embed = nn.Conv2d(3, width, PATCH, stride=PATCH)  # (B, D, S/7, S/7)
        steps: list[nn.Module] = []
        for level, depth in enumerate(depths):
            wide = width * 2**level
            tiles = 2 ** (LEVELS - 1 - level)
            steps.append(Level(wide, heads * 2**level, depth, tiles, side * side))
            if level < LEVELS - 1:
                steps += [  # four blocks become one
                    nn.Conv2d(wide, 2 * wide, 3, padding=1),
                    ChannelNorm(2 * wide),
                    nn.MaxPool2d(3, stride=2, padding=1),
                ]
        self.levels = nn.Sequential(*steps)
        self.norm = ChannelNorm(wide)

    def forward(self, maps: Tensor) -> Tensor:
        """Prepared maps (B, 3, S, S) -> (B, 4 D)."""
        x = self.levels(self.embed(four_areas(maps)))  # (B, 4 D, side, side)
        return self.norm(x).mean((2, 3))


def build(plan: Plan) -> ClassNet:
    """HTNet; ValueError for a size of the maps that is no multiple of 28."""
    body = HierarchicalTransformer(plan.motion_size, WIDTH, HEADS, DEPTHS)
    return ClassNet(body, nn.Linear(4 * WIDTH, plan.classes), plan.motion_size)
