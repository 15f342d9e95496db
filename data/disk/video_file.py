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


def video_frames(path: Path, grey: bool = False) -> Iterator[np.ndarray]:
    """Yield a video's frames in order, uint8 (H, W, 3) RGB or (H, W) with `grey`.

    UnreadableImageError for a file that is no video; a warning where its end is missing.
    """
    reader = _Reader(path)
    while (image := reader.read(reader.at + 1, grey)) is not None:
        yield image
    reader.check_end()


def read_video_frame(path: Path, number: int, grey: bool = False) -> np.ndarray:
    """Frame `number` (from 0) of a video, as video_frames gives it.

    Going on in the video that this thread read last decodes each frame once; going back starts
    anew. UnreadableImageError for a file that is no video and for a frame that it lacks.
    """
    reader = getattr(_last, "reader", None)
    if reader is None or reader.key != _key(path) or reader.at > number:
        reader = _last.reader = _Reader(path)
    image = reader.read(number, grey)
    if image is None:
        reader.check_end()
        raise UnreadableImageError(f"{path}: no frame {number}; it has 0 to {reader.at}")
    return image


def count_frames(path: Path) -> int:
    """How many frames of a video can be decoded; what its header promises is an estimate.

    UnreadableImageError for a file that is no video; a warning where its end is missing.
    """
    return _count(*_key(path))


def frame_rate(path: Path) -> float | None:
    """Frames a second, as a video's header says; None where it does not, or says nonsense."""
    rate = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
    return float(rate) if 0 < rate <= 10_000 else None


_last = threading.local()  # .reader: the video that this thread read last


def _key(path: Path) -> tuple:
    """What a video that is open has to agree in, to be read on."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UnreadableImageError(f"{path}: {error.strerror}") from error
    return path, stat.st_size, stat.st_mtime_ns


@cache
def _count(path: Path, *_: object) -> int:
    reader = _Reader(path)
    while reader.step():
        pass
    reader.check_end()
    return reader.at + 1


class _Reader:
    """A video that is open; `at` is the frame that was decoded last, -1 before the first."""

    def __init__(self, path: Path) -> None:
        self.key = _key(path)
        self.path = path
        self.at = -1
        self._video = cv2.VideoCapture(str(path))

    def step(self) -> bool:
        there = self._video.grab()
        self.at += there
        return there

    def read(self, number: int, grey: bool) -> np.ndarray | None:
        """The frame that was decoded last, or one that lies ahead; None past the end."""
        while self.at < number:
            if not self.step():
                return None
        there, image = self._video.retrieve()
        if not there:
            return None
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if grey else cv2.COLOR_BGR2RGB)

    def check_end(self) -> None:
        """Judge a video that has been read to its end."""
        if self.at < 0:
            raise UnreadableImageError(f"{self.path}: not a video that OpenCV can decode")
        promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        if self.at + 1 < promised:
            warn(
                f"{self.path}: {self.at + 1} of {promised} frames can be decoded; the rest is "
                "left out"
            )
