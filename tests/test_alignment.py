"""Where the face lies in ready maps: found in sets of known crops, given, or left alone."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from data.clip_set import MotionFrom, load_clips
from data.motion import maps as ready
from data.motion.alignment import (
    FEWEST,
    OWN_FRAME,
    SURE,
    MapFrame,
    find_frame,
    into_frame,
    parse_frame,
)
from loso.settings import Settings
from synthetic.motion.domains import HELD_OUT, PLAIN
from synthetic.motion.pairs import make_motion

FRAMES = {
    "tight": MapFrame(0.27, 0.73, 0.37, 0.78),
    "high": MapFrame(0.24, 0.76, 0.29, 0.70),
    "loose": MapFrame(0.34, 0.64, 0.40, 0.70),
    "tall": MapFrame(0.28, 0.72, 0.30, 0.76),
}


@pytest.fixture(scope="module")
def drawn():
    """Maps (96, 3, 28, 28) in this project's frame."""
    exact = tuple(replace(domain, crop_shift=0, crop_scale=0) for domain in (PLAIN, *HELD_OUT))
    return make_motion(96, 11, exact).maps


def in_crop(maps, frame, size=28, seed=0):
    """Maps in this project's frame as another crop shows them: 8 bits over their own range."""
    at = (np.arange(size) + 0.5) / size
    x, y = (
        ((scale * at + corner) * maps.shape[-1] - 0.5).astype(np.float32)
        for scale, corner in zip(frame.scale, frame.corner)
    )
    grid = np.meshgrid(x, y)
    crops = np.stack([[cv2.remap(c, *grid, cv2.INTER_LINEAR) for c in one] for one in maps])
    noise = np.random.default_rng(seed).normal(0, 1, crops.shape)
    crops += 0.1 * crops.std((2, 3), keepdims=True) * noise.astype(np.float32)
    low, high = (end(crops, (2, 3), keepdims=True) for end in (np.min, np.max))
    return np.round((crops - low) / (high - low) * 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["high", "loose", "tall"])
def test_the_face_is_found_in_a_set_of_a_known_crop(drawn, name):
    found, unsure = find_frame(in_crop(drawn, FRAMES[name]))
    assert found.marks == pytest.approx(FRAMES[name].marks, abs=0.04)
    assert unsure < SURE


def test_a_border_of_hot_pixels_changes_nothing(drawn):
    crops = in_crop(drawn, FRAMES["tight"])
    crops[::2, :, 0], crops[::3, :, :, -1] = 255, 0
    found, _ = find_frame(crops)
    assert found.marks == pytest.approx(FRAMES["tight"].marks, abs=0.04)


def test_mirrored_maps_have_a_mirrored_frame(drawn):
    crops = in_crop(drawn, MapFrame(0.22, 0.66, 0.36, 0.75)).astype(np.float32)
    mirrored = crops[..., ::-1] * np.array([-1, 1, 1], np.float32)[:, None, None]
    one, other = find_frame(crops)[0], find_frame(mirrored)[0]
    assert other.left_eye == pytest.approx(1 - one.right_eye, abs=0.03)
    assert (other.eyes, other.mouth) == pytest.approx((one.eyes, one.mouth), abs=0.03)


def test_too_few_maps_are_unsure(drawn):
    assert find_frame(in_crop(drawn, FRAMES["tight"])[: FEWEST - 1]) == (OWN_FRAME, np.inf)


def test_maps_that_do_not_agree_are_unsure(drawn):
    halves = [in_crop(drawn[:24], FRAMES[name]) for name in ("high", "loose")]
    mixed = np.stack([*halves, *halves], 1)  # one frame a group: they are every fourth
    mixed = mixed.reshape(-1, *mixed.shape[2:])
    assert find_frame(mixed)[1] > SURE


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("size", [28, 64])
def test_sampled_maps_are_those_of_this_projects_frame(drawn, name, size):
    for one, crop in zip(drawn[:6], in_crop(drawn[:6], FRAMES[name], size)):
        back = into_frame(crop, FRAMES[name])
        assert back.shape == (3, 28, 28) and back.dtype == np.float32
        inner = np.s_[6:22, 6:22]
        for channel in range(3):
            found = np.corrcoef(back[channel][inner].ravel(), one[channel][inner].ravel())[0, 1]
            assert found > 0.8


def test_u_and_v_are_in_shares_of_this_frame_and_strain_keeps_its_scale():
    frame = MapFrame(0.25, 0.75, 0.35, 0.73)  # widths of 0.8, heights of 1
    made = into_frame(np.ones((3, 28, 28)), frame)
    assert made.mean((1, 2)) == pytest.approx([0.8, 1, 1])


@given(st.floats(0.1, 0.4), st.floats(0.6, 0.9), st.floats(0.1, 0.5), st.floats(0.61, 1.2))
def test_scale_and_corner_lay_the_marks_on_this_projects(left, right, eyes, mouth):
    frame = MapFrame(left, right, eyes, mouth)
    for (x, y), (own_x, own_y) in (
        ((left, eyes), (OWN_FRAME.left_eye, OWN_FRAME.eyes)),
        ((right, mouth), (OWN_FRAME.right_eye, OWN_FRAME.mouth)),
    ):
        assert frame.scale * (x, y) + frame.corner == pytest.approx([own_x, own_y])


