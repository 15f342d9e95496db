"""report.html of a spotted video: what is on it, whose faces, how large it gets."""

import base64
import hashlib
import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
from apex_clips import draw_clip, write_frames
from conftest import call
from made_records import CLOSING, content_of
from made_spotting import write_spotting, write_video

from common.errors import UserError
from report.spotting import content as contents
from report.spotting.content import NOTHING, report_content
from report.spotting.head import STRONGEST, actions_of, enlargement, render_units
from report.spotting.page import write_report
from report.spotting.persons import cut_faces
from report.spotting.record import read_spotting


@pytest.fixture
def spotted(tmp_path):
    write_video(tmp_path / "v.avi", 90, 30)
    return write_spotting(tmp_path / "v", tmp_path / "v.avi")


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_page_says_what_the_record_says(spotted):
    record = json.loads((spotted / "spotting.json").read_text())
    table = pd.read_csv(spotted / "frames.csv")
    content = content_of(write_report(spotted))
    assert content["video"] == "v.avi"
    for shown, interval in zip(content["intervals"], record["intervals"], strict=True):
        for name in ("onset", "apex", "offset", "kind", "label", "classes", "confidence"):
            assert shown[name] == interval[name]
        for name in ("onset_s", "apex_s", "offset_s"):
            assert shown[name] == pytest.approx(interval[name], abs=1e-3)
        strengths = {unit["number"]: unit["strength"] for unit in shown["units"]}
        assert strengths == {unit["unit"]: unit["strength"] for unit in interval["units"]}
    assert [unit["unit"] for unit in content["intervals"][0]["units"]] == ["12", "L6"]
    curves = content["curves"]
    motion = unpacked(curves["low"], "<u2").astype(float)
    motion[motion == NOTHING] = np.nan
    assert np.allclose(
        motion / (NOTHING - 1) * curves["top"],
        table["score"].mask(table["success"] == 0),
        atol=1e-5,
        equal_nan=True,
    )
    assert np.isnan(motion).sum() == 5
    assert curves["x"] == pytest.approx([0, 1 / 30], abs=1e-4)
    assert curves["frames"] == [0, 1]
    assert set(curves["lanes"]) == {"AU01", "AU02", "AU06", "AU12"}
    smile = unpacked(curves["lanes"]["AU12"], "u1") / 255
    assert np.allclose(smile, table["AU12_r"] / 5, atol=0.003)
    (missed,) = content["missed"]
    assert missed["x"] == pytest.approx([5 / 30, 9 / 30], abs=1e-3)


def test_the_field_is_the_map(spotted):
    interval = content_of(write_report(spotted))["intervals"][0]
    flow = read_spotting(spotted).flow(read_spotting(spotted).intervals[0])
    field = interval["flow"]
    for i, name in enumerate("uv"):
        shown = unpacked(field[name], "i1").reshape(28, 28) / 127 * field["most"]
        assert np.allclose(shown, flow[i], atol=field["most"] / 200)
    # The blank face lies where motion maps have eyes and chin.
    lines = contents._blank_face()["lines"]
    eyes = np.array([np.mean(line[:-1], 0) for line in lines[5:7]])
    assert np.allclose(eyes, [(0.3, 0.33), (0.7, 0.33)], atol=0.002)
    assert lines[0][8][1] == pytest.approx(0.95, abs=0.002)


