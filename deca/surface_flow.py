"""Motion between two frames of a clip, read off the optical flow over the whole face.

Landmark detectors are off by more than a micro-expression moves; the flow at some hundred points
of the fitted head is not.
"""

import cv2
import numpy as np
from scipy.optimize import lsq_linear

RIDGE, SPARSE = 0.02, 0.03  # see moves_between
CHOSEN = 0.02  # an action is kept from here on
ROUNDS = 4  # of reweighting against outliers
HEAD_MOVES = 6  # shift, scale, turns about three axes


def face_flow(onset: np.ndarray, apex: np.ndarray, points: np.ndarray, width: float) -> np.ndarray:
    """How points (N, 2) of the apex frame came there from the onset: (N, 2), in its pixels.

    Both images uint8 (H, W, 3) of one size; width: the distance of the outer eye corners.
    """
    scale = 110 / width  # of the face, so that the flow's patches fit any image
    size = [max(16, round(n * scale)) for n in apex.shape[1::-1]]
    low = points.min(0) - 0.3 * width
    high = points.max(0) + 0.3 * width
    left, top = np.clip((low * scale).astype(int), 0, np.array(size) - 2)
    right, bottom = np.maximum(np.clip((high * scale).astype(int), 0, size), (left + 16, top + 16))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = [
        cv2.resize(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), size, interpolation=interpolation)[
            top:bottom, left:right
        ]
        for i in (apex, onset)
    ]
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first, second = map(np.ascontiguousarray, grey)
    flow = finder.calc(first, second, None)  # type: ignore[call-overload]  # the stub lacks None
    at = ((points + 0.5) * scale - 0.5 - (left, top)).astype(np.float32)
    moved = cv2.remap(flow, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return -moved[:, 0] / scale


def head_moves(points: np.ndarray, offsets: np.ndarray, width: float) -> np.ndarray:
    """What moves points in the picture: A actions, then small motions of the head.

    points (N, 3) and offsets (A, N, 3) in pixels, x right, y down, z to the viewer; width: the
    distance of the outer eye corners. -> (A + 6, N, 2) in widths.
    """
    centred = (points - points.mean(0)) / width
    one, zero = np.ones(len(points)), np.zeros(len(points))
    x, y, z = centred.T
    head = [(one, zero), (zero, one), (x, y), (-y, x), (z, zero), (zero, z)]
    rigid = np.stack([np.stack(move, 1) for move in head])
    return np.concatenate([offsets[:, :, :2] / width, rigid])


def moves_between(flow: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """How strong each of head_moves (A + 6, N, 2) is in a flow (N, 2) in widths: (A + 6,).

    Actions are in [0, 1]; A may be 0. A ridge term keeps actions small that hardly move anything, a
    constant one (the lasso's, for actions are not negative) those that others explain.
    """
    count, known = len(flow), len(moves) - HEAD_MOVES
    matrix = moves.reshape(len(moves), -1).T
    value = flow.ravel()
    low = np.r_[np.zeros(known), np.full(HEAD_MOVES, -np.inf)]
    high = np.r_[np.ones(known), np.full(HEAD_MOVES, np.inf)]
    weight = np.ones(count)
    unit = 0.01 * np.sqrt(count)  # residuals are measured in hundredths of the width
    used = np.ones(len(moves), bool)
    found = np.zeros(len(moves))
    for step in range(ROUNDS + 1):
        ridge, sparse = RIDGE, SPARSE
        if step == ROUNDS:
            # The penalties choose the actions but make them too small: those that were chosen
            # are found again, nearly without (the relaxed lasso, Meinshausen 2007).
            ridge, sparse = RIDGE / 10, 0
            used[:known] = found[:known] > CHOSEN
        rooted = np.repeat(np.sqrt(weight), 2) / unit
        a = matrix[:, used] * rooted[:, None]
        actions = int(used[:known].sum())
        normal = a.T @ a
        normal[np.arange(actions), np.arange(actions)] += ridge
        right = a.T @ (value * rooted)
        right[:actions] -= sparse
        root = np.linalg.cholesky(normal + 1e-9 * np.eye(len(normal)))
        found = np.zeros(len(moves))
        found[used] = lsq_linear(root.T, np.linalg.solve(root, right), (low[used], high[used])).x
        off = np.linalg.norm((matrix @ found - value).reshape(-1, 2), axis=1)
        weight = 1 / (1 + (off / 0.01) ** 2)
    return found
