"""The index: one CSV row a clip, with the frames that the networks read (spec: datasets.md)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from .corpora import CLASSES, CORPORA, Corpus
from .errors import UserError, warn
from .files import write_whole
from .frames import (
    ClipFolders,
    UnreadableImageError,
    nearest_frame,
    no_frame,
    number_frames,
    read_image,
)

COLUMNS = [
    "data",
    "subject",
    "clip",
    "label",
    "emotion",
    "onset_frame",
    "apex_frame",
    "offset_frame",
    "onset_frame_path",
    "apex_frame_path",
    "offset_frame_path",
    "data_sub",
]
NEIGHBOURS = (-2, -1, 1, 2)  # of the apex: the training set's extra views
_FRAMES = ("onset_frame", "apex_frame", "offset_frame")
_OLD_NAMES = {"off_frame_path": "offset_frame_path", "estimated emotion": "emotion"}


def build_index(
    clips: pd.DataFrame, folders: ClipFolders
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Find every clip's frames on disk.

    clips: as from read_annotation, apex_frame filled in. Returns the index, its four-frames
    companion, and one line for each clip that was skipped (folder or frame missing, apex
    unreadable), each also given as a warning.
    """
    rows, four_rows, skipped = [], [], []
    for clip in clips.to_dict("records"):
        try:
            row, neighbours = _locate(clip, folders)
        except UserError as error:
            skipped.append(f"{clip['data_sub']} {clip['clip']}: {error}")
            warn(f"skipped {skipped[-1]}")
            continue
        rows.append(row)
        four_rows += neighbours
    if not rows:
        raise UserError(f"none of the {len(clips)} clips has its frames below {folders.root}")
    extra = [column for column in clips if column not in COLUMNS]
    columns = COLUMNS + extra
    return pd.DataFrame(rows)[columns], pd.DataFrame(four_rows)[columns], skipped


def clip_folder(clip: dict, folders: ClipFolders) -> Path:
    """The folder of a clip's frames, or its video; UserError where there is none."""
    corpus = CORPORA[clip["data"]]
    subject = corpus.folder_format.format(clip["subject"])
    ends = clip["onset_frame"], clip["offset_frame"]
    folder = folders.find(subject, clip["clip"], corpus.prefer, ends)
    if folder is None:
        raise UserError(f"no folder {subject}/…/{clip['clip']} with images below {folders.root}")
    return folder


def _locate(clip: dict, folders: ClipFolders) -> tuple[dict, list[dict]]:
    folder = clip_folder(clip, folders)
    frames = number_frames(folder, clip["onset_frame"], clip["offset_frame"])
    name = f"{clip['data_sub']} {clip['clip']}"

    def path_of(number: int) -> str:
        found = nearest_frame(frames, number)
        if found is None:
            raise no_frame(frames, number)
        if found != number:
            warn(f"{name}: no frame {number}; the nearest, {found}, stands in")
        return frames[found].relative_to(folders.root).as_posix()

    row = clip | {f"{frame}_path": path_of(clip[frame]) for frame in _FRAMES}
    try:
        read_image(folders.root / row["apex_frame_path"])
    except UnreadableImageError as error:
        raise UserError(f"apex frame: {error}") from error
    neighbours = []
    for step in NEIGHBOURS:
        apex = min(max(clip["apex_frame"] + step, clip["onset_frame"]), clip["offset_frame"])
        neighbours.append(row | {"apex_frame": apex, "apex_frame_path": path_of(apex)})
    return row, neighbours


def smic_apexes(clips: pd.DataFrame, spotted: Path) -> pd.DataFrame:
    """SMIC's clips with an apex: the spotted one where `spotted` has it, else the middle frame.

    `spotted` is the CSV of smic_processing.py, there or not. The column apex_source says which
    way an apex came about, so that a middle frame is never taken for a spotted one later.
    """
    known = {}
    if spotted.is_file():
        table = read_index(spotted)
        if "apex_source" in table:
            table = table[table["apex_source"] != "middle"]
        known = dict(zip(zip(table["subject"], table["clip"]), table["apex_frame"]))
    middle = (clips["onset_frame"] + clips["offset_frame"]) // 2
    keys = list(zip(clips["subject"], clips["clip"]))
    apexes = [known.get(key, m) for key, m in zip(keys, middle)]
    sources = ["spotted" if key in known else "middle" for key in keys]
    if missing := sources.count("middle"):
        warn(
            f"{missing} of {len(clips)} SMIC clips have no spotted apex in {spotted}: their middle "
            "frame is taken; run smic_processing.py first to find apexes"
        )
    return clips.assign(apex_frame=pd.array(apexes, "Int64"), apex_source=sources)


