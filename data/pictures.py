"""The pictures of an experiment: decoded and resized once, kept as uint8."""

from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from common.errors import UserError, warn
from data.disk.frames import read_image

from .index import clip_frames, shared_rows

MIN_SIDE = 16  # pixels; below that no face can be told from noise


@dataclass(frozen=True)
class ClipPictures:
    """The apex frame of every clip and its neighbours.

    index: N clips. pictures: uint8 (M, 3, H, W) RGB, each file once. slots: int64 (N, 5), the
    rows of `pictures` that hold a clip's apex and then its neighbours; -1 where there is none.
    four_frames: the companion's rows that these neighbours are; None without one.
    views: grey uint8 (V, 13, H, W) and view_slots: int64 (N, 5), the rows of `views` for the
    same frames; motion: float (N, 3, S, S) maps from onset to apex, one a clip, for its
    neighbouring frames too. None where no stream reads them.
    """

    index: pd.DataFrame
    pictures: Tensor
    slots: Tensor
    four_frames: pd.DataFrame | None = None
    views: Tensor | None = None
    view_slots: Tensor | None = None
    motion: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return torch.tensor(self.index["label"].to_numpy(dtype=np.int64))

    def of_clips(self, rows: np.ndarray) -> "ClipPictures":
        """The same of some clips, by their positions; for frames alone, before views and motion."""
        index = self.index.iloc[rows].reset_index(drop=True)
        return replace(self, index=index, slots=self.slots[torch.from_numpy(rows)])


def load_pictures(
    index: pd.DataFrame,
    four_frames: pd.DataFrame | None,
    root: Path,
    size: tuple[int, int],
    strict: bool = False,
) -> ClipPictures:
    """Read the frames that an index and its companion name, at size = (height, width).

    A picture is of no use if it cannot be read or is smaller than 16 pixels. Of a frame beside an
    apex that costs the frame, of an apex the clip: named and counted by warnings, or with
    `strict` a UserError. UserError too where no clip is left. Without a companion, training has
    the apex frames alone (with a warning).
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    if (index["apex_frame_path"] == "").all():
        raise UserError("the index names no apex frames (apex_frame_path), only motion")
    paths, slots = _frame_paths(index, four_frames, root)
    pictures, faults = _read_all(paths, size)
    if faults:
        _report(faults, index, four_frames, root, strict)
        row_of = {path: row for row, path in enumerate(paths) if path not in faults}
        index = _of_files(row_of, index, root)
        four_frames = None if four_frames is None else _of_files(row_of, four_frames, root)
        left, slots = _frame_paths(index, four_frames, root)
        slots = np.where(slots < 0, -1, np.array([row_of[path] for path in left])[slots])
    alone = int((slots[:, 1:] < 0).all(axis=1).sum())
    if alone:
        warn(
            f"{alone} of {len(index)} clips have no neighbouring frames: their apex is all there is"
        )
    return ClipPictures(index, pictures, torch.from_numpy(slots), four_frames)


def _frame_paths(
    index: pd.DataFrame, four_frames: pd.DataFrame | None, root: Path
) -> tuple[list[Path], np.ndarray]:
    frames = clip_frames(index, four_frames)
    return shared_rows([[root / row["apex_frame_path"] for row in rows] for rows in frames])


def _of_files(files: Container[Path], table: pd.DataFrame, root: Path) -> pd.DataFrame:
    there = [root / path in files for path in table["apex_frame_path"]]
    return table[there].reset_index(drop=True)


def _report(
    faults: dict[Path, str],
    index: pd.DataFrame,
    four_frames: pd.DataFrame | None,
    root: Path,
    strict: bool,
) -> None:
    """Name and count what cannot be read; faults: why, by file. UserError as load_pictures."""
    lost, beside = [], []  # clips, and files of neighbouring frames
    for row, *neighbours in clip_frames(index, four_frames):
        name = f"{row['data']}_{row['subject']} {row['clip']}"
        apex = root / row["apex_frame_path"]
        wrong = [root / other["apex_frame_path"] for other in neighbours]
        wrong = [path for path in dict.fromkeys(wrong) if path in faults]
        if strict and (apex in faults or wrong):
            raise UserError(f"{name}: {faults[apex if apex in faults else wrong[0]]} (--strict)")
        if apex in faults:
            lost.append(f"{name}: apex frame {faults[apex]}")
        else:
            beside += [f"{name}: left out a frame beside the apex: {faults[p]}" for p in wrong]
    if len(lost) == len(index):
        raise UserError(f"none of the {len(index)} clips can be read; the first: {lost[0]}")
    for message in (*(f"skipped {fault}" for fault in lost), *beside):
        warn(message)
    if lost:
        warn(f"{len(lost)} of {len(index)} clips are left out: their apex frame cannot be read")
    if beside:
        warn(f"{len(beside)} frames beside an apex cannot be read and are left out")


def _read_all(paths: list[Path], size: tuple[int, int]) -> tuple[Tensor, dict[Path, str]]:
    """uint8 (M, 3, H, W), one picture a path, and why a path's picture is missing in it."""
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

    with ThreadPoolExecutor() as pool:  # decoding and resizing release the interpreter's lock
        faults = track(
            pool.map(read, range(len(paths))),
            total=len(paths),
            description=f"reading {len(paths)} frames at {width}x{height}",
            transient=True,
        )
        return pictures, {path: fault for path, fault in zip(paths, faults) if fault}


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
