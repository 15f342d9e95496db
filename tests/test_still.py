"""A still face shows no expression, whatever its pictures' noise; a face that moves shows one."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip, face, write_frames
from conftest import call, run
from hypothesis import given
from hypothesis import strategies as st
from moved_faces import moved

from benchmarks import bench_still
from common.errors import UserError
from data.face_search import FoundFace
from data.motion.flow import face_frame, remove_head_motion
from data.motion.stillness import counted, weigh_motion
from loso.predict import find_expression, pick_frames
from synthetic.demo.plan import Size, plan


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """15 frames of a real face that only sways, under flickering light, by a noisy camera."""
    folder = tmp_path_factory.mktemp("still") / "clip"
    write_frames(folder, draw_clip(pixels=0, seed=1))
    return folder


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """The same with brows and mouth corners that go up until frame 106."""
    folder = tmp_path_factory.mktemp("moving") / "clip"
    write_frames(folder, draw_clip(pixels=2.5, seed=1))
    return folder


def seen(folder, finder, onset=None, apex=None):
    return find_expression(pick_frames(folder, onset, apex, finder), "clip")


@pytest.mark.parametrize("apex", [106, None])
def test_noise_is_no_expression(still, moving, finder, apex):
    without = seen(still, finder, 100 if apex else None, apex)
    with_one = seen(moving, finder, 100 if apex else None, apex)
    assert not without.found
    assert with_one.found
    assert with_one.ratio > 2 * with_one.threshold
    assert without.noise == pytest.approx(with_one.noise, rel=0.5)  # one camera


def test_two_frames_are_enough(still, moving, finder):
    for folder, found in ((still, False), (moving, True)):
        pair = replace(pick_frames(folder, 100, 106, finder), beside=((), ()))
        assert find_expression(pair, "clip").found == found


def test_motion_is_in_face_widths(moving, finder):
    """Twice the pixels of the same face: the same motion."""
    picked = pick_frames(moving, 100, 106, finder)
    onset, apex = (
        np.ascontiguousarray(cv2.resize(i, None, fx=2, fy=2)) for i in (picked.onset, picked.apex)
    )
    pair = [FoundFace(2 * f.landmarks, f.found_by) for f in (picked.onset_face, picked.apex_face)]
    one = weigh_motion(picked.onset, picked.apex, (picked.onset_face, picked.apex_face))
    two = weigh_motion(onset, apex, tuple(pair))
    assert two.motion == pytest.approx(one.motion, rel=0.1)
    assert 0.001 < one.motion < 2.5 / face_frame(picked.onset_face.landmarks)[1] / 100


@pytest.mark.parametrize("quality", [20, 60])
def test_compression_is_no_expression(finder, tmp_path, quality):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, image in enumerate(draw_clip(pixels=0, seed=2)):
        cv2.imwrite(
            str(folder / f"{number}.jpg"), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
    assert not seen(folder, finder).found


def grainy(image, seed, deviation=2.0):
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return (image + noise).round().clip(0, 255).astype(np.uint8)


def test_lids_and_head_are_no_expression(finder):
    image, points = face()
    found = FoundFace(points, "detector")
    lids = moved(image, points[[37, 38, 43, 44]], ((0, 3),) * 4, sigma=4)
    head = cv2.getRotationMatrix2D((140, 125), 2, 1)
    head[:, 2] += 4, 3
    for other, expression in (
        (lids, False),
        (moved(image, (), (), head=head), False),
        (moved(image, points[[48, 54]], ((-2, -2), (2, -2)), head=head), True),
        (moved(image, points[[19, 24]], ((0, -2), (0, -2))), True),
        (moved(image, points[[54]], ((2, -3),)), True),  # one side alone
    ):
        second = finder.again(other, found)
        evidence = weigh_motion(
            grainy(image, 1), grainy(other, 2), (found, second),
            ((grainy(image, 3),), (grainy(other, 4),)),
        )  # fmt: skip
        assert evidence.found == expression, evidence


def test_where_landmarks_lie_does_not_matter(still, finder):
    """A finder's jitter is no motion: the apex's landmarks are off by 4 pixels."""
    picked = pick_frames(still, 100, 106, finder)
    off = FoundFace(picked.apex_face.landmarks + np.float32([4, -2]), "detector")
    assert not find_expression(replace(picked, apex_face=off), "clip").found


def test_copies_tell_nothing_of_noise(still, finder):
    """A video whose frames come twice has as much noise as one whose frames come once."""
    picked = pick_frames(still, 100, 106, finder)
    copies = replace(picked, beside=((picked.onset.copy(),), (picked.apex.copy(),)))
    alone = replace(picked, beside=((), ()))
    assert find_expression(copies, "clip") == find_expression(alone, "clip")


def test_frames_beside_that_take_part_do_not_hide_an_expression(moving, finder):
    """A slow camera: the frame between onset and apex shows most of the motion."""
    picked = pick_frames(moving, 100, 106, finder)
    slow = replace(picked, beside=((picked.apex,), (picked.onset,)))
    assert find_expression(slow, "clip").found


def test_the_same_picture_has_no_motion(finder):
    image, points = face()
    found = FoundFace(points, "detector")
    evidence = weigh_motion(image, image.copy(), (found, found))
    assert evidence.motion == evidence.ratio == 0
    assert evidence.noise > 0
    assert not evidence.found
    nothing = FoundFace(np.zeros((68, 2), np.float32), "detector")
    with pytest.raises(UserError, match="clip: the landmarks span 0 pixels"):
        weigh_motion(image, image, (nothing, nothing))


@given(st.lists(st.floats(-0.05, 0.05), min_size=12, max_size=12))
def test_a_round_heads_turn_is_taken_out(terms):
    at = (np.arange(28) + 0.5) / 14 - 1
    x, y = np.meshgrid(at, at)
    powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    flow = np.tensordot(np.reshape(terms, (2, 6)), powers, 1)
    assert np.abs(remove_head_motion(flow[None], degree=2)).max() < 1e-4


def test_what_counts_is_skin_that_expressions_move():
    where = counted(28)
    assert 0.3 < where.mean() < 0.6
    assert (where == where[:, ::-1]).all()
    for x, y, counts in (
        (0.3, 0.33, False), (0.3, 0.2, True), (0.35, 0.75, True), (0.5, 0.3, True),
        (0.02, 0.5, False),
    ):  # fmt: skip
        assert where[int(y * 28), int(x * 28)] == counts


def test_a_still_clip_is_said_to_be_none(still, moving):
    done = run("predict.py", "--clip", still, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["prediction"] == "none"
    evidence = facts["expression"]
    assert evidence["found"] is False
    assert evidence["ratio"] == pytest.approx(evidence["motion"] / evidence["noise"], rel=0.02)
    assert evidence["ratio"] < evidence["threshold"]
    assert sum(facts["classes"].values()) == pytest.approx(1, abs=1e-3)  # as they are
    text = call("predict.py", "--clip", still).stdout
    assert "none, no expression: the face moves by 0.000" in text
    assert "not to be read" in text
    assert "action units" not in text
    facts = json.loads(call("predict.py", "--clip", moving, "--json").stdout)
    assert facts["expression"]["found"] is True
    assert facts["prediction"] in facts["classes"]
    text = call("predict.py", "--clip", moving).stdout
    assert text.splitlines()[1].startswith("expression: the face moves by 0.00")
    assert "not to be read" not in text


def test_a_frozen_clip_is_none_without_scores(tmp_path):
    write_frames(tmp_path / "clip", np.stack([face()[0]] * 5))
    done = call("predict.py", "--clip", tmp_path / "clip", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["prediction"] == "none"
    assert facts["expression"]["motion"] == 0
    assert facts["classes"] == facts["action_units"] == {}
    text = call("predict.py", "--clip", tmp_path / "clip").stdout
    assert "none, no expression: onset and apex are the same picture" in text
    assert "score" not in text


def test_frames_beside_onset_and_apex(still, tmp_path, finder):
    """By order, where numbers are missing; never the pair's own; in videos as in folders."""
    frames = sorted(still.glob("*.png"))
    gaps = tmp_path / "gaps"
    gaps.mkdir()
    for path in (*frames[:1], *frames[3:6], *frames[9:12]):
        (gaps / path.name).write_bytes(path.read_bytes())
    picked = pick_frames(gaps, 100, 105, finder)
    shown = [
        [cv2.imread(str(frames[n]))[:, :, ::-1] for n in numbers] for numbers in ((3,), (4, 9))
    ]
    for there, expected in zip(picked.beside, shown, strict=True):
        assert len(there) == len(expected)
        assert all((a == b).all() for a, b in zip(there, expected))
    picked = pick_frames(gaps, 103, 104, finder)
    assert [len(side) for side in picked.beside] == [1, 1]
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 100, (280, 250))
    for frame in frames:
        video.write(cv2.imread(str(frame)))
    video.release()
    assert [len(side) for side in pick_frames(path, 0, 14, finder).beside] == [1, 1]
    assert [len(side) for side in pick_frames(path, 2, 6, finder).beside] == [2, 2]


