"""FLAME: shape, expression and pose coefficients -> a head's vertices and 68 landmarks.

Li et al., "Learning a model of facial shape and expression from 4D scans" (2017).
Units are metres; x is right in the image, y up, z towards the viewer.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

SHAPE, EXPRESSION = 100, 50  # coefficients used, of the model's 300 and 100
EXPRESSION_START = 300  # first expression column of shapedirs


@dataclass(frozen=True)
class FlameModel:
    """The arrays of generic_model.pkl: V vertices, F faces, 5 joints."""

    v_template: np.ndarray  # (V, 3)
    shapedirs: np.ndarray  # (V, 3, 400)
    posedirs: np.ndarray  # (V, 3, 36)
    J_regressor: np.ndarray  # (5, V)
    kintree_table: np.ndarray  # (2, 5), first row: parents
    weights: np.ndarray  # (V, 5)
    f: np.ndarray  # (F, 3)


@dataclass(frozen=True)
class LandmarkEmbedding:
    """The arrays of landmark_embedding.npy: landmarks as points inside faces of the mesh."""

    static_lmk_faces_idx: np.ndarray  # (51,)
    static_lmk_bary_coords: np.ndarray  # (51, 3)
    dynamic_lmk_faces_idx: np.ndarray  # (79, 17): contour, by the head's yaw in degrees
    dynamic_lmk_bary_coords: np.ndarray  # (79, 17, 3)
    full_lmk_faces_idx: np.ndarray  # (1, 68)
    full_lmk_bary_coords: np.ndarray  # (1, 68, 3)


class Flame(nn.Module):
    """The model as a differentiable function of its coefficients."""

    v_template: Tensor  # (V, 3)
    shapedirs: Tensor  # (V, 3, 150)
    posedirs: Tensor  # (36, V * 3)
    J_regressor: Tensor  # (5, V)
    weights: Tensor  # (V, 5)
    faces: Tensor  # (F, 3)
    static_faces: Tensor  # these six as in LandmarkEmbedding
    static_bary: Tensor
    dynamic_faces: Tensor
    dynamic_bary: Tensor
    full_faces: Tensor
    full_bary: Tensor

    def __init__(self, model: FlameModel, embedding: LandmarkEmbedding) -> None:
        super().__init__()

        def buffer(name: str, array: np.ndarray, dtype: torch.dtype = torch.float32) -> None:
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(array), dtype=dtype))

        columns = np.r_[0:SHAPE, EXPRESSION_START : EXPRESSION_START + EXPRESSION]
        buffer("v_template", model.v_template)
        buffer("shapedirs", model.shapedirs[:, :, columns])
        buffer("posedirs", model.posedirs.reshape(-1, model.posedirs.shape[-1]).T)
        buffer("J_regressor", model.J_regressor)
        buffer("weights", model.weights)
        buffer("faces", model.f.astype(np.int64), torch.int64)
        self.parents = [-1, *model.kintree_table[0, 1:].astype(int).tolist()]
        for kind in ("static", "dynamic", "full"):
            index = getattr(embedding, f"{kind}_lmk_faces_idx").astype(np.int64)
            buffer(f"{kind}_faces", index, torch.int64)
            buffer(f"{kind}_bary", getattr(embedding, f"{kind}_lmk_bary_coords"))

    def forward(
        self, shape: Tensor, expression: Tensor, pose: Tensor, eyes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Coefficients -> vertices (B, V, 3) and the 2D set's landmarks (B, 68, 3).

        shape (B, 100), expression (B, 50), pose (B, 6): global and jaw rotation,
        eyes (B, 6): both eyes' rotations; all rotations as axis times angle in radians.
        """
        neck = torch.zeros_like(pose[:, :3])
        eyes = torch.zeros_like(pose) if eyes is None else eyes
        full = torch.cat([pose[:, :3], neck, pose[:, 3:], eyes], 1)  # (B, 15)
        rotations = rotation_matrices(full.view(-1, 5, 3))  # (B, 5, 3, 3)
        vertices = self._skin(self._shaped(shape, expression), rotations)
        return vertices, self._landmarks2d(vertices, rotations)

    def _shaped(self, shape: Tensor, expression: Tensor) -> Tensor:
        codes = torch.cat([shape, expression], 1)
        return self.v_template + torch.einsum("bl,vcl->bvc", codes, self.shapedirs)

    def root(self, shape: Tensor, expression: Tensor) -> Tensor:
        """The joint (B, 3) that the global rotation turns the head about."""
        return self.J_regressor[0] @ self._shaped(shape, expression)

    def _skin(self, shaped: Tensor, rotations: Tensor) -> Tensor:
        joints = self.J_regressor @ shaped  # (B, 5, 3)
        features = (rotations[:, 1:] - torch.eye(3, device=shaped.device)).flatten(1)  # (B, 36)
        posed = shaped + (features @ self.posedirs).view_as(shaped)
        # Down the tree: what joint j does to a point at rest is x -> turn[j] x + shift[j].
        turn: list[Tensor] = []
        shift: list[Tensor] = []
        for j, parent in enumerate(self.parents):
            about_joint = joints[:, j] - (rotations[:, j] @ joints[:, j, :, None])[..., 0]
            if parent < 0:
                turn.append(rotations[:, j])
                shift.append(about_joint)
            else:
                turn.append(turn[parent] @ rotations[:, j])
                shift.append((turn[parent] @ about_joint[..., None])[..., 0] + shift[parent])
        turns = torch.einsum("vj,bjkl->bvkl", self.weights, torch.stack(turn, 1))
        shifts = self.weights @ torch.stack(shift, 1)
        return torch.einsum("bvkl,bvl->bvk", turns, posed) + shifts

    def _landmarks2d(self, vertices: Tensor, rotations: Tensor) -> Tensor:
        """17 contour points that follow the head's yaw, then the 51 static ones."""
        row = contour_row(rotations[:, 0] @ rotations[:, 1])
        contour = self._points(vertices, self.dynamic_faces[row], self.dynamic_bary[row])
        static = self._points(vertices, self.static_faces[None], self.static_bary[None])
        return torch.cat([contour, static], 1)

    def landmarks3d(self, vertices: Tensor) -> Tensor:
        """The 3D set's 68 landmarks (B, 68, 3), the same points of the surface at every yaw."""
        return self._points(vertices, self.full_faces, self.full_bary)

    def _points(self, vertices: Tensor, faces: Tensor, barycentric: Tensor) -> Tensor:
        corners = self.faces[faces].expand(len(vertices), -1, -1)  # (B, N, 3)
        batch = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        return (vertices[batch, corners] * barycentric[..., None]).sum(2)


def rotation_matrices(axis_angle: Tensor) -> Tensor:
    """Axis times angle (..., 3) -> rotation matrices (..., 3, 3), by Rodrigues' formula."""
    angle = (axis_angle + 1e-8).norm(dim=-1, keepdim=True)[..., None]
    x, y, z = (axis_angle / angle[..., 0]).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=cross.dtype, device=cross.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def contour_row(rotation: Tensor) -> Tensor:
    """Head rotations (B, 3, 3) -> rows (B,) of the dynamic landmark table, one a degree of yaw.

    0 to 39 for positive yaw, 40 to 78 for -1 to -39 degrees; larger angles take the last row.
    """
    yaw = torch.atan2(-rotation[:, 2, 0], rotation[:, :2, 0].norm(dim=1))
    degrees = yaw.rad2deg().clamp(-39, 39).round().long()
    return torch.where(degrees < 0, 39 - degrees, degrees)
