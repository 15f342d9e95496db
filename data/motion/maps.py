"""Motion maps of an index's clips: from their frames, kept in a cache, or ready-made files."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole
from data.disk.file_kinds import file_of
from data.disk.frames import read_image
from data.faces import FaceFinder

from .flow import (
    MOTION_SIZE,
    Flow,
    check_pair,
    clip_motion,
    face_mask,
    remove_head_motion,
    resize,
)

VERSION = 2  # of the maps: another one is another cache entry


def read_map(path: Path, size: int = MOTION_SIZE) -> np.ndarray:
    """A ready map: an image whose channels are u, v, strain, or .npy of shape (3, H, W).

    -> (3, size, size) float32, u and v without the plane that is the head's motion; each
    channel in whatever scale it came. UserError for other shapes and for maps without motion.
    """
    if path.suffix.lower() == ".npy":
        try:
            ready = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not readable as an array ({error})") from error
    else:
        ready = np.moveaxis(read_image(path), -1, 0)
        if np.array_equal(ready[0], ready[1]):
            raise UserError(f"{path}: a grey image; a motion map has three channels u, v, strain")
    if ready.ndim != 3 or ready.shape[0] != 3 or min(ready.shape) < 3:
        raise UserError(f"{path}: {ready.shape}; a motion map is (3, height, width): u, v, strain")
    ready = np.stack([resize(channel, size) for channel in ready])
    if not np.isfinite(ready).all():
        raise UserError(f"{path}: holds numbers that are not finite")
    if np.ptp(ready[:2], axis=(1, 2)).max() == 0:
        raise UserError(f"{path}: a constant map: there is no motion in it")
    moved = remove_head_motion(ready[None, :2])[0]
    # What surrounds the face is cut off, as in maps from frames; no strain is the channel's low.
    return np.concatenate([moved, ready[2:] - ready[2:].min()]) * face_mask(size)


def motion_maps(
    index: pd.DataFrame,
    root: Path,
    size: int = MOTION_SIZE,
    cache: Path | None = None,
    faces: FaceFinder | None = None,
    flow: Flow = "dis",
) -> tuple[np.ndarray, dict[int, str]]:
    """Motion maps (N, 3, size, size) float32 of an index's clips, and why a clip has none.

    A column motion_path names ready maps below `root`: then nothing else is read, and no
    face finder is needed. A clip without a map (a picture unreadable, a face in one of its
    frames alone, onset = apex) is NaN throughout; its position and fault come second. Maps from
    frames are kept in `cache`, one file a clip, under a hash of pictures, size, flow, finder and
    VERSION.
    """
    ready = "motion_path" in index
    if not ready and faces is None:
        raise ValueError("maps from frames need a face finder")
    maps = np.full((len(index), 3, size, size), np.nan, np.float32)
    faults = {}
    for i, clip in enumerate(index.to_dict("records")):
        name = f"{clip['data_sub']} {clip['clip']}"
        try:
            if ready:
                maps[i] = read_map(root / clip["motion_path"], size)
            else:
                assert faces is not None  # refused above
                maps[i] = _cached(clip, root, size, cache, faces, flow, name)
        except UserError as error:
            faults[i] = str(error)
    return maps, faults


def _cached(
    clip: dict,
    root: Path,
    size: int,
    cache: Path | None,
    faces: FaceFinder,
    flow: Flow,
    name: str,
) -> np.ndarray:
    paths = [root / clip[f"{frame}_frame_path"] for frame in ("onset", "apex")]
    if paths[0] == paths[1]:
        raise UserError("onset and apex are the same frame: there is no motion in it")
    kept = None
    if cache is not None:
        kept = cache / f"{_key(paths, size, flow, faces)}.npy"
        if kept.is_file():
            try:
                return np.load(kept, allow_pickle=False)
            except (OSError, ValueError, EOFError):
                warn(f"{kept}: damaged; the map is made anew")
    onset, apex = map(read_image, paths)
    check_pair(onset, apex, name)
    made = clip_motion(onset, apex, faces.pair(onset, apex, name), size, flow, name)
    if kept is not None:
        with write_whole(kept) as part:
            np.save(part, made)
    return made


def _key(paths: list[Path], size: int, flow: str, faces: FaceFinder) -> str:
    which = f"{VERSION} {size} {flow} {faces.name} {faces.number}"
    digest = hashlib.sha256(which.encode())
    for path in paths:
        try:
            stat = file_of(path).stat()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        digest.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]
