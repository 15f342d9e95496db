"""How a face moved is fitted to its pixels: known motions come back, light and noise do not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.spotting.actions import ACTIONS, READ, action_reader
from data.spotting.fit import FIRST_NOISE, PLANES, fit_motion, known_motions, take_anchor
from data.spotting.looks import SIDE

STILL = np.zeros((2, 28, 28), np.float32)
ASPECT = 1.3
INNER = np.s_[:, 6:22, 6:22]  # within the face


def face(seed: int = 0) -> np.ndarray:
    """A look with marks of all sizes, uint8 (SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    marks = sum(
        s * cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)), (0, 0), s) for s in (2, 4, 8)
    )
    return np.clip(120 + 40 * marks, 0, 255).astype(np.uint8)


def moved(look: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """The look after its points have gone where the motions take them."""
    motions = known_motions()
    fine = np.tensordot(amounts, motions.fine, 1).astype(np.float32)
    right, down = (cv2.resize(channel, (SIDE, SIDE)) * SIDE for channel in fine)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    # The flow goes from the first look: half a step of fixed-point iteration inverts it.
    x, y = columns - right, rows - down / ASPECT
    for _ in range(5):
        back = [cv2.remap(c, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                for c in (right, down)]  # fmt: skip
        x, y = columns - back[0], rows - back[1] / ASPECT
    return cv2.remap(look, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def fitted(look: np.ndarray, other: np.ndarray, noise: float = FIRST_NOISE) -> np.ndarray:
    motions = known_motions()
    return fit_motion(take_anchor(look, ASPECT, motions), other, STILL, noise, motions)[0]


def planted(seed: int, size: float) -> np.ndarray:
    amounts = np.zeros(len(known_motions().fields))
    amounts[6:30] = np.random.default_rng(seed).normal(0, size, 24)
    return amounts


def field(amounts: np.ndarray) -> np.ndarray:
    return np.tensordot(amounts, known_motions().fields, 1)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_motions_come_back(seed):
    true = planted(seed, 0.3)
    found = fitted(face(seed), moved(face(seed), true), 1e-3)
    a, b = field(true)[INNER].ravel(), field(found)[INNER].ravel()
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert np.sqrt(((a - b) ** 2).mean()) < 0.35 * np.sqrt((a**2).mean())


@pytest.mark.parametrize(("factor", "more"), [(0.7, 0), (1.2, 10), (0.9, -20)])
def test_light_is_no_motion(factor, more):
    look = face(3)
    brighter = np.clip(look * factor + more, 0, 255).astype(np.uint8)
    still = np.abs(field(fitted(look, brighter))).max()
    assert still < 0.2 * np.abs(field(planted(3, 0.3))).max()


def test_a_plane_is_no_action():
    look, reader = face(7), action_reader()
    plane = np.zeros(len(known_motions().fields))
    plane[:PLANES] = np.random.default_rng(7).normal(0, 0.5, PLANES)
    amounts = fitted(look, moved(look, plane), 1e-3)
    assert amounts[:PLANES] == pytest.approx(plane[:PLANES], abs=0.1)
    smile = 0.7 * READ[12]
    assert np.abs(reader.of_fit @ amounts)[: len(ACTIONS)].max() < 0.1 * smile


def test_the_noisier_the_less_is_believed():
    look = face(4)
    other = moved(look, planted(4, 0.3))
    sizes = [np.linalg.norm(fitted(look, other, noise)) for noise in (1e-3, 0.1, 10.0, 1e4)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.1 * sizes[0]


def test_noise_is_measured():
    look, motions = face(5), known_motions()
    anchor, rng = take_anchor(look, ASPECT, motions), np.random.default_rng(5)
    levels = []
    for sd in (1.0, 8.0):
        noise = FIRST_NOISE
        for _ in range(40):
            other = np.clip(look + rng.normal(0, sd, look.shape), 0, 255).astype(np.uint8)
            _, noise = fit_motion(anchor, other, STILL, noise, motions)
        levels.append(noise)
    assert levels[1] > 4 * levels[0]


def test_a_flow_of_known_motions_is_told_apart():
    true = planted(6, 0.5)
    found = known_motions().amounts(field(true)[None].astype(np.float32))[0]
    a, b = (field(amounts)[INNER].ravel() for amounts in (true, found))
    assert np.corrcoef(a, b)[0, 1] > 0.98


def test_of_a_flow_too_a_plane_is_no_action():
    motions, reader = known_motions(), action_reader()
    true = np.zeros(len(motions.fields), np.float32)
    true[:PLANES] = np.random.default_rng(8).normal(0, 1, PLANES)
    amounts = motions.amounts(np.tensordot(true, motions.fields, 1))
    assert amounts[:PLANES] == pytest.approx(true[:PLANES], abs=0.05)
    smile = 0.7 * READ[12]
    assert np.abs(reader.of_fit @ amounts)[: len(ACTIONS)].max() < 0.02 * smile
