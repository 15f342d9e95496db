"""Which face each pixel sees, and where on it: PyTorch3D on CUDA, Intel Embree on a CPU.

Image space throughout: x right, y down, both in [-1, 1] inside the image, z away from the viewer.
The centre of pixel (row i, column j) of a square image of S pixels is
(x, y) = ((2 j + 1) / S - 1, (2 i + 1) / S - 1). Projection is parallel to z.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .raycast import Scene


@dataclass(frozen=True)
class Fragments:
    """The P pixels of one image that see a face, and the first face that each of them sees."""

    size: int  # S
    pixel: Tensor  # (P,) int64, row * S + column, rising
    face: Tensor  # (P,) int64
    barycentric: Tensor  # (P, 3)
    depth: Tensor  # (P,) z in image space

    def interpolate(self, values: Tensor, faces: Tensor) -> Tensor:
        """Values of the mesh's points (…, N, C), blended inside the faces -> (…, P, C).

        faces (F, 3) are rows of `values`.
        """
        first, second, third = faces[self.face].unbind(-1)
        a, b, c = self.barycentric[..., None].unbind(-2)
        return a * values[..., first, :] + b * values[..., second, :] + c * values[..., third, :]

    def image(self, values: Tensor, empty: float = 0) -> Tensor:
        """Spread values (…, P, C) over the image -> (…, C, S, S); `empty` elsewhere."""
        *batch, _, channels = values.shape
        image = values.new_full((*batch, channels, self.size * self.size), empty)
        image[..., self.pixel] = values.transpose(-1, -2)
        return image.unflatten(-1, (self.size, self.size))


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    size: int,
    turns: Tensor | None = None,
    shift: Tensor | None = None,
) -> list[Fragments]:
    """See a mesh from the front: vertices (V, 3) in image space, faces (F, 3), one image a turn.

    turns (B, 3, 3): rotations of the mesh about the origin, by default one, the identity.
    shift (3,): where the mesh is moved to afterwards, by default nowhere.
    PyTorch3D on CUDA and where gradients are wanted, else Embree. The two agree but for pixels
    whose centre lies on an edge.
    """
    if turns is None:
        turns = torch.eye(3, dtype=vertices.dtype, device=vertices.device)[None]
    if vertices.is_cuda or vertices.requires_grad:
        return rasterize_pytorch3d(vertices, faces, size, turns, shift)
    return rasterize_embree(vertices, faces, size, turns, shift)


def rasterize_embree(
    vertices: Tensor, faces: Tensor, size: int, turns: Tensor, shift: Tensor | None = None
) -> list[Fragments]:
    """Rasterise on the CPU. The mesh is set up once; the rays move, backwards, instead."""
    dx, dy, dz = (0.0, 0.0, 0.0) if shift is None else shift.tolist()
    points = vertices.numpy().astype(np.float32)
    scene = Scene(points, faces.numpy())
    centres = (2 * np.arange(size, dtype=np.float32) + 1) / size - 1
    start = -1 - float(np.linalg.norm(points, axis=1).max())  # z before any turned mesh
    images = []
    for turn in turns.numpy().astype(np.float32):
        # Rays go only through the rectangle that the turned mesh covers.
        turned = points @ turn[:2].T + (np.float32(dx), np.float32(dy))
        inside = (centres[:, None] >= turned.min(0)) & (centres[:, None] <= turned.max(0))
        columns, rows = (np.flatnonzero(axis) for axis in inside.T)
        pixel = (rows[:, None] * size + columns).ravel()
        x, y = np.meshgrid(centres[columns], centres[rows])
        starts = [x.ravel() - dx, y.ravel() - dy, np.full(x.size, start, np.float32)]
        origins = np.stack(starts, 1) @ turn
        hits = scene.first_hit(origins, turn[2])
        seen = hits.mask
        found = (
            pixel[seen],
            hits.face[seen].astype(np.int64),
            hits.bary[seen],
            hits.depth[seen] + np.float32(start + dz),
        )
        images.append(Fragments(size, *(torch.from_numpy(array) for array in found)))
    return images


def rasterize_pytorch3d(
    vertices: Tensor, faces: Tensor, size: int, turns: Tensor, shift: Tensor | None = None
) -> list[Fragments]:
    """Rasterise on any device, with gradients by way of the barycentrics; slow on a CPU."""
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    # PyTorch3D looks along +z with x to the left and y up, and drops what lies behind z = 0.
    axes = vertices.new_tensor([-1.0, -1.0, 1.0])
    turned = vertices @ turns.transpose(1, 2) + (0 if shift is None else shift)
    moved = turned * axes + vertices.new_tensor([0.0, 0.0, 10.0])
    meshes = Meshes(moved.float(), faces[None].expand(len(turns), -1, -1))
    index, depth, barycentric, _distance = rasterize_meshes(
        meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1, perspective_correct=False
    )
    # PyTorch3D adds 1e-8 to each face's area: the weights of small faces add up to less than 1.
    total = barycentric.sum(-1, keepdim=True)
    images = []
    for face, z, weights in zip(index, depth / total[..., 0], barycentric / total, strict=True):
        pixel = (face.flatten() >= 0).nonzero()[:, 0]
        images.append(
            Fragments(
                size,
                pixel,
                face.flatten()[pixel] % len(faces),  # PyTorch3D counts on through the batch
                weights.reshape(-1, 3)[pixel],
                z.flatten()[pixel] - 10,
            )
        )
    return images
