"""Colours of a head in uv: from its image where that shows the skin, from a mean elsewhere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .rasterizer import rasterize
from .reconstruction import Topology, to_pixels


class UvMap:
    """A topology's unwrapped mesh, rasterised once: values at vertices -> maps in uv."""

    def __init__(self, topology: Topology, size: int) -> None:
        self.faces = topology.faces
        (self.fragments,) = rasterize(topology.uv_positions(), topology.uv_faces, size)

    def __call__(self, values: Tensor) -> Tensor:
        """Values (B, V, C) -> maps (B, C, size, size), 0 where the map is empty."""
        return self.fragments.image(self.fragments.interpolate(values, self.faces))


def sample_image(image: Tensor, pixels: Tensor) -> Tensor:
    """Look an image (3, H, W) up at columns and rows (S, S, 2) -> (3, S, S), black beyond it."""
    size = torch.tensor(image.shape[:0:-1], dtype=pixels.dtype, device=pixels.device)  # W, H
    grid = (2 * pixels + 1) / size - 1
    return F.grid_sample(image[None], grid[None], align_corners=False)[0]


def image_texture(
    image: Tensor,
    positions: Tensor,
    normals: Tensor,
    camera: Tensor,
    elsewhere: Tensor,
    mask: Tensor,
    skin: Tensor,
) -> Tensor:
    """A texture (3, S, S) out of the image, blended into the map `elsewhere` (3, S, S).

    positions and normals (3, S, S): the posed head in uv; image (3, H, W); mask (S, S) in [0, 1]:
    where the image may go; skin (S, S): where its mean colour is measured, to which `elsewhere`
    is brought, so that the border does not show.
    """
    pixels = to_pixels(positions.permute(1, 2, 0), camera)
    seen = sample_image(image, pixels)
    edge = torch.tensor(image.shape[:0:-1], device=pixels.device) - 1
    inside = ((pixels >= 0) & (pixels <= edge)).all(-1)
    # Skin seen at a grazing angle is smeared: from 80 to 70 degrees the image fades in.
    facing = ((normals[2] - 0.17) / 0.17).clamp(0, 1)
    weight = mask * inside * facing
    measured = weight * skin
    if measured.sum() > 0:
        ratio = (seen * measured).sum((1, 2)) / (elsewhere * measured).sum((1, 2)).clamp(min=1e-6)
        elsewhere = elsewhere * ratio[:, None, None]
    return (weight * seen + (1 - weight) * elsewhere).clamp(0, 1)
