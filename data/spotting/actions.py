"""Facial actions from how a face moved, by linear maps that were fitted to synthetic faces.

Each action (Anny's, which have ARKit's names) is read twice: as a weighted sum of the optical
flow over the face's frame, and as one of the amounts of known motions that were fitted to its
pixels (fit.py). The weights are ridge regressions, on synthetic motion and on drawn films
(tools/make_spotter.py), in which lids blink, mouths speak and heads turn beside the expressions:
what one of them explains is not taken for another. The head's shift, roll and size are left out.
"""

import functools
import re
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
READINGS = 2  # of all columns: by flow, by the fit
# In a mirror: whose value a column takes, and which ones change their sign. jawLeft and jawRight
# are sides of one action too.
_OTHER = {"Left": "Right", "Right": "Left"}
_MIRROR = [
    COLUMNS.index(re.sub("Left|Right", lambda side: _OTHER[side[0]], name)) for name in COLUMNS
]
_SIGN = np.array([-1 if name in ("gaze left", *POSE[1:]) else 1 for name in COLUMNS], np.float32)

# What each action unit is read from, and that action's value at the unit's full strength.
UNITS: dict[int, tuple[str, float]] = {
    1: ("browInnerUp", 0.9), 2: ("browOuterUp", 0.9), 4: ("browDown", 0.9), 5: ("eyeWide", 0.8),
    6: ("cheekSquint", 0.9), 7: ("eyeSquint", 0.8), 9: ("noseSneer", 0.9),
    10: ("mouthUpperUp", 0.7), 12: ("mouthSmile", 0.7), 14: ("mouthDimple", 0.8),
    15: ("mouthFrown", 0.7), 17: ("mouthShrugLower", 0.7), 20: ("mouthStretch", 0.7),
    24: ("mouthPress", 0.7), 25: ("mouthLowerDown", 0.25), 26: ("jawOpen", 0.18),
}  # fmt: skip
# The share of a unit that the mean of both readings shows, at apexes of films that the second was
# not fitted to (tools.make_spotter prints it): regression takes what is hard to tell for less.
# Never below 0.2: of AU 5, 7, 9, 15, 17, 20, 24 and 25 it reads 0.13 to 0.19.
READ = {
    1: 0.64, 2: 0.57, 4: 0.46, 5: 0.2, 6: 0.44, 7: 0.2, 9: 0.2, 10: 0.22, 12: 0.83, 14: 0.3,
    15: 0.2, 17: 0.2, 20: 0.2, 24: 0.2, 25: 0.2, 26: 0.59,
}  # fmt: skip


@dataclass(frozen=True)
class ActionReader:
    """What each column of COLUMNS is: of_flow (K, 2 S S) of a flow in face widths, of_fit (K, M)
    of the amounts of motions."""

    motions: Motions
    of_flow: np.ndarray
    of_fit: np.ndarray

    @property
    def size(self) -> int:
        """How many values are read: V, two readings of K columns."""
        return len(self.of_flow) + len(self.of_fit)

    def read(self, flow: np.ndarray, amounts: np.ndarray | None = None) -> np.ndarray:
        """Flow (..., 2, S, S) and amounts (..., M), of the flow if there are none -> (..., V)."""
        if amounts is None:
            amounts = self.motions.amounts(flow)
        by_flow = flow.reshape(*flow.shape[:-3], -1) @ self.of_flow.T
        return np.concatenate([by_flow, amounts @ self.of_fit.T], -1)


@functools.cache
def action_reader() -> ActionReader:
    """The committed weights."""
    with np.load(FILE, allow_pickle=False) as content:
        if tuple(content["columns"]) != COLUMNS:
            raise ValueError(f"{FILE}: weights of other columns; tools.make_spotter makes them")
        of_flow, of_fit = (content[name].astype(np.float32) for name in ("of_flow", "of_fit"))
    return ActionReader(known_motions(), of_flow, of_fit)


def mirrored(values: np.ndarray) -> np.ndarray:
    """Values (..., n K), n readings of COLUMNS, as they would be of the face in a mirror."""
    readings = values.reshape(*values.shape[:-1], -1, len(COLUMNS))
    return (readings[..., _MIRROR] * _SIGN).reshape(values.shape)


def mean_reading(values: np.ndarray) -> np.ndarray:
    """Values (..., V) -> columns (..., K), the mean of both readings."""
    return (values[..., : len(COLUMNS)] + values[..., len(COLUMNS) :]) / 2


def columns_of(unit: int) -> list[int]:
    """Where in COLUMNS a unit's action of the person's left and right is; twice if it has none."""
    action, _ = UNITS[unit]
    names = (f"{action}Left", f"{action}Right") if action in SIDED else (action, action)
    return [COLUMNS.index(name) for name in names]


def unit_levels(values: np.ndarray) -> np.ndarray:
    """Values (..., V) -> levels of the units (..., U, 2), the person's left and right.

    1 is a unit at full strength. A unit without sides has the same level on both.
    """
    pairs, columns = [], mean_reading(values)
    for unit, (_, full) in UNITS.items():
        pairs.append(columns[..., columns_of(unit)] / (full * READ[unit]))
    return np.stack(pairs, -2)
