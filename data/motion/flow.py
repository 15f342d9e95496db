"""Motion maps: how a face moved from onset to apex, as (u, v, strain) on a small square.

u points to the image's right, v down, both in face widths; strain is the magnitude of the
infinitesimal strain tensor, sqrt(exx² + eyy² + 2 exy²) (Shreve et al. 2009). The square is the
face's frame: eye centres and chin of the onset come to fixed places in it, whoever's face it is.
"""

import functools
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from common.errors import UserError
from data.face_search import FoundFace
from data.geometry import similarity

Flow = Literal["dis", "tvl1"]

MOTION_SIZE = 28
FLOW_SIDE = 192  # the face's frame in pixels while flow is estimated
EYES_X = (0.30, 0.70)  # where the eye centres come to lie, as shares of the frame
EYES_Y, CHIN_Y = 0.33, 0.95
ASPECTS = (0.9, 1.7)  # height over width of a frame; more is a fault of the landmarks
# Inner brow ends and cheeks move with expression; nose bridge, eye corners and jaw ends do not.
STEADY = [27, 28, 29, 30, 36, 39, 42, 45, 0, 16]
CHANNELS = ("u", "v", "strain")
POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))  # of x and y in the head's motion


def clip_motion(
    onset: np.ndarray,
    apex: np.ndarray,
    faces: tuple[FoundFace, FoundFace],
    size: int = MOTION_SIZE,
    flow: Flow = "dis",
    where: str = "clip",
) -> np.ndarray:
    """Motion map (3, size, size) float32 of a clip's onset and apex, uint8 (H, W, 3) RGB.

    faces: the same face in both (FaceFinder.pair). `where` names the clip in messages.
    UserError if the pictures differ in shape, are equal (no motion), or the landmarks span no
    face.
    """
    check_pair(onset, apex, where)
    first, second = faces
    return motion_map(onset, apex, first.landmarks, second.landmarks, size, flow, where)


def check_pair(onset: np.ndarray, apex: np.ndarray, where: str) -> None:
    """UserError if two pictures can show no motion: their shapes differ, or nothing does."""
    check_shapes(onset, apex, where)
    if np.array_equal(onset, apex):
        raise UserError(f"{where}: onset and apex are the same picture: there is no motion in it")


def check_shapes(onset: np.ndarray, apex: np.ndarray, where: str) -> None:
    """UserError if two pictures differ in shape."""
    if onset.shape != apex.shape:
        raise UserError(f"{where}: onset is {_shape(onset)} pixels, apex {_shape(apex)}")


def _shape(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def motion_map(
    onset: np.ndarray,
    apex: np.ndarray,
    onset_points: np.ndarray,
    apex_points: np.ndarray,
    size: int = MOTION_SIZE,
    flow: Flow = "dis",
    where: str = "clip",
) -> np.ndarray:
    """Motion map (3, size, size) of two pictures (H, W, 3) with their 68 landmarks (68, 2)."""
    to_onset, to_apex, aspect = pair_frames(onset_points, apex_points, where)
    work = measured_flow(look(onset, to_onset), look(apex, to_apex), aspect, 2 * size, flow)
    return flow_to_maps(work[None], np.array([aspect]), size)[0]


def pair_frames(
    onset_points: np.ndarray, apex_points: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """The face's frame in onset and apex, each (3, 3) from FLOW_SIDE pixels of it, and its aspect.

    Landmarks (68, 2). The apex's is the onset's, moved as the steady landmarks are.
    """
    to_onset, aspect = face_frame(onset_points, where)
    to_onset = to_onset @ np.diag([1 / FLOW_SIDE, 1 / FLOW_SIDE, 1])  # from pixels of the frame
    return to_onset, similarity(onset_points[STEADY], apex_points[STEADY]) @ to_onset, aspect


def measured_flow(
    first: np.ndarray, second: np.ndarray, aspect: float, side: int, flow: Flow = "dis"
) -> np.ndarray:
    """Flow (2, side, side) in face widths between two looks, the head's motion still in it."""
    moved = FLOWS[flow](first, second) / FLOW_SIDE  # shares of the frame
    moved[1] *= aspect
    return np.stack([resize(channel, side) for channel in moved])


def face_frame(points: np.ndarray, where: str = "clip") -> tuple[np.ndarray, float]:
    """The face's frame from 68 landmarks: (3, 3) from [0, 1]² to pixels, and its aspect.

    The aspect is height over width. UserError if the landmarks do not span a face.
    """
    eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)]).astype(float)
    across = (eyes[1] - eyes[0]) / (EYES_X[1] - EYES_X[0])
    width = np.linalg.norm(across)
    if not np.isfinite(width) or width < 8:
        raise UserError(f"{where}: the landmarks span {width:.0f} pixels: no face to measure")
    down = np.array([-across[1], across[0]])
    middle = eyes.mean(0)
    aspect = (points[8] - middle) @ down / width**2 / (CHIN_Y - EYES_Y)
    aspect = float(np.clip(aspect, *ASPECTS))
    frame = np.eye(3)
    frame[:2, 0], frame[:2, 1] = across, down * aspect
    frame[:2, 2] = middle - 0.5 * frame[:2, 0] - EYES_Y * frame[:2, 1]
    return frame, aspect


