"""What every backend gives: a head in three dimensions, and how it lies in its image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from data.face_search import FoundBy
from data.views import MakerName

FILLED = 0.85  # of a view's height, by crown to chin


@dataclass(frozen=True)
class Face:
    """One face to reconstruct."""

    image: np.ndarray  # uint8 (H, W, 3) RGB, any size, as it is in its file
    landmarks: np.ndarray  # (68, 2) in the image's pixels
    subject: str = ""  # faces of one subject may share an identity
    onset: np.ndarray | None = None  # the clip's onset frame, of the image's size
    found_by: FoundBy = "detector"  # how the landmarks came about


@dataclass(frozen=True)
class Topology:
    """The mesh that all heads of a backend share: F triangles, unwrapped to N uv points."""

    faces: Tensor  # (F, 3) int64, rows of the vertices
    uv: Tensor  # (N, 2) in [0, 1], v up
    uv_faces: Tensor  # (F, 3) int64, rows of uv

    def uv_positions(self) -> Tensor:
        """The uv points in image space (N, 3), to sample maps by or to rasterise into."""
        flat = torch.stack([2 * self.uv[:, 0] - 1, 1 - 2 * self.uv[:, 1]], 1)
        return torch.cat([flat, torch.zeros_like(flat[:, :1])], 1)


@dataclass(frozen=True)
class Framing:
    """What the views look at: the same for every yaw of a head."""

    centre: Tensor  # (3,) metres: what the head turns about
    scale: float  # image space (the image is 2 wide) per metre
    place: Tensor | None = None  # (3,) metres: where the centre lies; None: in the middle


@dataclass(frozen=True)
class Reconstruction:
    """A head: metres, x right in the image, y up, z towards the viewer.

    All tensors are on one device. The camera is scaled orthographic, from metres to the input
    image's pixels, whose centres are whole numbers: column = x + scale * X, row = y - scale * Y.
    """

    topology: Topology
    vertices: Tensor  # (V, 3) posed as in the image
    frontal: Tensor  # (V, 3) the same head with the global rotation taken out
    rotation: Tensor  # (3, 3) turns `frontal` to the pose of `vertices`, but for a shift
    normals: Tensor  # (V, 3) unit normals of `frontal`
    normal_map: Tensor | None  # (3, S, S) normals of `frontal` with fine detail, in uv
    texture: Tensor  # (3, S, S) RGB in [0, 1], in uv
    framing: Framing
    camera: Tensor  # (3,): scale, x, y
    landmarks: np.ndarray  # (68, 2) as given, in the input image's pixels
    projected: np.ndarray  # (68, 2) the model's own, in the same pixels
    codes: dict[str, np.ndarray]  # every coefficient, by name, and 68 3D landmarks in pixels
    motion: Tensor | None = None  # (V, 3) metres: how `frontal` came here since the clip's onset
    # (3, S, S) points of `frontal` with fine detail, in uv, metres; not a number where it is empty
    detail_map: Tensor | None = None


class Backend(Protocol):
    """A way to get from faces to heads."""

    @property
    def name(self) -> MakerName:
        """What the views' record and --backend call it."""
        ...

    def reconstruct(self, faces: Sequence[Face], one_identity: bool = ...) -> list[Reconstruction]:
        """One head a face, in order; one_identity: those of one (named) subject share theirs."""
        ...

    def transfer(self, source: Face, target: Face) -> Reconstruction:
        """The target's head as the source's lies in its image, with the source's expression."""
        ...


def to_pixels(points: Tensor, camera: Tensor) -> Tensor:
    """Points (..., 3) in metres -> columns and rows (..., 2) of the input image."""
    scale, x, y = camera
    return torch.stack([x + scale * points[..., 0], y - scale * points[..., 1]], -1)


def to_pixels3d(points: Tensor, camera: Tensor) -> np.ndarray:
    """Points (N, 3) in metres -> columns, rows, depths (N, 3) in the input image's pixels.

    Depths are from the origin of the head's coordinates on, smaller towards the viewer.
    """
    places = torch.cat([to_pixels(points, camera), -camera[0] * points[:, 2:]], 1)
    return places.cpu().numpy()


def frame_head(vertices: Tensor, chin: Tensor) -> Framing:
    """Look at a head (V, 3) without expression, given its chin's landmark (3,).

    Crown to chin fill FILLED of the image's height; the axis that the head turns about goes
    through the middle of its box above the chin. Shoulders or a long neck do not move it.
    """
    head = vertices[vertices[:, 1] >= chin[1]]
    low, high = head.amin(0), head.amax(0)
    return Framing((low + high) / 2, float(2 * FILLED / (high[1] - low[1])))
