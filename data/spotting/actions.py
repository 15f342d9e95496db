"""Facial actions from optical flow, by one linear map that was fitted to synthetic faces.

Each action (Anny's, which have ARKit's names) is a weighted sum of the flow over the face's frame.
The weights are a ridge regression on synthetic motion (tools/make_spotter.py), in which lids
blink, mouths speak and heads turn beside the expressions: what one of them explains is not taken
for another. The head's shift, roll and size are taken out before.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.motion.flow import MOTION_SIZE, face_mask

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
# The share of a unit that the map reads, of one that moves alone or with others on people it was
# not fitted to: regression takes what is hard to tell for less.
READ = {
    1: 0.73, 2: 0.67, 4: 0.75, 5: 0.2, 6: 0.87, 7: 0.5, 9: 0.48, 10: 0.34, 12: 0.92, 14: 0.39,
    15: 0.23, 17: 0.2, 20: 0.22, 24: 0.23, 25: 0.2, 26: 0.62,
}  # fmt: skip


@dataclass(frozen=True)
class ActionReader:
    """weights (K, 2 S S): what each column of COLUMNS is of a flow in face widths."""

    weights: np.ndarray

    def read(self, flow: np.ndarray) -> np.ndarray:
        """Flow (..., 2, S, S) -> (..., K)."""
        return flow.reshape(*flow.shape[:-3], -1) @ self.weights.T


@functools.cache
def action_reader() -> ActionReader:
    """The committed weights."""
    with np.load(FILE, allow_pickle=False) as content:
        if tuple(content["columns"]) != COLUMNS:
            raise ValueError(f"{FILE}: weights of other columns; tools.make_spotter makes them")
        return ActionReader(content["weights"].astype(np.float32))


@functools.cache
def without_plane(side: int = MOTION_SIZE) -> np.ndarray:
    """(S S, S S): takes a channel over the face's frame to it less its mean plane, 0 around."""
    mask = face_mask(side).ravel()
    at = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(at, at)
    basis = np.stack([np.ones(side * side), x.ravel(), y.ravel()])
    plane = np.linalg.solve((basis * mask) @ basis.T, basis * mask)
    return (mask[:, None] * (np.eye(side * side) - basis.T @ plane)).astype(np.float32)


def unit_levels(values: np.ndarray) -> np.ndarray:
    """Columns (..., K) -> levels of the units (..., U, 2), the person's left and right.

    1 is a unit at full strength. A unit without sides has the same level on both.
    """
    pairs = []
    for action, full in UNITS.values():
        names = (f"{action}Left", f"{action}Right") if action in SIDED else (action, action)
        pairs.append(np.stack([values[..., COLUMNS.index(name)] for name in names], -1) / full)
    return np.stack(pairs, -2)
