"""Looks at a face: square crops, and what two of them have to do with one another."""

import cv2
import numpy as np

from data.motion.flow import face_mask

SIDE = 160  # pixels of a look


def likeness(reference: np.ndarray, look: np.ndarray, flow: np.ndarray) -> float:
    """Correlation over the face of the reference and the look, at a fifth of their size."""
    step = 5
    rows, columns = np.mgrid[2:SIDE:step, 2:SIDE:step].astype(np.float32)
    few = flow[2::step, 2::step]
    back = cv2.remap(
        look, columns + few[..., 0], rows + few[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    a = reference[2::step, 2::step].astype(np.float32)
    b = back.astype(np.float32)
    w = face_mask(len(a))
    a, b = (one - (w * one).sum() / w.sum() for one in (a, b))
    return float((w * a * b).sum() / np.sqrt((w * a * a).sum() * (w * b * b).sum() + 1e-6))


def farthest(move: np.ndarray) -> float:
    """How far a matrix (3, 3) in pixels of the look moves the face's rim, at most."""
    rim = np.array([[0.15, 0.3], [0.85, 0.3], [0.5, 0.9], [0.5, 0.1]]) * SIDE
    return float(np.linalg.norm(moved_by(move, rim) - rim, axis=1).max())


def moved_by(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (K, 2) moved by a matrix (3, 3)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def eyes_apart(points: np.ndarray) -> float:
    """The width of a face's frame in pixels, from its 68 landmarks (68, 2)."""
    return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)) * 2.5)
