"""Drawing the demo set's people: a mesh, light that reaches it, the picture a camera takes."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import sparse

from .demo_skin import (
    EYE_CENTRE,
    Looks,
    atlas_uv,
    eye_colours,
    hair_depth,
    look_up,
    mean_head,
    paint,
    smoothstep,
    texels,
)
from .demo_wear import FacePoints, GlassesStyle, Part, collar, glasses, join, long_hair
from .head import Identity, load_head, rotation_matrix
from .raycast import Scene, perspective_rays

WIDTH, HEIGHT = 240, 280
RAYS_A_PIXEL = 1.5  # along each side
DISTANCE = 1.0  # camera to the origin of the head, in metres
LINEAR = (np.arange(256, dtype=np.float32) / 255) ** 2  # what the atlas's numbers stand for


@dataclass(frozen=True)
class Person:
    """Who is drawn."""

    identity: Identity
    looks: Looks
    hair_volume: float  # metres
    hair_length: float  # metres below the head's origin; 0 for short hair
    clothes: tuple[float, float, float]
    glasses: GlassesStyle | None


@dataclass(frozen=True)
class Setting:
    """How one clip is lit and filmed. Directions point to the light; colours are linear."""

    key: tuple[float, float, float]
    key_colour: tuple[float, float, float]
    fill: tuple[float, float, float]
    fill_colour: tuple[float, float, float]
    ambient: tuple[float, float, float]
    backdrop: tuple[tuple[float, float, float], tuple[float, float, float]]  # top, bottom
    zoom: float
    shift: tuple[float, float]  # metres in the picture


@dataclass(frozen=True)
class Figure:
    """A person's mesh, ready to be moved: the head, then the hair on it, then what they wear."""

    neutral: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3) of everything
    atlas: np.ndarray
    corner_uv: np.ndarray  # (F, 3, 2); only the faces that take their colour from the atlas
    colours: np.ndarray  # (F, 3) linear, for the others
    scalp: np.ndarray  # vertices that carry hair
    thickness: np.ndarray  # of the hair there, metres
    worn: np.ndarray  # (W, 3) vertices that turn with the head
    still: np.ndarray  # (S, 3) vertices that do not
    lenses: Part | None
    gloss: np.ndarray  # (all vertices,)
    normal_sum: sparse.csr_matrix  # faces -> vertices
    points: FacePoints


@functools.cache
def _landmarks() -> dict[str, np.ndarray]:
    """Vertices by their places on the mean head."""
    place = mean_head()
    eyes = np.unique(load_head().faces.numpy()[load_head().regions["eyes"].numpy()])

    def nearest(*at: float) -> np.ndarray:
        return np.array([np.linalg.norm(place - np.float32(at), axis=1).argmin()])

    x, y, z = place.T
    lids = (np.abs(np.abs(x) - 31) < 22) & (np.abs(y - 30) < 20) & (z > 0)
    return {
        "eyes.L": eyes[(place[eyes, 0] > 0) & (place[eyes, 2] > 18)],
        "eyes.R": eyes[(place[eyes, 0] < 0) & (place[eyes, 2] > 18)],
        "ears.L": nearest(77, 36, -42),
        "ears.R": nearest(-77, 36, -42),
        "bridge": nearest(0, 28, 50),
        "chin": nearest(0, -88, 45),
        "lids": np.flatnonzero(lids & (np.abs(x) > 14)),
    }


def _face_points(neutral: np.ndarray) -> FacePoints:
    marks = {name: neutral[rows].mean(0) for name, rows in _landmarks().items()}
    return FacePoints(
        eyes=(marks["eyes.L"], marks["eyes.R"]),
        ears=(marks["ears.L"], marks["ears.R"]),
        bridge=marks["bridge"],
        chin=marks["chin"],
        front=float(neutral[_landmarks()["lids"], 2].max()),
    )


