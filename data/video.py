"""Frames of a clip one after the other, from image files or from a video file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from .errors import UserError, warn
from .frames import read_image

# A clip: its image files by frame number, or its video file (frames count from 0).
ClipSource = dict[int, Path] | Path


def read_frames(source: ClipSource, grey: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (frame number, image) in order; one image is in memory at a time.

    Images are uint8 (H, W, 3) RGB, or (H, W) with `grey`. UserError if a file cannot be read.
    """
    if isinstance(source, Path):
        yield from _read_video(source, grey)
    else:
        for number, path in source.items():
            yield number, read_image(path, grey)


def _read_video(path: Path, grey: bool) -> Iterator[tuple[int, np.ndarray]]:
    video = cv2.VideoCapture(str(path))
    try:
        number = 0
        while True:
            there, image = video.read()
            if not there:
                break
            yield number, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if grey else cv2.COLOR_BGR2RGB)
            number += 1
        promised = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        video.release()
    if number == 0:
        raise UserError(f"{path}: not a video that OpenCV can decode")
    if number < promised:
        warn(f"{path}: {number} of {promised} frames can be decoded; the rest is left out")
