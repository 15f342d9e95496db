"""The measures of apex spotting and the apex of one clip."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from apex_clips import APEX, FRAMES, draw_clip, face, finder, write_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from data.apex.cells import CELL_NAMES, cell_values, cells_curve, face_cells
from data.apex.pattern import pattern_curve
from data.apex.plot import plot_apex
from data.apex.spotting import ApexSettings, all_frames, find_apex, frames_between
from data.disk.clip_frames import read_frames
from data.face_search import FoundFace
from data.faces import FaceFinder

GOLDEN = np.load(Path(__file__).parent / "golden" / "apex_small.npz")
PATTERN, CELLS = ApexSettings("dlib"), ApexSettings("dlib", method="cells")


class Seeing(FaceFinder):
    """A face finder that sees the face only in the pictures that `sees` says, and counts them."""

    def __init__(self, sees=lambda image: True):
        super().__init__(finder().finder)
        self.sees, self.asked = sees, 0

    def all(self, image):
        self.asked += 1
        return [FoundFace(face()[1], "detector")] if self.sees(image) else []


def test_cells_values_and_curve_equal_the_golden_numbers():
    frames, cells = GOLDEN["frames"], face_cells(GOLDEN["landmarks68"])
    assert [name.removesuffix("_rect") for name in GOLDEN["cell_names"]] == list(CELL_NAMES)
    assert np.array_equal(cells, GOLDEN["cell_rects"])
    values = [
        cell_values(frames[t], frames[t - 1], frames[0], frames[-1], cells)
        for t in range(1, len(frames))
    ]
    np.testing.assert_allclose(values, GOLDEN["out_cell_features"], atol=1e-4)
    curve = cells_curve(frames, cells, frames[-1])
    np.testing.assert_allclose(curve, GOLDEN["out_curve"], atol=1e-4)
    assert curve.argmax() == GOLDEN["out_apex"]


def test_cells_are_clipped_and_left_out_where_nothing_is_left():
    frames, cells = GOLDEN["frames"], face_cells(GOLDEN["landmarks68"])
    cut = frames[:, :, :120]  # right_eye begins at 138, right_lip reaches from 113 to 139
    four = cut[5], cut[4], cut[0], cut[-1]
    values = dict(zip(CELL_NAMES, cell_values(*four, cells), strict=True))
    assert np.isnan(values["right_eye"]) and np.isfinite(values["right_lip"])
    whole = cell_values(frames[5], frames[4], frames[0], frames[-1], cells)
    assert values["left_lip"] == whole[CELL_NAMES.index("left_lip")]
    curve = cells_curve(cut, cells, cut[-1])
    assert curve[5] == np.float32(np.nanmean(list(values.values())))


def test_pattern_finds_the_golden_apex():
    curve = pattern_curve(GOLDEN["frames"], face_cells(GOLDEN["landmarks68"]))
    assert abs(curve.argmax() - GOLDEN["out_apex"]) <= 1
    assert curve.max() == 1 and curve[0] == curve[-1] == 0


@settings(max_examples=15, deadline=None)
@given(apex=st.integers(4, 10), seed=st.integers(0, 10_000))
def test_pattern_is_close_to_the_truth_under_noise_and_head_motion(apex, seed):
    clip = draw_clip(apex=apex, seed=seed)
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip])
    assert abs(pattern_curve(grey, face_cells(face()[1])).argmax() - apex) <= 2


def test_pattern_does_not_care_about_brightness_or_the_direction_of_time():
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in draw_clip()])
    cells = face_cells(face()[1])
    curve = pattern_curve(grey, cells)
    dimmed = (grey * np.linspace(0.7, 1, FRAMES)[:, None, None]).astype(np.uint8)
    assert abs(pattern_curve(dimmed, cells).argmax() - curve.argmax()) <= 1
    np.testing.assert_allclose(pattern_curve(grey[::-1], cells)[::-1], curve, atol=1e-3)


def test_a_still_clip_has_a_flat_curve():
    still = np.repeat(GOLDEN["frames"][:1], 5, 0)
    curve = pattern_curve(still, face_cells(GOLDEN["landmarks68"]))
    assert np.isfinite(curve).all() and np.abs(curve).max() <= 1


def test_pattern_without_a_cell_in_the_frames_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="no cell"):
        pattern_curve(GOLDEN["frames"], np.full((10, 4), -5))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "frames"
    write_frames(folder, draw_clip())
    return folder


@pytest.mark.parametrize("every", [0, 1, 4])
def test_apex_of_a_folder(clip_folder, every):
    setting = ApexSettings("dlib", landmarks_every=every)
    apex = find_apex(all_frames(clip_folder), finder(), setting, "clip")
    assert abs(apex.frame - 100 - APEX) <= 1
    assert apex.numbers == tuple(range(100, 100 + FRAMES)) and len(apex.curve) == FRAMES


def test_the_cells_method_is_the_published_curve(clip_folder):
    apex = find_apex(all_frames(clip_folder), finder(), CELLS, "clip")
    grey = np.stack([image for _, image in read_frames(all_frames(clip_folder), grey=True)])
    onset = next(read_frames(all_frames(clip_folder)))[1]
    np.testing.assert_allclose(apex.curve, cells_curve(grey, face_cells(face_of(onset)), grey[-1]))
    assert apex.frame == 100 + np.argmax(apex.curve)


def test_landmarks_anew_in_every_frame_move_the_cells(clip_folder):
    setting = ApexSettings("dlib", method="cells", landmarks_every=1)
    apex = find_apex(all_frames(clip_folder), finder(), setting, "clip")
    images = [image for _, image in read_frames(all_frames(clip_folder))]
    grey = np.stack([image for _, image in read_frames(all_frames(clip_folder), grey=True)])
    cells = np.stack([face_cells(face_of(image)) for image in images])
    np.testing.assert_allclose(apex.curve, cells_curve(grey, cells, grey[-1]))


def face_of(image):
    return finder().find(image, "frame").landmarks


def test_landmarks_are_looked_for_once_a_clip(clip_folder):
    counting = Seeing()
    find_apex(all_frames(clip_folder), counting, PATTERN, "clip")
    assert counting.asked == 1


def test_a_face_that_the_detector_misses_at_first_is_followed_back(clip_folder, capsys):
    images = [image for _, image in read_frames(all_frames(clip_folder))]
    later = Seeing(lambda image: np.array_equal(image, images[2]))
    apex = find_apex(all_frames(clip_folder), later, PATTERN, "clip")
    assert apex.numbers[0] == 100 and apex.found_by == "followed"
    assert capsys.readouterr().err == ""


def test_a_clip_without_a_face_is_refused(tmp_path, clip_folder):
    with pytest.raises(UserError, match="clip 7: no face found by dlib in 15 frames"):
        blank = tmp_path / "blank"
        write_frames(blank, np.zeros((15, 250, 280, 3), np.uint8))
        find_apex(all_frames(blank), finder(), PATTERN, "clip 7")


@pytest.mark.parametrize("dark", [(0,), (0, 1, 2), (14,), (13, 14), (7,), (0, 6, 14)])
def test_frames_without_the_face_are_left_out(tmp_path, capsys, dark):
    frames = draw_clip().copy()
    frames[list(dark)] = 0
    write_frames(tmp_path / "clip", frames)
    apex = find_apex(all_frames(tmp_path / "clip"), finder(), PATTERN, "clip")
    shown = [100 + t for t in range(FRAMES) if t not in dark]
    assert list(apex.numbers) == shown
    assert abs(apex.frame - 100 - APEX) <= 2
    inside = [100 + t for t in dark if 100 + t > shown[0]]
    message = f"clip: the face is not in {len(inside)} of"
    assert (message in capsys.readouterr().err) == bool(inside)


def test_a_face_too_small_or_outside_is_named(clip_folder):
    for points, fault in ((face()[1] - 500, "outside the picture"), (face()[1] / 50, "too small")):
        lost = Seeing()
        lost.all = lambda image, points=points: [FoundFace(points, "detector")]
        with pytest.raises(UserError, match=f"clip: the face is too small.*outside|{fault}"):
            find_apex(all_frames(clip_folder), lost, PATTERN, "clip")


def test_a_long_clip_is_warned_of_and_a_recording_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("data.apex.spotting.LONG", 10)
    folder = tmp_path / "clip"
    write_frames(folder, draw_clip())
    find_apex(all_frames(folder), finder(), PATTERN, "clip")
    assert "clip: more than 10 frames; a micro-expression lasts half a second" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr("data.apex.spotting.MOST", 13)
    with pytest.raises(UserError, match="clip: more than 13 frames; cut the clip"):
        find_apex(all_frames(folder), finder(), PATTERN, "clip")


def write_video(path: Path, clip: np.ndarray) -> None:
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (clip.shape[2], clip.shape[1])
    )
    for image in clip:
        writer.write(image[:, :, ::-1])
    writer.release()


def test_apex_of_a_video(tmp_path):
    path = tmp_path / "clip.avi"
    write_video(path, draw_clip())
    apex = find_apex(all_frames(path), finder(), PATTERN, "clip")
    assert abs(apex.frame - APEX) <= 1 and apex.numbers == tuple(range(FRAMES))


def test_a_video_that_cannot_be_decoded(tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(b"RIFF, but no video" * 100)
    with pytest.raises(UserError, match=r"clip\.avi: not a video that OpenCV can decode"):
        find_apex(all_frames(path), finder(), PATTERN, "clip")


def test_a_video_that_is_cut_off_is_used_as_far_as_it_goes(tmp_path, capsys):
    path = tmp_path / "clip.avi"
    write_video(path, draw_clip())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    apex = find_apex(all_frames(path), finder(), PATTERN, "clip")
    assert 3 <= len(apex.numbers) < FRAMES
    assert f"{len(apex.numbers)} of {FRAMES} frames can be decoded" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_hold_no_apex(tmp_path, count):
    write_frames(tmp_path / "clip", draw_clip()[:count])
    with pytest.raises(UserError, match=f"clip: {count} frames?; .* takes three"):
        find_apex(all_frames(tmp_path / "clip"), finder(), PATTERN, "clip")
    write_video(tmp_path / "clip.avi", draw_clip()[:count])
    with pytest.raises(UserError, match=f"clip: {count} frames?; .* takes three"):
        find_apex(all_frames(tmp_path / "clip.avi"), finder(), PATTERN, "clip")


def test_three_frames_have_their_apex_in_the_middle(tmp_path):
    write_frames(tmp_path / "clip", draw_clip(frames=3, apex=1))
    assert find_apex(all_frames(tmp_path / "clip"), finder(), PATTERN, "clip").frame == 101


def test_an_empty_folder_and_no_folder(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="no images in this folder"):
        all_frames(tmp_path)
    with pytest.raises(UserError, match="no such folder of frames or video"):
        all_frames(tmp_path / "absent")


def test_onset_after_offset(clip_folder):
    with pytest.raises(UserError, match="clip: onset 110 comes after offset 104"):
        frames_between(clip_folder, 110, 104, "clip")


def test_frames_of_different_sizes(tmp_path):
    write_frames(tmp_path / "clip", draw_clip())
    image = cv2.imread(str(tmp_path / "clip" / "image107.png"))
    cv2.imwrite(str(tmp_path / "clip" / "image107.png"), image[:-10])
    with pytest.raises(UserError, match="frame 107 is 280 x 240, the onset 280 x 250"):
        find_apex(all_frames(tmp_path / "clip"), finder(), PATTERN, "clip")


@pytest.mark.parametrize("number", [100, 107])
def test_a_corrupt_frame_is_named(tmp_path, number):
    write_frames(tmp_path / "clip", draw_clip())
    path = tmp_path / "clip" / f"image{number}.png"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=rf"image{number}\.png: the image is cut off"):
        find_apex(all_frames(tmp_path / "clip"), finder(), PATTERN, "clip")


def test_a_gap_in_the_numbering_is_left_out_with_a_warning(tmp_path, capsys):
    folder = tmp_path / "clip"
    write_frames(folder, draw_clip())
    for number in (109, 110):
        (folder / f"image{number}.png").unlink()
    frames = frames_between(folder, 100, 114, "clip")
    assert list(frames) == [*range(100, 109), *range(111, 115)]
    expected = "clip: 2 frame numbers missing between 100 and 114, the first 109"
    assert expected in capsys.readouterr().err
    assert abs(find_apex(frames, finder(), PATTERN, "clip").frame - 106) <= 1


def test_ends_that_are_missing_fall_back_to_near_frames(clip_folder, capsys):
    assert list(frames_between(clip_folder, 98, 115, "a"))[:: FRAMES - 1] == [100, 114]
    warnings = capsys.readouterr().err
    assert "a: no onset frame 98; the nearest, 100, stands in" in warnings
    assert "a: no offset frame 115; the nearest, 114, stands in" in warnings
    with pytest.raises(UserError, match="a: no offset frame 117, nor one within two"):
        frames_between(clip_folder, 100, 117, "a")


def test_plot(clip_folder, tmp_path):
    apex = find_apex(all_frames(clip_folder), finder(), PATTERN, "clip")
    plot_apex(apex, "clip", tmp_path / "a" / "clip.png")
    picture = cv2.imread(str(tmp_path / "a" / "clip.png"))
    red = (picture[:, :, 2] > 180) & (picture[:, :, :2] < 80).all(2)
    assert red.any(0).sum() < picture.shape[1] / 3 and red.sum() > 100  # the pick is marked
