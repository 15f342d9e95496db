"""Colour from normals: five lamps for grey renderings, spherical harmonics for albedo."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 180 / 255
LAMPS = ((-1, 1, 1), (1, 1, 1), (-1, -1, 1), (1, -1, 1), (0, 0, 1))  # directions to the light
INTENSITY = 1.7
FACING = 0.15  # a pixel is kept where its normal's z in image space is below this


def lamp_shading(normals: Tensor, turn: Tensor | None = None) -> Tensor:
    """Unit normals (…, 3), y up and z to the viewer -> light (…,) in [0, 1.7].

    turn (3, 3): a rotation that the normals still have to go through.
    """
    lamps = F.normalize(normals.new_tensor(LAMPS), dim=1)
    if turn is not None:
        lamps = lamps @ turn  # l . (R n) = (R^T l) . n
    return (normals @ lamps.T).clamp(0, 1).mean(-1) * INTENSITY


# The nine real harmonics up to degree 2, each times the cosine lobe's factor of its degree
# (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps", 2001).
_FACTORS = (
    [1 / math.sqrt(4 * math.pi)]
    + [2 * math.pi / 3 * math.sqrt(3 / (4 * math.pi))] * 3
    + [math.pi / 4 * 3 * math.sqrt(5 / (12 * math.pi))] * 3
    + [math.pi / 4 * 3 / 2 * math.sqrt(5 / (12 * math.pi))]
    + [math.pi / 4 / 2 * math.sqrt(5 / (4 * math.pi))]
)


def harmonic_shading(normals: Tensor, light: Tensor) -> Tensor:
    """Normals (B, 3, H, W), coefficients (B, 9, 3) -> light by colour (B, 3, H, W)."""
    x, y, z = normals.unbind(1)
    terms = [torch.ones_like(x), x, y, z, x * y, x * z, y * z, x**2 - y**2, 3 * z**2 - 1]
    factors = torch.tensor(_FACTORS, dtype=normals.dtype, device=normals.device)
    return torch.einsum("bnhw,n,bnc->bchw", torch.stack(terms, 1), factors, light)
