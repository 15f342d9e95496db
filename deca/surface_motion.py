"""How a face's surface moved from a clip's onset to its apex: in three dimensions, and strained.

The flow of a picture moves points in its plane. On a head it is a motion of the skin: facial
actions explain most of it, with their depth; what they leave slides along the surface.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .geometry import vertex_normals
from .reconstruction import to_pixels
from .surface_flow import face_flow, head_moves, moves_between

FACING = 0.3, 0.6  # z of unit normals: the picture's motion counts nothing below, all above
ROUNDS = 4  # of averaging what actions leave over neighbouring vertices


@dataclass(frozen=True)
class Skin:
    """A head as it lies in a picture, and what can move on it. All on one device."""

    vertices: Tensor  # (V, 3) metres
    faces: Tensor  # (F, 3)
    shown: Tensor  # bool (V,): skin that a picture may show
    offsets: Tensor  # (A, V, 3) metres, of facial actions at full strength; A may be 0
    camera: Tensor  # as in Reconstruction


def surface_motion(
    onset: np.ndarray, apex: np.ndarray, skin: Skin, width: float
) -> tuple[Tensor, Tensor]:
    """Facial actions (A,) in [0, 1] since the onset, and the skin's motion (V, 3) in metres.

    onset, apex: uint8 (H, W, 3) of one size; the skin lies in the apex frame. width: of the outer
    eye corners, in pixels. The head's own motion is left out.
    """
    vertices, offsets, shown, camera = skin.vertices, skin.offsets, skin.shown, skin.camera
    normals = vertex_normals(vertices[None], skin.faces)[0]
    rows = shown.nonzero()[:, 0]
    flip = torch.stack([camera[0], -camera[0], camera[0]])  # metres -> pixels, y down
    places = to_pixels(vertices[rows], camera)
    points = torch.cat([places, camera[0] * vertices[rows, 2:]], 1).cpu().numpy()
    moves = head_moves(points, (offsets[:, rows] * flip).cpu().numpy(), width)
    flow = face_flow(onset, apex, points[:, :2], width) / width
    strengths = moves_between(flow, moves)
    unexplained = (flow - np.tensordot(strengths, moves, 1)) * width
    left = torch.zeros_like(vertices)
    left[rows, :2] = torch.from_numpy(unexplained.astype(np.float32)).to(left)
    left = left / flip
    low, high = FACING
    weight = ((normals[:, 2:] - low) / (high - low)).clamp(0, 1) * shown[:, None]
    # Skin that slides along the surface: what moves towards a slope moves away in depth too.
    steep = normals[:, 2].clamp(min=low)
    left[:, 2] = -(normals[:, :2] * left[:, :2]).sum(1) / steep
    found = torch.from_numpy(strengths[: len(offsets)].astype(np.float32)).to(vertices)
    by_actions = torch.einsum("a,avc->vc", found, offsets)
    return found, by_actions + _smooth(left, weight, skin.faces)


def _smooth(values: Tensor, weight: Tensor, faces: Tensor) -> Tensor:
    """Weighted means over a vertex and its neighbours, some rounds, times the weight (V, 1)."""
    ends = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = torch.cat([ends, ends.flip(1)])
    for _ in range(ROUNDS):
        total = (values * weight).index_add(0, both[:, 0], (values * weight)[both[:, 1]])
        share = weight.index_add(0, both[:, 0], weight[both[:, 1]])
        values = total / share.clamp(min=1e-6)
    return values * weight


def surface_strain(frontal: Tensor, motion: Tensor, faces: Tensor) -> Tensor:
    """How much the skin is stretched, sheared or pressed together at each vertex: (V,), >= 0.

    The Frobenius norm of the infinitesimal strain tensor in the surface's plane, a mean over the
    vertex's triangles by their area. frontal, motion (V, 3): where the skin is, and how it came.
    """
    before = frontal - motion
    first, second = (before[faces[:, i]] - before[faces[:, 0]] for i in (1, 2))
    moved = torch.stack([motion[faces[:, i]] - motion[faces[:, 0]] for i in (1, 2)], -1)
    # An orthonormal basis of each triangle's plane: along its first edge, and across.
    along = first / first.norm(dim=1, keepdim=True).clamp(min=1e-9)
    across = second - (second * along).sum(1, keepdim=True) * along
    height = across.norm(dim=1, keepdim=True)
    across = across / height.clamp(min=1e-9)
    basis = torch.stack([along, across], 1)  # (F, 2, 3)
    edges = basis @ torch.stack([first, second], -1)  # (F, 2, 2), columns are edges
    area = 0.5 * torch.linalg.det(edges).abs()
    flat = area < 1e-12  # square metres
    edges = torch.where(flat[:, None, None], torch.eye(2).to(edges), edges)
    gradient = basis @ moved @ torch.linalg.inv(edges)
    strain = (0.5 * (gradient + gradient.mT)).flatten(1).norm(dim=1) * ~flat
    total, weights = frontal.new_zeros(len(frontal)), frontal.new_zeros(len(frontal))
    for corner in range(3):
        total.index_add_(0, faces[:, corner], strain * area)
        weights.index_add_(0, faces[:, corner], area)
    return total / weights.clamp(min=1e-12)
