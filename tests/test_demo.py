import errno
import json
import os
import signal
from pathlib import Path

import cv2
import dlib
import numpy as np
import openpyxl
import pandas as pd
import pytest

from common.errors import UserError
from data.corpora import known
from data.disk.frames import ClipFolders, list_frames, read_image
from deca.anny.head import load_head
from synthetic.demo import corpora as demo
from synthetic.demo.corpora import draw_clip, make_demo
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import (
    CORPORA,
    FULL_SIZE,
    GROUPS,
    Size,
    intensity,
    plan,
)
from synthetic.demo.render import render
from synthetic.demo.tables import action_units, write_tables
from synthetic.motion.actions import SIDED

# The subjects who wear glasses in the released corpora.
GLASSES = {
    "smic": "01 04 05 06 08 09 12 15 18 19",
    "casme2": "sub03 sub06 sub12 sub13 sub14 sub15 sub16 sub20 sub22 sub23 sub24 sub25 sub26",
    "samm": "010 020 021 032 037",
}
TINY = {"smic": Size(2, 6), "casme2": Size(1, 3), "samm": Size(3, 3)}
REAL_SIZE = {"smic": Size(16, 164), "casme2": Size(24, 145), "samm": Size(28, 133)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "set"
    make_demo(root, seed=5, workers=2, sizes=TINY)
    return root


@pytest.fixture(scope="module")
def truth(tiny):
    return pd.read_csv(tiny / "truth.csv", dtype={"subject": str})


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_full_plan_has_the_promised_sizes():
    clips = pd.DataFrame([vars(clip) for clip in plan(0, FULL_SIZE)])
    counts = clips.groupby(["data", "subject"]).label.value_counts().unstack(fill_value=0)
    assert (counts.loc["smic"][[0, 1, 2]] == 4).all(axis=None) and len(counts.loc["smic"]) == 8
    assert (counts.loc["casme2"] == [2, 4, 3, 3]).all(axis=None) and len(counts.loc["casme2"]) == 6
    assert (counts.loc["samm"][[0, 1, 2]] == 3).all(axis=None) and len(counts.loc["samm"]) == 6
    casme2 = clips[clips.data == "casme2"].emotion.value_counts()
    assert casme2.to_dict() == {
        "happiness": 18, "surprise": 18, "disgust": 12, "repression": 12, "others": 12,
    }  # fmt: skip


@pytest.mark.parametrize("seed", [0, 7])
def test_clips_are_possible_ones(seed):
    clips = plan(seed, REAL_SIZE)
    assert len(clips) == 442
    assert len({(c.data, c.subject, c.name) for c in clips}) == 442
    peaks = []
    for clip in clips:
        assert 11 <= clip.offset - clip.onset + 1 <= 31
        assert clip.first <= clip.onset < clip.apex < clip.offset <= clip.last
        assert clip.first % 2 == 1
        assert not known.CORPORA[clip.data].leaves_out(clip.subject, clip.name)
        assert clip.glasses == (clip.subject in GLASSES[clip.data].split())
        assert dict(clip.actions).keys() <= set(load_head().actions)
        assert 0.15 < max(strength for _, strength in clip.actions) <= 1
        peaks.append((clip.apex - clip.onset) / (clip.offset - clip.onset))
    assert min(peaks) < 0.35 and max(peaks) > 0.65
    assert any(c.glasses for c in clips) and not all(c.glasses for c in clips)


def test_every_demo_corpus_has_subjects_with_and_without_glasses():
    clips = pd.DataFrame([vars(clip) for clip in plan(0, FULL_SIZE)])
    shares = clips.groupby("data").glasses.mean()
    assert ((shares > 0) & (shares < 1)).all()


def test_a_subject_is_the_same_in_a_larger_plan():
    small = [c for c in plan(3, {"smic": Size(2, 6)}) if c.subject == "02"]
    large = [c for c in plan(3, {"smic": Size(4, 24)}) if c.subject == "02"]
    assert large[:3] == small
    assert plan(4, {"smic": Size(2, 6)}) != plan(3, {"smic": Size(2, 6)})


def test_groups_move_what_the_labels_say():
    for group, actions in GROUPS.items():
        for name in actions:
            sides = [name + side for side in ("Left", "Right")] if name in SIDED else [name]
            assert set(sides) <= set(load_head().actions), group


@pytest.mark.parametrize("bend", [0.8, 1.3])
def test_intensity_rises_to_the_apex_alone(bend):
    for clip in plan(1, {"smic": Size(4, 24)}):
        curve = intensity(clip, bend)
        assert len(curve) == clip.last - clip.first + 1
        apex = clip.apex - clip.first
        assert curve[apex] == 1 and np.sum(curve == 1) == 1
        rising, falling = curve[clip.onset - clip.first : apex + 1], curve[apex:]
        assert (np.diff(rising) > 0).all()
        assert (np.diff(falling[: clip.offset - clip.apex + 1]) < 0).all()
        outside = [*curve[: clip.onset - clip.first + 1], *curve[clip.offset - clip.first :]]
        np.testing.assert_allclose(outside, 0, atol=1e-12)


def test_folders_hold_every_frame_where_the_index_looks(tiny, truth):
    folders = ClipFolders(tiny)
    assert len(truth) == 12
    for row in truth.itertuples():
        subject = f"s{row.subject}" if row.data == "smic" else row.subject
        frames = list_frames(folders.find(subject, row.clip))
        assert list(frames) == list(range(row.first_frame, row.last_frame + 1))
        image = read_image(frames[row.apex_frame])
        assert image.shape == (280, 240, 3)
        assert (image.std(axis=2).max() == 0) == (row.data == "samm")  # SAMM is grey


def test_frames_are_called_as_in_the_releases(tiny, truth):
    names = {
        "smic": ("SMIC/HS/s{s}/{c}", "image{n:06d}.jpg"),
        "casme2": ("CASME2/Cropped/{s}/{c}", "reg_img{n}.jpg"),
        "samm": ("SAMM/{s}/{c}", "{s}_{n:05d}.jpg"),
    }
    for row in truth.itertuples():
        path = "/".join(names[row.data]).format(s=row.subject, c=row.clip, n=row.onset_frame)
        assert (tiny / path).is_file()


def test_smic_annotation(tiny, truth):
    table = pd.read_excel(tiny / "SMIC/SMIC-HS-E_annotation.xlsx", sheet_name="HS")
    own = truth[truth.data == "smic"]
    assert table.columns[2].startswith("Unnamed")  # the empty column
    assert table.Filename.tolist() == own["clip"].tolist()
    assert table.Subject.tolist() == own.subject.astype(int).tolist()
    assert table.OnsetF.tolist() == own.onset_frame.tolist()
    assert table.OffsetF.tolist() == own.offset_frame.tolist()
    assert table.Emotion.tolist() == own.emotion.tolist()
    assert {"Onset2F", "Offset2F", "FirstF", "LastF", "TotalMF1"} <= set(table.columns)


def test_casme2_annotation(tmp_path):
    clips = plan(0, {"casme2": FULL_SIZE["casme2"]})
    write_tables(tmp_path, clips)
    path = tmp_path / "CASME2/CASME2-coding-20140508.xlsx"
    table = pd.read_excel(path, sheet_name=0, dtype=object)
    assert [c if not c.startswith("Unnamed") else "" for c in table.columns] == [
        "Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "",
        "Action Units", "Estimated Emotion",
    ]  # fmt: skip
    assert {type(subject) for subject in table.Subject} == {int, str}  # 2 and "01"
    assert [f"sub{int(s):02d}" for s in table.Subject] == [c.subject for c in clips]
    assert table.ApexFrame.tolist() == [c.apex for c in clips]
    assert table["Estimated Emotion"].tolist() == [c.emotion for c in clips]
    assert table["Action Units"].astype(str).str.fullmatch(r"[LR]?\d+(\+[LR]?\d+)*").all()


def test_samm_annotation(tmp_path):
    clips = plan(0, {"samm": FULL_SIZE["samm"]})
    write_tables(tmp_path, clips)
    book = openpyxl.load_workbook(tmp_path / "SAMM/SAMM_Micro_FACS_Codes_v2.xlsx")
    rows = list(book["MICRO_ONLY"].values)
    assert [i for i, row in enumerate(rows, 1) if row[0] == "Subject"] == [14]
    table = pd.DataFrame(rows[14:], columns=rows[13])
    assert table.Subject.tolist() == [c.subject for c in clips]  # text: 006
    assert table["Apex Frame"].tolist() == [c.apex for c in clips]
    assert table["Estimated Emotion"].str.lower().tolist() == [c.emotion for c in clips]
    assert {"Duration", "Micro", "Objective Classes", "Inducement Code"} <= set(table.columns)
    assert (table.Duration == table["Offset Frame"] - table["Onset Frame"] + 1).all()


def test_truth_holds_what_was_planned(truth):
    clips = plan(5, TINY)
    assert truth["clip"].tolist() == [c.name for c in clips]
    for row, clip in zip(truth.to_dict("records"), clips, strict=True):
        assert row["apex_frame"] == clip.apex and row["glasses"] == clip.glasses
        drawn = {name: row[name] for name in truth.columns if name in load_head().actions}
        assert {n: s for n, s in drawn.items() if s} == pytest.approx(dict(clip.actions))


def test_action_units_name_the_leading_side():
    clip = plan(0, {"smic": Size(1, 1)})[0]
    both = {**vars(clip), "actions": (("browDownLeft", 0.8), ("browDownRight", 0.7))}
    left = {**vars(clip), "actions": (("browDownLeft", 0.8), ("browDownRight", 0.2))}
    assert action_units(type(clip)(**both)) == "4"
    assert action_units(type(clip)(**left)) == "L4"


def test_same_bytes_whatever_the_workers_and_the_size(tiny, tmp_path):
    make_demo(tmp_path / "again", seed=5, workers=1, sizes={"smic": Size(1, 2)})
    again = {name: data for name, data in tree(tmp_path / "again").items() if "s01_" in name}
    first = tree(tiny)
    assert len(again) > 20
    assert all(first[name] == data for name, data in again.items())


def test_spreadsheets_do_not_depend_on_the_clock(tiny, tmp_path):
    write_tables(tmp_path, plan(5, TINY))
    tables = tree(tmp_path)
    assert len(tables) == 4
    first = tree(tiny)
    assert all(first[name] == data for name, data in tables.items())


def test_a_second_call_does_nothing(tiny, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}
    monkeypatch.setattr(demo, "draw_clip", None)
    monkeypatch.setattr(demo, "write_tables", None)
    make_demo(tiny, seed=5, workers=1, sizes=TINY)
    assert {p: p.stat().st_mtime_ns for p in tiny.rglob("*")} == before


def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch):
    sizes, drawn = {"smic": Size(1, 3)}, []

    def stop_at_the_second(out, seed, clip, glasses):
        if len(drawn) == 1:
            raise KeyboardInterrupt
        drawn.append(clip.name)
        draw_clip(out, seed, clip, glasses)

    monkeypatch.setattr(demo, "draw_clip", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "d", sizes=sizes, workers=1)
    assert not (tmp_path / "d/truth.csv").exists()
    monkeypatch.setattr(demo, "draw_clip", lambda out, seed, clip, glasses: drawn.append(clip.name))
    make_demo(tmp_path / "d", sizes=sizes, workers=1)
    assert drawn == [clip.name for clip in plan(0, sizes)]  # none of them twice
    assert (tmp_path / "d/truth.csv").exists()


