"""spot.py: a drawn smile is found, named and written down; runs go on; faults are lines."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip
from conftest import call
from hypothesis import given
from hypothesis import strategies as st
from timed_videos import write_timed

from data.disk.video_file import timed_frames
from data.landmarks import load_landmark_finder
from data.spotting import track as tracks
from data.spotting.actions import COLUMNS, action_reader, unit_levels
from data.spotting.curves import RATE, at_rate, curve_channels
from data.spotting.follow import Follower
from data.spotting.intervals import candidates, overlap
from data.spotting.looks import SIDE, take_look, whole_motion
from data.spotting.reader import open_film, read_film, read_some
from data.spotting.track import Track, follow_film
from deca.anny.head import load_head
from loso.spot_files import boxes
from loso.spotting import kind_of, load_spotter, name_units, score_moments
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import generator
from synthetic.demo.render import render

ONSET, RISE, FRAMES = 50, 5, 120  # the smile is there and gone in a third of a second
FOUND = (ONSET, ONSET + 2 * RISE)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """A face that smiles once, in a larger picture: grey (240, 320), with noise and a slow sway."""
    setting = sample_setting(generator(4, "spot"))
    figure = build_figure(sample_person(4, "smic", "02"), False)
    smile = {"mouthSmileLeft": 0.35, "mouthSmileRight": 0.35, "cheekSquintLeft": 0.3,
             "cheekSquintRight": 0.3}  # fmt: skip
    course = np.sin(np.pi / 2 * np.arange(RISE + 1) / RISE) ** 2
    actions = course[:, None].astype(np.float32) * load_head().action_vector(smile).numpy()
    faces = (render(figure, setting, actions, np.zeros((RISE + 1, 3))) * 255).mean(-1)
    rng = np.random.default_rng(0)
    shown = []
    for t in range(FRAMES):
        step = int(np.clip(RISE - abs(t - ONSET - RISE), 0, RISE))
        shift = np.float32([[1, 0, 40 + 2 * np.sin(t / 25)], [0, 1, -20 + np.cos(t / 31)]])
        picture = cv2.warpAffine(faces[step], shift, (320, 240), borderMode=cv2.BORDER_REPLICATE)
        noisy = picture + rng.normal(0, 1.5, picture.shape)
        shown.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return shown


def write_video(path, frames, fps=30):
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, frames[0].shape[::-1])
    for frame in frames:
        film.write(np.dstack([frame] * 3))
    film.release()
    return path


@pytest.fixture(scope="module")
def smile(frames, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("films") / "smile.avi", frames)


@pytest.fixture(scope="module")
def spotted(smile, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    done = call("spot.py", "--video", smile, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_the_smile_is_found_and_named(spotted):
    out, done = spotted
    (one,) = json.loads((out / "smile/spotting.json").read_text())["intervals"]
    assert overlap((one["onset"], one["offset"]), FOUND) >= 0.5
    assert abs(one["apex"] - ONSET - RISE) <= 2
    assert one["kind"] == "micro" and one["label"] == "positive"
    assert 12 in [unit["unit"] for unit in one["units"][:2]]
    assert all(unit["side"] == "" for unit in one["units"] if unit["unit"] in (6, 12))
    assert 0.5 <= one["confidence"] <= 1 and sum(one["classes"].values()) == pytest.approx(1, 1e-3)
    assert one["onset_s"] == pytest.approx(one["onset"] / 30, abs=1e-3)
    assert "smile: 1 micro, 0 macro in 4 s" in done.stdout
    with np.load(out / "smile" / one["flow"]) as content:
        assert content["map"].shape == (3, 28, 28) and content["map"].dtype == np.float16


def test_the_tables_have_the_columns_that_others_read(spotted):
    out, _ = spotted
    table = pd.read_csv(out / "intervals.csv")
    assert table["video"].tolist() == ["smile"]
    assert {"onset", "apex", "offset", "kind", "confidence", "label"} <= set(table)
    assert "AU12" in table["units"][0]
    rows = pd.read_csv(out / "smile/frames.csv")
    assert rows["frame"].tolist() == list(range(FRAMES)) and (rows["success"] == 1).all()
    assert rows["timestamp"].to_numpy() == pytest.approx(np.arange(FRAMES) / 30, abs=1e-3)
    assert rows["AU12_r"].idxmax() in range(*FOUND) and rows["AU12_r"].between(0, 5).all()
    at_apex = rows.loc[ONSET + RISE]
    assert at_apex["AU12_c"] == 1 and at_apex["score"] >= at_apex["threshold"]
    assert {"x0", "y1", "AU01_r", "AU26_c", "AU06_left", "AU06_right"} <= set(rows)
    index = json.loads((out / "spotting.json").read_text())
    assert index["videos"][0]["spotting"] == "smile/spotting.json" and index["failed"] == {}


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(smile, spotted, tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "PART", 32)
    film = open_film(smile)
    finder = load_landmark_finder("dlib")
    whole = follow_film(film, finder, tmp_path / "whole")
    calls = []

    def stop(frames: int) -> None:
        calls.append(frames)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow_film(film, finder, tmp_path / "cut", advance=stop)
    assert len(list((tmp_path / "cut").iterdir())) == 2
    again = []
    rest = follow_film(film, finder, tmp_path / "cut", advance=again.append)
    assert again == [64, 32, 24]
    for name in ("numbers", "values", "frames", "alike", "moved"):
        np.testing.assert_array_equal(getattr(rest, name), getattr(whole, name))
    (tmp_path / "cut/00001.npz").write_bytes(b"PK")  # damaged: read on from before it
    other = follow_film(film, finder, tmp_path / "cut")
    np.testing.assert_array_equal(other.values, whole.values)


def test_a_folder_of_frames_at_another_rate(frames, tmp_path):
    for number, frame in enumerate([f for f in frames for _ in (0, 1)], 101):
        if number < 250:
            cv2.imwrite(str(tmp_path / f"img{number}.png"), frame)
    done = call("spot.py", "--video", tmp_path, "--out", tmp_path / "out")
    assert (
        done.returncode == 2 and "a folder of frames has no rate of its own: --fps" in done.stderr
    )
    done = call("spot.py", "--video", tmp_path, "--out", tmp_path / "out", "--fps", 60)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "out" / tmp_path.name / "spotting.json").read_text())
    assert (facts["first"], facts["analysed_fps"], facts["frames"]) == (101, 30, 149)
    (one,) = facts["intervals"]
    assert overlap((one["onset"], one["offset"]), (101 + 2 * FOUND[0], 101 + 2 * FOUND[1])) >= 0.5
    assert one["kind"] == "micro"


def test_a_varying_rate_has_its_own_seconds(frames, tmp_path):
    """A phone in the dark: three of ten frames lack, and a second and a half at the start."""
    kept = np.flatnonzero(np.random.default_rng(1).random(FRAMES) > 0.3)
    kept = kept[(kept == 0) | (kept > 45)]
    path = write_timed(tmp_path / "phone.mp4", [frames[k] for k in kept], kept / 30)
    done = call("spot.py", "--video", path, "--out", tmp_path / "out", "--overlay")
    assert done.returncode == 0 and done.stderr == ""
    facts = json.loads((tmp_path / "out/phone/spotting.json").read_text())
    assert facts["varies"] and facts["frames"] == len(kept)
    assert facts["seconds"] == pytest.approx(4, abs=0.1)
    (one,) = facts["intervals"]
    assert overlap([30 * one[name] for name in ("onset_s", "offset_s")], FOUND) >= 0.5
    assert one["apex_s"] == pytest.approx((ONSET + RISE) / 30, abs=0.1)
    assert one["apex_s"] == pytest.approx(kept[one["apex"]] / 30, abs=1e-3)
    assert "unevenly" in (tmp_path / "out/phone/report.html").read_text()
    rows = pd.read_csv(tmp_path / "out/phone/frames.csv")
    assert rows["timestamp"].to_numpy() == pytest.approx(kept[rows["frame"]] / 30, abs=1e-3)
    shown = [time for time, _ in timed_frames(tmp_path / "out/phone/overlay.mp4")]
    assert shown == pytest.approx(kept / 30, abs=1e-3)
    assert "in 4 s" in done.stdout


def test_no_face_and_no_video(tmp_path):
    rng = np.random.default_rng(1)
    grain = [rng.integers(0, 255, (120, 160), np.uint8) for _ in range(25)]
    (tmp_path / "films").mkdir()
    write_video(tmp_path / "films/grain.avi", grain)
    (tmp_path / "films/broken.avi").write_bytes(b"RIFF" + bytes(200))
    done = call("spot.py", "--video", tmp_path / "films", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "grain: no expression in 1 s; no face in 25 of 25 frames" in done.stdout
    assert "broken: " in done.stderr and "not a video" in done.stderr
    facts = json.loads((tmp_path / "out/grain/spotting.json").read_text())
    assert facts["missed"] == [{"from": 0, "to": 24, "why": "no face"}]
    strict = call("spot.py", "--video", tmp_path / "films", "--out", tmp_path / "out", "--strict")
    assert strict.returncode == 1


def test_two_at_once_find_what_one_finds(smile, spotted, tmp_path):
    (tmp_path / "films").mkdir()
    for name in ("smile", "other"):
        (tmp_path / f"films/{name}.avi").write_bytes(smile.read_bytes())
    done = call("spot.py", "--video", tmp_path / "films", "--out", tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    ours = spotted[0] / "smile"
    for name in ("smile", "other"):
        theirs = tmp_path / "out" / name
        assert (theirs / "frames.csv").read_bytes() == (ours / "frames.csv").read_bytes()
        one, other = (json.loads((f / "spotting.json").read_text()) for f in (ours, theirs))
        assert one["intervals"] == other["intervals"]
    assert len(pd.read_csv(tmp_path / "out/intervals.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--video", "none.avi"), "--video none.avi: no such file or folder"),
        (("--video", "README.md", "--workers", "0"), "--workers 0: at least 1"),
        (("--video", "README.md", "--face", "0"), "--face 0: faces are counted from 1"),
        (("--video", "README.md"), "README.md: not a video that OpenCV can decode"),
        (("--video", "loso"), "no videos and no folders of frames in it"),
    ],
)
def test_faults_are_one_line(arguments, fault, tmp_path):
    done = call("spot.py", *arguments, "--out", tmp_path)
    assert done.returncode == 2
    assert fault in done.stderr.splitlines()[-1]


def test_a_list_names_videos_and_two_of_one_name_are_told_apart(smile, tmp_path):
    from loso.spot_run import list_videos

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.avi").write_bytes(smile.read_bytes())
    (tmp_path / "list.txt").write_text("# two\na/x.avi\n\nb/x.avi\n")
    named = list_videos(tmp_path / "list.txt")
    assert named == {"a_x": tmp_path / "a/x.avi", "b_x": tmp_path / "b/x.avi"}


def test_a_folder_of_videos_and_images(smile, frames, tmp_path, monkeypatch):
    """A poster beside videos hides none of them; frames beside a video are another one."""
    from loso.spot_run import list_videos

    (tmp_path / "films").mkdir()
    (tmp_path / "films/x.avi").write_bytes(smile.read_bytes())
    cv2.imwrite(str(tmp_path / "films/cover.png"), frames[0])
    assert list_videos(tmp_path / "films") == {"x": tmp_path / "films/x.avi"}
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"films/img{number}.png"), frames[number])
    assert set(list_videos(tmp_path / "films")) == {"films", "x"}
    (tmp_path / "odd").mkdir()
    cv2.imwrite(str(tmp_path / "odd/a.png"), frames[0])
    done = call("spot.py", "--video", tmp_path / "odd", "--out", tmp_path / "out", "--fps", 30)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_odd_videos_are_a_result_or_a_line(frames, tmp_path):
    """One frame, three; names with spaces, umlauts and line ends; nothing but sound; no room."""
    films = tmp_path / "films"
    films.mkdir()
    write_timed(films / "one.mp4", frames[:1], [0])
    write_timed(films / "three.mp4", frames[:3], np.arange(3) / 30)
    (films / "sp ace \u00fc\nnew.mp4").write_bytes((films / "three.mp4").read_bytes())
    write_timed(films / "slow.mp4", frames[:8], np.arange(8.0))
    done = call("spot.py", "--video", films, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "sp ace \u00fc new: no expression in 0 s" in done.stdout
    assert "one: no expression in 0 s" in done.stdout and "3 of 4 videos" in done.stdout
    assert done.stderr.count("\n") == 1 and "slow: " in done.stderr
    assert len(pd.read_csv(tmp_path / "out/intervals.csv")) == 0
    assert (tmp_path / "out/sp ace \u00fc\nnew/report.html").is_file()
    (tmp_path / "file").touch()
    (films / "a\nb.mp4").write_text("no video")
    for name, out, fault in (
        ("slow.mp4", "out", "1.14 frames a second; expressions are looked for at 5 to 2000"),
        ("a\nb.mp4", "out", "a b.mp4: not a video that OpenCV can decode"),
        ("three.mp4", "file", "cannot write"),
    ):
        done = call("spot.py", "--video", films / name, "--out", tmp_path / out)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert fault in done.stderr


def test_a_phone_held_upright(frames, tmp_path):
    """Pictures that lie on their side, and a header that says how to turn them."""
    lying = [np.ascontiguousarray(np.rot90(frame)) for frame in frames[:12]]
    path = write_timed(tmp_path / "v.mp4", lying, np.arange(12) / 30)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44  # its matrix: of a quarter turn
    turn = (0, 65536, 0, -65536, 0, 0, lying[0].shape[0] * 65536, 0, 1 << 30)
    matrix = b"".join(value.to_bytes(4, "big", signed=True) for value in turn)
    path.write_bytes(content[:at] + matrix + content[at + 36 :])
    done = call("spot.py", "--video", path, "--out", tmp_path, "--no-page", "--overlay")
    assert done.returncode == 0 and "v: no expression in 0 s\n" in done.stdout
    facts = json.loads((tmp_path / "v/spotting.json").read_text())
    assert (facts["height"], facts["width"]) == frames[0].shape
    _, shown = next(timed_frames(tmp_path / "v/overlay.mp4"))
    assert np.abs(shown[:100, :100].mean(-1) - frames[0][:100, :100]).mean() < 10


def test_spotted_intervals_are_scored(spotted, tmp_path):
    truth = pd.DataFrame(
        [["casme_sq", "s1", "smile", 30, FRAMES, "micro", *FOUND[:1], ONSET + RISE, FOUND[1],
          "positive", "6+12", 0.4, 1.0, ""]],
        columns=["corpus", "subject", "video", "fps", "frames", "event", "onset", "apex", "offset",
                 "emotion", "units", "strength", "millimetres", "amount"],
    )  # fmt: skip
    truth.to_csv(tmp_path / "truth_long.csv", index=False)
    done = call("spot.py", "score", "--predicted", spotted[0] / "intervals.csv", "--annotation",
                tmp_path / "truth_long.csv", "--json", tmp_path / "score.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "score.json").read_text())["rows"]
    assert rows["micro"]["f1"] == rows["overall"]["f1"] == 1


def test_frames_are_read_by_number(smile):
    film = open_film(smile, first=1)
    assert [number for number, _ in read_some(film, {1, 7, 400})] == [1, 7]
    thinned = open_film(smile, fps=90)
    assert [frame.number for frame in read_film(thinned, 38)] == [114, 117]
    assert thinned.step == 3 and thinned.analysed_fps == 30


def test_the_crop_follows_a_face_that_walks_through_the_picture(frames):
    still = frames[0]
    follower = Follower(load_landmark_finder("dlib"))
    readings = []
    for t in range(40):
        move = np.float32([[1, 0, 1.5 * t], [0, 1, 0.5 * t]])
        picture = cv2.warpAffine(still, move, (400, 280), borderMode=cv2.BORDER_REPLICATE)
        readings.append(follower.read(picture))
    walked = readings[-1].frame[:, 2] - readings[0].frame[:, 2]
    assert walked == pytest.approx([1.5 * 39, 0.5 * 39], abs=3)
    levels = unit_levels(np.stack([one.values for one in readings]))
    assert np.abs(levels[-1]).max() < 0.25  # a walk is no expression
    assert all(one.found for one in readings) and sum(one.began for one in readings) == 1


def test_a_face_that_goes_is_missed_and_found_again(frames):
    follower = Follower(load_landmark_finder("dlib"))
    empty = np.full_like(frames[0], 90)
    shown = [*frames[:20], *[empty] * 20, *frames[:20]]
    found = [follower.read(frame).found for frame in shown]
    assert all(found[:20]) and not any(found[20:40]) and all(found[50:])


def test_what_looks_as_before_and_is_no_face_is_seen(frames):
    """Where the reference itself is no face any more, the landmarks tell: they go with the box."""
    follower = Follower(load_landmark_finder("dlib"))
    follower.read(frames[0])
    rng = np.random.default_rng(5)
    wall = cv2.GaussianBlur(rng.integers(0, 255, frames[0].shape).astype(np.uint8), (0, 0), 5)
    follower.state.reference = take_look(wall, follower.state.to_image, False)
    found = [follower.read(wall).found for _ in range(70)]
    assert not any(found[60:])


def test_a_plane_is_no_action():
    rng = np.random.default_rng(2)
    flow = rng.normal(0, 0.01, (2, 28, 28)).astype(np.float32)
    rows, columns = np.mgrid[:28, :28] / 28
    plane = np.stack([0.02 + 0.01 * columns - 0.03 * rows, 0.04 * columns + 0.01]).astype(
        np.float32
    )
    reader = action_reader()
    by_flow = np.s_[: len(COLUMNS)]  # the fit is tested on pictures, test_spot_fit.py
    with_it, without = reader.read(flow + plane), reader.read(flow)
    np.testing.assert_allclose(with_it[by_flow], without[by_flow], atol=2e-3)


def test_the_similarity_of_a_flow_is_found():
    at = (np.arange(28) + 0.5) / 28 * SIDE
    x, y = np.meshgrid(at, at)
    move = np.array([[1.01, -0.02, 3.0], [0.02, 1.01, -2.0], [0, 0, 1]])
    moved = move[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(784)])
    flow = (moved - np.stack([x.ravel(), y.ravel()])).reshape(2, 28, 28)
    flow[:, 18:24, 8:20] += 4  # a mouth that moves by itself
    np.testing.assert_allclose(whole_motion(flow), move, atol=0.05)


def test_curves_come_to_one_rate_and_gaps_stay_gaps():
    times = np.arange(100) / 25
    values = np.outer(times, np.ones(action_reader().size)).astype(np.float32)
    values[40:50] = np.nan
    curves = at_rate(values, times)
    assert len(curves) == int(times[-1] * RATE) + 1
    there = np.isfinite(curves[:, 0])
    assert curves[there, 0] == pytest.approx(np.flatnonzero(there) / RATE, abs=1e-4)
    assert (~there).sum() == pytest.approx(10 * RATE / 25, abs=2)
    channels = curve_channels(curves)
    assert np.isfinite(channels).all() and channels[-1].sum() == (~there).sum()
    np.testing.assert_allclose(curve_channels(curves + 3)[:-3], channels[:-3], atol=1e-3)


def test_windows_do_not_show():
    """A long video's moments are the same whichever window they fall into, but for its noise."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.003, (4000, action_reader().size)).cumsum(0).astype(np.float32) * 0.1
    spotter = load_spotter()
    whole, part = score_moments(values, spotter), score_moments(values[900:], spotter)
    assert whole.scores.shape == (2, 4000)
    np.testing.assert_allclose(whole.scores[:, 1300:], part.scores[:, 400:], atol=0.1)
    values[1000:1100] = np.nan
    assert (score_moments(values, spotter).scores[:, 1000:1100] == 0).all()


