"""How a face moved between two looks, fitted to their pixels as a sum of motions that faces make.

Optical flow of small patches is noisy where a face has few pixels, few marks or much noise. So
the flow is only where the fit starts from: the sought motion is a sum of known ones (motions.npz:
the principal ones of synthetic faces, less their planes, and six of a plane), and its amounts are
those that explain the second look best and are not unlikely (Gauss-Newton, the linearised
brightness constancy of Lucas and Kanade 1981 with inverse compositional steps as Baker and
Matthews 2004, a normal prior).
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data.motion.flow import MOTION_SIZE, face_mask

from .looks import SIDE

FILE = Path(__file__).with_name("motions.npz")
GRID = SIDE // 2  # the side of the square on which looks are compared
PLANES = 6
PLANE = 0.02  # sd of the six motions of a plane, in face widths at the frame's rim
FLOW_NOISE = 0.003  # sd of a flow's error, in face widths
# How many pixels' noise is one: neighbours share it, and brightness is not all constant. Chosen,
# as the steps, by what tells actions from noise in films to learn from (docs/spotting.md).
SHARED = 64.0
STEPS = 2
SMOOTH = 1.0  # pixels of a look by which it is smoothed
AROUND = 10.0  # pixels of GRID over which brightness and contrast are taken off
FAINT = 4.0  # grey levels of contrast below which nothing is made stronger
KEPT = 0.9  # share of the noise's variance that stays from frame to frame
FIRST_NOISE = 0.02  # variance of the noise before the first frame, in squared contrasts


@dataclass(frozen=True)
class Motions:
    """M motions: fields (M, 2, S, S) in face widths, each times its usual amount, so that amounts
    are about standard normal; fine (M, 2, GRID, GRID), the same on the looks' grid; of_flow
    (M, 2 S S), the likeliest amounts of a flow."""

    fields: np.ndarray
    fine: np.ndarray
    of_flow: np.ndarray

    def amounts(self, flow: np.ndarray) -> np.ndarray:
        """Flow (..., 2, S, S) in face widths -> the likeliest amounts (..., M)."""
        return flow.reshape(*flow.shape[:-3], -1) @ self.of_flow.T


def _plane(side: int) -> np.ndarray:
    """(3, side, side): 1, x and y, from -1 at the frame's left and top to 1."""
    at = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(at, at)
    return np.stack([np.ones_like(x), x, y])


def plane_motions(side: int = MOTION_SIZE) -> np.ndarray:
    """(6, 2, side, side): the PLANES motions of a plane, with the sd PLANE."""
    still = np.zeros((side, side))
    basis = [(one, still) for one in _plane(side)]
    return PLANE * np.array([*basis, *[(b, a) for a, b in basis]], np.float32)


def motions_of(fields: np.ndarray) -> Motions:
    """The planes' motions and fields (M - 6, 2, S, S), each of the size that it usually has."""
    fields = np.concatenate([plane_motions(), fields.astype(np.float32)])
    fine = [
        [cv2.resize(channel, (GRID, GRID), interpolation=cv2.INTER_CUBIC) for channel in field]
        for field in fields
    ]
    flat = fields.reshape(len(fields), -1)
    weighed = flat * np.tile(face_mask(MOTION_SIZE).ravel(), 2) / FLOW_NOISE**2
    of_flow = np.linalg.solve(weighed @ flat.T + np.eye(len(flat)), weighed).astype(np.float32)
    return Motions(fields, np.array(fine, np.float32), of_flow)


@functools.cache
def less_plane(side: int = MOTION_SIZE) -> np.ndarray:
    """(S S, S S): takes a channel to it less its mean plane over the face's frame."""
    mask = face_mask(side).ravel()
    basis = _plane(side).reshape(3, -1)
    plane = np.linalg.solve((basis * mask) @ basis.T, basis * mask)
    return (np.eye(side * side) - basis.T @ plane).astype(np.float32)


@functools.cache
def known_motions() -> Motions:
    """The committed motions; tools.make_spotter makes them."""
    with np.load(FILE, allow_pickle=False) as content:
        return motions_of(content["fields"])


@dataclass(frozen=True)
class Anchor:
    """A look (SIDE, SIDE) that others are fitted to: what of it is compared (GRID, GRID), its
    slopes (M, GRID GRID) along each motion, and their Gram matrix as values (M,) and axes (M, M).
    """

    look: np.ndarray
    aspect: float
    shown: np.ndarray
    slopes: np.ndarray
    values: np.ndarray
    axes: np.ndarray


def take_anchor(look: np.ndarray, aspect: float, motions: Motions) -> Anchor:
    """Prepare to fit looks to this one; aspect: of the face's frame, height over width."""
    shown = _contrast(_small(look))
    along, down = (
        cv2.Sobel(shown, cv2.CV_32F, *way, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
        for way in ((1, 0), (0, 1))
    )
    slopes = motions.fine[:, 0] * (along * GRID) + motions.fine[:, 1] * (down * (GRID / aspect))
    slopes = slopes.reshape(len(slopes), -1) * _weights()
    values, axes = np.linalg.eigh((slopes @ slopes.T).astype(float))
    return Anchor(look, aspect, shown, slopes, np.maximum(values, 0), axes)


def fit_motion(
    anchor: Anchor, look: np.ndarray, flow: np.ndarray, noise: float, motions: Motions
) -> tuple[np.ndarray, float]:
    """The amounts (M,) of the motions from the anchor to a look, and the noise that is left.

    flow (2, S, S) in face widths: where to start. noise: the variance that was left before, of
    which this look's takes a share.
    """
    amounts = motions.amounts(flow)
    small = _small(look)
    rows, columns = np.mgrid[:GRID, :GRID].astype(np.float32)
    fine = motions.fine.reshape(len(amounts), -1)
    rest = np.zeros(GRID * GRID, np.float32)
    for _ in range(STEPS):
        right, down = (amounts @ fine).reshape(2, GRID, GRID) * GRID
        back = cv2.remap(
            small, columns + right, rows + down / np.float32(anchor.aspect), cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        rest = (_contrast(back) - anchor.shown).ravel() * _weights()
        pull = anchor.axes.T @ -(anchor.slopes @ rest) + anchor.values * (anchor.axes.T @ amounts)
        amounts = anchor.axes @ (pull / (anchor.values + SHARED * noise))
        amounts = amounts.astype(np.float32)
    left = (1.48 * float(np.median(np.abs(rest[_weights() > 0.5])))) ** 2
    return amounts, KEPT * noise + (1 - KEPT) * left


@functools.cache
def _weights() -> np.ndarray:
    """(GRID GRID,): how much each pixel counts."""
    return np.sqrt(face_mask(GRID).astype(np.float32)).ravel()


def _small(look: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(look, (0, 0), SMOOTH)
    return cv2.resize(smooth, (GRID, GRID), interpolation=cv2.INTER_AREA)


def _contrast(image: np.ndarray) -> np.ndarray:
    """An image less the brightness around, over the contrast around: light falls out."""
    image = image.astype(np.float32)
    rest = image - cv2.GaussianBlur(image, (0, 0), AROUND)
    return rest / (np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), AROUND)) + np.float32(FAINT))
