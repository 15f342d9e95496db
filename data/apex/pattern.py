"""The default measure of apex spotting: how far the face is into its expression's pattern.

An expression moves parts of the face along one path, there and back, so the frames of a clip
differ by one spatial pattern times an intensity over time; the head's motion and the light are
the rest. So: describe each frame by what a smooth motion of the whole face and a change of
light cannot explain (the linear model of optical flow, Lucas & Kanade 1981), look for the
pattern that comes and goes between onset and offset, and read each frame's intensity along it.
A frame's value rests on thousands of pixels, so that noise in single frames averages out.
"""

import cv2
import numpy as np

WIDTH = 96  # pixels of the ten cells' common region: the scale at which motion is looked at
BLUR = 1.5  # sigma in those pixels; displacements up to about this stay linear
SMOOTH = 0.5  # sigma in frames


def pattern_curve(frames: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Intensity of the expression in each frame, float (T,), peak 1; its argmax is the apex.

    frames: grey (T, H, W) of the region around the cells, onset first, offset last, T >= 3.
    cells: int (10, 4) left, top, right, bottom in it. ValueError if no cell lies in it.
    """
    cells = shrink_cells(cells, frames.shape[2])
    frames = np.stack([shrink(frame) for frame in frames])
    change = _unexplained_change(frames, cells)
    gram = change @ change.T
    guess = _rise_and_fall(gram)
    # The pattern is change.T @ guess; every frame's intensity is its change along the pattern.
    intensity = _smooth(gram @ guess)
    curve = intensity - np.linspace(intensity[0], intensity[-1], len(intensity))
    return curve / max(np.abs(curve).max(), np.finfo(float).tiny)


def shrink(frame: np.ndarray) -> np.ndarray:
    """A grey frame (H, W) at the WIDTH that the measure works at; one of that width as it is."""
    height, width = frame.shape
    size = WIDTH, max(round(height * WIDTH / width), 1)
    way = cv2.INTER_AREA if width > WIDTH else cv2.INTER_LINEAR
    return cv2.resize(frame, size, interpolation=way)


def shrink_cells(cells: np.ndarray, width: int) -> np.ndarray:
    """Cells (10, 4) of a region that is `width` wide, in the region as `shrink` leaves it."""
    return (cells * (WIDTH / width)).astype(int)


def _smooth(values: np.ndarray) -> np.ndarray:
    # cv2's filter: importing scipy.ndimage would take longer than spotting a clip's apex.
    column, reach = values[:, None], 1 + 2 * round(4 * SMOOTH)
    edges = cv2.BORDER_REPLICATE
    return cv2.GaussianBlur(column, (1, reach), SMOOTH, borderType=edges)[:, 0]


def _unexplained_change(frames: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Each frame's difference to the mean frame within the cells, less what head and light explain.

    float32 (T, pixels).
    """
    small = np.stack([cv2.GaussianBlur(f.astype(np.float32), (0, 0), BLUR) for f in frames])
    inside = np.zeros(small.shape[1:], bool)
    for left, top, right, bottom in cells.clip(0):
        inside[top:bottom, left:right] = True
    if not inside.any():
        raise ValueError("no cell lies in the frames")
    mean = small.mean(0)
    change = (small - mean).reshape(len(small), -1)
    causes = _head_and_light(mean).reshape(-1, mean.size)
    causes /= np.linalg.norm(causes, axis=1, keepdims=True) + np.finfo(np.float32).tiny
    # Least squares by its normal equations: eight times as fast as QR, and as exact here.
    amounts = np.linalg.lstsq(causes @ causes.T, causes @ change.T, rcond=None)[0]
    change -= amounts.T @ causes
    return change[:, inside.ravel()]


def _head_and_light(face: np.ndarray) -> np.ndarray:
    """Images (14, H, W) whose weighted sum is any small change by head motion or light.

    Moving by (u, v) changes a face by u dI/dx + v dI/dy. u and v are quadratic in x and y:
    shift, turn, zoom, and to good approximation the turns out of the plane of a round head.
    Light adds and multiplies.
    """
    dy, dx = np.gradient(face)
    y, x = np.mgrid[-1 : 1 : face.shape[0] * 1j, -1 : 1 : face.shape[1] * 1j].astype(np.float32)
    one = np.ones_like(face)
    motions = (one, x, y, x * x, x * y, y * y)
    return np.stack([one, face, *(m * dx for m in motions), *(m * dy for m in motions)])


def _rise_and_fall(gram: np.ndarray) -> np.ndarray:
    """The time course (T,), mean 0, of the one rise and fall that explains most of the change."""
    n = len(gram)
    t = np.arange(n)[None]
    peak = np.arange(1, n - 1)[:, None]
    rise = np.sin(np.pi / 2 * np.minimum(t / peak, 1)) ** 2
    fall = np.cos(np.pi / 2 * np.maximum((t - peak) / (n - 1 - peak), 0)) ** 2
    courses = rise * fall
    courses -= courses.mean(1, keepdims=True)
    courses /= np.linalg.norm(courses, axis=1, keepdims=True)
    explained = ((courses @ gram) * courses).sum(1)
    return courses[explained.argmax()]
