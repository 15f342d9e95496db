"""A generic head that moves as an interval's units say: what the page shows in a face's place."""

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deca.anny.fit import LandmarkModel
from deca.anny.head import Head, load_head
from deca.flame.model import rotation_matrices
from deca.geometry import project, vertex_normals
from deca.rasterizer import rasterize
from deca.reconstruction import Framing, frame_head
from deca.shading import GREY, lamp_shading
from synthetic.motion.actions import UNITS, names_of

SIZE = 200  # pixels a side
YAWS = (0.0, 32.0)  # degrees: from the front, and turned
CHIN = 8  # landmark
FULL_MOTION = 0.006  # metres that a point moves where the colour is at its strongest
STRONGEST = 4.0  # times that units are drawn larger at most
COLOUR = (213 / 255, 94 / 255, 0.0)  # Okabe and Ito's vermilion


def enlargement(units: Sequence[dict]) -> float:
    """How many times larger units are drawn: the strongest in full, at most STRONGEST times."""
    strengths = [unit["strength"] for unit in units if unit["unit"] in UNITS]
    most = max(strengths, default=0.0)
    return 1.0 if most <= 0 else float(np.clip(1 / most, 1.0, STRONGEST))


def render_units(units: Sequence[dict], size: int = SIZE) -> np.ndarray:
    """The mean Anny head with units, from the front and turned, uint8 (size, 2 size, 4) RGBA.

    units: {unit, side, strength from 0 to 1}, drawn `enlargement` times as strong; those that no
    facial action shows are left out. side: L or left, R or right of the person; else both. Grey,
    and the more orange the further a point of the surface moved.
    """
    gain = enlargement(units)
    shown = [
        (unit["unit"], (unit.get("side") or "")[:1].upper(), round(gain * unit["strength"], 2))
        for unit in units
        if unit["unit"] in UNITS
    ]
    return _render(tuple(sorted(shown)), size)


def actions_of(units: Sequence[tuple[int, str, float]]) -> dict[str, float]:
    """Facial actions of units (number, L, R or nothing, strength), each at most 1."""
    actions: dict[str, float] = {}
    for unit, side, strength in units:
        for action, share in UNITS[unit].items():
            names = names_of(action)
            if len(names) == 2 and side in ("L", "R"):
                names = (names["LR".index(side)],)
            for name in names:
                actions[name] = min(1.0, actions.get(name, 0.0) + share * strength)
    return actions


@functools.cache
def _still() -> tuple[Head, Tensor, Framing]:
    """The head, its vertices (1, V, 3) without expression, and how it is looked at."""
    head = load_head()
    with torch.no_grad():
        neutral = head.neutral(*head.mean_identity())
        return head, neutral, frame_head(neutral[0], LandmarkModel(head).pick(neutral)[0, CHIN])


@functools.lru_cache(64)
@torch.no_grad()
def _render(units: tuple[tuple[int, str, float], ...], size: int) -> np.ndarray:
    head, neutral, framing = _still()
    moved = head.move(neutral, head.action_vector(actions_of(units))[None])
    return render_moved(moved, (moved - neutral)[0], head.faces, framing, size)


@torch.no_grad()
def render_moved(
    vertices: Tensor,
    motion: Tensor,
    faces: Tensor,
    framing: Framing,
    size: int = SIZE,
    full: float = FULL_MOTION,
) -> np.ndarray:
    """A head from the front and turned, uint8 (size, 2 size, 4) RGBA, orange where it moved.

    vertices (1, V, 3) and how they came there, motion (V, 3), in metres; faces (F, 3). full: how
    far, in metres, a point moves where the colour is at its strongest.
    """
    normals = vertex_normals(vertices, faces)[0]
    far = (motion.norm(dim=1, keepdim=True) / full).clamp(0, 1)
    camera = vertices.new_tensor([[framing.scale, 0, 0]])
    points = project(vertices - framing.centre, camera)[0]
    axes = vertices.new_zeros(len(YAWS), 3)
    axes[:, 1] = torch.deg2rad(vertices.new_tensor(YAWS))
    turns = rotation_matrices(axes)
    flip = turns.new_tensor([1.0, -1.0, -1.0])  # y and z change sign in image space
    looks = rasterize(points, faces, size, flip[:, None] * turns * flip)
    pictures = []
    for seen, turn in zip(looks, turns, strict=True):
        light = lamp_shading(F.normalize(seen.interpolate(normals, faces)), turn)
        shade = (GREY * light)[:, None]
        share = 0.85 * seen.interpolate(far, faces)
        colour = shade * (1 - share) + share * shade.sqrt() * shade.new_tensor(COLOUR)
        pixels = torch.cat([colour, torch.ones_like(shade)], 1).clamp(0, 1)
        pictures.append(seen.image((255 * pixels).round().byte()).permute(1, 2, 0))
    return torch.cat(pictures, 1).numpy()
