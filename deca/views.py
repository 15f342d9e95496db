"""Pictures of a reconstructed head: the 13 views of the second stream, and its pose in the image.

Yaw is in degrees; positive turns the nose to the right of the image.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .crop import Square
from .flame import rotation_matrices
from .rasterizer import Fragments, rasterize
from .reconstruction import Reconstruction, to_pixels
from .shading import FACING, GREY, lamp_shading

YAWS = tuple(range(-30, 31, 5))
SIZE = 224
FLIP = (1.0, -1.0, -1.0)  # from y up, z to the viewer, to image space


@torch.no_grad()
def draw_views(
    head: Reconstruction, yaws: Sequence[int] = YAWS, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head from each yaw, uint8 (len(yaws), size, size, 3) RGB on black.

    The head's own rotation is replaced by the yaw; centre and scale are the same in all views.
    Grey with fine detail, or with its texture as it is.
    """
    flip = head.frontal.new_tensor(FLIP)
    points = (head.frontal - head.framing.centre) * head.framing.scale * flip
    axes = points.new_zeros(len(yaws), 3)
    axes[:, 1] = torch.deg2rad(points.new_tensor(yaws))
    turns = rotation_matrices(axes)
    in_image_space = flip[:, None] * turns * flip
    images = rasterize(points, head.topology.faces, size, in_image_space)
    drawn = [_draw(head, seen, turn, textured) for seen, turn in zip(images, turns, strict=True)]
    return torch.stack(drawn).cpu().numpy()


@torch.no_grad()
def draw_in_image(
    head: Reconstruction, square: Square, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head as it lies in a square of its image, uint8 (size, size, 3) RGB on black."""
    centre = head.vertices.new_tensor([square.x, square.y])
    half = square.side / 2
    plane = (to_pixels(head.vertices, head.camera) - centre) / half
    depth = -head.vertices[:, 2:] * head.camera[0] / half
    points = torch.cat([plane, depth - depth.mean()], 1)
    (seen,) = rasterize(points, head.topology.faces, size)
    return _draw(head, seen, head.rotation, textured).cpu().numpy()


def _draw(head: Reconstruction, seen: Fragments, turn: Tensor, textured: bool) -> Tensor:
    """Colour what an image sees of the head, whose frontal normals go through `turn` (3, 3)."""
    normals = seen.interpolate(head.normals, head.topology.faces)
    towards_viewer = normals @ turn[2]
    if textured:
        colours = _sample(head.texture, head, seen)
    else:
        if head.normal_map is not None:
            normals = _sample(head.normal_map, head, seen)
        colours = GREY * lamp_shading(normals, turn)[:, None].expand(-1, 3)
    colours = colours * (towards_viewer > -FACING)[:, None]
    bytes_ = (colours.clamp(0, 1) * 255).round().byte()
    return seen.image(bytes_).permute(1, 2, 0).contiguous()


def _sample(uv_map: Tensor, head: Reconstruction, seen: Fragments) -> Tensor:
    """Look a map (3, S, S) in uv up at each pixel that sees the head -> (P, 3)."""
    grid = seen.interpolate(head.topology.uv_positions()[:, :2], head.topology.uv_faces)
    return F.grid_sample(uv_map[None], grid[None, None], align_corners=False)[0, :, 0].T
