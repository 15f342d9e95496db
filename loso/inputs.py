"""What an experiment's folds read: found, checked and loaded once, before any fold is made."""

import dataclasses
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common.errors import UserError, warn
from data.faces import face_cache, load_face_finder
from data.index import four_frames_path, read_index
from data.landmarks import choose_finder
from data.motion.maps import motion_maps
from data.pictures import ClipPictures, load_pictures
from data.transforms import stored_size
from data.view_pictures import check_views, load_views, view_rows, without_folders
from data.views import read_backend, read_faceless

from .folds import by_glasses
from .settings import Settings

UNKNOWN_MEMORY = 4 * 2**30  # bytes: one fold at a time fits


@dataclass(frozen=True)
class Inputs:
    """The clips of an experiment that can be read, and what its streams read of them.

    index: N clips. pictures: their frames. views: the folders of the views, and int64 (N, 5),
    which one each frame reads. maps: float32 (N, 3, S, S) motion. views_by, maps_by: what made
    them. Each is None where no stream reads it. left_out: clips of the index that cannot be read.
    """

    index: pd.DataFrame
    pictures: ClipPictures | None = None
    views: tuple[list[Path], Tensor] | None = None
    views_by: str | None = None
    maps: np.ndarray | None = None
    maps_by: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return self.index["label"].to_numpy(dtype=np.int64)


def find_inputs(settings: Settings) -> Inputs:
    """Find and read what an experiment reads, but for the views, which are only looked for.

    Clips without a readable apex frame or a motion map are left out, by name; with --strict they
    are a UserError. UserError too for a wrong index, or with the command that makes them where
    views are missing.
    """
    index = read_index(settings.index_file, settings.classes)
    if settings.glasses_only or settings.without_glasses:
        index = by_glasses(index, settings.glasses_only)
    inputs = Inputs(index)
    if settings.pictures != "motion":
        size = stored_size(settings.image_size, settings.augment)
        companion = _companion(settings)
        pictures = load_pictures(index, companion, settings.root, size, settings.strict)
        inputs = dataclasses.replace(inputs, index=pictures.index, pictures=pictures)
    if settings.reads_views:
        inputs = _with_views(settings, inputs)
    if settings.reads_motion:
        inputs = _with_maps(settings, inputs)
    left = set(_names(inputs.index))
    return dataclasses.replace(
        inputs, left_out=tuple(name for name in _names(index) if name not in left)
    )


def _names(index: pd.DataFrame) -> list[str]:
    return (index["data_sub"] + " " + index["clip"]).tolist()


def load_inputs(settings: Settings, inputs: Inputs) -> ClipPictures:
    """All that a network with pictures reads: the frames, decoded views, motion maps."""
    pictures = inputs.pictures
    if inputs.maps is not None:
        pictures = dataclasses.replace(pictures, motion=torch.from_numpy(inputs.maps))
    if inputs.views is None:
        return pictures
    folders, rows = inputs.views
    size = stored_size(settings.image_size, settings.augment)
    spare = settings.result / f".views_{os.getpid()}.u8"
    try:
        kept = load_views(folders, size, free_memory() // 2, spare)
    finally:
        with suppress(PermissionError):  # Windows keeps what is mapped
            spare.unlink(missing_ok=True)  # elsewhere the pages stay for as long as they are read
    return dataclasses.replace(pictures, views=kept, view_slots=rows)


def _companion(settings: Settings) -> pd.DataFrame | None:
    """The four-frames companion of the experiment's index; None where there is none."""
    companion = settings.four_frames or four_frames_path(settings.index_file)
    if settings.four_frames or companion.is_file():
        return read_index(companion, settings.classes, companion=True)
    warn(f"{companion}: not there, so training has no neighbouring frames of the apex")
    return None


def _with_views(settings: Settings, inputs: Inputs) -> Inputs:
    """The inputs with the views' folders, and without the frames in which no face was found.

    UserError, with the command that makes them, unless all other views are there.
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
    folders, rows = view_rows(inputs.index, inputs.pictures.four_frames, settings.root3d, own)
    faceless = {path for path in read_faceless(settings.root3d) if not path.is_dir()}
    folders, rows = without_folders(folders, rows, faceless)
    check_views(folders, settings.root3d, command)
    pictures = inputs.pictures
    pictures = dataclasses.replace(pictures, slots=pictures.slots.where(rows >= 0, -1))
    seen = _report_faceless(inputs.index, rows, settings)
    return dataclasses.replace(
        inputs,
        index=inputs.index.iloc[seen].reset_index(drop=True),
        pictures=pictures.of_clips(seen),
        views=(folders, rows[torch.from_numpy(seen)]),
        views_by=read_backend(settings.root3d),
    )


def _report_faceless(index: pd.DataFrame, rows: Tensor, settings: Settings) -> np.ndarray:
    """The positions of the clips whose apex has views; the others are named and counted."""
    seen = (rows[:, 0] >= 0).numpy()
    lost = index[~seen]
    names = (lost["data_sub"] + " " + lost["clip"]).tolist()
    fault = "no face was found in the apex frame, so it has no 3D views"
    if names and (settings.strict or len(names) == len(index)):
        raise UserError(f"{names[0]}: {fault}{' (--strict)' if settings.strict else ''}")
    for name in names:
        warn(f"skipped {name}: {fault}")
    if names:
        warn(f"{len(names)} of {len(index)} clips are left out: no face was found in them")
    return np.flatnonzero(seen)


def _with_maps(settings: Settings, inputs: Inputs) -> Inputs:
    if not settings.root.is_dir():
        raise UserError(f"{settings.root}: no such folder; --root names the datasets' one")
    faces, made_by = None, "motion_path"
    if "motion_path" not in inputs.index:
        faces = load_face_finder(choose_finder(), cache=face_cache())
        made_by = f"{settings.flow}, {faces.name}"
    cache = settings.result / "motion_cache"
    size, flow = settings.motion_size, settings.flow
    maps = motion_maps(inputs.index, settings.root, size, cache, faces, flow, settings.strict)
    there = np.isfinite(maps).all(axis=(1, 2, 3))
    rows = np.flatnonzero(there)
    return dataclasses.replace(
        inputs,
        index=inputs.index.iloc[rows].reset_index(drop=True),
        pictures=inputs.pictures and inputs.pictures.of_clips(rows),
        views=inputs.views and (inputs.views[0], inputs.views[1][torch.from_numpy(rows)]),
        maps=maps[there],
        maps_by=made_by,
    )


def free_memory() -> int:
    """Bytes of memory that the system could still hand out, or a guess where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if "MemAvailable" in line))
    except (OSError, StopIteration):
        return _half_of_all_memory()


def _half_of_all_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNKNOWN_MEMORY
