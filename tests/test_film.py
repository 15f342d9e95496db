"""Frames of videos at their own times: varying rates, containers without times, wrong headers."""

import numpy as np
import pytest
from timed_videos import plain_images, uneven_times, write_timed

from common.errors import UserError
from data.disk.clip_frames import read_frames
from data.disk.video_file import GAP, VideoReader, timed_frames
from data.spotting.reader import MOST, open_film, read_film, read_some

TIMES = uneven_times(120)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("v.mp4", "libx264"), ("v.mkv", "mpeg4"), ("v.webm", "libvpx"), ("v.ts", "libx264")],
)
def test_frames_have_their_own_times(tmp_path, name, codec, capsys):
    film = open_film(write_timed(tmp_path / name, plain_images(120), TIMES, codec), first=1)
    frames = list(read_film(film))
    assert film.timed
    for frame in frames:
        assert frame.time == pytest.approx(TIMES[frame.number - 1], abs=1e-3)
    for start in (1, frames[40].at, frames[40].at + 1):
        rest = [(one.at, one.number, one.time) for one in read_film(film, start)]
        assert rest == [(one.at, one.number, one.time) for one in frames if one.at >= start]
    ((number, image),) = read_some(film, {frames[-1].number})
    assert number == frames[-1].number
    assert abs(float(image.mean()) - float(frames[-1].grey.mean())) < 3
    assert capsys.readouterr().err == ""  # what a header says of how many there are is an estimate
    assert len(list(read_frames(film.path))) == 120
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seed", range(3))
def test_about_thirty_a_second_are_looked_at(tmp_path, seed):
    """No second has more than 37, and none is passed over that another did not come just before."""
    times = uneven_times(400, seed)
    film = open_film(write_timed(tmp_path / "v.mp4", plain_images(400), times))
    looked = np.array([frame.time for frame in read_film(film)])
    assert max(((looked >= t) & (looked < t + 1)).sum() for t in looked) <= MOST + 1
    passed = np.setdiff1d(times.round(5), looked.round(5))
    assert len(passed) > 50
    before = looked[np.searchsorted(looked, passed) - 1]
    assert (passed - before < 1 / MOST).all()


def test_frames_of_a_phone_are_all_looked_at(tmp_path):
    times = np.arange(200) / 29.5 + np.random.default_rng(0).uniform(-0.002, 0.002, 200)
    film = open_film(write_timed(tmp_path / "v.mp4", plain_images(200), times - times.min()))
    assert len(list(read_film(film))) == 200


def test_even_frames_are_every_nth(tmp_path):
    """Also where a container rounds times to milliseconds."""
    for name, fps, step in (("a.mkv", 200, 7), ("b.mkv", 120, 4), ("c.mkv", 29.97, 1)):
        times = np.arange(90) / fps
        film = open_film(write_timed(tmp_path / name, plain_images(90), times, "mpeg4"))
        assert film.step == step and film.fps == pytest.approx(fps, rel=0.02)
        assert [frame.number for frame in read_film(film)] == list(range(0, 90, step))


def test_a_rate_that_is_given_goes_before_times(tmp_path):
    path = write_timed(tmp_path / "v.mp4", plain_images(120), TIMES)
    film = open_film(path, fps=30)
    assert not film.timed
    assert [frame.time for frame in read_film(film)] == [n / 30 for n in range(120)]


def test_a_header_that_says_ticks_for_frames(tmp_path):
    """A browser's recording: a thousand frames a second and no duration, by its header."""
    times = np.arange(90) / 30
    path = write_timed(tmp_path / "v.webm", plain_images(90), times, "libvpx", {"live": "1"})
    reader = VideoReader(path)
    reader.rate = 1000.0
    film = open_film(path)
    assert film.count == 0 and film.fps == pytest.approx(30, rel=0.02)
    assert len(list(read_film(film))) == 90


def test_without_times_frames_are_evenly_spaced_and_a_warning_says_so(tmp_path, capsys):
    path = write_timed(tmp_path / "v.mp4", plain_images(40), np.arange(40) / 30)
    av = pytest.importorskip("av")
    with av.open(str(path)) as source, av.open(str(tmp_path / "v.h264"), "w", format="h264") as raw:
        copied = raw.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                raw.mux(packet)
    path = (tmp_path / "v.h264").rename(tmp_path / "v.avi")
    film = open_film(path)
    assert [one.time for one in read_film(film)] == pytest.approx(np.arange(40) / film.fps)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "no time that rises" in err
    list(read_film(film))
    list(timed_frames(path))
    assert capsys.readouterr().err == ""  # once a run


def test_two_recordings_joined_go_on_after_each_other(tmp_path, capsys):
    once = write_timed(tmp_path / "v.ts", plain_images(60), TIMES[:60]).read_bytes()
    (tmp_path / "joined.ts").write_bytes(once + once)
    times = np.array([time for time, _ in timed_frames(tmp_path / "joined.ts")])
    assert len(times) == 120 and (np.diff(times) > 0).all()
    assert np.diff(times[61:]) == pytest.approx(np.diff(TIMES[1:60]), abs=1e-3)
    assert "frame 60 and perhaps others have no time" in capsys.readouterr().err


class FakeVideo:
    """A container that says these times, in seconds."""

    def __init__(self, times):
        self.times, self.at = times, -1

    def grab(self):
        self.at += 1
        return self.at < len(self.times)

    def get(self, _):
        return 1000 * self.times[self.at]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([0, 0.1, 0.2], [0, 0.1, 0.2]),
        ([5, 5.1, 5.4], [0, 0.1, 0.4]),  # from the first frame on
        ([0, 0, 0], [0, 0.04, 0.08]),  # none at all
        ([0, 0.1, 0, 0.3], [0, 0.1, 0.14, 0.3]),  # one lacks
        ([0, 0.1, 0.05, 0.3], [0, 0.1, 0.14, 0.39]),  # begins anew
        ([0, 0.1, GAP * 2, GAP * 2 + 0.1], [0, 0.1, 0.14, 0.24]),  # shown for hours
        ([0, 0.1, float("nan"), 0.3], [0, 0.1, 0.14, 0.3]),
    ],
)  # fmt: skip
def test_times_rise_whatever_a_container_says(tmp_path, told, expected):
    reader = VideoReader(write_timed(tmp_path / "v.mp4", plain_images(2), [0, 0.04]))
    reader.rate, reader._video = 25.0, FakeVideo(told)
    times = []
    while reader.step():
        times.append(reader.time)
    assert times == pytest.approx(expected)


def test_a_video_whose_end_is_missing(tmp_path, capsys):
    grain = list(np.random.default_rng(0).integers(0, 255, (90, 48, 64), np.uint8))
    path = tmp_path / "v.mp4"
    write_timed(path, grain, TIMES[:90], options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 10 < len(list(read_film(open_film(path)))) < 80
    assert "of 90 frames can be decoded; the rest is left out" in capsys.readouterr().err


def test_too_slow_and_no_video(tmp_path):
    slow = write_timed(tmp_path / "v.mp4", plain_images(5), np.arange(5))
    with pytest.raises(
        UserError, match=r"v\.mp4: 1\.24 frames a second; expressions are looked for"
    ):
        open_film(slow)
    (tmp_path / "t.mp4").write_text("no video")
    with pytest.raises(UserError, match="not a video that OpenCV can decode"):
        open_film(tmp_path / "t.mp4")
