"""Motion maps: geometry, flow, cache, ready maps, and what is wrong with some input."""

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_faces import moved

from common.errors import UserError
from data.clip_set import MotionFrom, load_clips
from data.faces import FaceFinder
from data.motion.flow import (
    clip_motion,
    face_frame,
    face_mask,
    motion_map,
    remove_head_motion,
    resize,
    similarity,
    strain,
)
from data.motion.maps import motion_maps, read_map, ready_maps

FACE = np.ascontiguousarray(skimage.data.astronaut()[20:260, 100:340])


@pytest.fixture(scope="module")
def points(finder):
    return finder.find(FACE, "face").landmarks


class Counting(FaceFinder):
    """A face finder that counts the pictures that it has looked at."""

    calls = 0

    def all(self, image):
        self.calls += 1
        return super().all(image)


def pair(faces, onset, apex):
    return faces.pair(onset, apex, "clip")


def turn(degrees, dx, dy):
    matrix = cv2.getRotationMatrix2D((120, 120), degrees, 1)
    matrix[:, 2] += dx, dy
    return matrix


def at(frame, point, size=28):
    x, y, _ = np.linalg.inv(frame) @ [*point, 1]
    return np.s_[round(y * size - 0.5), round(x * size - 0.5)]


def test_frame_puts_eyes_and_chin_in_place(points):
    frame, aspect = face_frame(points)
    inside = np.linalg.inv(frame)
    for group, (x, y) in ((slice(36, 42), (0.3, 0.33)), (slice(42, 48), (0.7, 0.33))):
        assert (inside @ [*points[group].mean(0), 1])[:2] == pytest.approx([x, y], abs=1e-6)
    assert (inside @ [*points[8], 1])[1] == pytest.approx(0.95, abs=1e-6)
    assert 0.9 <= aspect <= 1.7


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_similarity_finds_what_made_the_points(angle, scale, dx, dy):
    rng = np.random.default_rng(0)
    source = rng.normal(0, 10, (10, 2))
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(source, source @ matrix.T + [dx, dy])
    assert found[:2, :2] == pytest.approx(matrix, abs=1e-8)
    assert found[:2, 2] == pytest.approx([dx, dy], abs=1e-7)


def test_strain_of_known_deformations():
    side = 40
    x, y = np.meshgrid(*[(np.arange(side) + 0.5) / side] * 2)
    stretch = np.stack([0.03 * x, 0 * y])[None]
    assert strain(stretch, [1.0]) == pytest.approx(np.full((1, side, side), 0.03))
    # v = b y' with y' = aspect * y in face widths: eyy = b.
    tall = np.stack([0 * x, 0.02 * 1.5 * y])[None]
    assert strain(tall, [1.5]) == pytest.approx(np.full((1, side, side), 0.02))
    shear = np.stack([0.04 * y, 0 * x])[None]  # exy = 0.02
    assert strain(shear, [1.0]) == pytest.approx(np.full((1, side, side), 0.02 * np.sqrt(2)))
    rotation = np.stack([-0.05 * y, 0.05 * x])[None]
    assert strain(rotation, [1.0]) == pytest.approx(np.zeros((1, side, side)), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6), st.floats(0.1, 300))
def test_head_motion_leaves_and_expression_stays(plane, scale):
    side = 56
    x, y = np.meshgrid(*[(np.arange(side) + 0.5) / side * 2 - 1] * 2)
    spot = 0.02 * np.exp(-((x - 0.3) ** 2 + (y - 0.5) ** 2) / 0.01)
    flow = np.stack(
        [plane[0] + plane[1] * x + plane[2] * y, plane[3] + plane[4] * x + plane[5] * y]
    )
    rest = remove_head_motion(scale * (flow + spot)[None])[0] / scale
    assert np.abs(rest - spot).max() < 0.002
    assert rest[0].argmax() == spot.argmax()


