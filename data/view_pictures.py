"""The 3D views that a network reads: checked, and read once as uint8."""

from collections.abc import Container
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common.errors import UserError, warn
from data.disk.frames import read_image

from .index import clip_frames, shared_rows
from .pictures import in_threads, resize
from .views import SIZE, VIEWS_SHOW, YAWS, ViewsShow, view_folder, view_names


def check_views(
    folders: list[Path], root3d: Path, command: str, shown: ViewsShow = "shape"
) -> None:
    """UserError unless each folder holds the 13 views and no other; `command` makes them."""
    wanted = set(view_names(shown))
    pattern = VIEWS_SHOW[shown][0].format("*")
    missing = [folder for folder in folders if not (folder / pattern).parent.is_dir()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(folders)} frames have no views below {root3d} (the first: "
            f"{missing[0].relative_to(root3d)}); make them with: {command}"
        )
    for folder in folders:
        found = {
            path.relative_to(folder).as_posix()
            for path in folder.glob(pattern)
            if path.stem.lstrip("-").isdigit()
        }
        for what, names in (("no", wanted - found), ("an extra", found - wanted)):
            if names:
                raise UserError(
                    f"{folder}: {what} view {min(names)}; a frame has the yaws "
                    f"{YAWS[0]} to {YAWS[-1]} in steps of 5: delete the folder and run {command}"
                )


def load_views(
    folders: list[Path],
    size: tuple[int, int],
    limit: int,
    spare: Path,
    shown: ViewsShow = "shape",
) -> Tensor:
    """Read frames' views as uint8 (len(folders), 13 x channels, H, W), as read_views.

    Where they would take more than `limit` bytes, they go into the file `spare`, mapped into
    memory. Size and place are printed first. UserError for a view that cannot be read or whose
    side is not 224.
    """
    shape = (len(folders), len(YAWS) * VIEWS_SHOW[shown][1], *size)
    needed = int(np.prod(shape))
    where = "in memory" if needed <= limit else f"mapped from {spare}"
    print(f"views: {len(folders)} frames x {len(YAWS)}, {needed / 2**20:.0f} MiB {where}")
    if needed <= limit:
        views = np.empty(shape, np.uint8)
    else:
        spare.parent.mkdir(parents=True, exist_ok=True)
        views = np.memmap(spare, np.uint8, "w+", shape=shape)

    def read(row: int) -> None:
        views[row] = read_views(folders[row], size, shown)

    in_threads(read, len(folders), "reading views")
    return torch.from_numpy(views)


def read_views(folder: Path, size: tuple[int, int], shown: ViewsShow = "shape") -> np.ndarray:
    """One frame's views as uint8 (13 x channels, H, W), in order of the yaw; errors as load_views.

    Views of the shape are grey: one that has colour is read as its luma, with a warning.
    """
    paths = [folder / name for name in view_names(shown)]
    if shown == "shape":
        return np.stack([resize(_read_grey(path), *size) for path in paths])
    pictures = [resize(_read_colour(path), *size) for path in paths]
    return np.concatenate([np.moveaxis(picture, -1, 0) for picture in pictures])


def _read_colour(path: Path) -> np.ndarray:
    image = read_image(path)
    if image.shape[:2] != (SIZE, SIZE):
        height, width = image.shape[:2]
        raise UserError(f"{path}: {width}x{height} pixels, a view has {SIZE}x{SIZE}")
    return image


def _read_grey(path: Path) -> np.ndarray:
    image = _read_colour(path)
    if np.ptp(image.astype(np.int16), axis=2).max() > 40:  # more than JPEG adds to grey
        warn("views have colour; the network reads shape renderings, so their luma is taken")
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def view_rows(
    index: pd.DataFrame, four_frames: pd.DataFrame | None, root3d: Path, own: bool
) -> tuple[list[Path], Tensor]:
    """The view folders that clips need, each once, and which one each frame of a clip reads.

    own: neighbouring frames have views of their own, else they share their apex's. Returns
    folders and int64 (N, 5), -1 where a clip has fewer neighbouring frames.
    """
    frames = clip_frames(index, four_frames)
    folders, slots = shared_rows(
        [[view_folder(root3d, row if own else rows[0]) for row in rows] for rows in frames]
    )
    return folders, torch.from_numpy(slots)


def without_folders(
    folders: list[Path], rows: Tensor, gone: Container[Path]
) -> tuple[list[Path], Tensor]:
    """view_rows' result without some folders: -1 where a frame would have read one of them."""
    kept: list[Path] = []
    place = np.full(len(folders) + 1, -1)  # the last stands for -1
    for i, folder in enumerate(folders):
        if folder not in gone:
            place[i] = len(kept)
            kept.append(folder)
    return kept, torch.from_numpy(place)[rows]
