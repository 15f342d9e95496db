"""Points in the plane."""

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
