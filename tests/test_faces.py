"""Faces in a picture and one face through a clip: what is found, what is refused, who is kept."""

import cv2
import numpy as np
import pytest
import skimage.data
from apex_clips import draw_clip, face, finder, write_frames
from conftest import call
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.errors import UserError
from data.face_search import find_faces, unsteadiness
from data.face_shape import MIRROR, face_shape
from data.faces import FaceFinder, NoFaceError


@pytest.fixture
def faces() -> FaceFinder:
    return FaceFinder(finder().finder)


def beside(left: np.ndarray, right: np.ndarray, gap: int = 40) -> np.ndarray:
    """Two pictures side by side on grey, their feet level."""
    height = max(left.shape[0], right.shape[0])
    out = np.full((height, left.shape[1] + gap + right.shape[1], 3), 128, np.uint8)
    out[height - left.shape[0] :, : left.shape[1]] = left
    out[height - right.shape[0] :, left.shape[1] + gap :] = right
    return out


def scaled(image: np.ndarray, by: float) -> np.ndarray:
    return cv2.resize(image, None, fx=by, fy=by, interpolation=cv2.INTER_AREA)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 50), st.floats(-np.pi, np.pi), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3),
    st.booleans(),
)  # fmt: skip
def test_a_shape_stays_one_wherever_it_is_and_in_the_mirror(scale, angle, x, y, mirrored):
    shape, points = face_shape(), face()[1]
    moved = points[MIRROR] * [-1, 1] if mirrored else points
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = moved @ turn.T + [x, y]
    # The mean face is symmetric but for what 400 people leave of chance.
    assert shape.strangeness(moved) == pytest.approx(shape.strangeness(points), rel=0.1)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (68, 2), elements=st.floats(0, 500, width=32)))
def test_random_points_are_no_face(points):
    assert face_shape().strangeness(points) > 3


@pytest.mark.parametrize("change", ["eyes below", "mouth above", "half a face", "nan", "a point"])
def test_a_face_in_disorder_is_none(change):
    points = face()[1].copy()
    if change == "eyes below":
        points[36:48, 1] += 80
    elif change == "mouth above":
        points[48:, 1] -= 90
    elif change == "half a face":
        points[:, 0] = np.minimum(points[:, 0], points[30, 0])
    elif change == "nan":
        points[3] = np.nan
    else:
        points[:] = 7
    assert face_shape().strangeness(points) > 2.4


def pictures_without_a_face():
    rng = np.random.default_rng(5)
    grey = np.full((200, 180, 3), 128, np.uint8)
    yield "a cat", skimage.data.chelsea()
    yield "a cup", skimage.data.coffee()
    yield "noise", rng.integers(0, 255, (200, 200, 3)).astype(np.uint8)
    yield "little noise", rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
    yield "a line", np.full((1, 400, 3), 90, np.uint8)
    yield "black", np.zeros((250, 280, 3), np.uint8)
    yield "white", np.full((250, 280, 3), 255, np.uint8)
    yield "grey", grey
    ball = cv2.circle(grey.copy(), (90, 100), 60, (220, 180, 160), -1)
    yield "a ball", ball
    yield "a rocket", skimage.data.rocket()
    yield "an upside-down face", np.ascontiguousarray(face()[0][::-1])


@pytest.mark.parametrize(("name", "image"), pictures_without_a_face(), ids=lambda v: str(v)[:20])
def test_what_is_no_face_is_refused(faces, name, image):
    assert faces.all(image) == []
    assert faces.find(image, name) is None


@pytest.mark.parametrize(
    ("name", "change"),
    {
        "as it is": lambda image: image,
        "dark": lambda image: (image * 0.12).astype(np.uint8),
        "flat": lambda image: (image * 0.15 + 100).astype(np.uint8),
        "a tight crop": lambda image: image[52:143, 93:194],
        "a dark tight crop": lambda image: (image[52:143, 93:194] * 0.2).astype(np.uint8),
        "small": lambda image: scaled(image, 0.45),
        "huge": lambda image: cv2.resize(image, None, fx=12, fy=12),
        "grey": lambda image: np.dstack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * 3),
    }.items(),
)
def test_faces_are_found_in_pictures_of_many_kinds(faces, name, change):
    image, points = face()
    (found,) = faces.all(np.ascontiguousarray(change(image)))
    if name == "huge":
        assert np.abs(found.landmarks / 12 - points).mean() < 2
    assert face_shape().strangeness(found.landmarks) < 2.2
    if "tight" in name:
        assert np.abs(found.landmarks - (points - (93, 52))).mean() < 4


