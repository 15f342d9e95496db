"""Motion maps of an index's clips: from their frames, kept in a cache, or ready-made files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole
from data.disk.file_kinds import file_of
from data.disk.frames import read_image
from data.faces import FaceFinder

from .alignment import OWN_FRAME, SURE, MapFrame, find_frame, into_frame
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


LARGE_CORPUS = 60  # clips of a corpus that tell a frame of its own from the set's
SAME = 0.06  # a corpus whose face lies no further from the set's shares the set's frame


def read_map(
    path: Path, size: int = MOTION_SIZE, frame: MapFrame = OWN_FRAME, is_own: bool = False
) -> np.ndarray:
    """A ready map: an image whose channels are u, v, strain, or .npy of shape (3, H, W).

    frame: where the face lies in it. -> (3, size, size) float32 in this project's frame, u and v
    without the plane that is the head's motion; each channel in whatever scale it came. is_own:
    this project wrote it, so that a .npy has no such plane any more. UserError for other shapes
    and for maps without motion.
    """
    return _finish(open_map(path), path, size, frame, is_own)


def open_map(path: Path) -> np.ndarray:
    """What a ready map's file holds, (3, H, W); UserError where that is no motion map."""
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
    if ready.dtype.kind not in "fiu":
        raise UserError(f"{path}: holds {ready.dtype}, not numbers")
    if not np.isfinite(ready).all():
        raise UserError(f"{path}: holds numbers that are not finite")
    if np.ptp(ready[:2].astype(np.float64), axis=(1, 2)).max() == 0:
        raise UserError(f"{path}: a constant map: there is no motion in it")
    return ready


def _finish(ready: np.ndarray, path: Path, size: int, frame: MapFrame, is_own: bool) -> np.ndarray:
    """What a file holds (3, H, W) as a map in this project's frame; see read_map."""
    if frame == OWN_FRAME:
        ready = np.stack([resize(channel, size) for channel in ready])
        if is_own and path.suffix.lower() == ".npy":
            return ready
    else:
        ready = into_frame(ready, frame, size)
        if np.ptp(ready[:2], axis=(1, 2)).max() == 0:
            raise UserError(f"{path}: there is no motion where the face is ({frame})")
    moved = remove_head_motion(ready[None, :2])[0]
    # What surrounds the face is cut off, as in maps from frames; no strain is the channel's low.
    return np.concatenate([moved, ready[2:] - ready[2:].min()]) * face_mask(size)


@dataclass(frozen=True)
class ReadyMaps:
    """Ready maps of N clips.

    maps: (N, 3, size, size), NaN where a clip has none; faults: why, by position. offset: those
    from apex to offset, 0 where a clip has none, or None where the index names none. frames:
    where the face lay in each corpus's files.
    """

    maps: np.ndarray
    faults: dict[int, str]
    offset: np.ndarray | None
    frames: dict[str, MapFrame]

    @property
    def made_by(self) -> str:
        """What made the maps, for a run's config: motion_path, and the frames that are not own."""
        other = {data: frame for data, frame in self.frames.items() if frame != OWN_FRAME}
        shown = [f"{data} {frame}" for data, frame in sorted(other.items())]
        return "; ".join(["motion_path", *shown])


def ready_maps(
    index: pd.DataFrame, root: Path, size: int = MOTION_SIZE, frame: MapFrame | None = None
) -> ReadyMaps:
    """The maps that an index names as motion_path, and as motion_offset_path, below `root`.

    frame: where the face lies in them; None: found from all of them (see find_frames), but for
    those that the column motion_frame calls own. UserError for another word there.
    """
    rows = index.to_dict("records")
    said = [clip.get("motion_frame", "") for clip in rows]
    if wrong := set(said) - {"own", ""}:
        raise UserError(f"the index's motion_frame '{min(wrong)}': own, or nothing")
    own = [word == "own" and frame in (None, OWN_FRAME) for word in said]
    raw: dict[int, np.ndarray] = {}
    faults = {}
    for i, clip in enumerate(rows):
        try:
            raw[i] = open_map(root / clip["motion_path"])
        except UserError as error:
            faults[i] = str(error)
    data = index["data"].tolist()
    if frame is None:
        frames = find_frames({i: one for i, one in raw.items() if not own[i]}, data)
    else:
        frames = dict.fromkeys(data, frame)
    of_clip = [OWN_FRAME if own[i] else frames[data[i]] for i in range(len(rows))]
    maps = np.full((len(index), 3, size, size), np.nan, np.float32)
    for i, one in raw.items():
        try:
            maps[i] = _finish(one, root / rows[i]["motion_path"], size, of_clip[i], own[i])
        except UserError as error:
            faults[i] = str(error)
    return ReadyMaps(maps, faults, _offset_maps(rows, root, size, of_clip, own), frames)


