"""The demo set's people as meshes: a head, the hair on it, what they wear."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from deca.anny.head import Identity, load_head

from .skin import Looks, atlas_uv, hair_depth, mean_head, on_ears, paint, smoothstep
from .wear import FacePoints, GlassesStyle, Part, collar, glasses, join, long_hair

SKIN, EYE, MOUTH, HAIR, FRAME, OTHER = range(1, 7)  # what a face belongs to; 0 is the backdrop
STAYS = np.zeros(3, np.float32)
GLOSS = {SKIN: 0.09, EYE: 0.0, MOUTH: 0.09, HAIR: 0.06, FRAME: 0.5, OTHER: 0.02}


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
class Figure:
    """A person's mesh, ready to be moved. Vertices: head, hair, what turns with it, the rest."""

    person: Person
    neutral: np.ndarray  # (V, 3) the head's
    faces: np.ndarray  # (F, 3) of everything
    kinds: np.ndarray  # (F,) SKIN, EYE, …
    atlas: np.ndarray
    corner_uv: np.ndarray  # (P, 3, 2) of the first P faces, which take their colour from the atlas
    colours: np.ndarray  # (F - P, 3) light reflected by the others
    gloss: np.ndarray  # (all vertices,)
    scalp: np.ndarray  # vertices of the head that carry hair
    thickness: np.ndarray  # of the hair there, metres
    worn: np.ndarray  # (W, 3) vertices that turn with the head
    still: np.ndarray  # (S, 3) vertices that do not
    lenses: Part | None
    normal_sum: sparse.csr_matrix  # (all vertices, F) adds up the normals of a vertex's faces
    points: FacePoints


def build_figure(person: Person, with_glasses: bool) -> Figure:
    """Shape, paint and dress a person."""
    head = load_head()
    with torch.no_grad():
        neutral = head.neutral(
            torch.from_numpy(person.identity.phenotypes)[None],
            torch.from_numpy(person.identity.local_changes)[None],
        )[0].numpy()
    points = _face_points(neutral)
    scalp, thickness, scalp_faces = _hair_shell(person)
    worn, lenses = [], None
    if person.hair_length:
        rng = np.random.default_rng(person.looks.seed)
        width = np.abs(neutral[:, 0]).max() + 0.003
        worn.append((HAIR, long_hair(person.looks.hair, person.hair_length, width, rng)))
    if with_glasses and person.glasses:
        frame, lenses = glasses(points, person.glasses)
        worn.append((FRAME, frame))
    plain = [*worn, (OTHER, collar(person.clothes, neutral[:, 1].min()))]

    head_faces = head.faces.numpy()
    hair_number = np.full(len(neutral), -1)
    hair_number[scalp] = len(neutral) + np.arange(len(scalp))
    dressed = join([part for _, part in plain])
    first = len(neutral) + len(scalp)
    parts = [head_faces, hair_number[head_faces[scalp_faces]], dressed.faces + first]
    faces = np.concatenate(parts).astype(np.int32)
    kinds = np.concatenate(
        [_head_kinds(), np.full(len(scalp_faces), HAIR)]
        + [np.full(len(part.faces), kind) for kind, part in plain]
    )
    gloss = np.zeros(first + len(dressed.vertices), np.float32)
    for kind, amount in GLOSS.items():
        gloss[faces[kinds == kind]] = amount
    uv = atlas_uv(head)
    turning = sum(len(part.vertices) for _, part in worn)
    return Figure(
        person=person,
        neutral=neutral,
        faces=faces,
        kinds=kinds.astype(np.uint8),
        atlas=paint(person.looks),
        corner_uv=np.concatenate([uv, uv[scalp_faces]]).astype(np.float32),
        colours=np.clip(dressed.colours, 0, 1).astype(np.float32) ** 2,
        gloss=gloss,
        scalp=scalp,
        thickness=thickness,
        worn=dressed.vertices[:turning].astype(np.float32),
        still=dressed.vertices[turning:].astype(np.float32),
        lenses=lenses,
        normal_sum=_faces_to_vertices(faces, len(gloss)),
        points=points,
    )