def test_landmarks_follow_the_face(faces):
    image, points = face()
    moved = cv2.warpAffine(image, np.float32([[1, 0, 6], [0, 1, -4]]), image.shape[1::-1])
    assert np.abs(faces.find(moved, "moved").landmarks - points - (6, -4)).mean() < 1.5


def test_landmarks_of_a_face_stay_and_those_of_none_move_with_their_box():
    image, points = face()
    dlib = finder().finder
    assert unsteadiness(image, points, dlib) < 0.05
    noise = np.random.default_rng(0).integers(0, 255, image.shape).astype(np.uint8)
    assert unsteadiness(noise, points, dlib) > 0.12
    assert unsteadiness(np.zeros_like(image), points, dlib) > 0.12


def test_several_faces_are_counted_from_the_left_and_the_largest_is_taken(faces, capsys):
    image = scaled(face()[0], 2)
    both = beside(scaled(image, 0.7), image)
    small, large = faces.all(both)
    assert small.size < 0.8 * large.size and small.middle[0] < large.middle[0]
    assert faces.find(both, "clip, frame 3") is large
    warning = capsys.readouterr().err
    assert "clip, frame 3: 2 faces; the largest is taken, number 2 from the left" in warning
    assert FaceFinder(faces.finder, number=1).find(both, "").size == small.size
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="clip: --face 3, but 2 faces are in it"):
        FaceFinder(faces.finder, number=3).find(both, "clip")
    with pytest.raises(UserError, match="--face 0: faces are counted from 1"):
        FaceFinder(faces.finder, number=0)


