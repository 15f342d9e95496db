"""Frames of a video file, decoded from its start: seeking is not exact for every codec."""

import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from common.errors import warn

from .decode import UnreadableImageError

# Every fault of a file becomes one line of ours; FFmpeg would print its own beside it.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

USUAL = 30.0  # frames a second of a video whose header tells none
GAP = 3600.0  # seconds: a frame that is said to be shown longer has a wrong time


def video_frames(path: Path, grey: bool = False) -> Iterator[np.ndarray]:
    """Yield a video's frames in order, uint8 (H, W, 3) RGB or (H, W) with `grey`.

    UnreadableImageError for a file that is no video; a warning where its end is missing.
    """
    reader = VideoReader(path)
    while (image := reader.read(reader.at + 1, grey)) is not None:
        yield image
    reader.check_end()


def timed_frames(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """As video_frames, RGB, each with its time in seconds from the first frame on.

    A warning where times of the file's own do not rise.
    """
    reader = VideoReader(path)
    while (image := reader.read(reader.at + 1, False)) is not None:
        yield reader.time, image
    reader.check_times()
    reader.check_end()


def read_video_frame(path: Path, number: int, grey: bool = False) -> np.ndarray:
    """Frame `number` (from 0) of a video, as video_frames gives it.

    Going on in the video that this thread read last decodes each frame once; going back starts
    anew. UnreadableImageError for a file that is no video and for a frame that it lacks.
    """
    reader = getattr(_last, "reader", None)
    if reader is None or reader.key != _key(path) or reader.at > number:
        reader = _last.reader = VideoReader(path)
    image = reader.read(number, grey)
    if image is None:
        reader.check_end()
        raise UnreadableImageError(f"{path}: no frame {number}; it has 0 to {reader.at}")
    return image


def count_frames(path: Path) -> int:
    """How many frames of a video can be decoded; what its header promises is an estimate.

    UnreadableImageError for a file that is no video; a warning where its end is missing.
    """
    return len(frame_times(path))


def frame_times(path: Path) -> np.ndarray:
    """When each frame of a video is shown (N,), in seconds from the first one on; as count_frames.

    Decoded once a process.
    """
    return _times(*_key(path))


def frame_rate(path: Path) -> float | None:
    """Frames a second, as a video's header says; None where it does not, or says nonsense."""
    return VideoReader(path).rate


_last = threading.local()  # .reader: the video that this thread read last


def _key(path: Path) -> tuple:
    """What a video that is open has to agree in, to be read on."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UnreadableImageError(f"{path}: {error.strerror}") from error
    return path, stat.st_size, stat.st_mtime_ns


@cache
def _times(path: Path, *_: object) -> np.ndarray:
    reader = VideoReader(path)
    times = []
    while reader.step():
        times.append(reader.time)
    reader.check_end()
    return np.array(times)


class VideoReader:
    """A video that is open, read from its start on.

    at: the frame that was decoded last, -1 before the first; time: when it is shown, in seconds
    from the first frame on, rising: as its container says (a phone's or a screen recorder's frames
    are unevenly spaced), or a frame of the header's rate after the one before where that does not
    rise. rate: frames a second as the header has it, None where it says nonsense. fps: an even
    rate instead of frames' own times.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self.key = _key(path)
        self.path = path
        self.fps = fps
        self.at = -1
        self.time = 0.0
        self._shift: float | None = None  # from the container's times to ours
        self._odd: int | None = None  # the first frame whose time does not rise
        self._video = cv2.VideoCapture(str(path))
        said = self._video.get(cv2.CAP_PROP_FPS)
        self.rate = float(said) if 0 < said <= 10_000 else None
        # An estimate, and nonsense where a header gives no duration.
        self.promised = max(int(self._video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def step(self) -> bool:
        """Go to the next frame; False where there is none."""
        there = self._video.grab()
        if there:
            self.at += 1
            self._keep_time(self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        return there

    def picture(self, grey: bool) -> np.ndarray | None:
        """The frame that was decoded last, (H, W, 3) RGB or (H, W); None where it is none."""
        there, image = self._video.retrieve()
        if not there:
            return None
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if grey else cv2.COLOR_BGR2RGB)

    def read(self, number: int, grey: bool) -> np.ndarray | None:
        """The frame that was decoded last, or one that lies ahead; None past the end."""
        while self.at < number:
            if not self.step():
                return None
        return self.picture(grey)

    def check_end(self, share: float = 1.0) -> None:
        """Judge a video that has been read to its end.

        share: of the frames that its header promises, as many have to be there.
        """
        if self.at < 0:
            raise UnreadableImageError(f"{self.path}: not a video that OpenCV can decode")
        there = self.at + 1
        # At a varying rate the header's number is an estimate from its duration, which is none.
        lasted = self.time * (self.fps or self.rate or USUAL) + 1.5
        if there < share * self.promised and lasted < share * self.promised:
            warn(
                f"{self.path}: {there} of {self.promised} frames can be decoded; the rest is "
                "left out"
            )

    def check_times(self) -> None:
        """Warn of times that do not rise, where they matter."""
        if self._odd is not None:
            warn(
                f"{self.path}: frame {self._odd} and perhaps others have no time that rises; they "
                f"are taken to follow after {1000 / (self.rate or USUAL):.3g} ms"
            )

    def _keep_time(self, told: float) -> None:
        """Set the time of the frame that was just decoded; told: what its container says."""
        if self.fps:
            self.time = self.at / self.fps
            return
        if self._shift is None:
            self._shift = -told
            return
        time, step = told + self._shift, 1 / (self.rate or USUAL)
        if told > 0 and self.time < time <= self.time + GAP:
            self.time = time
            return
        self.time += step
        if self._odd is None:
            self._odd = self.at
        if told > 0:  # as where two recordings were joined: times go on from here
            self._shift = self.time - told
