"""The demo set's pictures: which light reaches a figure, and what a camera sees of it."""

import functools
from dataclasses import dataclass

import numpy as np
import torch

from deca.anny.head import load_head, rotation_matrix
from deca.raycast import Hits, Scene, perspective_rays

from .figure import EYE, STAYS, Figure, pose
from .skin import EYE_CENTRE, eye_colours, look_up, mean_head, smoothstep

DISTANCE = 1.0  # camera to the origin of the head, in metres
EDGE_DEPTH = 0.005  # metres between neighbouring pixels that make an outline


@dataclass(frozen=True)
class Setting:
    """How a clip is lit and filmed. Directions point to the light; colours are linear."""

    key: tuple[float, float, float]
    key_colour: tuple[float, float, float]
    fill: tuple[float, float, float]
    fill_colour: tuple[float, float, float]
    ambient: tuple[float, float, float]
    backdrop: tuple[tuple[float, float, float], tuple[float, float, float]]  # top, bottom
    zoom: float
    shift: tuple[float, float]  # metres in the picture
    reflection: float = 0.0  # where on the lenses, in their half widths from the usual place


@dataclass(frozen=True)
class Film:
    """A picture's size in pixels, and where faces are in it: shares of its height, at zoom 1."""

    height: int
    width: int
    eye_row: float
    eyes_to_chin: float


CROP = Film(280, 240, 0.43, 0.47)  # as in registered crops


@dataclass(frozen=True)
class Camera:
    """Where from, and through which points, N = height * width pixels look."""

    shape: tuple[int, int]  # height, width
    eye: np.ndarray  # (3,)
    directions: np.ndarray  # (N, 3)
    pixel: np.float32  # the step between directions of neighbouring pixels
    backdrop: np.ndarray  # (N, 3)


def render(
    figure: Figure, setting: Setting, actions: np.ndarray, rotation: np.ndarray
) -> np.ndarray:
    """Facial actions (T, 52), head rotations (T, 3) -> (T, 280, 240, 3) float32 in [0, 1]."""
    with torch.no_grad():
        matrices = rotation_matrix(torch.from_numpy(rotation.astype(np.float32)))
        heads = load_head().move(torch.from_numpy(figure.neutral)[None], torch.from_numpy(actions))
        moved, turns = (heads @ matrices.mT).numpy(), matrices.numpy()
    camera = place_camera(figure, setting)
    # A head hardly moves within a clip: which lamps reach a vertex is found once, in frame 0.
    arrives = light_arriving(figure, setting, *pose(figure, moved[0], turns[0]))
    frames = [
        picture(figure, setting, camera, arrives, moved[t], turns[t]) for t in range(len(actions))
    ]
    return np.stack(frames)


def place_camera(figure: Figure, setting: Setting, film: Film = CROP) -> Camera:
    """Eyes and chin come to the same places in everybody's pictures, as in registered crops."""
    eyes = (figure.points.eyes[0] + figure.points.eyes[1]) / 2
    pixels = film.eyes_to_chin * film.height * setting.zoom
    metres = (eyes[1] - figure.points.chin[1]) / pixels  # a pixel
    middle = eyes[1] - metres * film.height * (0.5 - film.eye_row)
    eye = np.array([setting.shift[0], middle + setting.shift[1], DISTANCE], np.float32)
    focal = (DISTANCE - eyes[2]) / metres
    directions = perspective_rays(film.height, film.width, focal)[1]
    top, bottom = (np.array(colour, np.float32) for colour in setting.backdrop)
    share = np.linspace(0, 1, film.height, dtype=np.float32)[:, None, None]
    shade = 1 - 0.25 * np.linspace(-1, 1, film.width, dtype=np.float32)[None, :, None] ** 2
    backdrop = ((top + (bottom - top) * share) * shade).reshape(-1, 3)
    shape = film.height, film.width
    return Camera(shape, eye, directions, np.float32(1 / focal), backdrop)


