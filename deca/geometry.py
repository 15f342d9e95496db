"""Normals of meshes and of uv grids, and the scaled orthographic camera."""

import torch
import torch.nn.functional as F
from torch import Tensor


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of a mesh, vertices (B, V, 3), faces (F, 3).

    The sum of the cross products at each vertex's face corners: large faces count for more.
    """
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    area = torch.linalg.cross(b - a, c - a)  # (B, F, 3), the same at a face's three corners
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals.index_add_(1, faces[:, corner], area)
    return F.normalize(normals, eps=1e-6, dim=-1)


def grid_normals(positions: Tensor) -> Tensor:
    """Unit normals (B, 3, H, W) of a position map (B, 3, H, W), two triangles a pixel.

    They point to the side from which the map's rows run down and its columns to the right.
    """
    here, right = positions[:, :, :-1, :-1], positions[:, :, :-1, 1:]
    down, across = positions[:, :, 1:, :-1], positions[:, :, 1:, 1:]
    upper = torch.linalg.cross(down - here, right - here, dim=1)
    lower = torch.linalg.cross(right - across, down - across, dim=1)
    # here | right
    # down | across: the upper triangle touches the first three, the lower the last three
    normals = (
        F.pad(upper, (0, 1, 0, 1))
        + F.pad(upper + lower, (1, 0, 0, 1))
        + F.pad(upper + lower, (0, 1, 1, 0))
        + F.pad(lower, (1, 0, 1, 0))
    )
    return F.normalize(normals, eps=1e-6, dim=1)


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Points (B, N, 3), cameras (B, 3) of scale and shift -> image space (B, N, 3).

    Image space: x right and y down, both in [-1, 1] inside the image, z away from the viewer.
    """
    shifted = torch.cat([points[..., :2] + camera[:, None, 1:], points[..., 2:]], -1)
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=points.dtype, device=points.device)
    return camera[:, None, :1] * shifted * flip
