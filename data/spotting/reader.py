"""Frames of a long video in order, thinned to about 30 a second, one in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError, warn
from data.disk.decode import UnreadableImageError
from data.disk.frames import list_frames, no_images, read_image
from data.disk.video_file import VideoReader

ANALYSED = 30.0  # frames a second that are looked at, about
MOST = 36.0  # at a varying rate: frames of a phone come sooner and later than 30 times a second
SLOWEST, FASTEST = 5.0, 2000.0  # frames a second that a video may have
SOME = 30  # frames at the start of a video whose times tell whether its header's rate is nonsense
WHOLE = 0.98  # of the frames that a header promises: with fewer a video's end is missing


@dataclass(frozen=True)
class Film:
    """A video file or a folder of frames.

    fps: frames a second, of a video whose rate varies about so many; timed: whether each frame has
    a time of its own; if not, it is its number over fps. count: how many frames its header or the
    folder promises, 0 if none; first: the number of the first frame, 0 in a video file.
    """

    path: Path
    fps: float
    count: int
    first: int
    width: int
    height: int
    frames: dict[int, Path] | None = None
    timed: bool = False

    @property
    def step(self) -> int:
        """Every how many frames one is looked at, where they are evenly spaced."""
        return max(1, round(self.fps / ANALYSED))

    @property
    def analysed_fps(self) -> float:
        """Frames a second that are looked at."""
        return self.fps / self.step

    def slot(self, time: float) -> int:
        """The place among those looked at that a time falls into, at most one frame in each.

        Evenly spaced frames, whose times may be off by half a frame, are looked at every `step`.
        """
        return int((time * max(self.fps, MOST) + 0.5) // self.step)


@dataclass(frozen=True)
class Frame:
    """A frame's place among those looked at, its number, its time in seconds from the first, and
    its picture, uint8 (H, W)."""

    at: int
    number: int
    time: float
    grey: np.ndarray


def open_film(path: Path, fps: float | None = None, first: int = 0) -> Film:
    """Look at a video's header, or at a folder of frames, whose rate `fps` has to be given.

    first: the number of a video file's first frame. UserError for what is neither, for a folder
    without a rate, and where `fps` is no rate.
    """
    if fps is not None and not 1 <= fps <= FASTEST:
        raise UserError(f"--fps {fps:g}: frames a second, 1 to {FASTEST:g}")
    if path.is_dir():
        frames = list_frames(path)
        if not frames:
            raise no_images(path)
        if fps is None:
            raise UserError(f"{path}: a folder of frames has no rate of its own: --fps gives it")
        height, width = read_image(next(iter(frames.values())), grey=True).shape
        return Film(path, fps, len(frames), min(frames), width, height, frames)
    video = _open(path)
    if not video.step() or (image := video.picture(grey=True)) is None:
        raise UnreadableImageError(f"{path}: not a video that OpenCV can decode")
    height, width = image.shape
    rate = fps or _rate(video)
    return Film(path, rate, video.promised, first, width, height, timed=fps is None)


def _rate(video: VideoReader) -> float:
    """Frames a second: the header's, unless the first frames' own times say that it is not so.

    UserError where that is no rate at which anything could be found.
    """
    times = [video.time]
    while len(times) < SOME and video.step():
        times.append(video.time)
    steps = np.diff(times)
    usual = np.median(steps) if len(steps) > 1 else 0.0
    apart = float(steps[np.abs(steps - usual) < usual / 2].mean()) if usual else 0.0
    rate = video.rate or 0.0
    if apart and not 0.5 < rate * apart < 2:
        rate = 1 / apart
    if not SLOWEST <= rate <= FASTEST:
        raise UserError(
            f"{video.path}: {rate:.3g} frames a second; expressions are looked for at {SLOWEST:g} "
            f"to {FASTEST:g}; if its header is wrong, --fps gives the rate"
        )
    return rate


def read_film(film: Film, start: int = 0) -> Iterator[Frame]:
    """The frames to look at, from the `start`-th of them on.

    A video whose end is missing ends there, with a warning; an image that cannot be read, or is of
    another size, is left out with a warning.
    """
    if film.frames is None:
        yield from _from_video(film, start)
    else:
        yield from _from_folder(film, film.frames, start)


def read_some(film: Film, numbers: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of these numbers, uint8 (H, W, 3) RGB, in order; those that are not there lack."""
    if film.frames is not None:
        for number in sorted(numbers & set(film.frames)):
            yield number, read_image(film.frames[number])
        return
    video = _open(film.path)
    last = max(numbers, default=film.first - 1)
    while film.first + video.at < last and video.step():
        number = film.first + video.at
        if number in numbers and (image := video.picture(grey=False)) is not None:
            yield number, image


def _open(path: Path, fps: float | None = None) -> VideoReader:
    if not path.is_file():
        raise UserError(f"{path}: no such video file or folder of frames")
    return VideoReader(path, fps)


def _from_video(film: Film, start: int) -> Iterator[Frame]:
    video = _open(film.path, None if film.timed else film.fps)
    following = start
    while video.step():
        at = film.slot(video.time)
        if at >= following and (grey := video.picture(grey=True)) is not None:
            yield Frame(at, film.first + video.at, video.time, grey)
            following = at + 1
    video.check_times()
    video.check_end(WHOLE)


def _from_folder(film: Film, frames: dict[int, Path], start: int) -> Iterator[Frame]:
    for at, number in list(enumerate(list(frames)[:: film.step]))[start:]:
        try:
            grey = read_image(frames[number], grey=True)
        except UnreadableImageError as error:
            warn(f"{error}; the frame is left out")
            continue
        if grey.shape != (film.height, film.width):
            warn(f"{frames[number]}: of another size than the first frame; it is left out")
            continue
        yield Frame(at, number, (number - film.first) / film.fps, grey)