@given(st.integers(0, 2**32 - 1))
def test_intervals_do_not_overlap_much(seed):
    rng = np.random.default_rng(seed)
    scores, reach = rng.random((2, 80)) ** 4, rng.uniform(1, 15, (2, 80))
    found = candidates(scores, reach, 0.1)
    assert found == sorted(found, key=lambda one: one.onset)
    for i, one in enumerate(found):
        assert 0 <= one.onset <= one.at <= one.offset <= 79
        for other in found[i + 1 :]:
            assert overlap((one.onset, one.offset), (other.onset, other.offset)) <= 0.25 + 1e-9


def test_kinds_units_and_boxes():
    nothing = np.zeros(0)
    track = Track(nothing, np.arange(60) / 30, *[nothing] * 6)
    assert kind_of(track, 0, 14) == "micro" and kind_of(track, 0, 15) == "macro"
    levels = np.zeros((16, 2))
    levels[8], levels[4] = (0.5, 0.1), (0.2, 0.19)  # AU12 left, AU6
    named = name_units(levels, {12: 0.9, 6: 0.8, 1: 0.7, 2: 0.6})
    assert [(unit, side) for unit, side, _ in named] == [(12, "left"), (6, ""), (1, "")]
    assert named[0][2] == pytest.approx(0.5) and named[2][2] == 0
    assert name_units(levels, {}) == []
    frame = np.array([[[0, -10, 50], [20, 0, 5]]], float)
    assert boxes(frame).tolist() == [[40, 5, 50, 25]]


