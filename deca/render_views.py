"""Pictures of a reconstructed head: the 13 views of the second stream, and its pose in the image.

Yaw is in degrees; positive turns the nose to the right of the image.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.views import SIZE, YAWS
from deca.flame.model import rotation_matrices

from .crop import Square
from .geometry import project
from .rasterizer import Fragments, rasterize
from .reconstruction import Reconstruction
from .shading import FACING, GREY, lamp_shading


@torch.no_grad()
def render_views(
    head: Reconstruction, yaws: Sequence[int] = YAWS, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head from each yaw, uint8 (len(yaws), size, size, 3) RGB on black.

    The head's own rotation is replaced by the yaw; centre and scale are the same in all views.
    Grey with fine detail, or with its texture as it is.
    """
    drawn = [_draw(head, seen, turn, textured) for seen, turn in look(head, yaws, size)]
    return torch.stack(drawn).cpu().numpy()


@torch.no_grad()
def render_frontal(head: Reconstruction, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """The view at yaw 0, grey and textured, each uint8 (size, size, 3)."""
    ((seen, turn),) = look(head, (0,), size)
    grey, textured = (_draw(head, seen, turn, with_texture) for with_texture in (False, True))
    return grey.cpu().numpy(), textured.cpu().numpy()


def look(head: Reconstruction, yaws: Sequence[int], size: int) -> list[tuple[Fragments, Tensor]]:
    """What is seen from each yaw, and the rotation (3, 3) that it is."""
    camera = head.frontal.new_tensor([[head.framing.scale, 0, 0]])
    points = project((head.frontal - head.framing.centre)[None], camera)[0]
    axes = points.new_zeros(len(yaws), 3)
    axes[:, 1] = torch.deg2rad(points.new_tensor(yaws))
    turns = rotation_matrices(axes)
    flip = turns.new_tensor([1.0, -1.0, -1.0])  # y and z change sign in image space
    in_image_space = flip[:, None] * turns * flip
    images = rasterize(points, head.topology.faces, size, in_image_space)
    return list(zip(images, turns, strict=True))


@torch.no_grad()
def render_in_image(
    head: Reconstruction, square: Square, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head as it lies in a square of its image, uint8 (size, size, 3) RGB on black."""
    scale, x, y = head.camera
    camera = torch.stack([2 * scale / square.side, (x - square.x) / scale, (square.y - y) / scale])
    points = project(head.vertices[None], camera[None])[0]
    (seen,) = rasterize(points, head.topology.faces, size)
    return _draw(head, seen, head.rotation, textured).cpu().numpy()


def _draw(head: Reconstruction, seen: Fragments, turn: Tensor, textured: bool) -> Tensor:
    """Colour what an image sees of the head, whose frontal normals go through `turn` (3, 3)."""
    normals = seen.interpolate(head.normals, head.topology.faces)
    if textured:
        colours = sample_uv(head.texture, head, seen)
    else:
        kept = normals @ turn[2] > -FACING
        if head.normal_map is not None:
            normals = sample_uv(head.normal_map, head, seen)
        colours = (GREY * lamp_shading(normals, turn) * kept)[:, None].expand(-1, 3)
    bytes_ = (colours.clamp(0, 1) * 255).round().byte()
    return seen.image(bytes_).permute(1, 2, 0).contiguous()


def sample_uv(uv_map: Tensor, head: Reconstruction, seen: Fragments) -> Tensor:
    """Look a map (3, S, S) in uv up at each pixel that sees the head -> (P, 3)."""
    grid = seen.interpolate(head.topology.uv_positions()[:, :2], head.topology.uv_faces)
    return F.grid_sample(uv_map[None], grid[None, None], align_corners=False)[0, :, 0].T
