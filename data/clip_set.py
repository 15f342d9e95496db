"""The clips of an experiment: those of an index that can be read, and what streams read of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common.errors import UserError, warn
from common.memory import free_memory

from .faces import face_cache, load_face_finder
from .index import clip_frames, clip_names
from .index_task import unit_targets
from .landmarks import choose_finder
from .motion.alignment import MapFrame
from .motion.flow import Flow
from .motion.maps import motion_maps, ready_maps
from .pictures import frame_paths, read_frames
from .view_pictures import check_views, load_views, view_rows, without_folders
from .views import ViewsShow, holds_views, read_backend, read_faceless


@dataclass(frozen=True)
class ViewsFrom:
    """Where the 3D views lie, as reconstruct_3d.py writes them.

    own: neighbouring frames have views of their own, else they share their apex's. command: what
    makes them, for an error. spare: the file that they are mapped from where memory is short.
    shown: what they show.
    """

    root3d: Path
    own: bool
    command: str
    spare: Path
    shown: ViewsShow = "shape"


@dataclass(frozen=True)
class MotionFrom:
    """How motion maps are made: their side in pixels, the flow, and the folder that keeps them.

    frame: where the face lies in ready maps; None: found from them.
    """

    size: int
    flow: Flow
    cache: Path
    frame: MapFrame | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """The 3D views of clips' frames.

    folders: those of V frames, each once. slots: int64 (N, 5), which of them a clip's frames have,
    the apex first; -1 where there is none. made_by: the backend.
    """

    folders: list[Path]
    slots: Tensor
    made_by: str
    size: tuple[int, int]  # height and width
    spare: Path
    shown: ViewsShow = "shape"

    @cached_property
    def pictures(self) -> Tensor:
        """uint8 (V, 13 x channels, H, W), read when it is first asked for."""
        try:
            limit = free_memory() // 2
            return load_views(self.folders, self.size, limit, self.spare, self.shown)
        finally:
            with suppress(PermissionError):  # Windows keeps what is mapped
                self.spare.unlink(missing_ok=True)  # elsewhere the pages stay while they are read


@dataclass(frozen=True, eq=False)
class ClipSet:
    """N clips that can be read, and what the streams of a network read of them.

    index: their rows. left_out: the names of the index's other clips. frames: uint8 (M, 3, H, W)
    RGB, each file once, and slots: int64 (N, 5), the rows of `frames` that hold a clip's apex and
    then its neighbours; -1 where there is none. four_frames: the companion's rows of these
    neighbours. motion: float32 (N, 3, S, S) from onset to apex, and what made it; motion_offset:
    from apex to offset, where an index names such maps. What no stream reads is None.
    """

    index: pd.DataFrame
    left_out: tuple[str, ...]
    frames: Tensor | None
    slots: Tensor | None
    four_frames: pd.DataFrame | None
    views: Views | None
    motion: Tensor | None
    motion_by: str | None
    motion_offset: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return torch.tensor(self.index["label"].to_numpy(dtype=np.int64))

    @property
    def units(self) -> Tensor:
        """float32 (N, 12): which of CD6ME's action units a clip shows; UserError without any."""
        return torch.tensor(unit_targets(self.index), dtype=torch.float32)

    @property
    def samples(self) -> int:
        """How many frames there are to train on: each clip's apex frame and its neighbours."""
        return 0 if self.slots is None else int((self.slots >= 0).sum())

    @property
    def views_by(self) -> str | None:
        """The backend that made the views."""
        return None if self.views is None else self.views.made_by


