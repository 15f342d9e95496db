"""What lies on the face that is not the face: rims, hair, hands; and what glasses enclose.

A texel is covered where the photograph differs from the fitted bare face by more than bare faces
do. Below the eyes both halves are compared as well: a beard, a smile's folds and teeth are on
both sides, a hand or a microphone is not. Eyes stay as they are.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .chart import SIDE, Chart
from .skin import Fitted, SkinModel

# Standard deviations from which on a texel is covered, and to which it spreads from there.
SURE, LIKELY = 3.6, 2.0
OWN = 0.8  # of the strangeness counts on brows, which are each person's own
SPREAD = 6  # texels that it spreads at most: a rim's shadow
SMALLEST = 14  # texels of a cover; less is a mole or a glint
HAND = 250  # texels of a cover below the eyes; less is a fold or a shadow of the face's own
MARGIN = 2  # texels around a cover that it blurs into
SEEN = 0.3  # of Chart.seen: less is not shown by the photograph
LENS = (200, 3000)  # texels that a rim encloses around an eye
SHADOW = 20  # texels around a lens that its rim may shade
GAP = 9  # texels of a rim that may be missing
EYES, BROWS = (slice(19, 25), slice(25, 31)), (slice(0, 5), slice(5, 10))  # of the inner landmarks
NOSE_TIP = 13


@dataclass(frozen=True)
class Cover:
    """Masks (S, S) bool of a chart."""

    covered: np.ndarray  # by something else than the face
    lenses: tuple[np.ndarray, ...]  # seen through a glass: within closed rims, rims left out
    shaded: np.ndarray  # skin that glasses may throw a shadow on: around the lenses
    unseen: np.ndarray  # the photograph does not show it


def to_texels(landmarks: np.ndarray) -> np.ndarray:
    """Places on the chart (N, 2) in mm -> columns and rows."""
    return landmarks * [1, -1] + (SIDE - 1) / 2


def find_cover(model: SkinModel, chart: Chart, fitted: Fitted) -> Cover:
    """Tell what covers the face of a chart."""
    at = to_texels(model.landmarks)
    unseen = chart.seen < SEEN
    strange = np.where(unseen, 0, cv2.GaussianBlur(fitted.strange, (0, 0), 0.6))
    low = np.broadcast_to(np.arange(SIDE)[:, None] > at[NOSE_TIP, 1], unseen.shape)
    both = cv2.GaussianBlur(strange, (0, 0), 2)
    one_sided = both > 2 * cv2.dilate(both[:, ::-1], _disc(4))
    strange[brows(model)] *= OWN
    for eye in EYES:
        strange[opening(at[eye])] = 0

    core = _grow(np.where(low & ~one_sided, 0, strange), _features(at), low)
    covered = cv2.dilate(core.astype(np.uint8), _disc(MARGIN)) > 0
    covered &= core | ~brows(model)  # what shows of a brow is worth more than a clean border
    for eye in EYES:
        covered &= ~opening(at[eye])
    glasses = np.zeros((SIDE, SIDE), np.uint8)
    lenses = []
    for eye in EYES:
        thick = cv2.dilate(core.astype(np.uint8), _disc(MARGIN)) > 0  # closes wider gaps
        found = (_enclosed(rim | unseen, at[eye].mean(0)) for rim in (core, thick))
        lens = next((one for one in found if one is not None), None)
        if lens is not None:
            glasses |= lens
            lenses.append((lens > 0) & ~covered)
    around = cv2.dilate(glasses, _disc(SHADOW)) > 0
    return Cover(covered, tuple(lenses), around, unseen)


def _grow(strange: np.ndarray, features: np.ndarray, low: np.ndarray) -> np.ndarray:
    """(S, S) bool: what is surely strange and what is likely so beside it, in pieces that are
    large enough and no mere brow, lid, beard or smile."""
    sure = strange > SURE
    near = cv2.dilate(sure.astype(np.uint8), _disc(SPREAD)) > 0
    likely = sure | (near & (strange > LIKELY))
    count, labels = cv2.connectedComponents(likely.astype(np.uint8))

    def sizes(where: np.ndarray) -> np.ndarray:
        return np.bincount(labels[where], minlength=count)

    kept = np.isin(np.arange(count), labels[sure]) & (sizes(likely) >= SMALLEST)
    kept &= sizes(~features) >= np.maximum(SMALLEST, sizes(features) / 2)
    kept &= (sizes(~low) >= sizes(low)) | (sizes(low) >= HAND)
    kept[0] = False
    return kept[labels]


def _features(at: np.ndarray) -> np.ndarray:
    """(S, S) bool: brows, lids and what is between them, which differ from person to person."""
    return np.any([_around(np.concatenate(pair), 3) for pair in
                   ((at[BROWS[0]], at[EYES[0]]), (at[BROWS[1]], at[EYES[1]]))], 0)  # fmt: skip


def brows(model: SkinModel) -> np.ndarray:
    """(S, S) bool: both brows, with a margin."""
    at = to_texels(model.landmarks)
    return np.any([_around(at[brow], 4) for brow in BROWS], 0)


def opening(eye: np.ndarray) -> np.ndarray:
    """(S, S) bool: between the lids, of an eye's six landmarks (6, 2) in texels."""
    return _around(eye, 1)


def _around(points: np.ndarray, margin: int) -> np.ndarray:
    """(S, S) bool: the convex hull of points (N, 2), so many texels larger."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    return cv2.dilate(mask, _disc(margin)) > 0


def _enclosed(core: np.ndarray, eye: np.ndarray) -> np.ndarray | None:
    """What a closed rim encloses around an eye, its convex hull, uint8; None without one."""
    closed = cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_CLOSE, _disc(GAP // 2))
    column, row = np.round(eye).astype(int)
    closed[row - 5 : row + 6, column - 12 : column + 13] = 0  # lids and lashes are no rim
    _, labels = cv2.connectedComponents(1 - closed, connectivity=4)
    inside = labels == labels[row, column]
    if not LENS[0] <= inside.sum() <= LENS[1]:
        return None
    return _around(np.argwhere(inside)[:, ::-1], 0).astype(np.uint8)


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
