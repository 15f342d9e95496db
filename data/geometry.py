"""Points and pictures in the plane."""

import cv2
import numpy as np


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares rotation, scale and shift (3, 3) that takes points (N, 2) to points (N, 2)."""
    x = (source - source.mean(0)) @ [1, 1j]
    y = (target - target.mean(0)) @ [1, 1j]
    turn = (np.conj(x) @ y) / max((np.conj(x) @ x).real, 1e-12)  # scale and angle as one number
    matrix = np.eye(3)
    matrix[:2, :2] = [[turn.real, -turn.imag], [turn.imag, turn.real]]
    matrix[:2, 2] = target.mean(0) - matrix[:2, :2] @ source.mean(0)
    return matrix


def reduced(image: np.ndarray, shrink: float) -> np.ndarray:
    """A picture (H, W, ...) made smaller by a factor up to 1, area-averaged; as it is for 1."""
    if shrink == 1:
        return image
    size = [max(1, round(n * shrink)) for n in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
