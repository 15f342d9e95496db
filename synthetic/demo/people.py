"""Who the demo set shows, and in what light: subjects and settings drawn from a seed."""

from dataclasses import replace
from typing import Literal

import numpy as np

from data.corpora.known import CORPORA
from deca.anny.head import load_head, sample_identity

from .figure import Person
from .plan import generator
from .render import Setting
from .skin import Looks
from .wear import GlassesStyle

Glasses = Literal["clear", "hiding"]  # what wearers wear; hiding: over the brows, dark, mirroring


def sample_person(seed: int, data: str, subject: str, glasses: Glasses = "clear") -> Person:
    """A subject: the same in every clip, and but for the glasses whatever `glasses` says."""
    rng = generator(seed, data, subject, "person")
    head = load_head()
    identity = sample_identity(head, rng)
    phenotype = dict(zip(head.phenotypes, identity.phenotypes.tolist(), strict=True))
    female = phenotype["gender"] > 0.5
    ancestry = np.array([phenotype[name] for name in ("african", "asian", "caucasian")])
    tones = np.array([[0.50, 0.34, 0.26], [0.86, 0.70, 0.57], [0.90, 0.73, 0.64]])
    skin = ancestry @ tones * rng.uniform(0.92, 1.06)
    lips = skin * [0.84, 0.60, 0.62] + [rng.uniform(0, 0.04), 0, 0]
    dark = rng.random() < 0.55 + 0.45 * (1 - ancestry[2])
    hairs = [(0.30, 0.19, 0.11), (0.42, 0.29, 0.17), (0.24, 0.15, 0.10), (0.45, 0.42, 0.40)]
    hair = (0.10, 0.08, 0.075) if dark else hairs[rng.integers(len(hairs))]
    irises = [(0.24, 0.14, 0.08), (0.30, 0.19, 0.10), (0.30, 0.38, 0.44), (0.34, 0.36, 0.22)]
    iris = irises[0] if dark else irises[rng.integers(1, len(irises))]
    looks = Looks(
        seed=int(rng.integers(2**31)),
        skin=tuple(skin),
        lips=tuple(lips),
        hair=hair,
        iris=iris,
        hairline=rng.uniform(-4, 8) if female else rng.uniform(0, 12),
        recession=rng.uniform(0, 4) if female else rng.uniform(2, 14),
        brow_height=rng.uniform(-1.0, 1.5),
        brow_thickness=rng.uniform(0.7, 0.95) if female else rng.uniform(0.9, 1.3),
        brow_density=rng.uniform(0.75, 0.95),
        stubble=0.0 if female else rng.choice([0, rng.uniform(0.2, 0.8)]),
        freckles=rng.uniform(0, 0.8) * (rng.random() < 0.3),
        flush=rng.uniform(0.2, 0.9),
    )
    style = GlassesStyle(
        half_width=rng.uniform(0.023, 0.026),
        half_height=rng.uniform(0.016, 0.021),
        roundness=rng.uniform(2, 4),
        rim=rng.uniform(0.0009, 0.0016),
        colour=((0.06, 0.05, 0.05), (0.28, 0.16, 0.10), (0.45, 0.44, 0.42))[rng.integers(3)],
        glare=rng.uniform(0.03, 0.16),
    )
    if glasses == "hiding":
        style = _hiding(style, generator(seed, data, subject, "hiding glasses"))
    return Person(
        identity=identity,
        looks=looks,
        hair_volume=rng.uniform(0.006, 0.016),
        hair_length=rng.uniform(0.07, 0.16) if female and rng.random() < 0.75 else 0.0,
        clothes=tuple(rng.uniform(0.08, 0.7, 3)),
        glasses=style if CORPORA[data].wears_glasses(subject) else None,
    )


def _hiding(style: GlassesStyle, rng: np.random.Generator) -> GlassesStyle:
    """Glasses that hide: thick dark rims over the brows, tinted lenses, wide reflections."""
    return replace(
        style,
        half_height=rng.uniform(0.020, 0.023),
        roundness=rng.uniform(3, 4),
        rim=rng.uniform(0.0026, 0.0036),
        colour=(0.05, 0.045, 0.045),
        glare=rng.uniform(0.35, 0.75),
        rise=rng.uniform(0.004, 0.007),
        clear=rng.uniform(0.25, 0.6),
    )


def sample_setting(rng: np.random.Generator) -> Setting:
    """A clip's light and camera."""
    side = rng.choice([-1, 1])
    warm = rng.uniform(-0.06, 0.06)
    key = rng.uniform(0.75, 1.25)
    fill = rng.uniform(0.15, 0.4)
    grey = rng.uniform(0.12, 0.5)
    tint = 1 + rng.uniform(-0.06, 0.06, 3)
    return Setting(
        key=(side * rng.uniform(0.15, 0.9), rng.uniform(0.2, 0.9), 1.0),
        key_colour=(key * (1 + warm), key, key * (1 - warm)),
        fill=(-side * rng.uniform(0.6, 1.2), rng.uniform(-0.1, 0.5), 0.8),
        fill_colour=(fill, fill, fill * 1.05),
        ambient=tuple(rng.uniform(0.26, 0.40) * np.array([1, 1.01, 1.04])),
        backdrop=(tuple(grey * tint), tuple(grey * tint * rng.uniform(0.6, 0.9))),
        zoom=rng.uniform(0.95, 1.05),
        shift=tuple(rng.normal(0, 0.0025, 2)),
    )
