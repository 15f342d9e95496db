"""What is under a cover: the subject's own skin and features as far as anything shows them.

In logarithms, as differences from the fitted bare face of the frame: first what the subject's
other frames show there, then the other half of the face, then nothing, which leaves the model's
albedo in the picture's own light. A smooth correction lets it meet what is around.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .chart import SIDE
from .cover import Cover
from .skin import FLOOR, Fitted, from_log

LEVELS = 7  # of the pyramid that fills holes
EDGE = 1.0  # texels over which a filling fades in
MOST = 0.5  # of a differing logarithm that is taken over from elsewhere
# What a lens does, in light: it dims by (1 - 0.05 or so) and adds a reflection of white.
DIMMING, VEIL, STREAK = 0.06, 0.04, 0.10  # standard deviations of their priors
GRAIN = 0.02  # standard deviation of light that no model explains
ALIKE = 20.0  # texels that err alike
NEAR = 2.0  # texels: size of a reflection
SHADE, SOFT = 0.15, 3.0  # standard deviation of a shadow's logarithm; texels of its softness
PATCH = 5  # texels a side of which the darkest bounds the veil
MOST_VEIL = 0.75  # share of the darkest light that a veil may be
CLEAR = 0.5  # more reflection than this hides what is behind it


def spread_in(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values (S, S, C), trusted as known (S, S) in [0, 1] says, continued smoothly into the rest.

    Pull and push (Gortler et al., "The Lumigraph", 1996): averages of ever larger squares.
    """
    if not known.any():
        return np.zeros_like(values)
    pulled: list[tuple[np.ndarray, np.ndarray]] = [
        (values * known[..., None], known.astype(np.float32))
    ]
    for _ in range(LEVELS):
        total, weight = (cv2.pyrDown(array) for array in pulled[-1])
        scale = np.minimum(1, 4 * weight) / np.maximum(weight, 1e-6)
        pulled.append((total * scale[..., None], weight * scale))
    total, weight = pulled[-1]
    filled = total / np.maximum(weight, 1e-6)[..., None]
    for total, weight in reversed(pulled[:-1]):
        up = cv2.pyrUp(filled, dstsize=weight.shape[::-1])
        filled = total + (1 - weight)[..., None] * up
    return filled


def clear_lenses(colour: np.ndarray, fitted: Fitted, cover: Cover) -> tuple[np.ndarray, np.ndarray]:
    """Take dimming and reflections off what lenses cover.

    -> colours (S, S, 3); hidden (S, S) bool, where a reflection lets nothing through.
    """
    colour, hidden = colour.copy(), np.zeros((SIDE, SIDE), bool)
    for lens in cover.lenses:
        rows, columns = (slice(a.min() - 6, a.max() + 7) for a in np.nonzero(lens))
        part = rows, columns
        inside = lens[part].astype(np.float32)
        light, bare = colour[part] ** 2, from_log(fitted.expected[part])
        # Of a light's square root, whose logarithm is off by `spread`.
        noise = (2 * bare * (bare + FLOOR) * fitted.spread[part]) ** 2 + GRAIN**2
        cleared, veil = _clear(light, bare**2, inside, noise)
        share = cv2.GaussianBlur(inside, (0, 0), 0.7)[..., None] * (inside[..., None] > 0)
        colour[part] += share * (np.sqrt(cleared) - colour[part])
        hidden[part] |= (veil > CLEAR) & (inside > 0)
    return colour, hidden


