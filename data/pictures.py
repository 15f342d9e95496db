"""The pictures of an experiment: decoded and resized once, kept as uint8."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from .errors import UserError, warn
from .frames import read_image
from .index import clip_frames, shared_rows

MIN_SIDE = 16  # pixels; below that no face can be told from noise


@dataclass(frozen=True)
class ClipPictures:
    """The apex frame of every clip and its neighbours.

    index: N clips. pictures: uint8 (M, 3, H, W) RGB, each file once. slots: int64 (N, 5), the
    rows of `pictures` that hold a clip's apex and then its neighbours; -1 where there is none.
    views: grey uint8 (V, 13, H, W) and view_slots: int64 (N, 5), the rows of `views` for the
    same frames; motion: float (N, 3, S, S) maps from onset to apex, one a clip, for its
    neighbouring frames too. None where no stream reads them.
    """

    index: pd.DataFrame
    pictures: Tensor
    slots: Tensor
    views: Tensor | None = None
    view_slots: Tensor | None = None
    motion: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return torch.tensor(self.index["label"].to_numpy(dtype=np.int64))


def load_pictures(
    index: pd.DataFrame, four_frames: pd.DataFrame | None, root: Path, size: tuple[int, int]
) -> ClipPictures:
    """Read the frames that an index and its companion name, at size = (height, width).

    Without a companion, training has the apex frames alone (with a warning). UserError names
    the first picture that cannot be read or is smaller than 16 pixels.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    frames = clip_frames(index, four_frames)
    paths, slots = shared_rows([[root / row["apex_frame_path"] for row in rows] for rows in frames])
    alone = int((slots[:, 1:] < 0).all(axis=1).sum())
    if alone:
        warn(
            f"{alone} of {len(index)} clips have no neighbouring frames: their apex is all there is"
        )
    return ClipPictures(index, _read_all(paths, size), torch.tensor(slots))


def _read_all(paths: list[Path], size: tuple[int, int]) -> Tensor:
    height, width = size
    # Channels last, as they are decoded and as convolutions on a CPU want them.
    pictures = torch.empty((len(paths), height, width, 3), dtype=torch.uint8).movedim(-1, 1)

    def read(row: int) -> None:
        image = resize(read_face(paths[row]), height, width)
        pictures[row] = torch.from_numpy(image).movedim(-1, 0)

    with ThreadPoolExecutor() as pool:  # decoding and resizing release the interpreter's lock
        for _ in track(
            pool.map(read, range(len(paths))),
            total=len(paths),
            description=f"reading {len(paths)} frames at {width}x{height}",
            transient=True,
        ):
            pass
    return pictures


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