def load_clips(
    index: pd.DataFrame,
    four_frames: pd.DataFrame | None,
    root: Path,
    size: tuple[int, int] | None,
    views: ViewsFrom | None = None,
    motion: MotionFrom | None = None,
    strict: bool = False,
) -> ClipSet:
    """Check that everything is there, and read what the streams ask for.

    size: height and width of the frames; None where no stream reads pictures. four_frames: the
    companion; without it training has the apex frames alone. A clip is of no use without a
    readable apex frame of at least 16 pixels, with views without a face in it, with motion without
    a map: named and counted by warnings, with `strict` a UserError. A frame beside an apex is left
    out alone. UserError too where no clip is left, or for views that are missing.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
    if size is not None and (index["apex_frame_path"] == "").all():
        raise UserError("the index names no apex frames (apex_frame_path), only motion")
    if views is not None and not holds_views(views.root3d):
        raise UserError(f"no 3D views below {views.root3d}; make them with: {views.command}")
    if views is not None and size is None:
        raise ValueError("views are of frames: give their size")
    kept = _Kept(index, strict)
    frames = found = made_by = None
    if size is not None:
        frames, four_frames = _read_frames(kept, four_frames, root, size)
    if views is not None:
        folders = _find_views(kept, four_frames, views)
    if motion is not None:
        made_by = _read_motion(kept, root, motion)
    if views is not None:
        assert size is not None  # of the pictures, which views are
        slots, made_views = kept.parts["view_slots"], read_backend(views.root3d)
        found = Views(folders, slots, made_views, size, views.spare, views.shown)
    names = set(clip_names(kept.index))
    return ClipSet(
        index=kept.index,
        left_out=tuple(name for name in clip_names(index) if name not in names),
        frames=frames,
        slots=kept.parts.get("slots"),
        four_frames=four_frames,
        views=found,
        motion=kept.parts.get("motion"),
        motion_by=made_by,
        motion_offset=kept.parts.get("motion_offset"),
    )


class _Kept:
    """The clips that are left so far, and what was read of each of them."""

    def __init__(self, index: pd.DataFrame, strict: bool) -> None:
        self.index, self.strict = index, strict
        self.parts: dict[str, Tensor] = {}  # N rows each

    def leave_out(self, faults: Mapping[int, str], why: str) -> None:
        """Take clips out by their positions, and name and count them; see load_clips."""
        if not faults:
            return
        names, all_of_them = clip_names(self.index), len(self.index)
        first = min(faults)
        if self.strict:
            raise UserError(f"{names[first]}: {faults[first]} (--strict)")
        if len(faults) == all_of_them:
            raise UserError(
                f"none of the {all_of_them} clips can be read; the first: {names[first]}: "
                f"{faults[first]}"
            )
        for clip, fault in sorted(faults.items()):
            warn(f"skipped {names[clip]}: {fault}")
        warn(f"{len(faults)} of {all_of_them} clips are left out: {why}")
        rows = np.setdiff1d(np.arange(all_of_them), list(faults))
        self.index = self.index.iloc[rows].reset_index(drop=True)
        self.parts = {name: part[torch.from_numpy(rows)] for name, part in self.parts.items()}


def _read_frames(
    kept: _Kept, four_frames: pd.DataFrame | None, root: Path, size: tuple[int, int]
) -> tuple[Tensor, pd.DataFrame | None]:
    """Read what the index and its companion name: the frames, and the companion without faults."""
    paths, slots = frame_paths(kept.index, four_frames, root)
    frames, faults = read_frames(paths, size)
    if faults:
        rows = {path: row for row, path in enumerate(paths) if path not in faults}
        _report_faults(kept, four_frames, root, faults)
        if four_frames is not None:  # of more than four rows a clip some were not read at all
            read = [root / path in rows for path in four_frames["apex_frame_path"]]
            four_frames = four_frames[read].reset_index(drop=True)
        left, slots = frame_paths(kept.index, four_frames, root)
        slots = np.where(slots < 0, -1, np.array([rows[path] for path in left])[slots])
    kept.parts["slots"] = torch.from_numpy(slots)
    alone = int((slots[:, 1:] < 0).all(axis=1).sum())
    if alone:
        warn(
            f"{alone} of {len(kept.index)} clips have no neighbouring frames: their apex is all "
            "there is"
        )
    return frames, four_frames


def _report_faults(
    kept: _Kept, four_frames: pd.DataFrame | None, root: Path, faults: Mapping[Path, str]
) -> None:
    """Leave out the clips whose apex frame is at fault, and name the other frames that are."""
    lost: dict[int, str] = {}
    beside: list[tuple[int, str]] = []  # clips, and why one of their neighbouring frames is lost
    for clip, (row, *others) in enumerate(clip_frames(kept.index, four_frames)):
        apex = root / row["apex_frame_path"]
        if apex in faults:
            lost[clip] = f"apex frame {faults[apex]}"
            continue
        wrong = dict.fromkeys(root / other["apex_frame_path"] for other in others)
        beside += [(clip, faults[path]) for path in wrong if path in faults]
    if kept.strict:
        lost = dict(reversed(beside)) | lost
    names = clip_names(kept.index)
    kept.leave_out(lost, "their apex frame cannot be read")
    for clip, fault in beside:
        warn(f"{names[clip]}: left out a frame beside the apex: {fault}")
    if beside:
        warn(f"{len(beside)} frames beside an apex cannot be read and are left out")


def _find_views(kept: _Kept, four_frames: pd.DataFrame | None, views: ViewsFrom) -> list[Path]:
    """The folders of the clips' views; frames in which no face was found are left out."""
    if not views.own:
        print("frames beside an apex are given the apex's views (--neighbour-views apex)")
    folders, slots = view_rows(kept.index, four_frames, views.root3d, views.own)
    faceless = {path for path in read_faceless(views.root3d) if not path.is_dir()}
    folders, slots = without_folders(folders, slots, faceless)
    check_views(folders, views.root3d, views.command, views.shown)
    lost = np.flatnonzero(slots[:, 0] < 0).tolist()
    # A clip's other frames move up: sampling counts on that.
    order = (slots < 0).int().argsort(dim=1, stable=True)
    kept.parts["view_slots"] = slots.gather(1, order)
    kept.parts["slots"] = kept.parts["slots"].where(slots >= 0, -1).gather(1, order)
    fault = "no face was found in the apex frame, so it has no 3D views"
    kept.leave_out(dict.fromkeys(lost, fault), "no face was found in them")
    return folders


def _read_motion(kept: _Kept, root: Path, motion: MotionFrom) -> str:
    """Read or make the clips' motion maps; what made them."""
    if "motion_path" in kept.index:
        ready = ready_maps(kept.index, root, motion.size, motion.frame)
        maps, faults, made_by = ready.maps, ready.faults, ready.made_by
        if ready.offset is not None:
            kept.parts["motion_offset"] = torch.from_numpy(ready.offset)
    else:
        faces = load_face_finder(choose_finder(), cache=face_cache())
        made_by = f"{motion.flow}, {faces.name}"
        maps, faults = motion_maps(kept.index, root, faces, motion.size, motion.cache, motion.flow)
    kept.parts["motion"] = torch.from_numpy(maps)
    kept.leave_out(faults, "they have no motion map")
    return made_by
