"""The anny backend: the fit finds what made the landmarks, and stands bad input."""

import numpy as np
import pytest
import skimage.data
import torch

from data.landmarks import load_landmark_finder
from deca.anny_backend import EYES, AnnyBackend
from deca.anny_flow import actions_between
from deca.anny_landmarks import MIRROR, read_landmarks
from deca.reconstruction import Face
from deca.views import draw_views


@pytest.fixture(scope="module")
def backend() -> AnnyBackend:
    torch.set_num_threads(1)
    return AnnyBackend()


@pytest.fixture(scope="module")
def astronaut() -> Face:
    image = skimage.data.astronaut()
    return Face(image, load_landmark_finder("dlib")(image))


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
    views = draw_views(head)
    assert views.shape == (13, 224, 224, 3) and views.mean() > 20


def test_a_subject_has_one_identity(backend: AnnyBackend, astronaut: Face) -> None:
    other = astronaut.landmarks * [1.02, 0.97]
    one = [Face(astronaut.image, marks, "a") for marks in (astronaut.landmarks, other)]
    two = [Face(astronaut.image, marks) for marks in (astronaut.landmarks, other)]
    first, second = (head.codes["shape"] for head in backend.reconstruct(one))
    assert np.array_equal(first, second)
    first, second = (head.codes["shape"] for head in backend.reconstruct(two))
    assert not np.allclose(first, second)


def test_no_face_takes_the_whole_image(
    backend: AnnyBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    (head,) = backend.reconstruct([Face(np.full((30, 30, 3), 90, np.uint8), None)])
    assert "whole" in capsys.readouterr().err
    assert head.projected.min() > 0 and head.projected.max() < 30
    assert not head.codes["actions"].any()


@pytest.mark.parametrize("name", ["browInnerUp", "noseSneerLeft", "mouthSmileRight"])
def test_actions_are_read_off_a_flow(backend: AnnyBackend, name: str) -> None:
    head = backend.head
    points = head.neutral(*backend.model.mean_identity(1))[0, backend.tracked].numpy() * 1000
    offsets = head.action_offsets[:, backend.tracked].numpy() * 1000
    width = backend.model.width * 1000
    flow = 0.5 * offsets[head.actions.index(name), :, :2] + [1.0, -0.5]  # and a shift of the head
    found = actions_between(flow, points, offsets, width)
    assert head.actions[found.argmax()] == name
    assert 0.3 < found.max() < 0.6