def test_confidence_rises_with_the_score():
    spotter = load_spotter()
    confidence = spotter.confidence(np.array([0, 0.2, 0.5, 0.8, 1.0]))
    assert (np.diff(confidence) > 0).all() and confidence[0] < 0.01 and confidence[-1] > 0.9


def test_a_real_face_that_is_moved_by_hand_is_spotted(tmp_path):
    """A public-domain portrait: brows and mouth go up for half a second, and then for two."""
    still = draw_clip(frames=60, apex=30, pixels=0.0, seed=3)
    short = draw_clip(frames=15, apex=6, pixels=3.0, seed=4)  # frames 60 to 74, apex 66
    long = draw_clip(frames=60, apex=25, pixels=5.0, seed=5)  # frames 135 to 194, apex 160
    film = (*still, *short, *still, *long, *still)
    grey = [cv2.cvtColor(cv2.resize(one, (560, 500)), cv2.COLOR_RGB2GRAY) for one in film]
    write_video(tmp_path / "face.avi", grey)
    done = call("spot.py", "--video", tmp_path / "face.avi", "--out", tmp_path, "--no-page")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "intervals.csv")
    assert found["kind"].tolist() == ["micro", "macro"]
    for row, (onset, apex, offset) in zip(found.itertuples(), ((60, 66, 74), (135, 160, 194))):
        assert abs(row.apex - apex) <= 2
        inside = min(row.offset, offset) - max(row.onset, onset) + 1
        assert inside / (max(row.offset, offset) - min(row.onset, onset) + 1) >= 0.5