@pytest.mark.parametrize("changed", [{"seed": 6}, {"sizes": {"smic": Size(2, 6)}}])
def test_other_settings_are_refused(tiny, changed):
    before = tree(tiny)
    with pytest.raises(UserError, match="other settings"):
        make_demo(tiny, **({"seed": 5, "sizes": TINY, "workers": 1} | changed))
    assert tree(tiny) == before


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "SMIC").mkdir()
    with pytest.raises(UserError, match="not empty and no demo set"):
        make_demo(tmp_path, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["SMIC"]
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(UserError, match="not empty and no demo set"):
        make_demo(file, workers=1)


def test_a_damaged_mark_is_refused(tmp_path):
    (tmp_path / "demo.json").write_text('{"demo set": 1, "se')
    with pytest.raises(UserError, match="other settings"):
        make_demo(tmp_path, workers=1)


def test_impossible_numbers_are_refused(tmp_path):
    for fault in ({"seed": -1}, {"workers": 0}):
        with pytest.raises(UserError, match="must be"):
            make_demo(tmp_path / "d", **fault)
    assert not (tmp_path / "d").exists()


def test_a_worker_that_dies_is_one_line_and_nothing_half_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "draw_clip", _die)
    with pytest.raises(UserError, match="died"):
        make_demo(tmp_path / "d", sizes={"smic": Size(1, 2)}, workers=2)
    assert [p.name for p in (tmp_path / "d").rglob("*")] == ["demo.json"]


