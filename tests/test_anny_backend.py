"""The anny backend: the fit finds what made the landmarks, and stands bad input."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from benchmarks.bench_reconstruction import expression_change
from data.face_shape import MIRROR
from data.faces import load_face_finder
from deca.anny.backend import EYES, MAP, AnnyBackend
from deca.anny.fit import read_landmarks
from deca.anny.head import sample_identity
from deca.crop import face_square
from deca.rasterizer import rasterize
from deca.reconstruction import Face
from deca.render_views import render_in_image, render_views
from deca.surface_flow import head_moves, moves_between
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import render


@pytest.fixture(scope="module")
def backend() -> AnnyBackend:
    torch.set_num_threads(1)
    return AnnyBackend()


@pytest.fixture(scope="module")
def astronaut() -> Face:
    image = skimage.data.astronaut()
    return Face(image, load_face_finder("dlib").find(image, "astronaut").landmarks)


def test_landmarks_lie_symmetric_on_the_head(backend: AnnyBackend) -> None:
    _vertices, weights = read_landmarks()
    assert np.allclose(weights.sum(1), 1, atol=1e-3)
    mean = backend.model.mean.numpy()
    assert np.abs(mean - mean[MIRROR] * [-1, 1, 1]).max() < 0.004  # metres
    assert mean[36, 0] < 0 < mean[45, 0]  # the right eye is on the image's left


def test_fits_the_astronaut_and_is_deterministic(backend: AnnyBackend, astronaut: Face) -> None:
    (head,) = backend.reconstruct([astronaut])
    width = np.linalg.norm(np.subtract(*astronaut.landmarks[EYES]))
    off = np.linalg.norm(head.projected - astronaut.landmarks, axis=1).mean()
    assert off < 0.04 * width
    assert head.codes["actions"].shape == (52,)
    assert head.codes["actions"].min() >= 0 and head.codes["actions"].max() <= 1
    (again,) = backend.reconstruct([astronaut])
    assert torch.equal(head.vertices, again.vertices)
    views = render_views(head)
    assert views.shape == (13, 224, 224, 3) and views.mean() > 20


def test_a_subject_has_one_identity(backend: AnnyBackend, astronaut: Face) -> None:
    other = astronaut.landmarks * [1.02, 0.97]
    one = [Face(astronaut.image, marks, "a") for marks in (astronaut.landmarks, other)]
    two = [Face(astronaut.image, marks) for marks in (astronaut.landmarks, other)]
    first, second = (head.codes["shape"] for head in backend.reconstruct(one))
    assert np.array_equal(first, second)
    first, second = (head.codes["shape"] for head in backend.reconstruct(two))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("name", ["browInnerUp", "noseSneerLeft", "mouthSmileRight"])
def test_actions_are_read_off_a_flow(backend: AnnyBackend, name: str) -> None:
    head = backend.head
    points = head.neutral(*head.mean_identity())[0, backend.moving].numpy() * 1000
    offsets = head.action_offsets[:, backend.moving].numpy() * 1000
    width = backend.model.width * 1000
    flow = 0.5 * offsets[head.actions.index(name), :, :2] + [1.0, -0.5]  # and a shift of the head
    moves = head_moves(points, offsets, width)
    found = moves_between(flow / width, moves)[: len(offsets)]
    assert head.actions[found.argmax()] == name
    assert 0.45 < found.max() < 0.55


def test_the_landmarks_of_a_head_are_rows_of_it(backend: AnnyBackend) -> None:
    identity = sample_identity(backend.head, np.random.default_rng(0))
    phenotypes, changes = map(torch.from_numpy, (identity.phenotypes, identity.local_changes))
    mesh = backend.head.neutral(phenotypes[None], changes[None])
    rows = backend.model.neutral(phenotypes[None], changes[None])
    assert torch.allclose(backend.model.pick(mesh), rows, atol=1e-6)


def test_the_charts_lie_apart_and_show_the_eyes(backend: AnnyBackend) -> None:
    topology = backend.topology
    (seen,) = rasterize(topology.uv_positions(), topology.uv_faces, 4096)
    assert len(seen.face.unique()) > 0.995 * len(topology.faces)  # none covers another
    eyes = backend.head.regions["eyes"][backend.to_uv.fragments.face].sum()
    assert eyes > 3 * 50**2  # three charts, across each of which lie 50 texels


def test_the_texture_gives_the_picture_back(backend: AnnyBackend, astronaut: Face) -> None:
    (head,) = backend.reconstruct([astronaut])
    assert head.texture.shape == (3, MAP, MAP)
    square = face_square(astronaut.landmarks)
    picture = cv2.warpAffine(astronaut.image, square.to_crop(), (224, 224))
    drawn = render_in_image(head, square, textured=True)
    off = np.abs(picture.astype(float) - drawn).mean(2)
    at = astronaut.landmarks @ square.to_crop()[:, :2].T + square.to_crop()[:, 2]
    parts = {"eye": at[36:42], "other eye": at[42:48], "mouth": at[48:60], "face": at[17:]}
    for name, points in parts.items():
        inside = np.zeros((224, 224), np.uint8)
        cv2.fillConvexPoly(inside, cv2.convexHull(points.astype(np.int32)), 1)
        # of 255; lips part a little too wide in the fit
        assert off[inside > 0].mean() < (16 if name == "mouth" else 8), name


def test_the_views_show_the_expression_of_the_apex(backend: AnnyBackend) -> None:
    """Three moments of a synthetic face: at rest, brows down, lip corners down."""
    strengths = [{}, {"browDownLeft": 0.6, "browDownRight": 0.6}]
    strengths.append({"mouthFrownLeft": 0.6, "mouthFrownRight": 0.6})
    actions = torch.stack([backend.head.action_vector(moment) for moment in strengths]).numpy()
    figure = build_figure(sample_person(0, "smic", "expression"), with_glasses=False)
    setting = sample_setting(generator(0, "expression", "setting"))
    frames = (render(figure, setting, actions, np.zeros((3, 3), np.float32)) * 255).astype(np.uint8)
    finder = load_face_finder("dlib")
    faces = [
        Face(frame, finder.find(frame, "drawn").landmarks, "s", onset=frames[0]) for frame in frames
    ]
    onset, brows, lips = backend.reconstruct(faces)
    for apex, group in ((brows, "brows_down"), (lips, "lip_corners_down")):
        acting, rest = expression_change(backend, apex, onset, group)
        assert acting > 2 and acting > 1.5 * rest, group


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda(backend: AnnyBackend, astronaut: Face) -> None:
    (here,), (there,) = (b.reconstruct([astronaut]) for b in (backend, AnnyBackend("cuda")))
    assert there.vertices.is_cuda and there.texture.is_cuda
    assert np.abs(here.projected - there.projected).max() < 1
    assert np.abs(render_views(here).astype(int) - render_views(there)).mean() < 1