def picture(
    figure: Figure,
    setting: Setting,
    camera: Camera,
    arrives: np.ndarray,
    moved: np.ndarray,
    turn: np.ndarray,
    shift: np.ndarray = STAYS,
) -> np.ndarray:
    """A moved, turned and shifted head (V, 3) -> its picture (height, width, 3) in [0, 1].

    turn (3, 3) and shift (3,): its rotation, and its way in metres, which are in `moved` already.
    arrives: from light_arriving, of this pose or one near to it.
    """
    vertices, normals = pose(figure, moved, turn, shift)
    scene = Scene(vertices, figure.faces)
    hits, directions, pixels, outlined = _look(scene, figure, camera)
    seen = np.flatnonzero(hits.mask)
    face, bary = hits.face[seen], hits.bary[seen]

    light = _light(figure, setting, arrives, normals, face)
    lit = np.einsum("nkc,nk->nc", light[figure.faces][face], bary)
    colours = camera.backdrop[pixels]
    colours[seen] = _reflectance(figure, face, bary) * lit[:, :3] + lit[:, 3:]
    on_eye = np.flatnonzero(figure.kinds[face] == EYE)
    colours[seen[on_eye]] += _glints(setting, _place(face[on_eye], bary[on_eye]), turn)
    if figure.lenses is not None:
        placed = figure.lenses.vertices @ turn.T + shift
        _add_lenses(colours, figure, setting, camera.eye, directions, hits.depth, placed)

    image = colours[: len(camera.backdrop)]
    image[outlined] = colours[len(camera.backdrop) :].reshape(len(outlined), -1, 3).mean(1)
    return np.sqrt(np.clip(image, 0, 1)).reshape(*camera.shape, 3)


def _look(
    scene: Scene, figure: Figure, camera: Camera
) -> tuple[Hits, np.ndarray, np.ndarray, np.ndarray]:
    """One ray a pixel, then four more where an outline runs through it.

    -> all hits, their directions, their pixels, and the outlined pixels (E,), whose four rays
    each come last, in order.
    """
    first = scene.first_hit(camera.eye, camera.directions)
    shape = camera.shape
    kinds = np.where(first.mask, figure.kinds[first.face], 0).reshape(shape)
    depth = np.where(first.mask, first.depth, 9).reshape(shape)
    edge = np.zeros(shape, bool)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        step = kinds[here] != kinds[there]
        step |= np.abs(depth[here] - depth[there]) > EDGE_DEPTH
        edge[here] |= step
        edge[there] |= step
    outlined = np.flatnonzero(edge)
    quarter = (
        camera.pixel * np.array([[-1, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]], np.float32) / 4
    )
    more = (camera.directions[outlined][:, None] + quarter).reshape(-1, 3)
    second = scene.first_hit(camera.eye, more)
    hits = Hits(
        np.concatenate([first.face, second.face]),
        np.concatenate([first.bary, second.bary]),
        np.concatenate([first.depth, second.depth]),
    )
    pixels = np.concatenate([np.arange(len(first.face)), np.repeat(outlined, 4)])
    return hits, np.concatenate([camera.directions, more]), pixels, outlined


