"""The maps that a leaderboard is of: read as published, aligned once, kept for all of its rows."""

import hashlib
import io
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError
from common.files import write_whole
from common.parallel import fixed_threads
from data.clip_set import ClipSet
from data.corpora.known import CLASSES, CORPORA
from data.index import read_index
from data.motion.published import OFFSET, read_published
from loso.inputs import load_inputs
from loso.settings import Settings

from .rows import FOLDER, INDEX

ARRAYS = ("onset_apex", "label", "data", "data_sub")  # of an .npz; apex_offset may be there too


@dataclass(frozen=True)
class Board:
    """What all rows share. source: what was given; clips: what was read of it, aligned."""

    source: Path
    clips: ClipSet

    @property
    def frame(self) -> str:
        """Where the face lay in the maps, in words."""
        _, *frames = (self.clips.motion_by or "").split("; ")
        by_place: dict[str, list[str]] = {}
        for corpus, _, place in (frame.partition(" ") for frame in frames):
            by_place.setdefault(place, []).append(corpus)
        if not by_place:
            return "this project's own, left as they were"
        if list(map(len, by_place.values())) == [self.clips.index["data"].nunique()]:
            return next(iter(by_place))
        return "; ".join(f"{place} ({', '.join(data)})" for place, data in by_place.items())


def read_board(source: Path, root: Path | None, map_frame: str) -> Board:
    """Read maps and sample them into this project's frame.

    source: a folder in the layout of CausalNet's or HTNet's repository; an index (.csv) of ready
    maps, whose paths start from `root` (its own folder if not given); or an .npz of onset_apex and
    perhaps apex_offset (N, 3, S, S: u, v, strain), label, data and data_sub (N,). Clips without a
    map are named and left out. UserError for anything else, and for faults in these.
    """
    if root is not None and source.suffix.lower() != ".csv":
        raise UserError(f"--root {root}: goes with an index; the maps of {source} lie in it")
    if source.is_dir():
        return Board(source, _aligned(read_published(source), source, map_frame))
    if not source.is_file():
        raise UserError(f"--maps {source}: no such folder or file")
    if source.suffix.lower() == ".csv":
        index = read_index(source)
        if "motion_path" not in index:
            raise UserError(
                f"{source}: no column 'motion_path': make maps with python prepare_data.py maps"
            )
        return Board(source, _aligned(index, root or source.parent, map_frame))
    if source.suffix.lower() != ".npz":
        raise UserError(f"--maps {source}: a published folder, an index (.csv) or an .npz")
    with tempfile.TemporaryDirectory() as folder:
        index = _unpack(source, Path(folder))
        return Board(source, _aligned(index, Path(folder), map_frame))


def _aligned(index: pd.DataFrame, root: Path, map_frame: str) -> ClipSet:
    settings = Settings(
        dataset="composite", streams="motion", weights="none", root=root, map_frame=map_frame
    )
    with fixed_threads(1):  # so that a second run finds the same last bits
        return load_inputs(settings, index)


def _unpack(path: Path, folder: Path) -> pd.DataFrame:
    """Write an .npz's maps as files below `folder` -> their index."""
    arrays = _read_arrays(path)
    maps, offset = arrays["onset_apex"], arrays.get("apex_offset")
    rows = []
    for i, (label, data, data_sub) in enumerate(zip(*(arrays[name] for name in ARRAYS[1:]))):
        where = f"{path}, clip {i}"
        if data not in CORPORA:
            raise UserError(f"{where}: data '{data}' is not one of {', '.join(CORPORA)}")
        if not 0 <= label < len(CLASSES[3]):
            raise UserError(f"{where}: label {label} is none of 0 negative, 1 positive, 2 surprise")
        try:
            subject = CORPORA[data].subject(data_sub)
        except ValueError as error:
            raise UserError(f"{where}: data_sub {error}") from None
        rows.append({
            "data": str(data), "subject": subject, "data_sub": f"{data}_{subject}",
            "clip": f"clip{i:03d}", "label": int(label), "motion_path": f"{i}.npy",
        })  # fmt: skip
    index = pd.DataFrame(rows)
    for i, one in enumerate(maps):
        np.save(folder / f"{i}.npy", one)
    if offset is not None:
        for i, one in enumerate(offset):
            np.save(folder / f"{i}{OFFSET}.npy", one)
        index["motion_offset_path"] = [f"{i}{OFFSET}.npy" for i in range(len(index))]
    return index


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*ARRAYS, "apex_offset") if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cut off, or no .npz of arrays ({error})") from error
    if lacking := [name for name in ARRAYS if name not in arrays]:
        raise UserError(f"{path}: no '{lacking[0]}' in it; there have to be {', '.join(ARRAYS)}")
    number = arrays["label"].shape
    for name, array in arrays.items():
        is_map = name in ("onset_apex", "apex_offset")
        if is_map and (array.ndim != 4 or array.shape[1] != 3):
            raise UserError(f"{path}: {name} is {array.shape}, not (N, 3, S, S) of u, v, strain")
        if array.ndim == 0 or array.shape[:1] != number or not (is_map or array.ndim == 1):
            raise UserError(f"{path}: {name} is {array.shape}, and there are {number} labels")
    if not number[0]:
        raise UserError(f"{path}: no clip in it")
    if arrays["label"].dtype.kind not in "iu":
        raise UserError(f"{path}: label holds {arrays['label'].dtype}, not whole numbers")
    return arrays


def keep_maps(clips: ClipSet, out: Path) -> Path:
    """Write aligned maps and their index below `out` -> the index; what is right is left alone.

    A map's hash stands in the index. UserError where `out` has an index of other maps: rows of
    both would stand in one table.
    """
    assert clips.motion is not None  # read for this
    kept = out / FOLDER
    files: dict[str, bytes] = {}
    rows = []
    for i, clip in enumerate(clips.index.to_dict("records")):
        row = {name: clip[name] for name in ("data", "subject", "clip", "label")}
        row |= {"motion_path": f"{i:03d}.npy", "motion_frame": "own"}
        files[row["motion_path"]] = _as_npy(clips.motion[i].numpy())
        if clips.motion_offset is not None:
            there = bool(clips.motion_offset[i].any())
            row["motion_offset_path"] = f"{i:03d}{OFFSET}.npy" if there else ""
            if there:
                files[row["motion_offset_path"]] = _as_npy(clips.motion_offset[i].numpy())
        parts = [files[row[name]] for name in sorted(row) if name.endswith("_path") and row[name]]
        row["sha256"] = hashlib.sha256(b"".join(parts)).hexdigest()
        rows.append(row)
    table = pd.DataFrame(rows).to_csv(index=False).encode()
    path = kept / INDEX
    if path.is_file() and path.read_bytes() != table:
        raise UserError(
            f"{path}: what lies below {out} is of other maps, labels or --map-frame; --out goes "
            "elsewhere"
        )
    for name, content in (files | {INDEX: table}).items():
        if not (kept / name).is_file() or (kept / name).read_bytes() != content:
            with write_whole(kept / name) as part:
                part.write_bytes(content)
    return path


def _as_npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()
