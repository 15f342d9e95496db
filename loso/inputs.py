"""What an experiment's folds read: found and checked first, loaded once."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from data.errors import UserError, warn
from data.faces import face_cache, load_face_finder
from data.index import four_frames_path, read_index
from data.landmarks import choose_finder
from data.motion_maps import motion_maps
from data.pictures import ClipPictures, load_pictures
from data.transforms import stored_size
from data.view_pictures import check_views, load_views, view_rows
from data.views import read_backend

from .folds import by_glasses
from .settings import Settings


@dataclass(frozen=True)
class Inputs:
    """The clips of an experiment and where what its streams read lies.

    index: N clips. four_frames: the companion; None where there is none. views: the folders of
    the views, and int64 (N, 5), which one each frame reads. maps: float32 (N, 3, S, S) motion.
    views_by, maps_by: what made them. Each is None where no stream reads it.
    """

    index: pd.DataFrame
    four_frames: pd.DataFrame | None = None
    views: tuple[list[Path], Tensor] | None = None
    views_by: str | None = None
    maps: np.ndarray | None = None
    maps_by: str | None = None

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return self.index["label"].to_numpy(dtype=np.int64)


def find_inputs(settings: Settings) -> Inputs:
    """Find everything that an experiment reads; clips without a motion map are left out.

    UserError for a wrong index, or with the command that makes them where views are missing.
    """
    index = read_index(settings.index_file, settings.classes)
    if settings.glasses_only or settings.without_glasses:
        index = by_glasses(index, settings.glasses_only)
    inputs = Inputs(index)
    if settings.pictures != "motion":
        inputs = dataclasses.replace(inputs, four_frames=_companion(settings))
    if settings.reads_views:
        views = _find_views(settings, inputs)
        views_by = read_backend(settings.root3d)
        inputs = dataclasses.replace(inputs, views=views, views_by=views_by)
    if settings.reads_motion:
        inputs = _with_maps(settings, inputs)
    return inputs


def load_inputs(settings: Settings, inputs: Inputs) -> ClipPictures:
    """Decode the pictures of an experiment whose streams read any."""
    size = stored_size(settings.image_size, settings.augment)
    pictures = load_pictures(inputs.index, inputs.four_frames, settings.root, size)
    if inputs.maps is not None:
        pictures = dataclasses.replace(pictures, motion=torch.from_numpy(inputs.maps))
    if inputs.views is None:
        return pictures
    folders, rows = inputs.views
    kept = load_views(folders, size, free_memory() // 2, settings.folder / "views.u8")
    return dataclasses.replace(pictures, views=kept, view_slots=rows)


def _companion(settings: Settings) -> pd.DataFrame | None:
    """The four-frames companion of the experiment's index; None where there is none."""
    companion = settings.four_frames or four_frames_path(settings.index_file)
    if settings.four_frames or companion.is_file():
        return read_index(companion, settings.classes, companion=True)
    warn(f"{companion}: not there, so training has no neighbouring frames of the apex")
    return None


def _find_views(settings: Settings, inputs: Inputs) -> tuple[list[Path], Tensor]:
    """The folders of the views, and which one each frame reads.

    UserError, with the command that makes them, unless all views are there.
    """
    own = settings.neighbour_views == "own"
    command = (
        f"python reconstruct_3d.py --index {settings.index_file} --root {settings.root} "
        f"--out {settings.root3d}{' --four-frames' * own}"
    )
    if not (settings.root3d / "views.json").is_file():
        raise UserError(f"no 3D views below {settings.root3d}; make them with: {command}")
    if not own:
        print("frames beside an apex are given the apex's views (--neighbour-views apex)")
    folders, rows = view_rows(inputs.index, inputs.four_frames, settings.root3d, own)
    check_views(folders, settings.root3d, command)
    return folders, rows


def _with_maps(settings: Settings, inputs: Inputs) -> Inputs:
    if not settings.root.is_dir():
        raise UserError(f"{settings.root}: no such folder; --root names the datasets' one")
    faces, made_by = None, "motion_path"
    if "motion_path" not in inputs.index:
        faces = load_face_finder(choose_finder(), cache=face_cache())
        made_by = f"{settings.flow}, {faces.name}"
    cache = settings.result / "motion_cache"
    size, flow = settings.motion_size, settings.flow
    maps = motion_maps(inputs.index, settings.root, size, cache, faces, flow)
    there = np.isfinite(maps).all(axis=(1, 2, 3))
    rows = torch.from_numpy(np.flatnonzero(there))
    views = inputs.views and (inputs.views[0], inputs.views[1][rows])
    index = inputs.index[there].reset_index(drop=True)
    return dataclasses.replace(inputs, index=index, maps=maps[there], maps_by=made_by, views=views)


def free_memory() -> int:
    """Bytes of memory that the system could still hand out."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if "MemAvailable" in line))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
