"""What flow estimators and landmark finders get wrong, laid over exact flow."""

import cv2
import numpy as np

from data.motion.flow import EYES_X, EYES_Y

from .domains import Domain


def as_estimated(
    flow: np.ndarray, seen: np.ndarray, domain: Domain, rng: np.random.Generator
) -> np.ndarray:
    """What estimators would make of an exact flow (K, 2, R, R); changes `flow`.

    seen: bool (R, R), where the face is.
    """
    count, side = len(flow), len(seen)
    for one in flow:
        if rng.random() < domain.hidden:
            one *= cover(side, rng)
        if rng.random() < domain.bare:
            one *= bare_forehead(side, domain, rng)
    # Where skin is bare, the flow comes from where something is to be seen: a weighted mean.
    weight = np.exp(grain(1, side, 0.08, rng)[0] * 1.5)
    weight = np.clip(weight * (0.15 + features(side)), 0.02, 3) * (0.05 + seen)
    smear = rng.uniform(*domain.smear) * side
    if smear > 0.5:
        flow = _blur(flow * weight, smear) / _blur(weight[None, None], smear)
    flow = _blur(flow, rng.uniform(*domain.blur) * side)
    noise = grain(2 * count, side, rng.uniform(*domain.noise_grain), rng)
    level = rng.uniform(*domain.noise, (count, 1, 1, 1))
    flow = flow + level * noise.reshape(count, 2, side, side) / (0.5 + weight)
    for i in np.flatnonzero(rng.random(count) < domain.lid_noise):
        flow[i] += _lid_fault(side, rng)
    return _flattened(flow.astype(np.float32), domain, rng)


def _flattened(flow: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Flow (K, 2, R, R) as total variation leaves it: piecewise flat, and less of it."""
    middle = np.median(flow, (2, 3), keepdims=True)
    flow = flow - middle
    lost = rng.uniform(*domain.shrink, (len(flow), 1, 1, 1))
    threshold = np.float32(lost) * np.abs(flow).max((1, 2, 3), keepdims=True)
    flow = np.sign(flow) * np.maximum(np.abs(flow) - threshold, 0)
    for one in flow:
        for _ in range(rng.integers(*domain.medians, endpoint=True)):
            for channel in one:
                channel[:] = cv2.medianBlur(channel, 5)
    return flow + middle


def _blur(fields: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (N, C, R, R), all at once as channels of one picture."""
    side = fields.shape[-1]
    picture = np.ascontiguousarray(fields.reshape(-1, side, side).transpose(1, 2, 0), np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(side, side, -1).transpose(2, 0, 1).reshape(fields.shape)


def grain(count: int, side: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(count, R, R) noise of standard deviation 1, correlated over `sigma` of the side."""
    coarse = int(np.clip(round(0.7 / sigma), 4, side))
    noise = rng.standard_normal((count, coarse, coarse), dtype=np.float32)
    way = cv2.INTER_CUBIC
    picture = np.stack([cv2.resize(one, (side, side), interpolation=way) for one in noise])
    return picture / picture.std((1, 2), keepdims=True)


def features(side: int) -> np.ndarray:
    """(R, R): where a face has something to track: brows, eyes, nostrils, mouth, in its frame."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    total = np.zeros((side, side))
    for middle_x, middle_y, wide, high in (
        (0.29, 0.21, 0.13, 0.04), (0.71, 0.21, 0.13, 0.04), (0.3, 0.33, 0.10, 0.05),
        (0.7, 0.33, 0.10, 0.05), (0.5, 0.56, 0.10, 0.05), (0.5, 0.73, 0.16, 0.06),
    ):  # fmt: skip
        total += np.exp(-(((x - middle_x) / wide) ** 2) - ((y - middle_y) / high) ** 2)
    return total


def cover(side: int, rng: np.random.Generator) -> np.ndarray:
    """(R, R) in [0, 1]: 0 where glasses, hair or a hand hide the face's own motion."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    kind = rng.integers(3)
    if kind == 0:  # lenses
        far = np.abs(y - 0.34) / rng.uniform(0.05, 0.10)
    elif kind == 1:  # hair over the forehead
        far = y / rng.uniform(0.08, 0.2)
    else:  # one edge of the face
        far = (x if rng.random() < 0.5 else 1 - x) / rng.uniform(0.15, 0.4)
    return np.clip(far - 0.5, rng.uniform(0, 0.5), 1)


def bare_forehead(side: int, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """(R, 1) in [0, 1]: the share of the flow that is found, from the hair down to the brows."""
    down = (np.arange(side, dtype=np.float32) + 0.5) / side - rng.uniform(*domain.bare_from)
    return 1 / (1 + np.exp(-down / rng.uniform(*domain.bare_over)))[:, None]


def _lid_fault(side: int, rng: np.random.Generator) -> np.ndarray:
    """(2, R, R) flow in face widths of a glint or a lid that an estimator lost."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    middle_x = rng.choice(EYES_X) + rng.normal(0, 0.04)
    middle_y = EYES_Y + rng.normal(0, 0.03)
    spot = np.exp(-(((x - middle_x) / 0.06) ** 2) - ((y - middle_y) / 0.035) ** 2)
    return rng.normal(0, 0.006, (2, 1, 1)) * spot
