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
from .rasterizer import Fragments, rasterize, rasterize_turned
from .reconstruction import Reconstruction, to_pixels
from .shading import FACING, GREY, lamp_shading

YAWS = tuple(range(-30, 31, 5))
SIZE = 224
FLIP = (1.0, -1.0, -1.0)  # from y up, z to the viewer, to image space


@torch.inference_mode()
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
    fragments = rasterize_turned(points, head.topology.faces, in_image_space, size)
    return _draw(head, fragments, turns, textured)


@torch.inference_mode()
def draw_in_image(
    head: Reconstruction, square: Square, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head as it lies in a square of its image, uint8 (size, size, 3) RGB on black."""
    centre = head.vertices.new_tensor([square.x, square.y])
    half = square.side / 2
    plane = (to_pixels(head.vertices, head.camera) - centre) / half
    depth = -head.vertices[:, 2:] * head.camera[0] / half
    points = torch.cat([plane, depth - depth.mean()], 1)
    fragments = rasterize(points[None], head.topology.faces, size)
    return _draw(head, fragments, head.rotation[None], textured)[0]


def _draw(head: Reconstruction, fragments: Fragments, turns: Tensor, textured: bool) -> np.ndarray:
    """Shade B images of the frontal head's normals, turned by (B, 3, 3), y up."""
    topology = head.topology
    coarse = fragments.interpolate(head.normals[None], topology.faces)
    towards = torch.einsum("bj,bjhw->bhw", turns[:, 2], coarse)
    kept = (fragments.face >= 0) & (towards > -FACING)
    if textured or head.normal_map is not None:
        uv = fragments.interpolate(topology.uv_positions()[..., :2], topology.uv_faces)
        pixels = uv.permute(0, 2, 3, 1)
    if textured:
        colours = _sample(head.texture, pixels)
    else:
        normals = coarse if head.normal_map is None else _sample(head.normal_map, pixels)
        turned = torch.einsum("bij,bjhw->bihw", turns, normals)
        colours = (lamp_shading(turned) * GREY).expand(-1, 3, -1, -1)
    drawn = (colours * kept[:, None]).clamp(0, 1) * 255
    return drawn.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _sample(uv_map: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(uv_map.expand(len(grid), -1, -1, -1), grid, align_corners=False)
