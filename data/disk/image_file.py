"""One picture from its file, or out of a video."""

from pathlib import Path

import numpy as np

from .decode import UnreadableImageError, decode_image
from .file_kinds import video_frame
from .video_file import read_video_frame


def read_image(path: Path | str, grey: bool = False) -> np.ndarray:
    """Read an image, or a frame of a video (clip.avi#46), as uint8 (H, W, 3) RGB.

    Whatever its depth, channels, orientation tag or file type: see decode.decode_image. With
    `grey` it is uint8 (H, W), which decodes faster. UnreadableImageError if the file is
    missing, empty, cut off or no image.
    """
    path = Path(path)
    frame = video_frame(path)
    if frame:
        return read_video_frame(*frame, grey)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{path}: {error.strerror}") from error
    return decode_image(data, grey, str(path))