def index_path(out: Path | str, name: str, classes: int = 3) -> Path:
    """Where the index of a dataset lies: <out>/<name>_apex.csv, <name>_5 for five classes."""
    return Path(out) / f"{name}{'' if classes == 3 else f'_{classes}'}_apex.csv"


def four_frames_path(index: Path | str) -> Path:
    """The four-frames companion of an index file."""
    index = Path(index)
    return index.with_name(index.name.replace("_apex.csv", "_four_frames.csv"))


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
            name = path.name.removesuffix("_apex.csv")
            raise UserError(f"{path}: not there yet; `python prepare_data.py {name} …` makes it")
    tables = [read_index(path) for path in paths]
    companions = [read_index(four_frames_path(path), companion=True) for path in paths]
    joined = pd.concat(tables, ignore_index=True)[COLUMNS]
    return joined, pd.concat(companions, ignore_index=True)[COLUMNS]


def clip_frames(index: pd.DataFrame, four_frames: pd.DataFrame | None) -> list[list[dict]]:
    """The rows of each clip of an index: its own, then those of its neighbouring frames.

    Without a companion, or where it lacks a clip, the clip's own row is all there is.
    """
    neighbours: dict[tuple, list[dict]] = {}
    if four_frames is not None:
        for row in four_frames.to_dict("records"):
            neighbours.setdefault((row["data"], row["subject"], row["clip"]), []).append(row)
    return [
        [row, *neighbours.get((row["data"], row["subject"], row["clip"]), [])[: len(NEIGHBOURS)]]
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


def read_index(path: Path | str, classes: int = 3, companion: bool = False) -> pd.DataFrame:
    """Read an index, of this project or an earlier one, in the column names of this one.

    Frame numbers are Int64, label is int, the rest text. A companion may hold a clip several
    times. UserError names the file, the row and the fault.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such index; prepare_data.py makes it, --index names another")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV table ({str(error).strip()})") from error
    table = table.rename(columns=lambda name: str(name).strip().lower())
    table = table.rename(columns=_OLD_NAMES)
    table = table.loc[:, [c for c in table if c and not c.startswith("unnamed")]]
    picture = "motion_path" if "motion_path" in table else "apex_frame_path"
    for column in ("data", "subject", "clip", picture):
        if column not in table:
            raise UserError(f"{path}: no column '{column}'")
    if "label" not in table and "emotion" not in table:
        raise UserError(f"{path}: no column 'label', nor an 'emotion' to derive it from")
    if table.empty:
        raise UserError(f"{path}: no clip in it")
    rows = [
        _read_index_row(row, f"{path}, row {number}", classes)
        for number, row in enumerate(table.to_dict("records"), start=2)
    ]
    clean = pd.DataFrame(rows)
    clean = clean.astype(dict.fromkeys(_FRAMES, "Int64"))
    if not companion:
        again = clean.duplicated(["data", "subject", "clip"])
        if again.any():
            row = clean[again].iloc[0]
            raise UserError(
                f"{path}, row {again.idxmax() + 2}: clip {row['data_sub']} {row['clip']} is there "
                "twice"
            )
    return clean[COLUMNS + [column for column in clean if column not in COLUMNS]]


def _read_index_row(row: dict, where: str, classes: int) -> dict:
    data = row["data"].strip().lower()
    if data not in CORPORA:
        raise UserError(f"{where}: data '{row['data']}' is not one of {', '.join(CORPORA)}")
    corpus = CORPORA[data]
    try:
        subject = corpus.subject(row["subject"])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    clean = dict.fromkeys(COLUMNS, "") | row
    clean |= {
        "data": data,
        "subject": subject,
        "label": _label(row, corpus, classes, where),
        "data_sub": row.get("data_sub") or f"{data}_{subject}",
    }
    for frame in _FRAMES:
        clean[frame] = _number(row.get(frame, ""), f"{where}, {frame}")
    return clean


def _label(row: dict, corpus: Corpus, classes: int, where: str) -> int:
    if row.get("label", "") == "":
        emotion = row.get("emotion", "").strip()
        label = corpus.labels.get(classes, {}).get(emotion.lower(), -1)
        if label < 0:
            raise UserError(f"{where}: no label, and emotion '{emotion}' is of no class")
        return label
    label = _number(row["label"], f"{where}, label")
    if label is pd.NA or not 0 <= label < classes:
        names = ", ".join(f"{i} {name}" for i, name in enumerate(CLASSES[classes]))
        raise UserError(f"{where}: label {row['label']} is outside the classes ({names})")
    return label


def _number(text: str, where: str) -> int:
    if text.strip() == "":
        return pd.NA
    try:
        number = float(text)
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise UserError(f"{where}: '{text}' is not a whole number") from None
    return int(number)