def test_the_setting():
    assert parse_frame("auto") is None
    assert parse_frame("own") == OWN_FRAME
    assert parse_frame("0.27,0.73, 0.37,0.78") == FRAMES["tight"]
    for wrong in ("", "mine", "0.3,0.7,0.33", "0.3,0.7,0.33,nan", "0.7,0.3,0.3,0.7", "27,73,37,78"):
        with pytest.raises(UserError, match="--map-frame") as caught:
            Settings(map_frame=wrong)
        assert "\n" not in str(caught.value)


# ---- sets of files


def write_set(folder, crops, data="smic", **more):
    """An index of maps written below a folder."""
    for number, one in enumerate(crops):
        np.save(folder / f"{data}_{number}.npy", one)
    rows = range(len(crops))
    return pd.DataFrame({
        "data": data, "subject": [f"{n % 5:02d}" for n in rows], "clip": [f"c{n}" for n in rows],
        "data_sub": [f"{data}_{n % 5:02d}" for n in rows], "label": [n % 3 for n in rows],
        "motion_path": [f"{data}_{n}.npy" for n in rows],
    }).assign(**more)  # fmt: skip


def test_a_found_frame_is_said_and_used(drawn, tmp_path, capsys):
    index = write_set(tmp_path, in_crop(drawn, FRAMES["loose"]))
    found = ready.ready_maps(index, tmp_path)
    said = capsys.readouterr().out
    assert said.startswith("ready maps: eyes at 0.3")
    assert said.endswith(": sampled into the project's frame\n")
    assert found.made_by == f"motion_path; smic {found.frames['smic']}"
    given_frame = ready.ready_maps(index, tmp_path, frame=found.frames["smic"])
    assert np.array_equal(found.maps, given_frame.maps)
    as_they_are = ready.ready_maps(index, tmp_path, frame=OWN_FRAME)

    def likeness(maps):
        return np.mean([np.corrcoef(a[1].ravel(), b[1].ravel())[0, 1] for a, b in zip(maps, drawn)])

    assert likeness(found.maps) > likeness(as_they_are.maps) + 0.1
    assert as_they_are.made_by == "motion_path"


def test_maps_of_this_projects_frame_are_left_as_they_are(drawn, tmp_path, capsys):
    index = write_set(tmp_path, drawn)
    found = ready.ready_maps(index, tmp_path)
    assert found.frames == {"smic": OWN_FRAME}
    assert "this project's frame, left as they are" in capsys.readouterr().out
    assert np.array_equal(found.maps, ready.ready_maps(index, tmp_path, frame=OWN_FRAME).maps)


def test_few_maps_are_left_as_they_are_with_a_warning(drawn, tmp_path, capsys):
    index = write_set(tmp_path, drawn[:5])
    assert ready.ready_maps(index, tmp_path).frames == {"smic": OWN_FRAME}
    assert (
        "where the face lies in these 5 is not found (too few to tell)" in capsys.readouterr().err
    )


def test_maps_that_the_index_calls_own_are_not_looked_at(drawn, tmp_path, capsys):
    index = write_set(tmp_path, drawn[:3], motion_frame="own")
    found = ready.ready_maps(index, tmp_path)
    assert np.array_equal(found.maps, drawn[:3])
    assert capsys.readouterr() == ("", "")
    with pytest.raises(UserError, match="motion_frame 'other': own, or nothing"):
        ready.ready_maps(index.assign(motion_frame="other"), tmp_path)


def test_a_large_corpus_may_have_a_frame_of_its_own(monkeypatch, capsys):
    one, other = FRAMES["tight"], FRAMES["loose"]
    counts = {"smic": (1, 70), "casme2": (2, 70), "samm": (2, 10)}
    data = [name for name, (_, count) in counts.items() for _ in range(count)]
    raw = {i: np.full((3, 9, 9), counts[name][0]) for i, name in enumerate(data)}
    monkeypatch.setattr(ready, "find_frame", lambda maps: (other if maps.min() == 2 else one, 0.0))
    frames = ready.find_frames(raw, data)
    assert frames == {"smic": one, "casme2": other, "samm": one}
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["ready maps", "ready maps of casme2"]


def test_both_phases_are_read(drawn, tmp_path, capsys):
    index = write_set(tmp_path, drawn[:4], motion_frame="own")
    for number in (0, 1):
        np.save(tmp_path / f"offset_{number}.npy", -drawn[number])
    (tmp_path / "offset_2.npy").write_text("no map")
    index["motion_offset_path"] = ["offset_0.npy", "offset_1.npy", "offset_2.npy", ""]
    (tmp_path / "smic_0.npy").unlink()
    clips = load_clips(index, None, tmp_path, None, motion=MotionFrom(28, "dis", tmp_path))
    assert clips.index["clip"].tolist() == ["c1", "c2", "c3"]
    assert np.array_equal(clips.motion.numpy(), drawn[1:4])
    assert np.array_equal(clips.motion_offset[0].numpy(), -drawn[1])
    assert not clips.motion_offset[1:].any()
    said = capsys.readouterr().err
    assert "smic_02 c2: no map from apex to offset: " in said
    assert "2 of 4 clips have no map from apex to offset, which is 0 then" in said
    alone = index.drop(columns="motion_offset_path")[1:]
    clips = load_clips(alone, None, tmp_path, None, motion=MotionFrom(28, "dis", tmp_path))
    assert clips.motion_offset is None
