"""Motion maps of an index's clips as files: for this project, and for others' networks."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole
from common.parallel import fixed_threads, worker_pool
from common.progress import progress_bar
from data.faces import FaceFinder, face_cache, load_face_finder
from data.landmarks import FinderName

from .flow import MOTION_SIZE, Flow, resize
from .maps import clip_map
from .published import (
    COLUMNS,
    FOLDS,
    OFFSET,
    TABLE,
    WHOLE,
    picture_name,
    published_name,
    published_subject,
)

ARRAYS = "arrays"  # folder of the .npy
INDEXES = {"arrays": "maps.csv", "pictures": "pictures.csv"}


@dataclass(frozen=True)
class Making:
    """How maps are made from frames below `root`; cache keeps them, so that a run goes on."""

    root: Path
    finder: FinderName
    size: int = MOTION_SIZE
    flow: Flow = "dis"
    cache: Path | None = None

    def load(self) -> FaceFinder:
        """Load the face finder; errors as load_face_finder."""
        return load_face_finder(self.finder, cache=face_cache())


@dataclass(frozen=True)
class _Maps:
    """A clip's maps (3, S, S), or why it has none; offset: from apex to offset."""

    onset: np.ndarray | None
    offset: np.ndarray | None
    faults: tuple[str, str]  # of onset and offset, "" for none
    warnings: list[str]


def motion_cache() -> Path:
    """The folder that scripts keep motion maps in: below result/, or below DSNCA_CACHE."""
    return Path(os.environ.get("DSNCA_CACHE", "result")) / "motion_cache"


def write_maps(index: pd.DataFrame, making: Making, out: Path, workers: int = 1) -> list[str]:
    """Write the maps of an index's clips -> a line for each clip that has none.

    Below `out`: arrays/<subject>_<clip>.npy, (3, size, size) float32 in face widths, and
    <subject>_<clip>_1.npy from apex to offset; the same as 28 px pictures in the layout of
    data.motion.published, with its table and folds; and two indexes of ready maps. The files do
    not depend on `workers`; those that are there and right are left alone. UserError if no clip
    has a map, or two clips would have one file.
    """
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    clips = index.to_dict("records")
    names = [published_name(clip) for clip in clips]
    if double := {name for name in names if names.count(name) > 1}:
        raise UserError(f"clips of one name ({min(double)}): their maps would be one file")
    made: dict[int, _Maps] = {}
    try:
        with progress_bar("motion maps", len(clips)) as bar:
            for i, maps in _outcomes(clips, making, min(workers, len(clips))):
                made[i] = maps
                for line in maps.warnings:
                    bar.say(line)
                if maps.onset is not None:
                    _write_arrays(out, names[i], maps)
                bar.advance()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from there") from None
    whole = [i for i in range(len(clips)) if made[i].onset is not None]
    lost = [
        f"{clips[i]['data_sub']} {clips[i]['clip']}: {made[i].faults[0]}"
        for i in range(len(clips))
        if made[i].onset is None
    ]
    if not whole:
        raise UserError(f"none of the {len(clips)} clips has a motion map; the first: {lost[0]}")
    for i in whole:
        if fault := made[i].faults[1]:
            name = f"{clips[i]['data_sub']} {clips[i]['clip']}"
            warn(f"{name}: no map from apex to offset: {fault}")
    kept = index.iloc[whole].reset_index(drop=True)
    has_offset = [made[i].offset is not None for i in whole]
    _write_pictures(out, kept, [made[i] for i in whole])
    _write_indexes(out, kept, has_offset)
    return lost


def as_picture(maps: np.ndarray) -> bytes:
    """A map (3, H, W) as the PNG (28 px) that others publish: u, v, strain as red, green, blue,
    each stretched to its own range; a channel without any is 0."""
    small = np.stack([resize(channel, MOTION_SIZE) for channel in maps])
    low = small.min((1, 2), keepdims=True)
    span = small.max((1, 2), keepdims=True) - low
    stretched = np.round((small - low) / np.maximum(span, 1e-12) * 255).astype(np.uint8)
    done, data = cv2.imencode(".png", np.moveaxis(stretched, 0, -1)[..., ::-1])
    if not done:
        raise RuntimeError("OpenCV cannot write a PNG")
    return data.tobytes()


def _outcomes(clips: list[dict], making: Making, workers: int) -> Iterator[tuple[int, _Maps]]:
    if workers == 1:
        faces = making.load()
        with fixed_threads(1):
            for i, clip in enumerate(clips):
                yield i, _make(clip, making, faces)
        return
    with worker_pool(workers, _start_worker, making) as pool:
        futures = {pool.submit(_in_worker, clip): i for i, clip in enumerate(clips)}
        for future in as_completed(futures):
            yield futures[future], future.result()


_loaded: tuple[Making, FaceFinder]  # of a worker process