@pytest.mark.parametrize("flow", ["dis", "tvl1"])
def test_map_shows_a_local_movement_despite_the_heads(points, finder, flow):
    frame, _ = face_frame(points)
    width = np.linalg.norm(frame[:2, 0])
    corners = points[[48, 54]]
    apex = moved(FACE, corners, [(-3, -2), (3, -2)], head=turn(2, 6, -4))
    made = clip_motion(FACE, apex, pair(finder, FACE, apex), flow=flow)
    assert made.shape == (3, 28, 28)
    assert made.dtype == np.float32
    left, right = at(frame, corners[0]), at(frame, corners[1])
    assert made[0][left] * width == pytest.approx(-3, abs=1.2)
    assert made[0][right] * width == pytest.approx(3, abs=1.2)
    assert made[1][left] * width == pytest.approx(-2, abs=1.2)
    assert made[1][right] * width == pytest.approx(-2, abs=1.2)
    upper = made[:2, 4:10, 6:22]  # brows and forehead keep still
    assert np.abs(upper).mean() * width < 0.4
    assert np.all(made[:, resize(face_mask(56), 28) == 0] == 0)


def test_map_size_is_free_and_scale_stays(points):
    apex = moved(FACE, points[[19, 24]], [(0, -3), (0, -3)])
    small, large = (motion_map(FACE, apex, points, points, size) for size in (28, 56))
    assert large.shape == (3, 56, 56)
    # Area means of the large map are the small one, up to the strain's finer gradient.
    shrunk = cv2.resize(large[1], (28, 28), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shrunk.ravel(), small[1].ravel())[0, 1] > 0.98
    assert small[1].min() == pytest.approx(shrunk.min(), rel=0.15)


def test_equal_pictures_have_no_motion(finder):
    with pytest.raises(UserError, match=r"clip 7: onset and apex are the same picture"):
        clip_motion(FACE, FACE.copy(), pair(finder, FACE, FACE), where="clip 7")
    with pytest.raises(UserError, match=r"onset is 240 x 240 pixels, apex 120 x 240"):
        clip_motion(FACE, FACE[:, :120], pair(finder, FACE, FACE))


def test_points_that_span_no_face():
    with pytest.raises(UserError, match=r"clip 7: the landmarks span 0 pixels"):
        face_frame(np.zeros((68, 2), np.float32), "clip 7")


def own_range(made):
    """A map as published ones come: 8 bits, each channel over its own range."""
    low, high = made.min((1, 2), keepdims=True), made.max((1, 2), keepdims=True)
    return np.moveaxis(np.round((made - low) / (high - low) * 255), 0, -1).astype(np.uint8)


def write_rgb(path, image):
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.mark.parametrize("size", [28, 56, 130])
def test_ready_map_means_the_same_in_any_scale_and_size(points, tmp_path, size):
    apex = moved(FACE, points[[48, 54]], [(-3, -2), (3, -2)])
    made = motion_map(FACE, apex, points, points)
    large = cv2.resize(own_range(made), (size, size), interpolation=cv2.INTER_LINEAR)
    ready = read_map(write_rgb(tmp_path / "map.png", large))
    assert ready.shape == (3, 28, 28)
    for channel in range(3):
        assert np.corrcoef(ready[channel].ravel(), made[channel].ravel())[0, 1] > 0.96


def test_ready_map_as_array(points, tmp_path):
    made = motion_map(FACE, moved(FACE, points[[48]], [(-3, -2)]), points, points)
    np.save(tmp_path / "map.npy", made)
    assert np.corrcoef(read_map(tmp_path / "map.npy")[0].ravel(), made[0].ravel())[0, 1] > 0.99


