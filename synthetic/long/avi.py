"""Motion JPEG in an AVI file: one chunk a picture, the same pictures the same bytes.

After Microsoft's "AVI RIFF File Reference". OpenCV's own writer of such files stops at noisy
pictures (an assertion in put_bits), and its FFmpeg one takes no quality.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

_INDEXED, _KEY = 0x10, 0x10  # flags: the file has an index; the frame needs no other


def as_jpeg(frame: np.ndarray, quality: int) -> bytes:
    """A picture, uint8 (H, W) or (H, W, 3) RGB, as a JPEG."""
    picture = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a frame")
    return jpeg.tobytes()


def write_avi(path: Path, jpegs: Iterable[bytes], fps: int, size: tuple[int, int]) -> None:
    """Write pictures of `size` (width, height), each a JPEG, as one video.

    ValueError for a file of more than 4 GB, which the format cannot hold.
    """
    index = bytearray()
    with path.open("wb") as file:
        head = _head(0, fps, size)
        file.write(_list_start(b"RIFF", 0, b"AVI ") + head + _list_start(b"LIST", 0, b"movi"))
        start = file.tell() - 4  # the index counts from the word movi
        for jpeg in jpegs:
            index += struct.pack("<4sIII", b"00dc", _KEY, file.tell() - start, len(jpeg))
            file.write(_chunk(b"00dc", jpeg))
        end = file.tell()
        if end + len(index) > 2**32 - 64:
            raise ValueError(f"{path}: more than 4 GB")
        file.write(_chunk(b"idx1", bytes(index)))
        total, count = file.tell(), len(index) // 16
        file.seek(0)  # now that the lengths are known
        file.write(_list_start(b"RIFF", total - 8, b"AVI ") + _head(count, fps, size))
        file.write(_list_start(b"LIST", end - start, b"movi"))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)


def _list_start(kind: bytes, length: int, name: bytes) -> bytes:
    return struct.pack("<4sI4s", kind, length, name)


def _head(frames: int, fps: int, size: tuple[int, int]) -> bytes:
    width, height = size
    main = struct.pack(
        "<14I", 1_000_000 // fps, 0, 0, _INDEXED, frames, 0, 1, 0, width, height, 0, 0, 0, 0
    )
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, fps, 0, frames, 0, 2**32 - 1, 0,
        0, 0, width, height,
    )  # fmt: skip
    bitmap = struct.pack(
        "<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0
    )
    streams = _chunk(b"strh", stream) + _chunk(b"strf", bitmap)
    content = _chunk(b"avih", main) + _list_start(b"LIST", len(streams) + 4, b"strl") + streams
    return _list_start(b"LIST", len(content) + 4, b"hdrl") + content
