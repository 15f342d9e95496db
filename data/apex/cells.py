"""Ten cells around the parts of the face that move, and the published measure in them.

Landmarks in iBUG order, pixel coordinates, x to the right, y down.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

# Sorted by name, the order of the columns of cell_values.
CELL_NAMES = (
    "center_eyebrow",
    "chin",
    "left_eye",
    "left_eyebrow",
    "left_lip",
    "left_nose",
    "right_eye",
    "right_eyebrow",
    "right_lip",
    "right_nose",
)


def face_cells(landmarks: np.ndarray) -> np.ndarray:
    """Squares int (10, 4) of left, top, right, bottom around 68 landmarks (68, 2).

    In the order of CELL_NAMES, half-open, and possibly outside the image. Their width is half
    the mouth's.
    """
    p = np.rint(landmarks).astype(int)
    w = int((p[54, 0] - p[48, 0]) / 2)
    h = int(w / 2)
    brow_x, brow_y = (p[19] + p[24]) // 2
    lip_top_left, lip_top_right = p[48, 1] - h, p[54, 1] - h
    return np.array(
        [
            (brow_x - h, brow_y - h, brow_x + h, brow_y + h),
            (p[8, 0] - h, p[8, 1] - w, p[8, 0] + h, p[8, 1]),
            (p[36, 0] - w, p[36, 1] - h, p[36, 0], p[36, 1] + h),
            (brow_x - 3 * w // 2, brow_y - w // 2, brow_x - w // 2, brow_y + w // 2),
            (p[48, 0] - h, p[48, 1] - h, p[48, 0] + h, p[48, 1] + h),
            (p[31, 0] - w, lip_top_left - w, p[31, 0], lip_top_left),
            (p[45, 0], p[45, 1] - h, p[45, 0] + w, p[45, 1] + h),
            (brow_x + w // 2, brow_y - w // 2, brow_x + 3 * w // 2, brow_y + w // 2),
            (p[54, 0] - h, p[54, 1] - h, p[54, 0] + h, p[54, 1] + h),
            (p[35, 0], lip_top_right - w, p[35, 0] + w, lip_top_right),
        ]
    )


def cells_mask(
    shape: tuple[int, int], landmarks: np.ndarray, names: Sequence[str] = CELL_NAMES
) -> np.ndarray:
    """Which pixels of an image lie in the named cells, bool (H, W); landmarks (68, 2)."""
    mask = np.zeros(shape, bool)
    cells = dict(zip(CELL_NAMES, face_cells(landmarks).clip(0)))
    for left, top, right, bottom in (cells[name] for name in names):
        mask[top:bottom, left:right] = True
    return mask


def hull_mask(shape: tuple[int, int], landmarks: np.ndarray) -> np.ndarray:
    """Which pixels of an image lie within the landmarks' (68, 2) convex hull, bool (H, W)."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1)
    return mask.astype(bool)


def cell_values(
    frame: np.ndarray,
    previous: np.ndarray,
    onset: np.ndarray,
    offset: np.ndarray,
    cells: np.ndarray,
) -> np.ndarray:
    """The published measure of one frame, float32 (10,): change from onset and from offset
    over change from the previous frame, its mean in each of the `cells` (10, 4).

    Frames are grey (H, W), values 0 to 255. Cells are clipped to the image; NaN where nothing
    is left of one.
    """
    height, width = frame.shape
    values = np.full(len(cells), np.nan, np.float32)
    for i, (left, top, right, bottom) in enumerate(cells.clip(0, (width, height, width, height))):
        if left < right and top < bottom:
            cell = slice(top, bottom), slice(left, right)
            t, before, first, last = (
                image[cell].astype(np.float32) for image in (frame, previous, onset, offset)
            )
            still = np.abs(t - before) + 1
            values[i] = np.mean((np.abs(t - first) + 1) / still + (np.abs(t - last) + 1) / still)
    return values


def cells_curve(frames: Iterable[np.ndarray], cells: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The published curve, float32 (T,), of grey frames (T, H, W) with values 0 to 255.

    `cells` is (T, 10, 4), the cells in each frame, or (10, 4) for all frames. offset: the last
    frame; the others may come one at a time, two of them are in memory then. The curve is 0 at
    the onset; at t it is the mean of `cell_values` over the cells that have one.
    """
    following = iter(frames)
    onset = previous = next(following)
    curve = [0.0]
    for t, frame in enumerate(following, start=1):
        values = cell_values(frame, previous, onset, offset, cells[t] if cells.ndim > 2 else cells)
        curve.append(0.0 if np.isnan(values).all() else float(np.nanmean(values)))
        previous = frame
    return np.array(curve, np.float32)