def _start_worker(making: Making) -> None:
    global _loaded
    _loaded = making, making.load()


def _in_worker(clip: dict) -> _Maps:
    return _make(clip, *_loaded)


def _make(clip: dict, making: Making, faces: FaceFinder) -> _Maps:
    maps: list[np.ndarray | None] = []
    faults = []
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for phase in (("onset", "apex"), ("apex", "offset")):
            fault, made = "", None
            try:
                absent = [name for name in phase if not clip[f"{name}_frame_path"]]
                if absent:
                    raise UserError(f"the index names no {absent[0]} frame")
                made = clip_map(
                    clip, phase, making.root, faces, making.size, making.cache, making.flow
                )
            except UserError as error:
                fault = str(error)
            maps.append(made)
            faults.append(fault)
            if made is None:
                break  # without onset to apex a clip is left out
    faults += [""] * (2 - len(faults))
    maps += [None] * (2 - len(maps))
    return _Maps(maps[0], maps[1], (faults[0], faults[1]), said.getvalue().splitlines())


def _write_arrays(out: Path, name: str, maps: _Maps) -> None:
    for one, ending in ((maps.onset, ""), (maps.offset, OFFSET)):
        if one is not None:
            content = io.BytesIO()
            np.save(content, one)
            _write_if_other(out / ARRAYS / f"{name}{ending}.npy", content.getvalue())


def _write_pictures(out: Path, index: pd.DataFrame, made: list[_Maps]) -> None:
    """The published layout: every map, the folds' folders of onset to apex, the table."""
    clips = index.to_dict("records")
    pictures = []
    for clip, maps in zip(clips, made, strict=True):
        assert maps.onset is not None  # clips without are left out
        pictures.append(as_picture(maps.onset))
        name = published_name(clip)
        _write_if_other(out / WHOLE / picture_name(name), pictures[-1])
        if maps.offset is not None:
            _write_if_other(out / WHOLE / picture_name(name + OFFSET), as_picture(maps.offset))
    subjects = sorted({published_subject(clip) for clip in clips})
    with progress_bar("folds", len(subjects)) as bar:
        for subject in subjects:
            for clip, picture in zip(clips, pictures):
                part = "u_test" if published_subject(clip) == subject else "u_train"
                folder = out / FOLDS / subject / part / str(clip["label"])
                _write_if_other(folder / picture_name(published_name(clip)), picture)
            bar.advance()
    rows = [
        (clip["data"], subject, published_name(clip).removeprefix(f"{subject}_"), clip["label"])
        for clip in clips
        for subject in [published_subject(clip)]
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False)
    _write_if_other(out / TABLE, table.encode())


def _write_indexes(out: Path, index: pd.DataFrame, has_offset: list[bool]) -> None:
    """An index of the arrays and one of the pictures: with --root `out` they are read at once."""
    names = [published_name(clip) for clip in index.to_dict("records")]
    for kind, file in INDEXES.items():
        paths = {
            column: [
                f"{ARRAYS}/{name}{ending}.npy"
                if kind == ARRAYS
                else f"{WHOLE}/{picture_name(name + ending)}"
                for name in names
            ]
            for column, ending in (("motion_path", ""), ("motion_offset_path", OFFSET))
        }
        offsets = [
            path if has else "" for path, has in zip(paths["motion_offset_path"], has_offset)
        ]
        table = index.assign(
            motion_path=paths["motion_path"], motion_offset_path=offsets, motion_frame="own"
        )
        # The frames lie below another folder: an index of maps names none.
        table[[f"{frame}_frame_path" for frame in ("onset", "apex", "offset")]] = ""
        _write_if_other(out / file, table.to_csv(index=False).encode())


def _write_if_other(path: Path, content: bytes) -> None:
    """Write a file, unless it is there with this content."""
    if path.is_file() and path.read_bytes() == content:
        return
    with write_whole(path) as part:
        part.write_bytes(content)


def say_written(out: Path, clips: int, of: int) -> None:
    """Print what write_maps left where, and how it is used."""
    print(
        f"{clips} of {of} clips have motion maps below {out}:\n"
        f"  {ARRAYS}/<subject>_<clip>.npy: u, v, strain, float32, in face widths; "
        f"{OFFSET} at the end: from apex to offset\n"
        f"  {WHOLE}/<subject>_<clip> .png: the same, {MOTION_SIZE} px, 8 bits, each channel over "
        "its own range\n"
        f"  {FOLDS}/<subject>/u_train|u_test/<class>: as STSTNet's norm_u_v_os, and HTNet\n"
        f"  {TABLE}: HTNet's and CausalNet's table of labels\n"
        f"  {INDEXES['arrays']}, {INDEXES['pictures']}: indexes of both for this project:\n"
        f"python train_me_loso.py --streams motion --index {out / INDEXES['arrays']} --root {out}",
        file=sys.stdout,
    )