def test_wrong_ready_maps_are_one_line(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (28, 28, 4)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), noise[..., 0])
    cv2.imwrite(str(tmp_path / "flat.png"), np.dstack([noise[..., 0], *[noise[..., 0] * 0] * 2]))
    np.save(tmp_path / "two.npy", np.zeros((2, 28, 28)))
    np.save(tmp_path / "nan.npy", np.full((3, 28, 28), np.nan))
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.npy").write_text("no array")
    for name, fault in {
        "grey.png": "a grey image",
        "two.npy": "a motion map is",
        "nan.npy": "not finite",
        "text.png": "not an image",
        "text.npy": "not readable as an array",
        "gone.png": "No such file",
    }.items():
        with pytest.raises(UserError, match=fault) as caught:
            read_map(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    flat = np.zeros((28, 28, 3), np.uint8)
    flat[..., 0], flat[..., 1] = 10, 20
    with pytest.raises(UserError, match="constant map"):
        read_map(write_rgb(tmp_path / "constant.png", flat))


@pytest.fixture
def clips(tmp_path, points):
    """Three clips of frames on disk; the last has one frame, which is its onset and apex."""
    rows = []
    for name, apex in (("a", moved(FACE, points[[48]], [(-3, -2)])), ("b", FACE), ("c", None)):
        write_rgb(tmp_path / f"{name}_0.png", FACE)
        if apex is not None:
            write_rgb(tmp_path / f"{name}_1.png", apex)
        last = f"{name}_0.png" if apex is None else f"{name}_1.png"
        rows.append({
            "data_sub": "smic_01", "clip": name, "onset_frame_path": f"{name}_0.png",
            "apex_frame_path": last,
        })  # fmt: skip
    return pd.DataFrame(rows)


def test_clips_without_a_map_are_told_and_nan(clips, finder, tmp_path):
    maps, faults = motion_maps(clips, tmp_path, faces=finder)
    assert np.isfinite(maps).all((1, 2, 3)).tolist() == [True, False, False]
    assert set(faults) == {1, 2}
    assert "onset and apex are the same picture" in faults[1]
    assert faults[2].startswith("onset and apex are the same frame")


def test_clips_without_a_map_are_named_counted_and_left_out(clips, finder, tmp_path, capsys):
    clips = clips.assign(data="smic", subject="01", label=0)
    motion = MotionFrom(28, "dis", tmp_path / "cache")
    left = load_clips(clips, None, tmp_path, None, motion=motion)
    message = capsys.readouterr().err
    assert "skipped smic_01 b: " in message
    assert "skipped smic_01 c: onset and apex are the same frame" in message
    assert "2 of 3 clips are left out: they have no motion map" in message
    assert left.index["clip"].tolist() == ["a"]
    assert left.left_out == ("smic_01 b", "smic_01 c")
    assert len(left.motion) == 1
    with pytest.raises(UserError, match="none of the 2 clips can be read; the first: smic_01 b: "):
        load_clips(clips[1:], None, tmp_path, None, motion=motion)
    with pytest.raises(UserError, match=r"smic_01 b: .*same picture.*\(--strict\)"):
        load_clips(clips, None, tmp_path, None, motion=motion, strict=True)


def test_maps_are_computed_once(clips, finder, tmp_path):
    clips, cache = clips[:1], tmp_path / "cache"
    first = Counting(finder.finder)
    maps, _ = motion_maps(clips, tmp_path, cache=cache, faces=first)
    assert first.calls == 2
    again = Counting(finder.finder)
    assert np.array_equal(motion_maps(clips, tmp_path, cache=cache, faces=again)[0], maps)
    assert again.calls == 0
    assert len(list(cache.iterdir())) == 1
    # Another size, and another picture in the file's place, are other maps.
    motion_maps(clips, tmp_path, size=20, cache=cache, faces=again)
    assert again.calls == 2
    write_rgb(tmp_path / "a_1.png", np.roll(FACE, 2, axis=0))
    motion_maps(clips, tmp_path, cache=cache, faces=again)
    assert again.calls == 4


def test_index_with_ready_maps_needs_no_frames(tmp_path, points):
    made = motion_map(FACE, moved(FACE, points[[48]], [(-3, -2)]), points, points)
    write_rgb(tmp_path / "m.png", own_range(made))
    index = pd.DataFrame({
        "data": ["smic"], "data_sub": ["a"], "clip": ["b"], "motion_path": ["m.png"],
    })  # fmt: skip
    ready = ready_maps(index, tmp_path)
    assert np.array_equal(ready.maps[0], read_map(tmp_path / "m.png"))
    assert (ready.offset, ready.faults, ready.made_by) == (None, {}, "motion_path")


def test_cache_file_that_is_cut_off_is_made_anew(clips, finder, tmp_path):
    cache = tmp_path / "cache"
    maps, _ = motion_maps(clips[:1], tmp_path, cache=cache, faces=finder)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(motion_maps(clips[:1], tmp_path, cache=cache, faces=finder)[0], maps)
