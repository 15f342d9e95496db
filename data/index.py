"""The index: one CSV row a clip, with the frames that the networks read."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole
from data.corpora.known import CORPORA, OWN
from data.disk.frames import ClipFolders, nearest_frame, no_frame, number_frames, read_image

from .index_file import COLUMNS, clip_key, read_index

NEIGHBOURS = (-2, -1, 1, 2)  # of the apex: the training set's extra views


def build_index(
    clips: pd.DataFrame, folders: ClipFolders
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Find every clip's frames on disk.

    clips: as from read_annotation, apex_frame filled in. Returns the index, its four-frames
    companion, and one line for each clip that was skipped (folder, onset or apex missing or
    unreadable), each also given as a warning. The offset, which nothing reads, and frames
    beside the apex may be missing: the one's path is empty then, the others have no row.
    UserError if no clip is left.
    """
    rows, four_rows, skipped = [], [], []
    for name, clip in zip(clip_names(clips), clips.to_dict("records")):
        try:
            row, neighbours = _locate(clip, folders, name)
        except UserError as error:
            skipped.append(f"{name}: {error}")
            warn(f"skipped {skipped[-1]}")
            continue
        rows.append(row)
        four_rows += neighbours
    if not rows:
        raise UserError(
            f"none of the {len(clips)} clips has its frames below {folders.root}; the first: "
            f"{skipped[0]}"
        )
    extra = [column for column in clips if column not in (*COLUMNS, "on_disk")]
    columns = COLUMNS + extra
    return pd.DataFrame(rows)[columns], pd.DataFrame(four_rows, columns=columns), skipped


def clip_titles(clips: pd.DataFrame) -> pd.Series:
    """What tells a subject's clips apart: their names, with the onset where a video has several.

    EP02_01f, and a@46 of the expression that begins at frame 46 of video a.
    """
    several = clips.duplicated(["data", "subject", "clip"], keep=False)
    if not several.any():
        return clips["clip"]
    return clips["clip"].where(~several, clips["clip"] + "@" + clips["onset_frame"].astype(str))


def clip_names(clips: pd.DataFrame) -> list[str]:
    """Clips as messages name them: smic_01 s1_ne_01."""
    return (clips["data"] + "_" + clips["subject"] + " " + clip_titles(clips)).tolist()


def clip_folder(clip: dict, folders: ClipFolders) -> Path:
    """The folder of a clip's frames, or its video; UserError where there is none."""
    if clip["data"] not in CORPORA:
        return folders.root / clip["on_disk"]
    corpus = CORPORA[clip["data"]]
    ends = clip["onset_frame"], clip["offset_frame"]
    name = clip.get("on_disk") or clip["clip"]
    # a2: what a release of the expressions alone calls the second one of video a.
    like = [f"{name}#"] if corpus.several and name[-1:].isalpha() else []
    if corpus.place == "*":
        like.append("*")
    first, *others = corpus.folder_formats
    number = re.sub(r"^\D+", "", clip["subject"])
    subjects = [first.format(clip["subject"]), *(form.format(number) for form in others)]
    for subject in subjects if corpus.above else [""]:
        folder = folders.find(subject, name, corpus.prefer, ends, like)
        if folder is not None:
            return folder
    where = f"{subjects[0]}/…/{name}" if corpus.above else f"…/{name}"
    raise UserError(f"no folder {where} with images below {folders.root}")


def first_number(data: str) -> int | None:
    """What number a recording's first frame has, where that is known; see number_frames."""
    return CORPORA[data].first_frame if data in CORPORA else 0


def _locate(clip: dict, folders: ClipFolders, name: str) -> tuple[dict, list[dict]]:
    folder = clip_folder(clip, folders)
    ends = clip["onset_frame"], clip["offset_frame"]
    frames = number_frames(folder, *ends, first_number(clip["data"]))

    def path_of(number: int, what: str, is_read: bool = True) -> str:
        """Where a frame is, as the index has it; UserError if it is not there, or unreadable."""
        found = nearest_frame(frames, number)
        if found is None:
            raise no_frame(frames, number, f"{what} frame")
        if found != number:
            warn(f"{name}: no frame {number}; the nearest, {found}, stands in")
        if is_read:
            try:
                read_image(frames[found], grey=True)
            except UserError as error:
                raise UserError(f"{what}: {error}") from error
        return frames[found].relative_to(folders.root).as_posix()

    row = clip | {
        "onset_frame_path": path_of(clip["onset_frame"], "onset"),
        "apex_frame_path": path_of(clip["apex_frame"], "apex"),
        "offset_frame_path": "",
    }
    try:
        row["offset_frame_path"] = path_of(clip["offset_frame"], "offset", is_read=False)
    except UserError as error:
        warn(f"{name}: {error}; the clip is kept, for nothing reads that frame")
    neighbours = []
    row.pop("on_disk", None)
    for step in NEIGHBOURS:
        apex = min(max(clip["apex_frame"] + step, clip["onset_frame"]), clip["offset_frame"])
        try:
            path = path_of(apex, "beside the apex")
        except UserError as error:
            warn(f"{name}: {error}; training goes without it")
            continue
        neighbours.append(row | {"apex_frame": apex, "apex_frame_path": path})
    return row, neighbours


