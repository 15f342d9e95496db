"""What 68 landmarks of a face look like: how far a set of points is from any face's shape.

The shapes are those of Anny heads: many people, expressions and poses, their landmarks projected
(tools/make_face_shape.py). A point distribution model (Cootes et al. 1995): shapes are aligned by
a similarity, described by the principal axes of what is left, and judged by the distance along
these axes in standard deviations and by what no axis explains.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .geometry import similarity

FILE = Path(__file__).with_name("face_shape.npz")
# Each landmark's twin on the other side of the face (iBUG order).
MIRROR = np.r_[
    16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47, 46, 39:35:-1, 41, 40,
    54:47:-1, 59:54:-1, 64:59:-1, 67, 66, 65,
]  # fmt: skip


@dataclass(frozen=True)
class FaceShape:
    """The model: mean (68, 2), axes (K, 136), their spreads (K,), and the spread beyond them."""

    mean: np.ndarray
    axes: np.ndarray
    spreads: np.ndarray
    beyond: float

    def strangeness(self, landmarks: np.ndarray) -> float:
        """How unlike a face landmarks (68, 2) are: about 1 for a face, inf for no shape at all."""
        if not np.isfinite(landmarks).all():
            return np.inf
        matrix = similarity(landmarks, self.mean)
        scale = np.linalg.norm(matrix[:2, 0])
        if not 0 < scale < np.inf:
            return np.inf
        off = (landmarks @ matrix[:2, :2].T + matrix[:2, 2] - self.mean).ravel()
        along = self.axes @ off
        rest = off - self.axes.T @ along
        terms = np.append(along / self.spreads, np.linalg.norm(rest) / self.beyond)
        return float(np.sqrt(np.mean(terms**2)))


@functools.cache
def face_shape() -> FaceShape:
    """The committed model."""
    with np.load(FILE, allow_pickle=False) as content:
        return FaceShape(
            content["mean"], content["axes"], content["spreads"], float(content["beyond"])
        )
