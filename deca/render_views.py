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
from .reconstruction import FILLED, Reconstruction
from .shading import FACING, GREY, lamp_shading
from .surface_motion import surface_strain

# What motion views show at their ends, from surfaces that moved little more in the drawn corpora.
DEPTH, UPWARD = 0.01, 0.02  # towards the viewer, up along the skin: in head heights
STRAIN = 0.3

Looks = list[tuple[Fragments, Tensor]]  # what each view sees, and its rotation (3, 3)


@torch.no_grad()
def render_views(
    head: Reconstruction,
    yaws: Sequence[int] = YAWS,
    size: int = SIZE,
    textured: bool = False,
    looks: Looks | None = None,
) -> np.ndarray:
    """The head from each yaw, uint8 (len(yaws), size, size, 3) RGB on black.

    The head's own rotation is replaced by the yaw; centre and scale are the same in all views.
    Grey with fine detail, or with its texture as it is. looks: what `look` gave for yaws and size.
    """
    looks = looks or look(head, yaws, size)
    drawn = [_draw(head, seen, turn, textured) for seen, turn in looks]
    return torch.stack(drawn).cpu().numpy()


@torch.no_grad()
def render_frontal(head: Reconstruction, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """The view at yaw 0, grey and textured, each uint8 (size, size, 3)."""
    ((seen, turn),) = look(head, (0,), size)
    grey, textured = (_draw(head, seen, turn, with_texture) for with_texture in (False, True))
    return grey.cpu().numpy(), textured.cpu().numpy()


@torch.no_grad()
def render_motion(
    head: Reconstruction, yaws: Sequence[int] = YAWS, size: int = SIZE, looks: Looks | None = None
) -> np.ndarray | None:
    """How the face moved since the clip's onset, from each yaw, uint8 (len(yaws), size, size, 3).

    Channels: towards the viewer of that view, -DEPTH to DEPTH; up along the skin, -UPWARD to
    UPWARD; strain, 0 to STRAIN. No motion is 128, 128, 0, and so is the background. None where
    the head has no onset. Mirrored, a view is that of the mirrored face from the other side.
    looks: as for render_views.
    """
    if head.motion is None:
        return None
    # Up the skin: the head's vertical, without its part along the normal.
    up = -head.normals[:, 1:2] * head.normals
    up[:, 1] += 1
    upward = (head.motion * F.normalize(up, dim=1)).sum(1)
    strain = surface_strain(head.frontal, head.motion, head.topology.faces)
    height = 2 * FILLED / head.framing.scale  # metres, about crown to chin
    pictures = []
    for seen, turn in looks or look(head, yaws, size):
        nearer = head.motion @ turn[2]
        values = torch.stack([nearer / (height * DEPTH), upward / (height * UPWARD)], 1)
        values = torch.cat([128 + 127 * values.clamp(-1, 1), 255 * strain[:, None] / STRAIN], 1)
        bytes_ = seen.interpolate(values, head.topology.faces).clamp(0, 255).round().byte()
        picture = seen.image(bytes_).permute(1, 2, 0)
        picture[..., :2][seen.image(torch.ones_like(bytes_[:, :1]))[0] == 0] = 128
        pictures.append(picture)
    return torch.stack(pictures).cpu().numpy()


def look(head: Reconstruction, yaws: Sequence[int], size: int) -> Looks:
    """What is seen from each yaw, and the rotation (3, 3) that it is."""
    framing = head.framing
    camera = head.frontal.new_tensor([[framing.scale, 0, 0]])
    points = project((head.frontal - framing.centre)[None], camera)[0]
    place = None if framing.place is None else project(framing.place[None, None], camera)[0, 0]
    axes = points.new_zeros(len(yaws), 3)
    axes[:, 1] = torch.deg2rad(points.new_tensor(yaws))
    turns = rotation_matrices(axes)
    flip = turns.new_tensor([1.0, -1.0, -1.0])  # y and z change sign in image space
    in_image_space = flip[:, None] * turns * flip
    images = rasterize(points, head.topology.faces, size, in_image_space, place)
    return list(zip(images, turns, strict=True))


@torch.no_grad()
def render_in_image(
    head: Reconstruction, square: Square, size: int = SIZE, textured: bool = False
) -> np.ndarray:
    """The head as it lies in a square of its image, uint8 (size, size, 3) RGB on black.

    Pixel by pixel what `crop` cuts out of the same square.
    """
    seen = see_in_image(head, square, size)
    return _draw(head, seen, head.rotation, textured).cpu().numpy()


def see_in_image(head: Reconstruction, square: Square, size: int) -> Fragments:
    """What each pixel of a square of the head's image, `size` pixels wide, sees of the head."""
    (step, _, left), (_, _, top) = square.to_image(size)
    scale, x, y = head.camera
    # column = (x + scale * X - left) / step, whose centre is (2 * column + 1) / size - 1
    across = 2 / (size * step)
    half = (1 / size - 1) / across
    camera = torch.stack([across * scale, (x - left + half) / scale, (top - y - half) / scale])
    points = project(head.vertices[None], camera[None])[0]
    (seen,) = rasterize(points, head.topology.faces, size)
    return seen


def _draw(head: Reconstruction, seen: Fragments, turn: Tensor, textured: bool) -> Tensor:
    """Colour what an image sees of the head, whose frontal normals go through `turn` (3, 3)."""
    if textured:
        colours = sample_uv(head.texture, head, seen)
    else:
        colours, kept = grey(head, seen, turn)
        colours = colours * kept[:, None]
    bytes_ = (colours.clamp(0, 1) * 255).round().byte()
    return seen.image(bytes_).permute(1, 2, 0).contiguous()


def grey(head: Reconstruction, seen: Fragments, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Grey with fine detail of the P pixels that see the head (P, 3), and which show it (P,).

    The other pixels see it from behind or at a grazing angle.
    """
    normals = seen.interpolate(head.normals, head.topology.faces)
    kept = normals @ turn[2] > -FACING
    if head.normal_map is not None:
        normals = sample_uv(head.normal_map, head, seen)
    shade = (GREY * lamp_shading(normals, turn)).clamp(0, 1)
    return shade[:, None].expand(-1, 3), kept


def sample_uv(uv_map: Tensor, head: Reconstruction, seen: Fragments) -> Tensor:
    """Look a map (3, S, S) in uv up at each pixel that sees the head -> (P, 3)."""
    grid = seen.interpolate(head.topology.uv_positions()[:, :2], head.topology.uv_faces)
    return F.grid_sample(uv_map[None], grid[None, None], align_corners=False)[0, :, 0].T