def _die(out, seed, clip, glasses):  # runs in the worker
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_mark_tells_seed_and_size(tiny):
    mark = json.loads((tiny / "demo.json").read_text())
    assert mark["seed"] == 5
    assert mark["sizes"]["samm"] == {"subjects": 3, "clips": 3}


def test_a_full_disk_leaves_no_part_of_a_clip(tmp_path, monkeypatch):
    written = []

    def fill_up(path, data):
        written.append(path)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return path.open("wb").write(data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(UserError, match="No space left"):
        make_demo(tmp_path / "d", sizes={"smic": Size(1, 1)}, workers=1)
    assert [p.name for p in (tmp_path / "d").rglob("*") if p.is_file()] == ["demo.json"]
    assert not list((tmp_path / "d").rglob("*.part"))


def test_dlib_finds_the_faces(tiny):
    detector = dlib.get_frontal_face_detector()
    frames = sorted((tiny).glob("*/**/*.jpg"))[::5]
    assert len(frames) > 35
    found = [bool(detector(read_image(path), 1)) for path in frames]
    assert np.mean(found) >= 0.95


def test_only_what_the_glasses_hide_differs_without_them(tiny, truth):
    bare = sorted((tiny / "truth/without_glasses").iterdir())
    wearers = truth[truth.glasses == 1]
    expected = {
        f"{r.data}_{r.subject}_{r.clip}_{frame}.jpg"
        for r in wearers.itertuples()
        for frame in (r.onset_frame, r.apex_frame)
    }
    assert {path.name for path in bare} == expected
    assert 0 < len(wearers) < len(truth)
    folders = ClipFolders(tiny)
    for row in wearers.itertuples():
        subject = f"s{row.subject}" if row.data == "smic" else row.subject
        worn = read_image(list_frames(folders.find(subject, row.clip))[row.apex_frame])
        name = f"{row.data}_{row.subject}_{row.clip}_{row.apex_frame}.jpg"
        off = read_image(tiny / "truth/without_glasses" / name)
        difference = np.abs(worn.astype(float) - off).mean(2)
        eyes, mouth = difference[85:160, 50:190], difference[190:230, 80:160]
        assert (eyes > 40).mean() > 0.03  # the rims
        assert mouth.mean() < 2  # JPEG alone


@pytest.fixture(scope="module")
def model():
    person = sample_person(0, "smic", "01")
    return build_figure(person, True), sample_setting(np.random.default_rng(0))


def grey_blur(frames):
    return np.stack([cv2.GaussianBlur(frame.mean(2), (0, 0), 1.5) for frame in frames])


def test_the_apex_is_the_frame_furthest_from_onset(model):
    figure, setting = model
    head = load_head()
    for clip in plan(0, {"smic": Size(1, 3)}):
        curve = intensity(clip, 1.0)[::2]
        actions = np.float32(curve[:, None] * head.action_vector(dict(clip.actions)).numpy())
        frames = grey_blur(render(figure, setting, actions, np.zeros((len(curve), 3), np.float32)))
        moved = np.abs(frames - frames[np.argmin(curve)]).mean((1, 2))
        assert np.argmax(moved) == np.argmax(curve)
        assert np.corrcoef(moved, curve)[0, 1] > 0.9
        assert 255 * np.abs(frames - frames[0]).max() > 25  # far over the sensor's noise


def test_brows_and_lips_move_with_the_mesh(model):
    """Optical flow between neutral and raised brows points up there, and is still elsewhere."""
    figure, setting = model
    head = load_head()
    brows_up = {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}
    actions = np.stack([np.zeros(52, np.float32), head.action_vector(brows_up).numpy()])
    frames = render(figure, setting, actions, np.zeros((2, 3), np.float32))
    grey = np.uint8(255 * frames.mean(3))
    flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    eye_row = 0.43 * 280
    brows = flow[int(eye_row) - 32 : int(eye_row) - 14, 80:160, 1]
    mouth = flow[190:225, 90:150, 1]
    assert np.median(brows) < -1.5  # pixels, upward
    assert np.abs(np.median(mouth)) < 0.2


def test_turning_the_head_moves_the_face_sideways(model):
    figure, setting = model
    turned = render(
        figure,
        setting,
        np.zeros((3, 52), np.float32),
        np.float32([[0, -0.3, 0], [0, 0, 0], [0, 0.3, 0]]),
    )
    assert turned.shape == (3, 280, 240, 3)
    assert turned.dtype == np.float32 and turned.min() >= 0 and turned.max() <= 1
    detector = dlib.get_frontal_face_detector()
    noses = [detector(np.uint8(frame * 255), 1)[0].center().x for frame in turned]
    assert noses[0] < noses[1] < noses[2]


def test_hiding_glasses_hide_the_eyes_and_nothing_else():
    setting = sample_setting(np.random.default_rng(4))
    still = np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32)
    people = {wear: sample_person(0, "smic", "01", wear) for wear in ("clear", "hiding")}
    assert people["clear"].looks == people["hiding"].looks
    bare, clear, hiding = (
        render(build_figure(people[wear], worn), setting, *still)[0]
        for wear, worn in (("clear", False), ("clear", True), ("hiding", True))
    )
    eyes, mouth = np.s_[95:150, 55:185], np.s_[195:230, 80:160]
    assert np.abs(hiding - bare)[eyes].mean() > 3 * np.abs(clear - bare)[eyes].mean()
    assert np.abs(hiding - bare)[mouth].mean() < 0.01


def test_the_real_subjects_with_glasses_wear_them():
    for data, corpus in CORPORA.items():
        wears = known.CORPORA[data].wears_glasses
        assert {one for one in corpus.subjects if wears(one)} == set(GLASSES[data].split())
