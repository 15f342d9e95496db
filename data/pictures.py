"""The frames of an experiment: decoded and resized once, kept as uint8."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from common.errors import UserError
from data.disk.frames import read_image

from .face_search import MIN_SIDE
from .index import clip_frames, shared_rows

T = TypeVar("T")


def frame_paths(
    index: pd.DataFrame, four_frames: pd.DataFrame | None, root: Path
) -> tuple[list[Path], np.ndarray]:
    """The files of clips' apex frames and their neighbours, each once, and where each is used.

    Files, and int64 (N, 5): a clip's apex and then its neighbours; -1 where there is none.
    """
    frames = clip_frames(index, four_frames)
    return shared_rows([[root / row["apex_frame_path"] for row in rows] for rows in frames])


def read_frames(paths: list[Path], size: tuple[int, int]) -> tuple[Tensor, dict[Path, str]]:
    """uint8 (M, 3, H, W) RGB, one picture a path, and why a path's picture is missing in it."""
    height, width = size
    # Channels last, as they are decoded and as convolutions on a CPU want them.
    pictures = torch.empty((len(paths), height, width, 3), dtype=torch.uint8).movedim(-1, 1)

    def read(row: int) -> str | None:
        try:
            image = resize(read_face(paths[row]), height, width)
        except UserError as error:
            return str(error)
        pictures[row] = torch.from_numpy(image).movedim(-1, 0)
        return None

    faults = in_threads(read, len(paths), f"reading {len(paths)} frames at {width}x{height}")
    return pictures, {path: fault for path, fault in zip(paths, faults) if fault}


def in_threads(read: Callable[[int], T], number: int, description: str) -> list[T]:
    """read(0), read(1), … with a bar: decoding and resizing release the interpreter's lock."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(read, range(number))
        return list(track(done, total=number, description=description, transient=True))


def read_face(path: Path) -> np.ndarray:
    """read_image, and a UserError for a picture that is too small to hold a face."""
    image = read_image(path)
    if min(image.shape[:2]) < MIN_SIDE:
        height, width = image.shape[:2]
        raise UserError(f"{path}: {width}x{height} pixels, too small to hold a face")
    return image


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 (H, W, C), area-averaged where that makes it smaller."""
    smaller = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
