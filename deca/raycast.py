"""First hits of rays on a triangle mesh, by Intel Embree on the CPU. Arrays in, arrays out.

scene = Scene(vertices, faces)
hits = scene.first_hit(*orthographic_rays(224, 224))
colours = hits.interpolate(vertex_colours, faces)      # (N, C); rows of misses are 0
"""

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene


@dataclass(frozen=True)
class Hits:
    """What N rays met first: face (N,) int32, -1 for nothing; bary (N, 3) float32, the weights
    of the face's corners; depth (N,) float32, the distance in ray lengths, inf for nothing."""

    face: np.ndarray
    bary: np.ndarray
    depth: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(N,) bool: the ray met the mesh."""
        return self.face >= 0

    def interpolate(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Values at vertices (V, C) -> values at the hits (N, C); 0 where nothing was hit."""
        corners = values[faces[self.face]]  # (N, 3, C); face -1 reads the last one, weights 0
        return np.einsum("nkc,nk->nc", corners, self.bary)


class Scene:
    """A mesh prepared for rays: vertices (V, 3) float, faces (F, 3) int."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """ValueError for wrong shapes or vertices that are not finite."""
        vertices = np.ascontiguousarray(vertices, np.float32)
        faces = np.ascontiguousarray(faces, np.int32)
        for name, array in (("vertices", vertices), ("faces", faces)):
            if array.ndim != 2 or array.shape[1] != 3 or not len(array):
                raise ValueError(f"{name} must be (N, 3), got {array.shape}")
        if not np.isfinite(vertices).all():
            raise ValueError("vertices must be finite")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"faces name vertices outside 0..{len(vertices) - 1}")
        self._scene = EmbreeScene(robust=True)  # no ray slips between two faces
        self._mesh = TriangleMesh(self._scene, vertices, faces)  # Embree reads its buffers

    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """Rays (N, 3) and (N, 3), directions of any length -> their first hits."""
        origins, directions = _rays(origins, directions)
        if not len(origins):
            return Hits(
                np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
            )
        found = self._scene.run(origins, directions, output=True)
        face = found["primID"]
        u, v = found["u"], found["v"]
        bary = np.stack([1 - u - v, u, v], 1)
        missed = face < 0
        bary[missed] = 0
        return Hits(face, bary, np.where(missed, np.float32(np.inf), found["tfar"]))

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) bool: the ray meets the mesh at all."""
        origins, directions = _rays(origins, directions)
        if not len(origins):
            return np.zeros(0, bool)
        return self._scene.run(origins, directions, query="OCCLUDED") >= 0


def _rays(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    origins, directions = np.broadcast_arrays(origins, directions)
    return np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32)


def orthographic_rays(
    height: int,
    width: int,
    box: tuple[float, float, float, float] = (-1, 1, -1, 1),
    start: float = 10.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Parallel rays through pixel centres, from z = `start` along -z, row by row.

    `box` is (left, right, bottom, top): the edges of the image in x and y; its first row is at
    the top, so an image whose y points down has bottom > top. -> origins, directions (H*W, 3).
    """
    left, right, bottom, top = box
    x = left + (right - left) * (np.arange(width, dtype=np.float32) + 0.5) / width
    y = top + (bottom - top) * (np.arange(height, dtype=np.float32) + 0.5) / height
    grid_x, grid_y = np.meshgrid(x, y)
    origins = np.stack([grid_x, grid_y, np.full_like(grid_x, start)], -1).reshape(-1, 3)
    return origins, np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape)


def perspective_rays(
    height: int, width: int, focal: float, eye: tuple[float, float, float] = (0, 0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """Rays from `eye` through pixel centres, looking along -z, row by row.

    `focal` is the focal length in pixels. Directions have z = -1, so a hit's depth is its
    distance along the viewing axis. -> origins, directions (H*W, 3).
    """
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal
    y = (height / 2 - np.arange(height, dtype=np.float32) - 0.5) / focal
    grid_x, grid_y = np.meshgrid(x, y)
    directions = np.stack([grid_x, grid_y, np.full_like(grid_x, -1)], -1).reshape(-1, 3)
    return np.broadcast_to(np.array(eye, np.float32), directions.shape), directions