@functools.cache
def _sphere(count: int) -> np.ndarray:
    """(N, 3) directions spread evenly: the golden-angle spiral."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(turn), y, radius * np.sin(turn)], 1).astype(np.float32)


def _lamps(setting: Setting) -> tuple[np.ndarray, np.ndarray, slice]:
    """Directions (K, 3) from which light comes, its colours (K, 3), and which are the key's."""
    dome = _sphere(28)
    dome = dome[dome[:, 2] > -0.35]
    sky = 0.55 + 0.45 * dome[:, 1:2]
    lamps, colours = [dome], [2 * np.array(setting.ambient, np.float32) * sky / sky.sum()]
    for at, colour, size, count in (
        (setting.key, setting.key_colour, 0.35, 12),
        (setting.fill, setting.fill_colour, 0.5, 6),
    ):
        soft = _unit(np.array(at, np.float32)) + size * _sphere(count)
        lamps.append(soft / np.linalg.norm(soft, axis=1, keepdims=True))
        colours.append(np.tile(np.array(colour, np.float32) / count, (count, 1)))
    key = slice(len(dome), len(dome) + 12)
    return np.concatenate(lamps).astype(np.float32), np.concatenate(colours), key


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def light_arriving(
    figure: Figure, setting: Setting, vertices: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """How much of each lamp's light reaches each vertex, (V, K) in [0, 1].

    A lamp counts where a ray towards it meets nothing; a sixth of it gets there all the same,
    from other parts of the face.
    """
    lamps, _, _ = _lamps(setting)
    arrives = np.ones((len(vertices), len(lamps)), np.float32)
    who, lamp = np.nonzero(normals @ lamps.T > 0)
    starts = vertices[who] + 0.0006 * normals[who]
    scene = Scene(vertices, figure.faces)
    arrives[who, lamp] -= np.float32(5 / 6) * scene.blocked(starts, lamps[lamp])
    return arrives


def _light(
    figure: Figure, setting: Setting, arrives: np.ndarray, normals: np.ndarray, face: np.ndarray
) -> np.ndarray:
    """What vertices of the faces seen send to the camera: diffuse r, g, b and gloss, (V, 4).

    Light seeps past the terminator, red the furthest, as in skin.
    """
    lamps, colours, key = _lamps(setting)
    used = np.zeros(len(normals), bool)
    used[figure.faces[face]] = True
    normals, arrives = normals[used], arrives[used]
    cosine = normals @ lamps.T
    light = np.zeros((len(used), 4), np.float32)
    for channel, seep in enumerate((0.30, 0.15, 0.10)):
        weight = np.maximum(cosine + np.float32(seep), 0) / (1 + seep)
        light[used, channel] = (weight * arrives) @ colours[:, channel]
    mirrored = np.maximum(normals @ _half(setting.key), 0) ** 14
    strength = arrives[:, key].mean(1) * np.mean(setting.key_colour)
    light[used, 3] = figure.gloss[used] * mirrored * strength
    return light


def _half(lamp: tuple[float, float, float]) -> np.ndarray:
    """The normal that mirrors a lamp into the camera."""
    return _unit(_unit(np.array(lamp, np.float32)) + np.array([0, 0, 1], np.float32))


def _reflectance(figure: Figure, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Linear colour (N, 3) of the surface at hits."""
    painted = len(figure.corner_uv)
    at = np.einsum("nkc,nk->nc", figure.corner_uv[np.minimum(face, painted - 1)], bary)
    colour = (look_up(figure.atlas, *at.T).astype(np.float32) / 255) ** 2
    plain = face >= painted
    colour[plain] = figure.colours[face[plain] - painted]
    on_eye = figure.kinds[face] == EYE
    colour[on_eye] = eye_colours(_place(face[on_eye], bary[on_eye]), figure.person.looks)
    return colour


def _place(face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Where hits on the head lie on the mean head, (N, 3) in mm."""
    return np.einsum("nkc,nk->nc", mean_head()[load_head().faces.numpy()[face]], bary)


def _glints(setting: Setting, place: np.ndarray, turn: np.ndarray) -> np.ndarray:
    # The eyeball is a wet sphere: small mirror images of both lamps.
    normal = place - EYE_CENTRE * np.where(place[:, :1] > 0, 1, [[-1, 1, 1]])
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True) @ turn.T
    glints = np.zeros((len(place), 3), np.float32)
    for at, colour in ((setting.key, setting.key_colour), (setting.fill, setting.fill_colour)):
        glints += (
            0.5
            * smoothstep(0.985, 0.995, normal @ _half(at))[:, None]
            * np.array(colour, np.float32)
        )
    return glints


def _add_lenses(
    colours: np.ndarray,
    figure: Figure,
    setting: Setting,
    eye: np.ndarray,
    directions: np.ndarray,
    depth: np.ndarray,
    placed: np.ndarray,
) -> None:
    """Darken and veil what lies behind the lenses, `placed`, with a reflection, in place."""
    lenses, style = figure.lenses, figure.person.glasses
    if lenses is None or style is None:
        return
    slopes = (placed[:, 1] - eye[1]) / (eye[2] - placed[:, 2])
    near = np.flatnonzero((directions[:, 1] > slopes.min()) & (directions[:, 1] < slopes.max()))
    hits = Scene(placed, lenses.faces).first_hit(eye, directions[near])
    covers = hits.depth < depth[near]
    before, face, bary = near[covers], hits.face[covers], hits.bary[covers]
    x, y, _ = np.einsum("nkc,nk->cn", lenses.vertices[lenses.faces[face]], bary)
    middle = np.where(x > 0, figure.points.eyes[0][0], figure.points.eyes[1][0])
    along = (x - middle + 0.8 * (y - figure.points.eyes[0][1])) / style.half_width
    along -= setting.reflection
    streak = np.exp(-(((along - 0.55) / 0.22) ** 2)) + 0.6 * np.exp(-(((along - 0.1) / 0.07) ** 2))
    veil = (0.03 + style.glare * streak)[:, None]
    colours[before] = colours[before] * style.clear * (1 - veil) + veil * np.array(
        [0.85, 0.9, 1.0], np.float32
    )