def build_figure(person: Person, with_glasses: bool) -> Figure:
    """Shape and paint a person."""
    head = load_head()
    with torch.no_grad():
        neutral = head.neutral(
            torch.from_numpy(person.identity.phenotypes)[None],
            torch.from_numpy(person.identity.local_changes)[None],
        )[0].numpy()
    points = _face_points(neutral)
    rng = np.random.default_rng(person.looks.seed)
    worn = [Part(np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros((0, 3), np.float32))]
    if person.hair_length:
        width = np.abs(neutral[:, 0]).max() + 0.004
        worn.append(long_hair(person.looks.hair, person.hair_length, width, rng))
    lenses = None
    if with_glasses and person.glasses:
        frame, lenses = glasses(points, person.glasses)
        worn.append(frame)
    worn = join(worn)
    still = collar(person.clothes, neutral[:, 1].min())
    scalp, thickness, scalp_faces = _hair_shell(person)

    head_faces = head.faces.numpy()
    of_scalp = np.full(len(neutral), -1)
    of_scalp[scalp] = len(neutral) + np.arange(len(scalp))
    first = len(neutral) + len(scalp)
    faces = np.concatenate(
        [
            head_faces,
            of_scalp[head_faces[scalp_faces]],
            worn.faces + first,
            still.faces + first + len(worn.vertices),
        ]
    ).astype(np.int32)
    uv = atlas_uv(head)
    plain = np.concatenate([worn.colours, still.colours])
    total = first + len(worn.vertices) + len(still.vertices)
    gloss = np.full(total, 0.10, np.float32)
    gloss[len(neutral) : first] = 0.05
    gloss[first:] = 0.02
    if lenses is not None:
        gloss[first + len(worn.vertices) - len(frame.vertices) : first + len(worn.vertices)] = 0.5
    return Figure(
        neutral=neutral,
        faces=faces,
        atlas=paint(person.looks),
        corner_uv=np.concatenate([uv, uv[scalp_faces]]).astype(np.float32),
        colours=np.clip(plain, 0, 1).astype(np.float32) ** 2.2,
        scalp=scalp,
        thickness=thickness,
        worn=worn.vertices.astype(np.float32),
        still=still.vertices.astype(np.float32),
        lenses=lenses,
        gloss=gloss,
        normal_sum=_faces_to_vertices(faces, total),
        points=points,
    )


def _hair_shell(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Hair stands off the scalp by its volume, and sinks into the skin at the hairline.
    place = mean_head()
    head_faces = load_head().faces.numpy()
    depth = hair_depth(place, person.looks.hairline)
    ears = np.zeros(len(place), np.float32)
    marks = texels()
    on_ear = marks.place[marks.ears > 0.5]
    low, high = on_ear.min(0), on_ear.max(0)
    box = (np.abs(place[:, 0]) > 70) & np.all((place > low)[:, 1:] & (place < high)[:, 1:], 1)
    ears[box & (np.abs(place[:, 0]) > 74)] = 1
    covered = (depth > -8) & (ears < 0.5)
    scalp_faces = np.flatnonzero(covered[head_faces].all(1) & load_head().regions["skin"].numpy())
    scalp = np.unique(head_faces[scalp_faces])
    top = smoothstep(20, 110, place[scalp, 1])
    volume = person.hair_volume * (0.35 + 0.65 * top)
    thickness = volume * smoothstep(0, 26, depth[scalp]) - 0.0012 * (depth[scalp] < 2)
    return scalp, thickness.astype(np.float32), scalp_faces


def _faces_to_vertices(faces: np.ndarray, vertices: int) -> sparse.csr_matrix:
    rows = faces.T.ravel()
    columns = np.tile(np.arange(len(faces)), 3)
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), (vertices, len(faces)))


