"""DECA's wrinkles: codes -> a displacement map in uv -> normals.

Feng et al. (2021), section 4.2: the displacement depends on the person (detail code), and on the
expression and the jaw, so that wrinkles move with the face.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from deca.geometry import grid_normals

from .encoder import DETAIL
from .model import EXPRESSION

MAP = 256  # pixels of the uv maps
MAX_DISPLACEMENT = 0.01  # metres
LATER_EPS = 0.8  # published networks were built with 0.8 as eps, where momentum was meant


class DetailDecoder(nn.Module):
    """D_detail: jaw (B, 3), expression (B, 50), detail (B, 128) -> (B, 1, 256, 256) metres."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(3 + EXPRESSION + DETAIL, 128 * 8 * 8))
        layers: list[nn.Module] = [nn.BatchNorm2d(128)]
        channels = [128, 128, 64, 64, 32, 16]
        for before, after in pairwise(channels):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after, eps=LATER_EPS),
                nn.LeakyReLU(0.2),
            ]
        layers += [nn.Conv2d(channels[-1], 1, 3, padding=1), nn.Tanh()]
        self.conv_blocks = nn.Sequential(*layers)

    def forward(self, jaw: Tensor, expression: Tensor, detail: Tensor) -> Tensor:
        """The displacement along the normal, in metres, at most 0.01 either way."""
        start = self.l1(torch.cat([jaw, expression, detail], 1)).view(-1, 128, 8, 8)
        return self.conv_blocks(start) * MAX_DISPLACEMENT


def detail_maps(
    positions: Tensor, normals: Tensor, displacement: Tensor, fixed: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Points and normals with wrinkles in uv, both (B, 3, S, S).

    positions, normals (B, 3, S, S): the coarse head in uv; displacement (B, 1, S, S) and fixed
    (S, S) in metres; mask (1, 1, S, S) in [0, 1]: face and eyes. Outside it the coarse normals.
    """
    detailed = positions + (displacement * mask + fixed) * normals
    return detailed, grid_normals(detailed) * mask + normals * (1 - mask)