def test_the_benchmark_moves_what_it_says_and_counts_what_is_wrong():
    (clip,) = plan(11, {"casme2": Size(1, 1)})
    clip = replace(clip, first=1, onset=1, apex=2, offset=3, last=3)
    shown = {kind: bench_still.draw(clip, kind, 11).frames for kind in ("still", "blink", "1/1")}
    apex = clip.apex - clip.first
    rows, columns = slice(110, 140), slice(50, 190)  # the eyes, about
    change = {kind: np.abs(f[apex] - shown["still"][apex]) for kind, f in shown.items()}
    assert change["still"].max() == 0
    assert change["blink"][rows, columns].mean() > 10 * change["blink"][160:].mean()
    assert change["1/1"][160:].mean() > 2 * change["blink"][160:].mean()
    again = bench_still.draw(clip, "blink", 11)
    assert (again.frames == shown["blink"]).all()
    filmed = {
        p: bench_still.film(again, p, np.random.default_rng(1)) for p in ("as drawn", "noise 8")
    }
    for picture, least, most in (("as drawn", 0.5, 3.5), ("noise 8", 6, 9)):
        assert least < np.std(filmed[picture][0][:40] - 255 * again.frames[0][:40]) < most
    found = pd.DataFrame(
        [
            (kind, "video", "given", kind != "1/8")
            for kind in ("still", "blink", "1/2", "1/8", "1/8")
        ],
        columns=["kind", "picture", "way", "found"],
    )
    found.loc[len(found)] = "still", "video", "given", False
    lines = bench_still.table(found).splitlines()
    assert "| given | video | 50% | 100% | – | – | – | 0% | – | 100% |" in lines
