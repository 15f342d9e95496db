"""Facial actions from how a face moved, by one linear map that was fitted to synthetic faces.

Each action (Anny's, which have ARKit's names) is a weighted sum of the amounts of known motions
(fit.py). The weights are a ridge regression on synthetic motion and on drawn films
(tools/make_spotter.py), in which lids blink, mouths speak and heads turn beside the expressions:
what one of them explains is not taken for another.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .fit import Motions, known_motions

FILE = Path(__file__).with_name("actions.npz")

SIDED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown",
    "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
    "eyeBlink",
)  # fmt: skip
WHOLE = (
    "browInnerUp", "mouthShrugLower", "mouthShrugUpper", "mouthRollLower", "jawOpen",
    "mouthPucker", "mouthFunnel", "mouthClose", "jawLeft", "jawRight",
)  # fmt: skip
ACTIONS = (*(f"{name}{side}" for name in SIDED for side in ("Left", "Right")), *WHOLE)
GAZE = ("gaze left", "gaze up")  # the eyeballs' turn, to the person's left and up
POSE = ("pitch", "yaw", "roll")  # radians
COLUMNS = (*ACTIONS, *GAZE, *POSE)

# What each action unit is read from, and that action's value at the unit's full strength.
UNITS: dict[int, tuple[str, float]] = {
    1: ("browInnerUp", 0.9), 2: ("browOuterUp", 0.9), 4: ("browDown", 0.9), 5: ("eyeWide", 0.8),
    6: ("cheekSquint", 0.9), 7: ("eyeSquint", 0.8), 9: ("noseSneer", 0.9),
    10: ("mouthUpperUp", 0.7), 12: ("mouthSmile", 0.7), 14: ("mouthDimple", 0.8),
    15: ("mouthFrown", 0.7), 17: ("mouthShrugLower", 0.7), 20: ("mouthStretch", 0.7),
    24: ("mouthPress", 0.7), 25: ("mouthLowerDown", 0.25), 26: ("jawOpen", 0.18),
}  # fmt: skip
# The share of a unit that the map reads, at apexes of films that it was not fitted to: regression
# takes what is hard to tell for less. Never below 0.2: of AU 5, 7 and 9 it reads a twentieth.
READ = {
    1: 0.46, 2: 0.41, 4: 0.29, 5: 0.2, 6: 0.26, 7: 0.2, 9: 0.2, 10: 0.22, 12: 0.8, 14: 0.23,
    15: 0.2, 17: 0.2, 20: 0.25, 24: 0.2, 25: 0.24, 26: 0.67,
}  # fmt: skip


@dataclass(frozen=True)
class ActionReader:
    """weights (K, M): what each column of COLUMNS is of the amounts of motions."""

    motions: Motions
    weights: np.ndarray

    def read(self, flow: np.ndarray) -> np.ndarray:
        """Flow (..., 2, S, S) in face widths -> (..., K)."""
        return self.motions.amounts(flow) @ self.weights.T


@functools.cache
def action_reader() -> ActionReader:
    """The committed weights."""
    with np.load(FILE, allow_pickle=False) as content:
        if tuple(content["columns"]) != COLUMNS:
            raise ValueError(f"{FILE}: weights of other columns; tools.make_spotter makes them")
        return ActionReader(known_motions(), content["weights"].astype(np.float32))


def unit_levels(values: np.ndarray) -> np.ndarray:
    """Columns (..., K) -> levels of the units (..., U, 2), the person's left and right.

    1 is a unit at full strength. A unit without sides has the same level on both.
    """
    pairs = []
    for unit, (action, full) in UNITS.items():
        names = (f"{action}Left", f"{action}Right") if action in SIDED else (action, action)
        pairs.append(np.stack([values[..., COLUMNS.index(name)] for name in names], -1))
        pairs[-1] /= full * READ[unit]
    return np.stack(pairs, -2)