def test_the_same_one_is_followed_when_another_is_larger_later(faces):
    """The subject stays as large; a bystander is larger in the onset, smaller in the apex."""
    image = scaled(face()[0], 2)
    onset = beside(scaled(image, 1.2), image)
    smaller = scaled(image, 0.85)
    more = scaled(image, 1.2).shape[1] - smaller.shape[1]
    sides = (0, 0), (more // 2, more - more // 2), (0, 0)
    apex = beside(np.pad(smaller, sides, mode="edge"), image)
    apex = np.pad(apex, ((onset.shape[0] - apex.shape[0], 0), (0, 0), (0, 0)))
    assert onset.shape == apex.shape
    for number, side in ((1, 0), (2, 1)):
        chosen = FaceFinder(faces.finder, number=number)
        first, second = chosen.pair(onset, apex, "clip")
        middle = onset.shape[1] / 2
        assert (first.middle[0] > middle) == (second.middle[0] > middle) == bool(side)
    first, second = faces.pair(onset, apex, "clip")  # the largest of the onset, not of each
    assert first.middle[0] < middle and second.middle[0] < middle


def test_a_face_in_one_frame_alone_is_no_pair(faces):
    image, _ = face()
    black, noise = np.zeros_like(image), np.random.default_rng(0).integers(0, 255, image.shape)
    for other in (black, noise.astype(np.uint8)):
        with pytest.raises(NoFaceError, match="c1: the face of the onset frame is not in the apex"):
            faces.pair(image, other, "c1")
        with pytest.raises(NoFaceError, match="c1: no face in the onset frame"):
            faces.pair(other, image, "c1")
        with pytest.raises(NoFaceError, match="c1: no face found by dlib, neither"):
            faces.pair(other, other, "c1")
    elsewhere = np.roll(np.pad(image, ((0, 0), (0, 400), (0, 0))), 400, axis=1)
    with pytest.raises(NoFaceError, match="not in the apex"):
        faces.pair(np.pad(image, ((0, 0), (0, 400), (0, 0))), elsewhere, "c1")


class Blinking:
    """A landmark finder whose detector sees nothing."""

    name = "dlib"

    def __init__(self):
        self.in_box, self.box_of = finder().finder.in_box, finder().finder.box_of

    def boxes(self, image):
        return []


def test_what_the_detector_misses_is_followed(faces):
    image, points = face()
    blind = FaceFinder(Blinking())
    known = faces.find(image, "")
    moved = np.roll(image, (3, -2), axis=(0, 1))
    found = blind.again(moved, known)
    assert found.found_by == "followed"
    assert np.abs(found.landmarks - points - (-2, 3)).mean() < 2
    assert blind.again(np.zeros_like(image), known) is None


def test_a_picture_is_looked_at_once_also_in_the_next_run(tmp_path, faces, monkeypatch):
    image, _ = face()
    first = FaceFinder(faces.finder, cache=tmp_path)
    found = first.all(image)
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr("data.faces.find_faces", None)  # would fail if called
    assert first.all(image.copy()) is found
    (again,) = FaceFinder(faces.finder, cache=tmp_path).all(image)
    assert np.array_equal(again.landmarks, found[0].landmarks)
    assert again.found_by == found[0].found_by == "detector"
    monkeypatch.undo()
    kept.write_bytes(kept.read_bytes()[:40])
    (anew,) = FaceFinder(faces.finder, cache=tmp_path).all(image)
    assert np.array_equal(anew.landmarks, found[0].landmarks)


def test_a_4k_frame_is_reduced_before_it_is_looked_at(faces):
    sizes = []

    class Watched(Blinking):
        def boxes(self, image):
            sizes.append(max(image.shape[:2]))
            return finder().finder.boxes(image)

    image = np.zeros((2160, 3840, 3), np.uint8)
    image[500:1500, 1200:2320] = cv2.resize(face()[0], (1120, 1000))
    (found,) = find_faces(image, Watched())
    assert max(sizes) <= 1280
    assert np.abs(found.landmarks - (face()[1] * 4 + (1200, 500))).mean() < 8


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "clip"
    write_frames(folder, draw_clip(pixels=2.5, seed=3))
    return folder


def predict(*arguments):
    return call("predict.py", *arguments, "--json")


@pytest.mark.parametrize("count", [1, 3])
def test_the_onset_is_the_first_frame_with_the_face(clip, count):
    import json

    whole = json.loads(predict("--clip", clip).stdout)
    for number in range(count):
        picture = np.zeros((250, 280, 3), np.uint8)
        cv2.imwrite(str(clip / f"image{99 - number}.png"), picture)
    done = predict("--clip", clip)
    found = json.loads(done.stdout)
    assert found["onset"] == 100
    assert found["face"] == {"onset": "detector", "apex": "detector"}
    assert {k: found[k] for k in ("apex", "classes")} == {k: whole[k] for k in ("apex", "classes")}


def test_predict_refuses_what_shows_no_face(clip, tmp_path):
    empty = tmp_path / "empty"
    write_frames(empty, np.zeros((8, 250, 280, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "cat.png"), skimage.data.chelsea())
    cv2.imwrite(str(clip / "image99.png"), np.zeros((250, 280, 3), np.uint8))
    for arguments, fault in (
        (("--clip", empty), "no face found by dlib in 8 frames"),
        (("--clip", tmp_path / "cat.png"), "no face found by dlib"),
        (("--clip", clip, "--onset", 99, "--apex", 106), "no face in the onset frame"),
    ):
        done = predict(*arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert fault in done.stderr.splitlines()[-1]


def test_predict_follows_the_face_that_is_asked_for(tmp_path):
    """Two people; the left one smiles, the right one keeps still."""
    import json

    moving = draw_clip(pixels=2.5, seed=3)
    still = np.stack([moving[0]] * len(moving))
    grain = np.random.default_rng(0).integers(-2, 3, still.shape)
    still = np.clip(still.astype(int) + grain, 0, 255).astype(np.uint8)
    wide = np.stack([beside(a, scaled(b, 0.8)) for a, b in zip(moving, still)])
    write_frames(tmp_path / "two", wide)
    done = predict("--clip", tmp_path / "two")
    assert "2 faces; the largest is taken, number 1 from the left" in done.stderr
    left = json.loads(done.stdout)
    assert left == json.loads(predict("--clip", tmp_path / "two", "--face", 1).stdout)
    right = json.loads(predict("--clip", tmp_path / "two", "--face", 2).stdout)
    assert left["action_units"]["12"] > 0.5 > right["action_units"]["12"]
