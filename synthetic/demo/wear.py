"""What the demo set's heads wear, as meshes: hair, glasses, a collar."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """A mesh with a colour a face: vertices (V, 3) in metres, faces (F, 3), colours (F, 3) sRGB."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True)
class GlassesStyle:
    """Sizes in metres; `roundness` 2 is an ellipse, 4 nearly a rectangle."""

    half_width: float
    half_height: float
    roundness: float
    rim: float  # the rim's radius
    colour: tuple[float, float, float]
    glare: float  # 0 to 1
    rise: float = 0.0  # of the lenses' middle over where plain glasses have it
    clear: float = 0.94  # share of the light that a lens lets through


@dataclass(frozen=True)
class FacePoints:
    """Where a neutral head's parts are, (3,) in metres; pairs are left, right."""

    eyes: tuple[np.ndarray, np.ndarray]
    temples: tuple[np.ndarray, np.ndarray]
    ears: tuple[np.ndarray, np.ndarray]  # the top of each ear's root
    bridge: np.ndarray  # of the nose, at the eyes' height
    chin: np.ndarray
    front: float  # the largest z of lids and brows


def join(parts: list[Part]) -> Part:
    """One part out of several."""
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Part(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + o for part, o in zip(parts, offsets, strict=True)]),
        np.concatenate([part.colours for part in parts]),
    )


def tube(path: np.ndarray, radius: float, colour: tuple, closed: bool = False) -> Part:
    """A tube with eight sides along points (P, 3)."""
    sides = 8
    ahead, behind = np.roll(path, -1, 0), np.roll(path, 1, 0)
    if not closed:
        ahead[-1], behind[0] = path[-1], path[0]
    along = ahead - behind
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    reference = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0, 1]], [[0.0, 1, 0]])
    across = np.cross(along, reference)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    upright = np.cross(along, across)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)[:, None, None]
    rings = path + radius * (np.cos(turn) * across + np.sin(turn) * upright)  # (sides, P, 3)
    vertices = rings.transpose(1, 0, 2).reshape(-1, 3)
    faces = _grid_faces(len(path), sides, wrap_rows=closed, wrap_columns=True)
    return Part(vertices, faces, np.tile(np.array(colour, np.float32), (len(faces), 1)))


def _grid_faces(rows: int, columns: int, wrap_rows: bool, wrap_columns: bool) -> np.ndarray:
    row, column = np.meshgrid(
        np.arange(rows if wrap_rows else rows - 1),
        np.arange(columns if wrap_columns else columns - 1),
        indexing="ij",
    )
    r, c = row.ravel(), column.ravel()
    below, right = (r + 1) % rows, (c + 1) % columns
    a, b = r * columns + c, below * columns + c
    d, e = r * columns + right, below * columns + right
    return np.concatenate([np.stack([a, b, e], 1), np.stack([a, e, d], 1)])


def _lens_outline(points: FacePoints, side: int, style: GlassesStyle) -> np.ndarray:
    # A superellipse before the eye, its outer end a little further back.
    eye = points.eyes[side]
    sign = 1 if side == 0 else -1
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    power = 2 / style.roundness
    x = style.half_width * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    y = style.half_height * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    z = -0.12 * np.maximum(sign * x, 0)
    centre = np.array([eye[0] + sign * 0.001, eye[1] - 0.003 + style.rise, points.front + 0.004])
    return centre + np.stack([x, y, z], 1)


def glasses(points: FacePoints, style: GlassesStyle) -> tuple[Part, Part]:
    """The frame (rims, bridge, temples) and the two lenses, on a neutral head."""
    frame, lenses = [], []
    for side in (0, 1):
        outline = _lens_outline(points, side, style)
        frame.append(tube(outline, style.rim, style.colour, closed=True))
        sign = 1 if side == 0 else -1
        hinge = outline[np.argmax(sign * outline[:, 0])] + [sign * 0.002, 0.007, -0.001]
        temple = points.temples[side] + [sign * 0.002, 0, 0]
        path = np.stack([hinge, temple, points.ears[side]])
        frame.append(tube(path, style.rim, style.colour))
        middle = outline.mean(0)
        ring = np.arange(len(outline))
        faces = np.stack([ring, (ring + 1) % len(ring), np.full_like(ring, len(ring))], 1)
        lenses.append(
            Part(np.vstack([outline, middle]), faces, np.zeros((len(faces), 3), np.float32))
        )
    inner = [
        _lens_outline(points, side, style)[:, 0].min() if side == 0
        else _lens_outline(points, side, style)[:, 0].max()
        for side in (0, 1)
    ]  # fmt: skip
    x = np.linspace(inner[0], inner[1], 9)
    rise = 0.004 * np.cos(np.linspace(-np.pi / 2, np.pi / 2, 9))
    height = (points.eyes[0][1] + points.eyes[1][1]) / 2 + style.rise
    depth = max(points.front + 0.004, points.bridge[2] + 0.003)
    arch = np.stack([x, height + rise, np.full(9, points.front + 0.004) + rise], 1)
    arch[2:-2, 2] = np.maximum(arch[2:-2, 2], depth)
    frame.append(tube(arch, style.rim, style.colour))
    return join(frame), join(lenses)


def long_hair(colour: tuple, length: float, width: float, rng: np.random.Generator) -> Part:
    """A curtain of hair around the back and sides of the head, open to the front."""
    columns, rows = 140, 24
    turn = np.linspace(np.radians(20), np.radians(340), columns)  # 0 looks to the front
    height = np.linspace(0.075, -length, rows)
    wave = np.repeat(rng.normal(0, 0.0012, (1, columns)), rows, 0)
    wave += 0.0015 * np.sin(height[:, None] * 90 + rng.uniform(0, 6) + 0.2 * turn)
    spread = np.interp(height, [-0.15, -0.04, 0.03, 0.075], [1.04, 1.0, 0.98, 0.72])[:, None]
    x = np.sin(turn) * (width * spread + wave)
    z = -0.052 + np.cos(turn) * (0.088 * spread + wave)
    z = np.minimum(z, -0.012)
    y = np.repeat(height[:, None], columns, 1)
    faces = _grid_faces(rows, columns, False, False)
    strand = 1 + 0.15 * rng.standard_normal(columns)
    colours = np.array(colour, np.float32) * strand[faces[:, 0] % columns][:, None]
    return Part(np.stack([x, y, z], -1).reshape(-1, 3), faces, colours.astype(np.float32))


def collar(colour: tuple, base: float) -> Part:
    """Shoulders from the neck (at height `base`) down and outward."""
    columns = 48
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    heights = base + np.array([0.014, 0.008, -0.005, -0.03, -0.08])
    widths = np.array([0.066, 0.074, 0.10, 0.16, 0.20])
    depths = np.array([0.062, 0.068, 0.08, 0.10, 0.11])
    x = widths[:, None] * np.cos(turn)
    z = -0.045 + depths[:, None] * np.sin(turn)
    y = np.repeat(heights[:, None], columns, 1)
    y[:2] -= 0.012 * np.maximum(np.sin(turn), 0)  # lower in front
    faces = _grid_faces(len(heights), columns, False, True)
    return Part(
        np.stack([x, y, z], -1).reshape(-1, 3),
        faces,
        np.tile(np.array(colour, np.float32), (len(faces), 1)),
    )
