"""Frames of a clip one after the other, from image files or from a video file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .frames import read_image
from .video_file import video_frames

# A clip: its frames' paths by number, or its video file (frames count from 0).
ClipSource = dict[int, Path] | Path


def read_frames(source: ClipSource, grey: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (frame number, image) in order; one image is in memory at a time.

    Images are uint8 (H, W, 3) RGB, or (H, W) with `grey`. UserError if a file cannot be read.
    """
    if isinstance(source, Path):
        yield from enumerate(video_frames(source, grey))
    else:
        for number, path in source.items():
            yield number, read_image(path, grey)
