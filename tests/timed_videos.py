"""Videos whose frames have times of their own, as phones and screen recorders write them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

CLOCKS = {".mp4": 90_000, ".mov": 90_000, ".ts": 90_000, ".avi": 30}  # ticks a second; else 1000


def write_timed(
    path: Path,
    images: Sequence[np.ndarray],
    times: Sequence[float],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    sound: float = 0,
) -> Path:
    """Images uint8 (H, W) or (H, W, 3) RGB, each shown from its time (seconds) on.

    sound: seconds of a tone that begins with the first frame; .wav's coding in an .avi, else AAC.
    """
    av = pytest.importorskip("av", reason="no PyAV: pip install it")
    clock = CLOCKS.get(path.suffix, 1000)
    with av.open(str(path), "w", options=options or {}) as file:
        stream = file.add_stream(codec, rate=30)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
        rate = 16_000
        coding = {".avi": "pcm_s16le", ".webm": "libopus"}.get(path.suffix, "aac")
        heard = file.add_stream(coding, rate=rate, layout="mono") if sound else None
        for image, time in zip(images, times, strict=True):
            form = "gray" if image.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=form)
            frame.pts, frame.time_base = round(time * clock), Fraction(1, clock)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if heard is not None:
            tone = np.sin(2 * np.pi * 440 * np.arange(int(sound * rate)) / rate)
            wave = (8000 * tone).astype(np.int16)[None]
            for first in range(0, wave.shape[1], 960):
                part = np.ascontiguousarray(wave[:, first : first + 960])
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
                frame.sample_rate, frame.pts = rate, first
                frame.time_base = Fraction(1, rate)
                file.mux(heard.encode(frame))
            file.mux(heard.encode(None))
    return path


def uneven_times(count: int, seed: int = 0) -> np.ndarray:
    """Times of frames that come 15 to 60 times a second, with a pause here and there."""
    apart = np.random.default_rng(seed).choice(
        [1 / 60, 1 / 30, 1 / 15, 0.4], count, p=[0.4, 0.4, 0.17, 0.03]
    )
    return np.cumsum(apart) - apart[0]


def plain_images(count: int) -> list[np.ndarray]:
    """Grey pictures (48, 64), each of another level."""
    return [np.full((48, 64), 20 + 7 * i % 200, np.uint8) for i in range(count)]