def test_no_face_but_with_thumbnails(spotted):
    plain = write_report(spotted).read_text()
    assert "data:image/jpeg" not in plain
    assert all(one["pictures"] == [] for one in report_content(read_spotting(spotted))["intervals"])
    content = content_of(write_report(spotted, thumbnails=True))
    for one in content["intervals"]:
        assert len(set(one["pictures"])) == 3
        assert "millimetres" not in one["head"]  # a square is no face
        for src in one["pictures"]:
            data = np.frombuffer(base64.b64decode(src.partition(",")[2]), np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert picture.shape[:2] == (52, 52)  # the box of 30 pixels and its margin
    (spotted.parent / "v.avi").unlink()
    with pytest.raises(UserError, match=r"its video .*v\.avi is not there"):
        write_report(spotted, thumbnails=True)
    write_report(spotted)


def test_with_thumbnails_the_head_is_the_persons(tmp_path, monkeypatch):
    """A real face (public domain) whose brows and mouth corners go up by 2.5 pixels."""
    monkeypatch.setattr("deca.anny.fit.STEPS", 40)  # seconds less, for a worse fit
    write_frames(tmp_path / "clip", draw_clip(pixels=2.5, seed=3))
    folder = write_spotting(tmp_path / "v", "../clip", 15, first=100, count=1)
    table = pd.read_csv(folder / "frames.csv").assign(x1=0)  # the box is not known
    table.to_csv(folder / "frames.csv", index=False)
    record = json.loads((folder / "spotting.json").read_text())
    record["intervals"][0] |= {"onset": 100, "apex": 106}
    (folder / "spotting.json").write_text(json.dumps(record))
    (interval,) = report_content(read_spotting(folder), thumbnails=True)["intervals"]
    assert 0.5 < interval["head"]["millimetres"] < 10
    data = np.frombuffer(base64.b64decode(interval["head"]["src"].partition(",")[2]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED).astype(int)
    assert picture.shape == (200, 400, 4)
    orange = picture[..., 2] - picture[..., 0] > 40
    assert orange[:, :200].sum() > 200
    (generic,) = report_content(read_spotting(folder))["intervals"]
    assert "millimetres" not in generic["head"] and generic["head"]["times"] == 2.5


def test_a_frame_that_the_video_lacks_is_named(spotted):
    write_video(spotted.parent / "v.avi", 30, 30)
    with pytest.raises(UserError, match="has no frame 6"):
        write_report(spotted, thumbnails=True)


def test_the_policy_lets_its_own_script_and_style_run_and_nothing_load(tmp_path):
    folder = write_spotting(tmp_path / "v", "gone", name=CLOSING)
    text = write_report(folder).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    parts = [re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("script", "style")]
    assert [len(part) for part in parts] == [1, 1]
    for (part,) in parts:
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert write_report(folder).read_text() == text  # same record, same bytes


def test_a_long_video_is_told_by_lows_and_highs(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "MOST", 400)
    monkeypatch.setattr(contents, "MOST_OF_UNITS", 100)
    folder = write_spotting(tmp_path / "v", "gone", 1001, count=3)
    table = pd.read_csv(folder / "frames.csv")
    curves = report_content(read_spotting(folder))["curves"]
    assert (curves["step"], curves["count"], curves["lane_step"]) == (3, 334, 11)
    low, high = (unpacked(curves[name], "<u2") for name in ("low", "high"))
    assert len(low) == len(high) == 334
    assert high[high != NOTHING].max() == NOTHING - 1
    known = low != NOTHING
    assert (low[known] <= high[known]).all() and (low[known] < high[known]).any()
    bins = table["score"].groupby(np.arange(1001) // 3)
    shares = bins.max().to_numpy() / curves["top"] * (NOTHING - 1)
    assert np.allclose(high[known], shares[known], atol=2)
    assert len(unpacked(curves["lanes"]["AU12"], "u1")) == 91


def test_uneven_times_and_none(tmp_path):
    folder = write_spotting(tmp_path / "v", "gone", 60, first=500)
    table = pd.read_csv(folder / "frames.csv")
    times = np.cumsum([0.02, 0.06] * 30)
    table.assign(timestamp=times).to_csv(folder / "frames.csv", index=False)
    content = report_content(read_spotting(folder))
    assert np.allclose(unpacked(content["curves"]["x"], "<f8"), times)
    assert content["curves"]["frames"] == [500, 1]
    folder = write_spotting(tmp_path / "w", "gone", 60, fps=None, first=500)
    content = report_content(read_spotting(folder))
    assert not content["timed"]
    assert content["intervals"][0]["onset_s"] is None
    assert content["curves"]["x"] == [500, 1]


def test_of_a_fast_camera_every_seventh_frame_is_looked_at(tmp_path):
    """200 frames a second, counted from 1, as SAMM's are."""
    write_video(tmp_path / "v.avi", 140, 200)
    folder = write_spotting(tmp_path / "v", "../v.avi", 140, fps=200, first=1, step=7)
    spotted = read_spotting(folder)
    assert len(spotted.curves) == 20
    assert spotted.row(1) == spotted.row(7) == 0 and spotted.row(8) == 1 and spotted.row(0) is None
    assert spotted.at(4) == pytest.approx(3 / 200)
    assert spotted.at(140) == pytest.approx(139 / 200, abs=1e-3)
    numbers = [number for number, _, _ in spotted.pictures()]
    assert (numbers[0], numbers[-1]) == (1, 140)
    assert report_content(spotted)["curves"]["frames"] == [1, 7]
    assert all(not np.array_equal(onset, apex) for onset, apex, _ in cut_faces(spotted))


# The head


def test_a_head_moves_where_its_units_are():
    still, smile, left = (
        render_units(units).astype(int)
        for units in (
            [], [{"unit": 12, "strength": 0.3}], [{"unit": 12, "side": "left", "strength": 0.3}]
        )
    )  # fmt: skip
    assert still.shape == (200, 400, 4)
    orange = [image[..., 0] - image[..., 2] > 60 for image in (still, smile, left)]
    assert not orange[0].any()
    rows, columns = np.nonzero(orange[1][:, :200])
    assert 110 < rows.mean() < 170 and 80 < columns.mean() < 120
    # The person's left is on the image's right.
    assert orange[2][:, 100:200].sum() > 5 * orange[2][:, :100].sum()
    assert (still[..., 3] > 0).mean() > 0.2


def test_units_become_actions():
    assert actions_of([(1, "", 0.5)]) == {"browInnerUp": 0.45}
    assert actions_of([(12, "R", 1.0)]) == {"mouthSmileRight": 0.7}
    assert actions_of([(4, "", 2.0)]) == {"browDownLeft": 1.0, "browDownRight": 1.0}
    assert enlargement([]) == 1
    assert enlargement([{"unit": 12, "strength": 0.5}, {"unit": 45, "strength": 0.1}]) == 2
    assert enlargement([{"unit": 12, "strength": 0.01}]) == STRONGEST


def test_units_that_no_action_shows_are_said(tmp_path):
    folder = write_spotting(tmp_path / "v", "gone", count=1)
    record = json.loads((folder / "spotting.json").read_text())
    record["intervals"][0] |= {"units": [{"unit": 45, "strength": 0.4}], "flow": None}
    del record["intervals"][0]["classes"], record["intervals"][0]["confidence"]
    (folder / "spotting.json").write_text(json.dumps(record))
    (interval,) = report_content(read_spotting(folder))["intervals"]
    assert interval["head"]["unshown"] == ["45"]
    assert (interval["flow"], interval["classes"], interval["confidence"]) == (None, {}, None)


def test_the_command_writes_page_and_overlay(spotted):
    done = call("report.spotting.__main__", "--spotted", spotted.parent, "--overlay")
    assert done.returncode == 0, done.stderr
    assert (spotted / "report.html").is_file() and (spotted / "overlay.mp4").is_file()
    assert done.stdout.count("wrote ") == 2
    done = call("report.spotting.__main__", "--spotted", spotted / "gone")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_one_faulty_video_does_not_stop_the_others(spotted, tmp_path):
    other = write_spotting(tmp_path / "a", "gone.avi")
    done = call("report.spotting.__main__", "--spotted", tmp_path, "--overlay", "--no-page")
    assert done.returncode == 1
    assert "a: no overlay, or not all of it: " in done.stderr and "gone.avi" in done.stderr
    assert not (other / "overlay.mp4").exists() and (spotted / "overlay.mp4").is_file()
