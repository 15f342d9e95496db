"""Looks of drawn long videos: how they are filmed and how much their people move.

Thresholds are chosen on one look and reported on another, as with the domains of motion. A third
is what the spotter learns from (learning.py).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthetic.demo.render import Film

LookName = Literal["plain", "far"]
AnyLook = Literal["plain", "far", "learn"]
HARSH_FROM = 5054  # seeds of films to learn from: hard light and restless heads too


@dataclass(frozen=True)
class Look:
    """Ranges are uniform; strengths of expressions are shares of a full unit."""

    films: dict[str, Film]  # by corpus
    rates: dict[str, int]  # frames a second, by corpus
    noise: tuple[float, float]  # sd of the sensor's noise, in grey levels of 256
    quality: tuple[int, int]  # of JPEG or Motion JPEG
    zoom: tuple[float, float]
    dim: tuple[float, float]  # factor of all light
    fill: float  # factor of the fill light: less makes harder shadows
    sway: float  # factor of the head's slow sway, whose sd is 0.012, 0.016, 0.006 radians
    turn: tuple[float, float]  # furthest yaw of a turn in radians; pitch has 0.6 of it
    light: tuple[float, float]  # furthest change of the light, as a logarithm: gradual, at once
    micro: tuple[float, float] = (0.15, 0.6)  # strength, as synthetic.motion.actions.ACTING
    macro: tuple[float, float] = (0.5, 1.0)
    busy: float = 1.0  # factor of how many expressions there are


LOOKS: dict[LookName, Look] = {
    "plain": Look(
        films={"casme_sq": Film(480, 640, 0.45, 0.235), "samm_lv": Film(288, 384, 0.44, 0.29)},
        rates={"casme_sq": 30, "samm_lv": 200},
        noise=(0.8, 2.6),
        quality=(86, 95),
        zoom=(0.92, 1.08),
        dim=(0.85, 1.1),
        fill=1.0,
        sway=1.0,
        turn=(0.12, 0.30),
        light=(0.25, 0.15),
    ),
    # Nothing of it lies within the other's: size of the picture and of the face in it, rate,
    # noise, codec, hard and dim light, a head that moves more, weaker expressions.
    "far": Look(
        films={"casme_sq": Film(576, 720, 0.48, 0.15), "samm_lv": Film(400, 400, 0.46, 0.22)},
        rates={"casme_sq": 25, "samm_lv": 100},
        noise=(2.8, 4.2),
        quality=(70, 82),
        zoom=(0.9, 1.0),
        dim=(0.55, 0.8),
        fill=0.4,
        sway=1.6,
        turn=(0.2, 0.35),
        light=(0.35, 0.22),
        micro=(0.15, 0.5),
        macro=(0.4, 0.9),
    ),
}


def look_of(name: AnyLook, seed: int) -> Look:
    """A look; the one to learn from is another for each seed."""
    return _to_learn(seed) if name == "learn" else LOOKS[name]


def _to_learn(seed: int) -> Look:
    """Much happens before a good camera, whose faults come later."""
    rng = np.random.default_rng([seed, 5])
    fill, sway = float(rng.uniform(0.6, 1.1)), float(rng.uniform(0.6, 1.3))
    if seed >= HARSH_FROM:  # to both sides of the far look's
        fill = float(rng.choice([fill, rng.uniform(0.15, 0.3)]))
        sway = float(rng.choice([sway, rng.uniform(1.9, 2.4)]))
    return Look(
        films={"casme_sq": Film(320, 400, 0.46, 0.36)},
        rates={"casme_sq": 30},
        noise=(0.0, 0.0001),
        quality=(97, 97),
        zoom=(0.9, 1.05),
        dim=(0.85, 1.1),
        fill=fill,
        sway=sway,
        turn=(0.06, 0.3),
        light=(0.3, 0.18),
        micro=(0.12, 0.6),
        macro=(0.3, 1.0),
        busy=4.0,
    )