def index_path(out: Path | str, name: str, task: str | int = "3") -> Path:
    """Where the index of a dataset lies: <out>/<name>_apex.csv, of another task than three classes
    <name>_<task>_apex.csv; of clips of one's own there is no other."""
    further = "" if str(task) in ("3", OWN) else f"_{task}"
    return Path(out) / f"{name}{further}_apex.csv"


def four_frames_path(index: Path | str) -> Path:
    """The four-frames companion of an index file, there or not: never the index itself.

    smic_apex.csv -> smic_four_frames.csv; of earlier projects smic_apex_3.csv ->
    smic_four_apex_3.csv; of another name mine.csv -> mine_four_frames.csv.
    """
    index = Path(index)
    stem, suffix = index.stem, index.suffix
    if of_classes := re.fullmatch(r"(.*)_apex_(\d+)", stem):
        return index.with_name(f"{of_classes[1]}_four_apex_{of_classes[2]}{suffix}")
    return index.with_name(f"{stem.removesuffix('_apex')}_four_frames{suffix}")


def write_index(index: pd.DataFrame, four_frames: pd.DataFrame, path: Path) -> None:
    """Write an index and its companion, both or neither."""
    with write_whole(path) as apex_part, write_whole(four_frames_path(path)) as four_part:
        index.to_csv(apex_part, index=False)
        four_frames.to_csv(four_part, index=False)


def join_indexes(paths: Iterable[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The composite: several indexes and their companions, one below the other."""
    paths = list(paths)
    for path in paths:
        if not path.is_file():
            name, _, task = path.name.removesuffix("_apex.csv").partition("_")
            name = f"{name} … --task {task}" if task and name in CORPORA else f"{name} …"
            raise UserError(f"{path}: not there yet; `python prepare_data.py {name}` makes it")
    tables = [read_index(path) for path in paths]
    companions = [read_index(four_frames_path(path), companion=True) for path in paths]
    ready = ["motion_path" in table for table in tables]
    if any(ready) and not all(ready):
        lacking = paths[ready.index(False)]
        warn(f"{lacking}: has no motion_path, the others do: its clips get no ready motion map")
    return _join(tables), _join(companions)


def _join(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other, with every column that any of them has."""
    joined = pd.concat(tables, ignore_index=True)
    further = [column for column in joined if column not in COLUMNS]
    return joined[COLUMNS + further].fillna(dict.fromkeys(further, ""))


def clip_frames(index: pd.DataFrame, four_frames: pd.DataFrame | None) -> list[list[dict]]:
    """The rows of each clip of an index: its own, then those of its neighbouring frames.

    Without a companion, or where it lacks a clip, the clip's own row is all there is.
    """
    neighbours: dict[tuple, list[dict]] = {}
    if four_frames is not None:
        for row in four_frames.to_dict("records"):
            neighbours.setdefault(clip_key(row), []).append(row)
    return [
        [row, *neighbours.get(clip_key(row), [])[: len(NEIGHBOURS)]]
        for row in index.to_dict("records")
    ]


def shared_rows(keys: list[list[Path]]) -> tuple[list[Path], np.ndarray]:
    """Each path of the clips' frames once, and int64 (N, 5): a clip's frames in that list.

    -1 where a clip has fewer neighbouring frames.
    """
    rows: dict[Path, int] = {}
    slots = np.full((len(keys), 1 + len(NEIGHBOURS)), -1, np.int64)
    for clip, paths in enumerate(keys):
        slots[clip, : len(paths)] = [rows.setdefault(path, len(rows)) for path in paths]
    return list(rows), slots