def _normals(figure_sum: sparse.csr_matrix, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normals = figure_sum @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _pose(figure: Figure, moved: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moved head (V, 3), with everything that belongs to it: vertices and normals."""
    head_faces = load_head().faces.numpy()
    count = len(figure.neutral)
    sums = figure.normal_sum[:count, : len(head_faces)]
    normals = _normals(sums, moved, head_faces)
    hair = moved[figure.scalp] + normals[figure.scalp] * figure.thickness[:, None]
    vertices = np.concatenate([moved, hair, figure.worn @ turn.T, figure.still]).astype(np.float32)
    return vertices, _normals(figure.normal_sum, vertices, figure.faces)


@functools.cache
def _sphere(count: int) -> np.ndarray:
    """(N, 3) directions spread evenly: the golden-angle spiral."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], 1).astype(np.float32)


def _lamps(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Directions (K, 3) from which light comes and its colour from each (K, 3)."""
    dome = _sphere(48)
    dome = dome[dome[:, 2] > -0.35]
    above = 0.55 + 0.45 * dome[:, 1:2]
    lights = [dome]
    colours = [np.float32(setting.ambient) * above / above.mean() / len(dome) * 2]
    for at, colour, size, count in (
        (setting.key, setting.key_colour, 0.35, 12),
        (setting.fill, setting.fill_colour, 0.5, 6),
    ):
        axis = np.float32(at) / np.linalg.norm(at)
        soft = axis + size * _sphere(count)
        lights.append(soft / np.linalg.norm(soft, axis=1, keepdims=True))
        colours.append(np.tile(np.float32(colour) / count, (count, 1)))
    return np.concatenate(lights).astype(np.float32), np.concatenate(colours).astype(np.float32)


def _light(
    scene: Scene, setting: Setting, vertices: np.ndarray, normals: np.ndarray, gloss: np.ndarray
) -> np.ndarray:
    """Light that vertices (M, 3) send to the camera: diffuse r, g, b and gloss, (M, 4).

    A lamp counts where a ray towards it meets nothing. Light seeps a little past the
    terminator, red the furthest, as in skin.
    """
    lamps, colours = _lamps(setting)
    cosine = normals @ lamps.T
    open_to = np.ones(cosine.shape, bool)
    who, lamp = np.nonzero(cosine > 0)
    start = vertices[who] + 0.0006 * normals[who]
    open_to[who, lamp] = ~scene.blocked(start, lamps[lamp])
    light = np.empty((len(vertices), 4), np.float32)
    for channel, seep in enumerate((0.30, 0.15, 0.10)):
        weight = np.maximum(cosine + seep, 0) / (1 + seep)
        light[:, channel] = (weight * open_to) @ colours[:, channel]
    half = np.float32(setting.key) / np.linalg.norm(setting.key) + np.float32([0, 0, 1])
    half /= np.linalg.norm(half)
    of_key = open_to[:, -18:-6].mean(1)
    light[:, 3] = gloss * of_key * np.maximum(normals @ half, 0) ** 14 * np.mean(setting.key_colour)
    return light


def draw(
    figure: Figure,
    person: Person,
    setting: Setting,
    actions: np.ndarray,
    rotation: np.ndarray,
) -> np.ndarray:
    """Pictures (T, HEIGHT, WIDTH, 3) float32 in [0, 1] of facial actions (T, 52) and head
    rotations (T, 3)."""
    head = load_head()
    with torch.no_grad():
        turns = rotation_matrix(torch.from_numpy(np.float32(rotation)))
        moved = head.move(torch.from_numpy(figure.neutral)[None], torch.from_numpy(actions))
        moved = (moved @ turns.mT).numpy()
        turns = turns.numpy()
    rays = _camera(figure, setting)
    backdrop = _backdrop(setting, *rays[2])
    return np.stack(
        [
            _picture(figure, person, setting, moved[t], turns[t], rays, backdrop)
            for t in range(len(actions))
        ]
    )


def _camera(figure: Figure, setting: Setting) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    # Eyes and chin come to the same places in everybody's pictures, as in registered crops.
    eyes = (figure.points.eyes[0] + figure.points.eyes[1]) / 2
    height = 0.47 * HEIGHT * setting.zoom  # eyes to chin, in pixels
    pixel = (eyes[1] - figure.points.chin[1]) / height
    rows, columns = round(HEIGHT * RAYS_A_PIXEL), round(WIDTH * RAYS_A_PIXEL)
    middle = eyes[1] - pixel * HEIGHT * (0.5 - 0.43)
    eye = (setting.shift[0], middle + setting.shift[1], DISTANCE)
    focal = (DISTANCE - eyes[2]) / pixel * RAYS_A_PIXEL
    return (*perspective_rays(rows, columns, focal, eye), (rows, columns))


def _backdrop(setting: Setting, rows: int, columns: int) -> np.ndarray:
    share = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    top, bottom = (np.float32(colour) for colour in setting.backdrop)
    shade = 1 - 0.25 * np.linspace(-1, 1, columns, dtype=np.float32)[None, :, None] ** 2
    return (top + (bottom - top) * share) * shade


def _picture(figure, person, setting, moved, turn, rays, backdrop) -> np.ndarray:
    vertices, normals = _pose(figure, moved, turn)
    scene = Scene(vertices, figure.faces)
    origins, directions, shape = rays
    hits = scene.first_hit(origins, directions)
    seen = np.flatnonzero(hits.mask)
    face, bary = hits.face[seen], hits.bary[seen]

    needed = np.zeros(len(vertices), bool)
    needed[figure.faces[np.unique(face)]] = True
    light = np.zeros((len(vertices), 4), np.float32)
    light[needed] = _light(scene, setting, vertices[needed], normals[needed], figure.gloss[needed])
    corners = light[figure.faces]  # (F, 3, 4)
    lit = np.einsum("nkc,nk->nc", corners[face], bary)
    colour = _colours(figure, person, face, bary)
    picture = colour * lit[:, :3] + lit[:, 3:]
    _add_eye_glints(picture, setting, face, bary, turn)
    image = backdrop.reshape(-1, 3).copy()
    image[seen] = picture
    if figure.lenses is not None:
        _add_lenses(image, figure, person.glasses, hits.depth, turn, origins, directions)
    image = cv2.resize(image.reshape(*shape, 3), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(image, 0, 1) ** (1 / 2.2)


def _colours(figure: Figure, person: Person, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Linear reflectance (N, 3) at hits."""
    painted = len(figure.corner_uv)
    at = np.einsum("nkc,nk->nc", figure.corner_uv[np.minimum(face, painted - 1)], bary)
    colour = LINEAR[look_up(figure.atlas, *at.T)]
    plain = face >= painted
    colour[plain] = figure.colours[face[plain] - painted]
    on_eye = _on_eye(face)
    colour[on_eye] = eye_colours(_eye_place(face[on_eye], bary[on_eye]), person.looks)
    return colour


def _on_eye(face: np.ndarray) -> np.ndarray:
    eyes = load_head().regions["eyes"].numpy()
    return np.flatnonzero((face < len(eyes)) & eyes[np.minimum(face, len(eyes) - 1)])


def _eye_place(face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    corners = mean_head()[load_head().faces.numpy()[face]]
    return np.einsum("nkc,nk->nc", corners, bary)


def _add_eye_glints(picture, setting, face, bary, turn) -> None:
    # The eyeball is a sphere and wet: mirror-like spots of both lamps.
    on_eye = _on_eye(face)
    place = _eye_place(face[on_eye], bary[on_eye])
    normal = place - EYE_CENTRE * np.where(place[:, :1] > 0, 1, [[-1, 1, 1]])
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True) @ turn.T
    for at, colour in ((setting.key, setting.key_colour), (setting.fill, setting.fill_colour)):
        half = np.float32(at) / np.linalg.norm(at) + np.float32([0, 0, 1])
        half /= np.linalg.norm(half)
        glint = smoothstep(0.985, 0.995, normal @ half)
        picture[on_eye] += 0.5 * glint[:, None] * np.float32(colour)


def _add_lenses(image, figure, style, depth, turn, origins, directions) -> None:
    lenses = figure.lenses
    hits = Scene(lenses.vertices @ turn.T, lenses.faces).first_hit(origins, directions)
    before = np.flatnonzero(hits.depth < depth)
    flat = hits.interpolate(np.float32(lenses.vertices), lenses.faces)[before]
    side = np.where(flat[:, 0] > 0, figure.points.eyes[0][0], figure.points.eyes[1][0])
    along = (flat[:, 0] - side + 0.8 * (flat[:, 1] - figure.points.eyes[0][1])) / style.half_width
    streak = np.exp(-(((along - 0.55) / 0.22) ** 2)) + 0.6 * np.exp(-(((along - 0.1) / 0.07) ** 2))
    veil = (0.03 + style.glare * streak)[:, None]
    image[before] = image[before] * 0.94 * (1 - veil) + veil * np.float32([0.85, 0.9, 1.0])