@functools.cache
def _head_kinds() -> np.ndarray:
    regions = {name: mask.numpy() for name, mask in load_head().regions.items()}
    kinds = np.full(len(regions["skin"]), SKIN)
    kinds[regions["eyes"]] = EYE
    kinds[regions["mouth_inside"] | regions["tongue"]] = MOUTH
    return kinds


@functools.cache
def _landmarks() -> dict[str, np.ndarray]:
    """Vertices of the head by their places on the mean head (mm)."""
    place = mean_head()
    x, y, z = place.T

    def nearest(*at: float) -> np.ndarray:
        return np.array([np.linalg.norm(place - np.array(at, np.float32), axis=1).argmin()])

    eyes = np.unique(load_head().faces.numpy()[load_head().regions["eyes"].numpy()])
    eyes = eyes[z[eyes] > 18]  # the right eyeball has no back
    lids = (np.abs(np.abs(x) - 34) < 20) & (np.abs(y - 30) < 20) & (z > 0)
    return {
        "eye.L": eyes[x[eyes] > 0],
        "eye.R": eyes[x[eyes] < 0],
        "temple.L": nearest(70, 36, 2),
        "temple.R": nearest(-70, 36, 2),
        "ear.L": nearest(77, 38, -42),
        "ear.R": nearest(-77, 38, -42),
        "bridge": nearest(0, 28, 50),
        "chin": nearest(0, -88, 45),
        "lids": np.flatnonzero(lids),
    }


def _face_points(neutral: np.ndarray) -> FacePoints:
    at = {name: neutral[rows].mean(0) for name, rows in _landmarks().items()}
    return FacePoints(
        eyes=(at["eye.L"], at["eye.R"]),
        temples=(at["temple.L"], at["temple.R"]),
        ears=(at["ear.L"], at["ear.R"]),
        bridge=at["bridge"],
        chin=at["chin"],
        front=float(neutral[_landmarks()["lids"], 2].max()),
    )


def _hair_shell(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Hair stands off the scalp by its volume, and sinks into the skin at the hairline.
    place = mean_head()
    head = load_head()
    depth = hair_depth(place, person.looks)
    covered = (depth > -8) & ~on_ears()
    faces = head.faces.numpy()
    scalp_faces = np.flatnonzero(covered[faces].all(1) & head.regions["skin"].numpy())
    scalp = np.unique(faces[scalp_faces])
    volume = person.hair_volume * (0.35 + 0.65 * smoothstep(20, 110, place[scalp, 1]))
    thickness = volume * smoothstep(0, 36, depth[scalp]) - 0.0012 * (depth[scalp] < 2)
    return scalp, thickness.astype(np.float32), scalp_faces


def _faces_to_vertices(faces: np.ndarray, vertices: int) -> sparse.csr_matrix:
    columns = np.tile(np.arange(len(faces)), 3)
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, (faces.T.ravel(), columns)), (vertices, len(faces)))


def pose(
    figure: Figure, moved: np.ndarray, turn: np.ndarray, shift: np.ndarray = STAYS
) -> tuple[np.ndarray, np.ndarray]:
    """The moved head (V, 3), its rotation (3, 3) and its shift (3,) in metres, which are in
    `moved` already -> vertices and normals of everything."""
    head_faces = load_head().faces.numpy()
    on_head = figure.normal_sum[: len(moved), : len(head_faces)]
    normals = _normals(on_head, moved, head_faces)
    hair = moved[figure.scalp] + normals[figure.scalp] * figure.thickness[:, None]
    vertices = np.concatenate([moved, hair, figure.worn @ turn.T + shift, figure.still]).astype(
        np.float32
    )
    return vertices, _normals(figure.normal_sum, vertices, figure.faces)


def _normals(sums: sparse.csr_matrix, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normals = sums @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
