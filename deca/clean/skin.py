"""A bare face as skin, its features and light: a low-dimensional model, fitted to what fits.

In logarithms light and albedo add up, so that one robust linear fit finds both:
log colour = mean + basis . w + terms(normal) . light. Mean and basis are of synthetic people
(tools/make_skin_model.py), the terms the nine spherical harmonics up to degree 2 (Ramamoorthi and
Hanrahan, 2001), here of the light's logarithm.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .chart import SIDE, Chart

FILE = Path(__file__).with_name("skin.npz")
FLOOR = 0.04  # added to colours before the logarithm: noise in the dark stays small
ROUNDS = 6  # of reweighting
CAUCHY = 1.5  # residual, in standard deviations, that halves a texel's weight
LIGHT = np.array([2.0, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2])  # standard deviations of the prior
STEP = 2  # of the chart's texels, one in so many is fitted
# Standard deviations of residuals are no smaller than this, in logarithms.
LEAST = 0.03
TOGETHER = 20.0  # fitted texels that err alike


@dataclass(frozen=True)
class SkinModel:
    """Log colours of bare faces without light, S texels a side."""

    landmarks: np.ndarray  # (51, 2) mm: where the inner landmarks lie on the chart
    mean: np.ndarray  # (S, S, 3)
    basis: np.ndarray  # (K, S, S, 3) in standard deviations
    deviation: np.ndarray  # (S, S, 3) of what is left
    inner: np.ndarray  # (S, S) bool: where faces are fitted


@dataclass(frozen=True)
class Fitted:
    """A face beside the bare face that it is taken for; logarithms, (S, S, 3)."""

    expected: np.ndarray  # albedo and light
    left: np.ndarray  # what the photograph differs by
    strange: np.ndarray  # (S, S): how many standard deviations that is
    light: np.ndarray  # (S, S, 3)
    spread: np.ndarray  # (S, S, 3): standard deviation of `left` on a bare face
    scale: float  # of the picture's residuals against synthetic people's, at least 1


@functools.cache
def skin_model() -> SkinModel:
    """The committed model."""
    with np.load(FILE, allow_pickle=False) as content:
        parts = {name: content[name].astype(np.float32) for name in content.files}
    basis = parts["basis"] * parts["scale"][:, None, None, None]
    inner = _larger(parts["inner"]) > 0.5
    return SkinModel(
        parts["landmarks"],
        _larger(parts["mean"]),
        np.stack([_larger(axis) for axis in basis]),
        _larger(parts["deviation"]),
        inner,
    )


def _larger(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def to_log(colour: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] -> what the model is of."""
    return np.log(colour + FLOOR)


def from_log(value: np.ndarray) -> np.ndarray:
    """The inverse of to_log, in [0, 1]."""
    return np.clip(np.exp(value) - FLOOR, 0, 1)


def light_terms(normal: np.ndarray) -> np.ndarray:
    """The harmonics of unit normals (…, 3) -> (…, 9)."""
    x, y, z = np.moveaxis(normal, -1, 0)
    terms = [np.ones_like(x), x, y, z, x * y, x * z, y * z, x**2 - y**2, 3 * z**2 - 1]
    return np.stack(terms, -1)


def is_grey(colour: np.ndarray) -> bool:
    """Whether a picture (…, 3) has no colour."""
    return float(np.ptp(colour, axis=-1).max()) < 0.02


def fit(model: SkinModel, chart: Chart, trust: np.ndarray | None = None) -> Fitted:
    """Fit skin and light to a chart.

    trust (S, S), 0 or more: where the face is believed to be bare; without it every texel is, as
    far as it fits.
    """
    mean, basis, deviation = model.mean, model.basis, model.deviation
    if is_grey(chart.colour):  # green is nearest to what a grey picture shows
        mean, deviation = (np.repeat(array[..., 1:2], 3, -1) for array in (mean, deviation))
        basis = np.repeat(basis[..., 1:2], 3, -1)
    deviation = np.maximum(deviation, LEAST)
    value = to_log(chart.colour)
    terms = light_terms(chart.normal)

    use = (model.inner & (chart.seen > 0.5))[::STEP, ::STEP]
    target, spread = ((a[::STEP, ::STEP][use]) for a in (value - mean, deviation))
    axes, harmonics = basis[:, ::STEP, ::STEP][:, use], terms[::STEP, ::STEP][use]
    believed = np.ones(int(use.sum())) if trust is None else trust[::STEP, ::STEP][use]
    weights, light, scale = _solve(target, axes, harmonics, spread, believed)

    lit = terms @ light
    expected = mean + np.tensordot(weights, basis, 1) + lit
    left = value - expected
    strange = np.sqrt(((left / deviation) ** 2).mean(-1)) / scale
    maps = {
        "expected": expected,
        "left": left,
        "strange": strange,
        "light": lit,
        "spread": scale * deviation,
    }
    return Fitted(**{name: one.astype(np.float32) for name, one in maps.items()}, scale=scale)


def _solve(
    target: np.ndarray, axes: np.ndarray, lit: np.ndarray, spread: np.ndarray, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Weights (K,), light (9, 3) and scale: target (P, 3) = axes (K, P, 3) . w + lit (P, 9) . l."""
    count = len(axes)
    size = count + 27
    prior = np.concatenate([np.ones(count), np.tile(1 / LIGHT**2, 3)])
    solution: np.ndarray = np.zeros(size)
    # The first look takes the light for even and the face for the mean one.
    believed = trust > 0.5
    if not believed.any():  # the photograph shows nothing of the face
        return solution[:count], solution[count:].reshape(3, 9).T, 1.0
    solution[count::9] = np.median(target[believed], 0)
    designs = [np.column_stack([axes[:, :, channel].T, lit]) for channel in range(3)]
    columns = [np.r_[:count, count + 9 * channel : count + 9 * channel + 9] for channel in range(3)]
    scale = 1.0
    for _ in range(ROUNDS):
        off = np.stack([target[:, c] - designs[c] @ solution[columns[c]] for c in range(3)], -1)
        squared = ((off / spread) ** 2).mean(-1)
        scale = max(1.0, float(np.sqrt(np.median(squared[believed]) / 0.79)))
        weight = trust / (1 + squared / (CAUCHY * scale) ** 2) ** 2
        # Neighbouring texels err alike: so many count as one.
        weight = weight / (scale**2 * TOGETHER)
        normal, right = np.diag(prior), np.zeros(size)
        for c in range(3):
            weighted = designs[c] * (weight / spread[:, c] ** 2)[:, None]
            normal[np.ix_(columns[c], columns[c])] += weighted.T @ designs[c]
            right[columns[c]] += weighted.T @ target[:, c]
        solution = np.linalg.solve(normal, right)
    return solution[:count], solution[count:].reshape(3, 9).T, scale
