"""Synthetic motion over time: what optical flow would measure of a face that lives for a while.

No picture is drawn. One person is seen once (pairs.see_person); from then on every frame's exact
flow is a product of small matrices. What an estimator would make of it is laid over: smearing,
places where nothing is seen, noise of each frame, errors that grow with the head's turn, light.
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from data.motion.flow import EYES_X, EYES_Y, MOTION_SIZE
from deca.anny.head import load_head

from .domains import Domain
from .faults import bare_forehead, cover, features, grain
from .pairs import View, see_person
from .timelines import LIFE, RATE, Life, Timeline, draw_timeline

VERSION = 1
RENEWED = 1.5  # seconds after which flow starts from another frame, about


@dataclass(frozen=True)
class Stream:
    """One person's minute: flow (T, 2, S, S) in face widths from the first frame to each, and
    what happened (its times are frames at RATE)."""

    flow: np.ndarray
    timeline: Timeline


def make_stream(
    seed: int,
    domain: Domain,
    number: int,
    frames: int = int(60 * RATE),
    life: Life = LIFE,
    exact: bool = False,
) -> Stream:
    """The stream that follows from (seed, domain, number) alone.

    exact: the flow as it is, not what an estimator would make of it.
    """
    rng = np.random.default_rng([VERSION, seed, zlib.crc32(domain.name.encode()), number, 77])
    head = load_head()
    columns = {name: i for i, name in enumerate(head.actions)}
    timeline = draw_timeline(rng, frames, columns, life)
    view = see_person(head, domain, rng, MOTION_SIZE)
    flow = _exact(view, timeline)
    return Stream(flow if exact else _measured(flow, view, timeline, domain, rng), timeline)


def _exact(view: View, timeline: Timeline) -> np.ndarray:
    """(T, 2, S, S) in face widths from the resting face to each frame."""
    count, pixels = len(timeline.actions), len(view.points)
    moved = timeline.actions @ view.offsets.reshape(len(view.offsets), -1)
    moved = view.points + moved.reshape(count, pixels, 3)
    turns = Rotation.from_rotvec(timeline.turn).as_matrix().astype(np.float32)
    moved = moved @ turns.transpose(0, 2, 1)
    flow = (moved - view.points)[..., :2] / view.width * np.array([1, -1], np.float32)
    flow *= view.seen[:, None]
    side = view.side
    return np.ascontiguousarray(flow.transpose(0, 2, 1)).reshape(count, 2, side, side)


def _measured(
    flow: np.ndarray, view: View, timeline: Timeline, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """What an estimator would make of exact flow (T, 2, S, S)."""
    count, side = len(flow), view.side
    seen = view.seen.reshape(side, side)
    if rng.random() < domain.hidden:
        flow = flow * cover(side, rng).astype(np.float32)
    if rng.random() < domain.bare:
        flow = flow * bare_forehead(side, domain, rng).astype(np.float32)
    weight = np.exp(grain(1, side, 0.08, rng)[0] * 1.5)
    weight = (np.clip(weight * (0.15 + features(side)), 0.02, 3) * (0.05 + seen)).astype(np.float32)
    smear = rng.uniform(*domain.smear) * side
    if smear > 0.3:
        flow = _blurred(flow * weight, smear) / _blurred(weight[None, None], smear)
    flow = _blurred(flow, rng.uniform(*domain.blur) * side)
    flow = flow * (1 + 0.08 * grain(1, side, 0.15, rng)[0].astype(np.float32))
    # Noise: fresh in every frame, and slow.
    level = np.exp(rng.uniform(*np.log((0.3 * domain.noise[0], 0.6 * domain.noise[1]))))
    sigma = rng.uniform(*domain.noise_grain)
    fields = _fields(48, side, sigma, rng) / (0.5 + weight)
    fresh = rng.standard_normal((count, len(fields))).astype(np.float32)
    slow = _slow(rng, count, len(fields), RATE * rng.uniform(0.3, 2))
    share = rng.uniform(0, 0.6)
    amounts = level * (np.sqrt(1 - share**2) * fresh + share * slow)
    amounts += _from_renewals(timeline, level, amounts.shape, rng)
    amounts += _from_light(timeline, amounts.shape, rng)
    flow = flow + np.tensordot(amounts.astype(np.float32), fields, 1) / np.sqrt(len(fields))
    lids = timeline.actions[:, 8:10].max(1) * rng.uniform(0, 1.0)
    for _ in range(3):
        wobble = lids * (0.5 + rng.standard_normal(count)) * 0.006
        flow += (wobble[:, None, None, None] * _lid_spot(side, rng)).astype(np.float32)
    return flow.astype(np.float32)


def _from_renewals(
    timeline: Timeline, level: float, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Errors (T, F) of the flow's being taken from a frame that is renewed now and then."""
    count, fields = shape
    errors = np.zeros(shape)
    at, walk = 0, np.zeros(fields)
    per_turn = rng.uniform(0.0, 0.015)  # face widths a radian
    while at < count:
        end = min(at + int(RATE * RENEWED * rng.uniform(0.6, 1.3)), count)
        turned = np.linalg.norm(timeline.turn[at:end] - timeline.turn[at], axis=1)
        far = np.flatnonzero(turned > 0.12)
        if len(far) and far[0] > 3:
            end = at + int(far[0])
            turned = turned[: end - at]
        errors[at:end] = walk + per_turn * turned[:, None] * rng.standard_normal(fields)
        walk = errors[end - 1] + 0.3 * level * rng.standard_normal(fields)
        at = end
    return errors


def _from_light(timeline: Timeline, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    errors = np.zeros(shape)
    at = np.arange(shape[0])
    for event in timeline.events:
        if event.kind == "light":
            size = np.exp(rng.uniform(*np.log((0.0001, 0.002))))
            course = np.clip((at - event.onset) / max(event.offset - event.onset, 1), 0, 1)
            errors += size * course[:, None] * rng.standard_normal(shape[1])
    return errors


def _fields(count: int, side: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return grain(2 * count, side, sigma, rng).reshape(count, 2, side, side).astype(np.float32)


def _slow(rng: np.random.Generator, count: int, channels: int, scale: float) -> np.ndarray:
    knots = rng.standard_normal((int(count / scale) + 3, channels))
    at = np.arange(count) / scale
    i, t = at.astype(int), (at % 1)[:, None]
    return knots[i] * (1 - t) + knots[i + 1] * t


def _blurred(flow: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (T, C, S, S) as two small products."""
    side = flow.shape[-1]
    kernel = cv2.getGaussianKernel(2 * side + 1, max(sigma, 0.3)).ravel()
    padded = np.eye(side)[:, np.clip(np.arange(-side, 2 * side), 0, side - 1)]
    matrix = np.stack([padded[:, i : i + 2 * side + 1] @ kernel for i in range(side)])
    matrix = matrix.astype(np.float32)
    return matrix @ flow @ matrix.T


def _lid_spot(side: int, rng: np.random.Generator) -> np.ndarray:
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    middle_x, middle_y = rng.choice(EYES_X) + rng.normal(0, 0.03), EYES_Y + rng.normal(0, 0.02)
    spot = np.exp(-(((x - middle_x) / 0.06) ** 2) - ((y - middle_y) / 0.04) ** 2)
    return rng.standard_normal((2, 1, 1)) * spot
