"""Drawn long videos: what is planned happens, at its frames, in the corpora's layouts."""

import dataclasses
import itertools

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import call

from common.errors import UserError
from data.disk.frames import list_frames, read_image
from data.disk.video_file import video_frames
from deca.anny.head import load_head
from synthetic.long import draw
from synthetic.long.acting import act_long, millimetres, strength
from synthetic.long.avi import write_avi
from synthetic.long.draw import draw_long, video_path
from synthetic.long.film import draw_frames
from synthetic.long.looks import LOOKS
from synthetic.long.plan import EXPRESSIONS, LAYOUTS, LongSize, Video, plan_long

TINY = {"casme_sq": LongSize(1, 1, (2.4, 2.6)), "samm_lv": LongSize(1, 1, (0.3, 0.4))}
SIZES = {"casme_sq": LongSize(4, 8), "samm_lv": LongSize(2, 2)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("long") / "set"
    draw_long(root, seed=3, workers=1, sizes=TINY)
    return root


@pytest.fixture(scope="module")
def videos():
    return [video for look in LOOKS for video in plan_long(1, SIZES, look)]


def overlapping(events, margin=0):
    ends = sorted((e.onset, e.offset) for e in events)
    return [a for a, b in itertools.pairwise(ends) if a[1] + margin >= b[0]]


def test_videos_last_one_to_three_minutes_and_hold_everything(videos):
    kinds = {"micro", "macro", "blink", "gaze", "speech", "turn", "nod", "light", "still"}
    assert {event.kind for video in videos for event in video.events} == kinds
    for video in videos:
        assert 60 * video.fps <= video.frames <= 180 * video.fps
        assert all(1 <= e.onset <= e.apex <= e.offset <= video.frames for e in video.events)


def test_what_takes_turns_does_not_overlap(videos):
    for video in videos:
        in_turn = [e for e in video.events if e.kind in (*EXPRESSIONS, "speech", "still")]
        assert not overlapping(in_turn, margin=round(0.6 * video.fps))
        hurried = [e for e in video.events if e.kind in ("micro", "turn", "nod")]
        assert not overlapping(hurried)
        quiet = [e for e in video.events if e.kind in ("still", "gaze", "turn", "nod")]
        still = [e for e in quiet if e.kind == "still"]
        assert all(len(overlapping([one, other])) == 0 for one in still for other in quiet
                   if one is not other)  # fmt: skip


def test_kinds_have_their_lengths_and_rates(videos):
    minutes = sum(video.frames / video.fps for video in videos) / 60
    count = dict.fromkeys(("micro", "macro", "blink"), 0)
    for video in videos:
        for event in video.events:
            seconds = (event.offset - event.onset + 1) / video.fps
            if event.kind == "micro":
                assert 0.1 <= seconds <= 0.5
            if event.kind == "macro":
                assert 0.5 < seconds <= 3.1
            if event.kind in count:
                count[event.kind] += 1
    assert 1 <= count["micro"] / minutes <= 2.5
    assert 1 <= count["macro"] / minutes <= 2
    assert 8 <= count["blink"] / minutes <= 20


def test_seeds_and_looks_draw_other_events():
    plans = [plan_long(seed, SIZES, look)[0] for seed in (0, 1) for look in LOOKS]
    assert len({plan.events for plan in plans}) == 4
    assert plan_long(1, SIZES) == plan_long(1, SIZES)


def test_the_far_look_shares_nothing_with_the_plain_one():
    plain, far = LOOKS["plain"], LOOKS["far"]
    for name in ("noise", "quality", "dim"):
        ranges = sorted((getattr(plain, name), getattr(far, name)))
        assert ranges[0][1] <= ranges[1][0]
    for corpus in LAYOUTS:
        assert plain.films[corpus] != far.films[corpus]
        assert plain.rates[corpus] != far.rates[corpus]


def test_an_expression_is_0_at_its_ends_and_1_at_its_apex(videos):
    for event in (e for video in videos[:3] for e in video.events if e.kind in EXPRESSIONS):
        at = np.arange(event.onset - 3, event.offset + 4)
        values = strength(event, at)
        assert values[at <= event.onset].max() == values[at >= event.offset].max() == 0
        assert at[values.argmax()] == event.apex and values.max() == 1
        assert (values >= 0).all()


def test_what_is_planned_is_acted(videos):
    video = next(v for v in videos if any(e.kind == "still" for e in v.events))
    at = np.arange(1.0, video.frames + 1)
    acting = act_long(1, video, at)
    assert acting.actions.min() >= 0 and acting.actions.max() <= 1
    lids = acting.actions[:, load_head().actions.index("eyeBlinkLeft")]
    for event in video.events:
        first, apex, last = event.onset - 1, event.apex - 1, event.offset - 1
        if event.kind == "blink":
            assert lids[apex] >= event.amount[0] - 1e-6
        if event.kind == "still":
            middle = slice(first + video.fps, last - video.fps)
            assert np.ptp(acting.rotation[middle], axis=0).max() < 1e-5
        if event.kind == "turn":
            way = acting.rotation[(first + last) // 2] - acting.rotation[first]
            assert np.linalg.norm(way[:2]) > 0.4 * np.linalg.norm(event.amount)
        if event.kind in EXPRESSIONS:
            assert millimetres(1, video, event) > 0.3
            moved = np.abs(acting.actions[apex] - acting.actions[first]).max()
            assert moved > 0.02


def test_files_are_where_the_corpora_have_them(tiny):
    casme = tiny / "CASME_sq/rawpic/s15/15_0101disgustingteeth"
    samm = tiny / "SAMM_longvideos/006_1"
    plan = plan_long(3, TINY)
    assert list(list_frames(casme)) == list(range(1, plan[0].frames + 1))
    assert list(list_frames(samm)) == list(range(1, plan[1].frames + 1))
    assert (samm / "006_1_0001.jpg").is_file() and (casme / "img1.jpg").is_file()
    assert read_image(casme / "img1.jpg").shape == (480, 640, 3)
    assert cv2.imread(str(samm / "006_1_0001.jpg"), cv2.IMREAD_UNCHANGED).ndim == 2
    assert not list(tiny.rglob("*.part"))


def test_truth_names_every_event(tiny):
    truth = pd.read_csv(tiny / "truth_long.csv", keep_default_na=False)
    plan = plan_long(3, TINY)
    assert len(truth) == sum(len(video.events) for video in plan)
    shown = truth[truth["event"].isin(EXPRESSIONS)]
    assert (shown["millimetres"] > 0).all() and (shown["units"] != "").all()


def test_same_seed_same_bytes(tiny):
    video = plan_long(3, TINY)[0]
    frames = draw_frames(3, video)
    other = [draw.as_jpeg(next(frames), _quality(tiny, video)) for _ in range(2)]
    folder = video_path(tiny, video)
    assert other == [(folder / f"img{n}.jpg").read_bytes() for n in (1, 2)]


def _quality(root, video):
    low, high = LOOKS[video.look].quality
    rng = draw.generator(3, "long codec", video.look, video.corpus, video.name)
    return int(rng.integers(low, high + 1))


def test_a_face_moves_where_it_should_and_the_backdrop_does_not(tiny):
    video = plan_long(3, TINY)[0]
    event = max((e for e in video.events if e.kind in EXPRESSIONS), key=lambda e: e.offset)
    folder = video_path(tiny, video)
    onset, apex = (read_image(folder / f"img{n}.jpg", grey=True).astype(float)
                   for n in (event.onset, event.apex))  # fmt: skip
    change = np.abs(cv2.GaussianBlur(onset - apex, (0, 0), 2))
    assert change[:, :60].max() < 4  # noise alone
    assert change[150:350, 220:420].max() > 3 * change[:, :60].max()


def test_a_video_file_has_the_frames_and_the_rate(tiny, tmp_path):
    video = dataclasses.replace(plan_long(3, TINY)[0], frames=5, events=())
    draw.draw_video(tmp_path, 3, video, "avi")
    path = video_path(tmp_path, video, "avi")
    read = list(video_frames(path))
    assert len(read) == 5 and read[0].shape == (480, 640, 3)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 30
    as_frames = read_image(video_path(tiny, video) / "img1.jpg")
    assert np.abs(read[0].astype(float) - as_frames).mean() < 4


def test_an_empty_avi_and_an_odd_chunk(tmp_path):
    picture = cv2.imencode(".jpg", np.full((8, 10, 3), 90, np.uint8))[1].tobytes()
    write_avi(tmp_path / "a.avi", [picture, picture + b"\0"], 25, (10, 8))
    assert len(list(video_frames(tmp_path / "a.avi"))) == 2


def test_a_second_call_does_nothing_and_other_settings_are_refused(tiny, monkeypatch):
    monkeypatch.setattr(draw, "draw_video", None)
    draw_long(tiny, seed=3, workers=1, sizes=TINY)
    for changed in ({"seed": 4}, {"look": "far"}, {"files": "avi"}):
        with pytest.raises(UserError, match="other settings"):
            draw_long(tiny, **({"seed": 3, "workers": 1, "sizes": TINY} | changed))


def test_a_full_disk_leaves_no_part_of_a_video(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    video = Video("casme_sq", "s15", "15_0101x", "plain", 30, 2, ())
    with pytest.raises(UserError, match="No space left"):
        draw.draw_video(tmp_path, 0, video)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() or p.name.endswith(".part")]


def test_the_command_line_draws_long_videos(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(draw, "LONG_SIZES", {"casme_sq": LongSize(1, 1, (2.4, 2.5))})
    monkeypatch.setattr(
        draw, "draw_video", lambda *arguments, files: drawn.append(arguments[2].look)
    )
    out = tmp_path / "d"
    done = call("prepare_data.py", "demo", "--out", out, "--long", "--look", "far", "--seed", 2)
    assert done.returncode == 0, done.stderr
    assert drawn == ["far"]
    assert (out / "truth_long.csv").is_file()
    assert (out / "CASME_sq/CAS(ME)^2code_final.xlsx").is_file()
    wrong = call("prepare_data.py", "demo", "--out", tmp_path / "e", "--look", "far")
    assert wrong.returncode == 2 and "--long" in wrong.stderr
