"""Colours of a head in uv: from its image where that shows the skin, from a mean elsewhere."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from data.geometry import reduced

from .rasterizer import Fragments, rasterize
from .reconstruction import Topology, to_pixels

LARGEST = 2048  # pixels: greater images are reduced before their colours are taken


class UvMap:
    """A topology's unwrapped mesh, rasterised once: values at vertices -> maps in uv.

    Where the map is empty it is 0; with `spread` the nearest texel's value, so that colours
    looked up at the edge of a chart do not mix with what is beside it.
    """

    def __init__(self, topology: Topology, size: int, spread: bool = False) -> None:
        self.faces = topology.faces
        (self.fragments,) = rasterize(topology.uv_positions(), topology.uv_faces, size)
        self.nearest = _nearest_texels(self.fragments) if spread else None

    @property
    def filled(self) -> Tensor:
        """Where the map is not empty, bool (size, size)."""
        return self.fragments.image(torch.ones_like(self.fragments.depth)[:, None])[0] > 0

    def __call__(self, values: Tensor) -> Tensor:
        """Values (B, V, C) -> maps (B, C, size, size)."""
        painted = self.fragments.interpolate(values, self.faces)
        if self.nearest is None:
            return self.fragments.image(painted)
        return painted.transpose(-1, -2)[..., self.nearest]


def _nearest_texels(fragments: Fragments) -> Tensor:
    """For each texel (S, S) the nearest one that is painted, as its place in the fragments."""
    size = fragments.size
    order = np.full(size * size, -1)
    order[fragments.pixel.cpu().numpy()] = np.arange(len(fragments.pixel))
    grid = order.reshape(size, size)
    rows, columns = distance_transform_edt(grid < 0, return_distances=False, return_indices=True)
    return torch.from_numpy(grid[rows, columns]).to(fragments.pixel.device)


def photograph(image: np.ndarray, camera: Tensor) -> tuple[Tensor, Tensor]:
    """An image, uint8 (H, W, 3), to take colours from: (3, H, W) in [0, 1], and a camera into it.

    Greater images are averaged down to LARGEST pixels, with `camera`, on whose device they go.
    """
    shrink = min(1, LARGEST / max(image.shape[:2]))
    small = np.ascontiguousarray(reduced(image, shrink))
    scale, x, y = camera
    if shrink < 1:
        camera = torch.stack([scale * shrink, (x + 0.5) * shrink - 0.5, (y + 0.5) * shrink - 0.5])
    return torch.from_numpy(small).to(camera.device).permute(2, 0, 1).float() / 255, camera


def sample_image(image: Tensor, pixels: Tensor) -> Tensor:
    """Look an image (3, H, W) up at columns and rows (S, S, 2) -> (3, S, S), black beyond it."""
    size = torch.tensor(image.shape[:0:-1], dtype=pixels.dtype, device=pixels.device)  # W, H
    grid = (2 * pixels + 1) / size - 1
    return F.grid_sample(image[None], grid[None], align_corners=False)[0]


def image_texture(
    image: Tensor,
    camera: Tensor,
    positions: Tensor,
    normals: Tensor,
    elsewhere: Tensor,
    mask: Tensor,
    skin: Tensor,
) -> Tensor:
    """A texture (3, S, S) out of the image, blended into the map `elsewhere` (3, S, S).

    image (3, H, W) and camera: as `photograph` gives them; positions and normals (3, S, S): the
    posed head in uv; mask (S, S) in [0, 1]:
    where the image may go; skin (S, S): where its colour is measured, to which `elsewhere`
    is brought, so that the border does not show.
    """
    pixels = to_pixels(positions.permute(1, 2, 0), camera)
    seen = sample_image(image, pixels)
    edge = torch.tensor(image.shape[:0:-1], device=pixels.device) - 1
    inside = ((pixels >= 0) & (pixels <= edge)).all(-1)
    # Skin seen at a grazing angle is smeared: from 80 to 70 degrees the image fades in.
    facing = ((normals[2] - 0.17) / 0.17).clamp(0, 1)
    weight = mask * inside * facing
    measured = weight * skin > 0.5
    if measured.any():
        # Medians: brows, lips and glasses are few against the skin.
        ratio = seen[:, measured].median(1)[0] / elsewhere[:, measured].median(1)[0].clamp(min=1e-3)
        elsewhere = elsewhere * ratio[:, None, None]
    return (weight * seen + (1 - weight) * elsewhere).clamp(0, 1)