def find_frames(raw: Mapping[int, np.ndarray], data: Sequence[str]) -> dict[str, MapFrame]:
    """Where the face lies in the maps (3, H, W) of each corpus; `data` names every clip's.

    It is one place for all, but for a corpus of LARGE_CORPUS clips whose own differs. One line
    says what was found; where that is unsure, a warning, and the maps stay as they are.
    """
    small = {i: np.stack([resize(c, MOTION_SIZE) for c in one]) for i, one in raw.items()}
    frames = dict.fromkeys(data, OWN_FRAME)
    if not small:
        return frames
    shared, unsure = find_frame(np.stack(list(small.values())))
    if unsure > SURE:
        why = "too few to tell" if np.isinf(unsure) else f"unsure by {unsure:.2f} of the side"
        warn(
            f"ready maps: where the face lies in these {len(small)} is not found ({why}): they "
            "are taken to be in this project's frame; --map-frame gives theirs, or says own"
        )
        return frames
    frames = dict.fromkeys(frames, shared)
    for corpus in frames:
        own = [one for i, one in small.items() if data[i] == corpus]
        if LARGE_CORPUS <= len(own) < len(small):
            found, unsure = find_frame(np.stack(own))
            if unsure <= SURE and found.differs(shared, SAME):
                frames[corpus] = found
    for one in dict.fromkeys(frames.values()):
        of = "" if one == shared else f" of {', '.join(d for d in frames if frames[d] == one)}"
        is_own = not one.differs(OWN_FRAME)
        what = "this project's frame, left as they are" if is_own else "sampled into the project's"
        print(f"ready maps{of}: {one}: {what}{'' if is_own else ' frame'}")
        if is_own:
            frames = {d: OWN_FRAME if frame == one else frame for d, frame in frames.items()}
    return frames


def _offset_maps(
    rows: list[dict], root: Path, size: int, frames: list[MapFrame], own: list[bool]
) -> np.ndarray | None:
    """Maps from apex to offset (N, 3, size, size); a clip that has none is named in a warning."""
    if not any(clip.get("motion_offset_path") for clip in rows):
        return None
    maps = np.zeros((len(rows), 3, size, size), np.float32)
    without = []
    for i, clip in enumerate(rows):
        name = f"{clip['data_sub']} {clip['clip']}"
        if not clip["motion_offset_path"]:
            without.append(name)
            continue
        try:
            maps[i] = read_map(root / clip["motion_offset_path"], size, frames[i], own[i])
        except UserError as error:
            warn(f"{name}: no map from apex to offset: {error}")
            without.append(name)
    if without:
        warn(
            f"{len(without)} of {len(rows)} clips have no map from apex to offset, which is 0 "
            f"then (the first: {without[0]})"
        )
    return maps


def motion_maps(
    index: pd.DataFrame,
    root: Path,
    faces: FaceFinder,
    size: int = MOTION_SIZE,
    cache: Path | None = None,
    flow: Flow = "dis",
) -> tuple[np.ndarray, dict[int, str]]:
    """Motion maps (N, 3, size, size) float32 from an index's frames, and why a clip has none.

    A clip without a map (a picture unreadable, a face in one of its frames alone, onset = apex)
    is NaN throughout; its position and fault come second. Maps are kept in `cache`, one file a
    clip, under a hash of pictures, size, flow, finder and VERSION.
    """
    maps = np.full((len(index), 3, size, size), np.nan, np.float32)
    faults = {}
    for i, clip in enumerate(index.to_dict("records")):
        try:
            maps[i] = clip_map(clip, ("onset", "apex"), root, faces, size, cache, flow)
        except UserError as error:
            faults[i] = str(error)
    return maps, faults


def clip_map(
    clip: Mapping,
    phase: tuple[str, str],
    root: Path,
    faces: FaceFinder,
    size: int = MOTION_SIZE,
    cache: Path | None = None,
    flow: Flow = "dis",
) -> np.ndarray:
    """The map (3, size, size) of a clip (a row of an index) between two of its frames.

    phase: onset and apex, or apex and offset. UserError where there is none; cache as for
    motion_maps.
    """
    name = f"{clip['data_sub']} {clip['clip']}"
    paths = [root / clip[f"{frame}_frame_path"] for frame in phase]
    if paths[0] == paths[1]:
        raise UserError(f"{phase[0]} and {phase[1]} are the same frame: there is no motion in it")
    kept = None
    if cache is not None:
        kept = cache / f"{_key(paths, size, flow, faces)}.npy"
        if kept.is_file():
            try:
                return np.load(kept, allow_pickle=False)
            except (OSError, ValueError, EOFError):
                warn(f"{kept}: damaged; the map is made anew")
    first, second = map(read_image, paths)
    check_pair(first, second, name)
    made = clip_motion(first, second, faces.pair(first, second, name), size, flow, name)
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
