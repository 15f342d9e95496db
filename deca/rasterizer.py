"""Which face each pixel sees, and where on it: PyTorch3D on CUDA, Intel Embree on a CPU.

Image space throughout: x right, y down, both in [-1, 1] inside the image, z away from the viewer.
The centre of pixel (row i, column j) of a square image of S pixels is
(x, y) = ((2 j + 1) / S - 1, (2 i + 1) / S - 1). Projection is parallel to z.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """The first face behind each pixel of B images."""

    face: Tensor  # (B, S, S) int64, -1 where there is none
    barycentric: Tensor  # (B, S, S, 3), 0 where there is none
    depth: Tensor  # (B, S, S), z in image space, inf where there is none

    def interpolate(self, values: Tensor, faces: Tensor) -> Tensor:
        """Values of the mesh's points (B or 1, N, C), blended in each face -> (B, C, S, S).

        faces (F, 3) are rows of `values`; 0 where the pixel sees no face.
        """
        seen = self.face >= 0
        corners = faces[self.face[seen]]  # (P, 3)
        if len(values) == 1:
            at_corners = values[0][corners]
        else:
            image = seen.nonzero()[:, :1]
            at_corners = values[image, corners]  # (P, 3, C)
        blended = values.new_zeros(*self.face.shape, values.shape[-1])
        blended[seen] = (at_corners * self.barycentric[seen][..., None]).sum(1)
        return blended.permute(0, 3, 1, 2)


def rasterize(vertices: Tensor, faces: Tensor, size: int) -> Fragments:
    """See the mesh from the front: vertices (B, V, 3) in image space, faces (F, 3).

    With PyTorch3D on CUDA or where gradients are wanted, else with Embree; the two agree but for
    pixels whose centre lies on an edge. Only PyTorch3D's barycentrics carry gradients.
    """
    if vertices.is_cuda or vertices.requires_grad:
        return rasterize_pytorch3d(vertices, faces, size)
    identity = torch.eye(3)[None]
    views = [rasterize_embree(one, faces, identity, size) for one in vertices]
    return Fragments(
        *(torch.cat([getattr(v, n) for v in views]) for n in ("face", "barycentric", "depth"))
    )


def rasterize_turned(vertices: Tensor, faces: Tensor, turns: Tensor, size: int) -> Fragments:
    """See one mesh (V, 3), turned by each of B rotations (B, 3, 3) about the origin."""
    if vertices.is_cuda or vertices.requires_grad:
        return rasterize_pytorch3d(vertices @ turns.transpose(1, 2), faces, size)
    return rasterize_embree(vertices, faces, turns, size)


def rasterize_embree(vertices: Tensor, faces: Tensor, turns: Tensor, size: int) -> Fragments:
    """Rasterise a mesh (V, 3) at B rotations (B, 3, 3) on the CPU.

    The mesh is set up once; the rays turn, backwards, instead.
    """
    points = vertices.numpy().astype(np.float32)
    triangles = faces.numpy()
    centre = (2 * np.arange(size, dtype=np.float32) + 1) / size - 1
    far = 1 + float(np.linalg.norm(points, axis=1).max())
    results = []
    for turn in turns.numpy().astype(np.float32):
        # Rays are sent only through the rectangle that the turned mesh covers.
        low, high = (bound(points @ turn[:2].T, axis=0) for bound in (np.min, np.max))
        columns, rows = (np.flatnonzero((centre >= low[k]) & (centre <= high[k])) for k in (0, 1))
        x, y = np.meshgrid(centre[columns], centre[rows])
        origins = np.stack([x, y, np.full_like(x, -far)], -1).reshape(-1, 3) @ turn
        results.append((rows, columns, origins, turn[2]))
    hits = _first_hits(
        points, triangles, [(o, np.broadcast_to(d, o.shape)) for *_, o, d in results]
    )

    shape = (len(turns), size, size)
    face = np.full(shape, -1, np.int64)
    barycentric = np.zeros((*shape, 3), np.float32)
    depth = np.full(shape, np.inf, np.float32)
    for image, ((rows, columns, *_), hit) in enumerate(zip(results, hits, strict=True)):
        if hit is None:
            continue
        window = (image, slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        inside = (len(rows), len(columns))
        index = hit["primID"].reshape(inside)
        seen = index >= 0
        u, v = hit["u"].reshape(inside), hit["v"].reshape(inside)
        face[window] = np.where(seen, index, -1)
        barycentric[window] = np.where(seen[..., None], np.stack([1 - u - v, u, v], -1), 0)
        depth[window] = np.where(seen, hit["tfar"].reshape(inside) - far, np.inf)
    return Fragments(*(torch.from_numpy(array) for array in (face, barycentric, depth)))


def _first_hits(
    points: np.ndarray, triangles: np.ndarray, rays: list[tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, np.ndarray] | None]:
    """Embree's answer for each bundle of rays (origins, directions): primID, u, v, tfar."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    _mesh = TriangleMesh(scene, points, triangles.astype(np.int32))
    return [
        scene.run(origins, np.ascontiguousarray(directions), output=True) if len(origins) else None
        for origins, directions in rays
    ]


def rasterize_pytorch3d(vertices: Tensor, faces: Tensor, size: int) -> Fragments:
    """Rasterise meshes (B, V, 3) on any device, with gradients; slow on a CPU."""
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    # PyTorch3D looks along +z with x to the left and y up, and drops what lies behind z = 0.
    axes = torch.tensor([-1.0, -1.0, 1.0], device=vertices.device)
    moved = vertices * axes + torch.tensor([0.0, 0.0, 10.0], device=vertices.device)
    meshes = Meshes(moved.float(), faces[None].expand(len(vertices), -1, -1))
    index, depth, barycentric, _distance = rasterize_meshes(
        meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1, perspective_correct=False
    )
    index, depth, barycentric = index[..., 0], depth[..., 0], barycentric[..., 0, :]
    seen = index >= 0
    return Fragments(
        torch.where(seen, index % len(faces), -1),  # PyTorch3D counts on through the batch
        torch.where(seen[..., None], barycentric, 0),
        torch.where(seen, depth - 10, torch.inf),
    )