def _clear(
    light: np.ndarray, bare: np.ndarray, inside: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """light = dim * (1 - veil) * true + veil: most likely dim and veil -> true light, veil.

    light and bare (H, W, 3), bare is what is expected, with variances `noise`; inside (H, W).
    No veil is brighter than the darkest that is seen through it, as in haze (He et al., "Single
    Image Haze Removal Using Dark Channel Prior", 2009).
    """
    weight = inside[..., None] / noise
    design = np.stack([bare, np.ones_like(bare)], -1).reshape(-1, 2)
    prior = np.array([1 / DIMMING**2, 1 / VEIL**2])
    for _ in range(3):  # one dimming and one veil for the whole lens
        weighted = design * (weight.reshape(-1, 1) / ALIKE)
        normal = weighted.T @ design + np.diag(prior)
        gain, veil = np.linalg.solve(normal, weighted.T @ light.ravel() + prior * [1, 0])
        off = light - gain * bare - veil
        weight = inside[..., None] / noise / (1 + off**2 / noise / 4)
    veil = np.clip(veil, 0, MOST_VEIL * np.percentile(light.min(-1)[inside > 0], 1))
    even = (light - veil) / gain
    # Streaks: what is still too bright, and white, near each texel.
    towards = 1 - bare
    weight = inside[..., None] / noise
    both = cv2.GaussianBlur((weight * towards * (even - bare)).sum(-1), (0, 0), NEAR)
    alone = cv2.GaussianBlur((weight * towards**2).sum(-1), (0, 0), NEAR)
    streak = both / (alone + ALIKE / STREAK**2 / (4 * np.pi * NEAR**2))
    darkest = cv2.erode(np.where(inside > 0, even.min(-1), 1), np.ones((PATCH, PATCH), np.uint8))
    streak = np.clip(
        streak, 0, np.clip(MOST_VEIL * cv2.GaussianBlur(darkest, (0, 0), NEAR), 0, 0.9)
    )
    true = (even - streak[..., None]) / (1 - streak[..., None])
    return np.clip(true, 0, 1), veil + streak


def lift_shadows(left: np.ndarray, fitted: Fitted, cover: Cover, known: np.ndarray) -> np.ndarray:
    """Take the shadows of rims off differences `left` (S, S, 3), as far as they are more likely
    than skin that is darker there than expected: shadows are soft, and they darken."""
    if not cover.lenses:
        return left
    weight = (known / (fitted.spread.mean(-1) ** 2)).astype(np.float32)
    total = cv2.GaussianBlur(weight * left.mean(-1), (0, 0), SOFT)
    amount = cv2.GaussianBlur(weight, (0, 0), SOFT)
    shadow = total / (amount + ALIKE / SHADE**2 / (4 * np.pi * SOFT**2))
    share = cv2.GaussianBlur(cover.shaded.astype(np.float32), (0, 0), 2)
    return left - (share * np.minimum(shadow, 0))[..., None]


def shared(
    left: Sequence[np.ndarray], known: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What frames of one subject differ from their models by: medians, and where they are known.

    left (S, S, 3) and known (S, S) bool of each frame.
    """
    stack = np.where(np.stack(known)[..., None], np.stack(left), np.inf)
    stack.sort(0)
    count = np.stack(known).sum(0)
    middle = np.maximum(count - 1, 0)[None, ..., None] // 2
    median = np.take_along_axis(stack, middle, 0)[0]
    return np.where(count[..., None] > 0, median, 0).astype(np.float32), count > 0


def fill(
    fitted: Fitted,
    left: np.ndarray,
    known: np.ndarray,
    others: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    """Colours (S, S, 3) of the whole face: `left`, differences from the model, where known.

    others: of the subject's other frames, as `shared` gives them.
    """
    base = np.zeros_like(left)
    sources = [(left[:, ::-1], known[:, ::-1])]
    if others is not None:
        sources.append(others)
    for values, there in sources:  # the later, the better
        share = cv2.GaussianBlur(_shrunk(there), (0, 0), EDGE)[..., None] * there[..., None]
        base += share * (np.clip(values, -MOST, MOST) - base)
    meets = spread_in(left - base, known.astype(np.float32))
    filled = fitted.expected + base + meets
    return from_log(np.where(known[..., None], fitted.expected + left, filled))


def _shrunk(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask.astype(np.float32), np.ones((3, 3), np.uint8))
