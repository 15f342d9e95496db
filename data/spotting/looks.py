"""What a crop sees of a face, and what moves as a whole between two looks."""

import cv2
import numpy as np

from data.motion.flow import MOTION_SIZE, face_mask

SIDE = 160  # pixels of a look
BLUR = 1.0  # pixels by which the look of a small face is smoothed


def take_look(grey: np.ndarray, to_image: np.ndarray, small: bool) -> np.ndarray:
    """The picture (SIDE, SIDE) uint8 of what the crop sees of a frame (H, W).

    small: the face has few pixels, and is smoothed.
    """
    shrink = np.sqrt(abs(np.linalg.det(to_image[:2, :2])))  # image pixels a pixel of the look
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if shrink > 1.5:  # else sampling would alias
        left, top, right, bottom = _bounds(to_image, grey.shape)
        part = grey[top:bottom, left:right]
        grey = cv2.GaussianBlur(part, (0, 0), 0.4 * shrink)
        to_image = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ to_image
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = (np.linalg.inv(half) @ to_image @ half)[:2]
    border = cv2.BORDER_REPLICATE
    look = cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=flags, borderMode=border)
    return cv2.GaussianBlur(look, (0, 0), BLUR) if small else look


def _bounds(to_image: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of an image that a look needs: left, top, right, bottom; at least one pixel."""
    corners = moved_points(to_image, np.array([[0, 0], [SIDE, 0], [0, SIDE], [SIDE, SIDE]]))
    left, top = np.floor(corners.min(0)).astype(int) - 8
    right, bottom = np.ceil(corners.max(0)).astype(int) + 8
    left, top = min(max(left, 0), shape[1] - 1), min(max(top, 0), shape[0] - 1)
    return left, top, max(min(right, shape[1]), left + 1), max(min(bottom, shape[0]), top + 1)


def whole_motion(flow: np.ndarray, rounds: int = 4) -> np.ndarray:
    """The similarity (3, 3), in pixels of the look, that most of a flow (2, S, S) follows."""
    side = flow.shape[-1]
    x, y, weight = _grid(side)
    target_x, target_y = x + flow[0].ravel(), y + flow[1].ravel()
    w = weight
    for _ in range(rounds):
        total = w.sum()
        mx, my, nx, ny = (w @ one / total for one in (x, y, target_x, target_y))
        ax, ay, bx, by = x - mx, y - my, target_x - nx, target_y - ny
        size = w @ (ax * ax + ay * ay)
        c, s = w @ (ax * bx + ay * by) / size, w @ (ax * by - ay * bx) / size
        rest = np.hypot(bx - c * ax + s * ay, by - s * ax - c * ay)
        w = weight / np.maximum(rest, 0.05 * rest.mean() + 1e-6)
    return np.array([[c, -s, nx - c * mx + s * my], [s, c, ny - s * mx - c * my], [0, 0, 1]])


_GRIDS: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}


def _grid(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel centres of a look on a coarse grid, and how much each says of the head."""
    if side not in _GRIDS:
        at = (np.arange(side) + 0.5) / side
        x, y = np.meshgrid(at, at)
        weight = face_mask(side) * np.where(y > 0.62, 0.3, 1.0)  # the jaw moves by itself
        _GRIDS[side] = (x.ravel() * SIDE, y.ravel() * SIDE, weight.ravel())
    return _GRIDS[side]


def plane_flow(move: np.ndarray, aspect: float) -> np.ndarray:
    """A similarity in pixels of the look as flow (2, S, S) in face widths."""
    x, y, _ = _grid(MOTION_SIZE)
    moved = move[:2] @ np.stack([x, y, np.ones_like(x)]) - np.stack([x, y])
    scaled = moved / SIDE * np.array([[1], [aspect]])
    return scaled.reshape(2, MOTION_SIZE, MOTION_SIZE).astype(np.float32)


def coarse(channel: np.ndarray) -> np.ndarray:
    """A channel of a look's flow on the grid of motion maps."""
    return cv2.resize(channel, (MOTION_SIZE, MOTION_SIZE), interpolation=cv2.INTER_AREA)


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
    return float(np.linalg.norm(moved_points(move, rim) - rim, axis=1).max())


def moved_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) moved by a matrix (3, 3)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]
