"""The overlay video of what was spotted: encoders, rates, image folders, what is drawn."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from made_spotting import write_spotting, write_video
from timed_videos import plain_images, write_timed

from common.errors import UserError
from data.disk.video_file import timed_frames
from report.spotting import encode, overlay, record
from report.spotting.overlay import in_words, write_overlay
from report.spotting.record import find_spotted, read_spotting


@pytest.fixture
def spotted(tmp_path):
    """A video of 3 s and what was spotted in it."""
    write_video(tmp_path / "v.avi", 90, 30)
    return write_spotting(tmp_path / "v", tmp_path / "v.avi")


def decoded(path):
    """The codec of a video, its frames (T, H, W, 3) RGB, their times in seconds."""
    av = pytest.importorskip("av", reason="no PyAV: pip install it")
    with av.open(str(path)) as file:
        name = file.streams.video[0].codec_context.name
        frames = list(file.decode(video=0))
        return name, np.stack([f.to_ndarray(format="rgb24") for f in frames]), [
            float(f.time) for f in frames
        ]  # fmt: skip


def near(image, colour):
    return np.abs(image.astype(int) - colour).max(-1) < 60


def test_it_is_h264_with_a_panel_below(spotted):
    path = write_overlay(spotted / "spotting.json", spotted / "overlay.mp4")
    codec, frames, times = decoded(path)
    assert codec == "h264"
    assert frames.shape == (90, 240 + 96, 320, 3)  # three times as large: text is to be read
    assert times == pytest.approx(np.arange(90) / 30, abs=1e-4)
    onset, apex, offset = (read_spotting(spotted).intervals[0][k] for k in
                           ("onset", "apex", "offset"))  # fmt: skip
    words = frames[:, 258:282]
    shown = [near(image, overlay.COLOURS["micro"]).sum() > 20 for image in words]
    assert np.flatnonzero(shown).tolist() == list(range(onset, offset + 1))
    box = near(frames[apex, :240], overlay.COLOURS["micro"])
    assert box[60:170, 62:70].any() and box[60:170, 163:170].any()


def test_without_pyav_it_says_so_on_the_picture(spotted, monkeypatch, capsys):
    for module in (overlay, encode):
        monkeypatch.setattr(module, "has_h264", lambda: False)
    path = write_overlay(spotted / "spotting.json", spotted / "overlay.mp4")
    codec, frames, _ = decoded(path)
    assert (codec, len(frames)) == ("mpeg4", 90)
    assert "MPEG-4 part 2" in capsys.readouterr().err
    assert near(frames[0, 240:258, 160:], (150, 160, 170)).sum() > 100


def test_variable_rates_and_image_folders(tmp_path, capsys):
    """Images from 1001 on at uneven times, of an odd size that changes; one is cut off."""
    for number in range(1001, 1021):
        side = 51 if number == 1011 else 41
        image = np.full((side, 41, 3), 90, np.uint8)
        (tmp_path / "clip").mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / f"clip/img{number}.png"), image)
    folder = write_spotting(tmp_path / "out", "../clip", 20, fps=100, first=1001, count=1)
    (tmp_path / "clip/img1015.png").write_bytes(b"cut off")
    table = pd.read_csv(folder / "frames.csv")
    times = np.cumsum([0, *([0.01, 0.03] * 10)])[:20]
    table.assign(timestamp=times).to_csv(folder / "frames.csv", index=False)
    _, frames, shown = decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))
    assert shown == pytest.approx(np.delete(times, 14), abs=1e-4)
    assert "img1015.png" in capsys.readouterr().err
    assert all(side % 2 == 0 for side in frames.shape[1:3])


def test_frames_that_were_passed_over_keep_their_own_times(tmp_path):
    """Times between the spotter's rows are the file's, which no line between the rows tells."""
    times = np.array([0, 1, 2, 3, 33, 34, 35, 64, 65, 66, 67, 68]) / 60
    path = write_timed(tmp_path / "v.mp4", plain_images(12), times)
    folder = write_spotting(tmp_path / "v", path, 12, count=1)
    table = pd.read_csv(folder / "frames.csv").assign(timestamp=times)
    table.iloc[[0, 2, 4, 7, 9, 11]].to_csv(folder / "frames.csv", index=False)
    facts = json.loads((folder / "spotting.json").read_text()) | {"timed": True, "varies": True}
    (folder / "spotting.json").write_text(json.dumps(facts))
    _, frames, shown = decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))
    assert shown == pytest.approx(times, abs=1e-4)
    assert [read_spotting(folder).row(n) for n in range(12)] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5]
    assert len(frames) == 12


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.avi", "mpeg4"), ("v.webm", "libvpx")]
)
def test_the_sound_is_kept(tmp_path, name, codec):
    av = pytest.importorskip("av", reason="no PyAV: pip install it")
    path = write_timed(tmp_path / name, plain_images(60), np.arange(60) / 30, codec, sound=2.5)
    folder = write_spotting(tmp_path / "v", path, 60, count=1)
    facts = json.loads((folder / "spotting.json").read_text())
    for timed in (True, False):
        (folder / "spotting.json").write_text(json.dumps(facts | {"timed": timed}))
        with av.open(str(write_overlay(folder / "spotting.json", folder / "o.mp4"))) as file:
            if not timed:
                assert not file.streams.audio
                continue
            (heard,) = file.streams.audio
            frames = list(file.decode(heard))
        assert heard.codec_context.name == "aac"
        assert frames[0].time == pytest.approx(0, abs=0.05)
        assert frames[-1].time == pytest.approx(2, abs=0.1)  # as long as the pictures
        wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        tone = np.abs(np.fft.rfft(wave)).argmax() * frames[0].sample_rate / len(wave)
        assert tone == pytest.approx(440, abs=5)
    assert len(decoded(folder / "o.mp4")[1]) == 60


def test_a_sound_that_cannot_be_read_is_said(tmp_path, capsys):
    path = write_timed(tmp_path / "v.avi", plain_images(60), np.arange(60) / 30, "mpeg4", sound=2)
    content = path.read_bytes()  # a sound of no known coding
    path.write_bytes(content.replace(b"\x01\x00\x01\x00\x80\x3e", b"\x77\x77\x01\x00\x80\x3e"))
    folder = write_spotting(tmp_path / "v", path, 60, count=1)
    facts = json.loads((folder / "spotting.json").read_text()) | {"timed": True}
    (folder / "spotting.json").write_text(json.dumps(facts))
    assert len(decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))[1]) == 60
    assert "its sound cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("fps", [None, 29.97, 200.0])
def test_any_rate(tmp_path, fps):
    write_video(tmp_path / "v.avi", 12, fps or 30)
    folder = write_spotting(tmp_path / "v", tmp_path / "v.avi", 12, fps=fps, count=1)
    _, frames, times = decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))
    assert len(frames) == 12
    assert times[-1] == pytest.approx(11 / (fps or overlay.WITHOUT_RATE), abs=1e-3)


def test_of_a_fast_camera_every_frame_is_drawn(tmp_path):
    write_video(tmp_path / "v.avi", 42, 200)
    folder = write_spotting(tmp_path / "v", tmp_path / "v.avi", 42, 200, 1, count=1, step=7)
    _, frames, times = decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))
    assert times == pytest.approx(np.arange(42) / 200, abs=1e-4)
    boxed = [near(frame[:240], overlay.COLOURS["micro"]).sum() > 50 for frame in frames]
    (one,) = read_spotting(folder).intervals
    assert np.flatnonzero(boxed).tolist() == [n - 1 for n in range(one["onset"], one["offset"] + 1)]


def test_nothing_spotted_is_no_fault(tmp_path):
    write_video(tmp_path / "v.avi", 6, 30)
    folder = write_spotting(tmp_path / "v", tmp_path / "v.avi", 6, count=0)
    assert len(decoded(write_overlay(folder / "spotting.json", folder / "o.mp4"))[1]) == 6


def test_in_words():
    units = [{"unit": 2, "side": "right", "strength": 0.3}, {"unit": 12, "strength": 0.5}]
    assert in_words({"kind": "micro"}) == "micro"
    interval = {"kind": "macro", "label": "positive", "classes": {"positive": 0.8}, "units": units}
    assert in_words(interval) == "macro, positive 0.80, AU 12 0.50, AU R2 0.30"


def test_faults_are_one_line(spotted, tmp_path):
    facts = json.loads((spotted / "spotting.json").read_text())

    def broken(**changes):
        (spotted / "spotting.json").write_text(json.dumps(facts | changes))
        with pytest.raises(UserError) as fault:
            write_overlay(spotted / "spotting.json", spotted / "o.mp4")
        assert "\n" not in str(fault.value)
        return str(fault.value)

    assert "no record of spotting of format 1" in broken(format=2)
    assert "its video gone.avi is not there" in broken(video="gone.avi")
    assert "interval 0 has its frames out of order" in broken(
        intervals=[facts["intervals"][0] | {"onset": 99}]
    )
    assert "interval 0 lacks kind" in broken(intervals=[{"onset": 1, "apex": 2, "offset": 3}])
    assert "not readable as a table" in broken(curves="none.csv")
    assert not (spotted / "o.mp4").exists()
    (spotted / "spotting.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"an overlay is an \.mp4"):
        write_overlay(spotted / "spotting.json", spotted / "o.gif")
    np.savez(spotted / "intervals/bad.npz", map=np.zeros((2, 28, 28)))
    with pytest.raises(UserError, match="a motion map is"):
        read_spotting(spotted).flow({"flow": "intervals/bad.npz"})
    with pytest.raises(UserError, match="nothing was spotted into it"):
        find_spotted(tmp_path / "v/intervals")
    assert find_spotted(spotted) == [spotted] and find_spotted(tmp_path) == [spotted]


def test_an_overlay_is_whole_or_absent(spotted, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "timed_frames", lambda source: _until(source, 20, stop))
    with pytest.raises(KeyboardInterrupt):
        write_overlay(spotted / "spotting.json", spotted / "o.mp4")
    assert [path.name for path in spotted.glob("*.mp4")] == []
    assert not list(spotted.glob(".*"))
    shutil.rmtree(spotted)


def _until(source, count, stop):
    for i, frame in enumerate(timed_frames(source)):
        if i == count:
            stop()
        yield frame
