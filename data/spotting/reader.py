"""Frames of a long video in order, thinned to about 30 a second, one in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import UserError, warn
from data.disk.decode import UnreadableImageError
from data.disk.frames import list_frames, no_images, read_image

ANALYSED = 30.0  # frames a second that are looked at, about: every Nth
SLOWEST, FASTEST = 5.0, 2000.0  # frames a second that a header may claim


@dataclass(frozen=True)
class Film:
    """A video file or a folder of frames.

    fps: frames a second; count: how many its header or the folder promises; first: the number of
    the first frame, 0 in a video file. step: every how many frames one is looked at.
    """

    path: Path
    fps: float
    count: int
    first: int
    width: int
    height: int
    frames: dict[int, Path] | None = None

    @property
    def step(self) -> int:
        """Every how many frames one is looked at."""
        return max(1, round(self.fps / ANALYSED))

    @property
    def analysed_fps(self) -> float:
        """Frames a second that are looked at."""
        return self.fps / self.step


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
    said = video.get(cv2.CAP_PROP_FPS)
    if fps is None and not (np.isfinite(said) and SLOWEST <= said <= FASTEST):
        raise UserError(f"{path}: its header says {said:g} frames a second; --fps gives the rate")
    there, image = video.read()
    if not there:
        raise UnreadableImageError(f"{path}: not a video that OpenCV can decode")
    count = max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    return Film(path, fps or float(said), count, first, image.shape[1], image.shape[0])


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
    for number in range(film.first, max(numbers, default=film.first - 1) + 1):
        if not video.grab():
            return
        if number in numbers:
            there, image = video.retrieve()
            if there:
                yield number, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise UserError(f"{path}: no such video file or folder of frames")
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise UnreadableImageError(f"{path}: not a video that OpenCV can decode")
    return video


def _from_video(film: Film, start: int) -> Iterator[Frame]:
    video = _open(film.path)
    number = 0
    while video.grab():
        if number % film.step == 0 and number >= start * film.step:
            there, image = video.retrieve()
            if there:
                grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                yield Frame(number // film.step, film.first + number, number / film.fps, grey)
        number += 1
    promised = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if number < 0.98 * promised:
        warn(f"{film.path}: {number} of {promised} frames can be decoded; the rest is left out")


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
