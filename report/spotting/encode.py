"""Pictures one after the other into a video file: H.264 by PyAV, else MPEG-4 by OpenCV."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from common.errors import UserError

from .sound import open_sound

CLOCK = 90_000  # ticks a second of an MPEG stream
WITHOUT_H264 = "MPEG-4 part 2, for want of PyAV's H.264"
QUALITY = "20"  # x264's constant rate factor: hardly to be told from its source


class Writer(Protocol):
    """Takes pictures uint8 (H, W, 3) RGB, all of one size, both sides even."""

    def write(self, image: np.ndarray, time: float) -> None:
        """Add a picture that is shown from `time` (seconds) on."""


def has_h264() -> bool:
    """Whether PyAV is here and encodes H.264."""
    try:
        import av
    except ImportError:
        return False
    try:
        av.codec.Codec("libx264", "w")
    except ValueError:  # av's UnknownCodecError
        return False
    return True


@contextmanager
def open_writer(
    path: Path, size: tuple[int, int], rate: float, sound: Path | None = None
) -> Iterator[Writer]:
    """Write a video of a size (width, height) and a rate (frames a second), whole at the end.

    H.264 where has_h264(), each picture at its own time, with the sound of a file `sound`; else
    MPEG-4 part 2 at the even rate, silent. UserError where no encoder takes it.
    """
    writer = _H264(path, size, rate, sound) if has_h264() else _Mpeg4(path, size, rate)
    try:
        yield writer
    finally:
        writer.close()


class _H264:
    def __init__(self, path: Path, size: tuple[int, int], rate: float, sound: Path | None) -> None:
        import av

        self._av = av
        # The index in front: a browser plays what it has of the file.
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        even = Fraction(rate).limit_denominator(1001)
        self._stream = self._file.add_stream("libx264", rate=even)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, CLOCK)
        self._stream.options = {"crf": QUALITY, "preset": "veryfast"}
        self._sound = open_sound(sound, self._file) if sound else None
        self._last, self._step = -1, round(CLOCK / rate)

    def write(self, image: np.ndarray, time: float) -> None:
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = self._last = max(round(time * CLOCK), self._last + 1)
        frame.time_base = Fraction(1, CLOCK)
        self._file.mux(self._stream.encode(frame))
        self._hear()

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        if self._sound:
            self._hear()
            self._sound.close()
        self._file.close()

    def _hear(self) -> None:
        """Write the sound up to the end of the last picture."""
        if self._sound:
            self._sound.write((self._last + self._step) / CLOCK)


class _Mpeg4:
    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._file = cv2.VideoWriter(str(path), fourcc, rate, size)
        if not self._file.isOpened():
            raise UserError(f"cannot write {path}: OpenCV has no encoder for it")

    def write(self, image: np.ndarray, time: float) -> None:
        self._file.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._file.release()