def look(image: np.ndarray, frame_to_image: np.ndarray) -> np.ndarray:
    """The grey picture (FLOW_SIDE, FLOW_SIDE) uint8 of what a frame sees of an image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shrink = np.sqrt(abs(np.linalg.det(frame_to_image[:2, :2])))  # image pixels a frame pixel
    if shrink > 1.5:  # else sampling would alias
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 * shrink)
    # cv2 counts from pixel centres, the frame from its corner.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = (np.linalg.inv(half) @ frame_to_image @ half)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    side = (FLOW_SIDE, FLOW_SIDE)
    return cv2.warpAffine(grey, matrix, side, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _dis(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Dense inverse search (Kroeger et al. 2016): (2, H, W) in pixels; 10 ms."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(0)
    flow = estimator.calc(first, second, None)  # type: ignore[call-overload]  # lacks None
    return np.moveaxis(flow, -1, 0).copy()


def _tvl1(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """TV-L1 (Zach et al. 2007, by scikit-image): (2, H, W) in pixels; about a second."""
    # Here: it brings scipy.ndimage along, 0.2 s that DIS, the default, need not wait for.
    from skimage.registration import optical_flow_tvl1

    rows, columns = optical_flow_tvl1(first / 255, second / 255, dtype=np.float32)
    return np.stack([columns, rows])


FLOWS: dict[str, Callable] = {"dis": _dis, "tvl1": _tvl1}


def flow_to_maps(flow: np.ndarray, aspect: np.ndarray, size: int) -> np.ndarray:
    """Flow (N, 2, R, R) in face widths over the face's frame -> maps (N, 3, size, size) float32.

    The head's motion is taken out and the surroundings of the face are 0. aspect (N,) is the
    frame's height over its width, for the strain.
    """
    flow = remove_head_motion(flow)
    maps = np.concatenate([flow, strain(flow, aspect)[:, None]], 1) * face_mask(flow.shape[-1])
    return np.stack([[resize(channel, size) for channel in one] for one in maps])


def strain(flow: np.ndarray, aspect: np.ndarray) -> np.ndarray:
    """Strain magnitude (N, R, R) of a flow (N, 2, R, R) in face widths."""
    side = flow.shape[-1]
    du_dy, du_dx = np.gradient(flow[:, 0], 1 / side, axis=(1, 2))
    dv_dy, dv_dx = np.gradient(flow[:, 1], 1 / side, axis=(1, 2))
    tall = np.asarray(aspect)[:, None, None]
    shear = (du_dy / tall + dv_dx) / 2
    return np.sqrt(du_dx**2 + (dv_dy / tall) ** 2 + 2 * shear**2)


def remove_head_motion(flow: np.ndarray, rounds: int = 5, degree: int = 1) -> np.ndarray:
    """Subtract from each channel of (N, C, R, R) the plane a + bx + cy that most of the face
    follows: least absolute deviations over the face, by iterated reweighting.

    degree 2: a + bx + cy + dx² + exy + fy², which a round head's turns out of the plane follow.
    """
    side = flow.shape[-1]
    step = max(side // 28, 1)
    basis, weight = _head_basis(side, degree)
    terms = len(basis)
    few = np.ascontiguousarray(flow[..., ::step, ::step]).reshape(*flow.shape[:2], -1)
    b = np.ascontiguousarray(basis[:, ::step, ::step].reshape(terms, -1))  # (terms, P)
    inside = weight[::step, ::step].ravel()
    outer = (b[:, None] * b[None]).reshape(terms**2, -1)
    reweighted = np.broadcast_to(inside, few.shape)
    for _ in range(rounds):
        normal = (reweighted @ outer.T).reshape(*few.shape[:2], terms, terms) + 1e-9 * np.eye(terms)
        right = (reweighted * few) @ b.T
        plane = np.linalg.solve(normal, right[..., None])[..., 0]  # (N, C, terms)
        residual = np.abs(few - plane @ b)
        floor = 0.05 * residual.mean(-1, keepdims=True) + 1e-12
        reweighted = inside / np.maximum(residual, floor)
        reweighted = reweighted / reweighted.sum(-1, keepdims=True)
    return (flow - np.tensordot(plane, basis, 1)).astype(np.float32)


@functools.cache
def _head_basis(side: int, degree: int) -> tuple[np.ndarray, np.ndarray]:
    at = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(at, at)
    weight = face_mask(side)
    terms = [x**i * y**j for i, j in POWERS if i + j <= degree]
    return np.stack(terms), weight / weight.sum()


@functools.cache
def face_mask(side: int) -> np.ndarray:
    """(side, side) float32: 1 on the face in its frame, falling to 0 around it."""
    at = (np.arange(side) + 0.5) / side
    radius = np.hypot((at - 0.5)[None, :] / 0.46, (at - 0.52)[:, None] / 0.50)
    return np.clip((1.0 - radius) / 0.08, 0, 1).astype(np.float32)


def resize(channel: np.ndarray, size: int) -> np.ndarray:
    """A square (R, R) resized to (size, size) float32: by area when it shrinks."""
    way = cv2.INTER_AREA if channel.shape[-1] >= size else cv2.INTER_LINEAR
    return cv2.resize(channel.astype(np.float32), (size, size), interpolation=way)
