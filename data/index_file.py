"""An index read from its CSV file, of this project or an earlier one."""

import csv
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pandas.api.typing import NAType

from common.errors import UserError, warn
from data.corpora.cells import is_empty, split_rows
from data.corpora.description import NOT_USED, Corpus
from data.corpora.known import AU, CLASSES, CORPORA, OWN
from data.disk.frames import name_key

from .index_task import class_names

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
_FRAMES = ("onset_frame", "apex_frame", "offset_frame")
_OLD_NAMES = {"off_frame_path": "offset_frame_path", "estimated emotion": "emotion"}


def read_index(path: Path | str, classes: int = 3, companion: bool = False) -> pd.DataFrame:
    """Read an index, of this project or an earlier one, in the column names of this one.

    Frame numbers are Int64, label is int, the rest text. data_sub is made from data and
    subject, however the file spells it. classes: how many there are, where the file's column
    `task` does not tell. A companion may hold a clip several times, and frames in any order.
    UserError names the file, the row and the fault.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such index; prepare_data.py makes it, --index names another")
    rows = read_rows(path)
    picture = _picture_column(path, set(next(iter(rows.values()))))
    clean, renamed = [], []
    seen: dict[tuple, int] = {}
    for number, row in rows.items():
        where = f"{path}, row {number}"
        clip = _read_index_row(row, where, classes)
        clean.append(clip)
        for column in ("clip", picture):
            if not row[column] and column != "motion_path":
                raise UserError(f"{where}: no {column}")
        if not companion:
            _check_order(clip, where)
            first = seen.setdefault(clip_key(clip), number)
            if first != number:
                raise UserError(
                    f"{where}: clip {clip['data_sub']} {clip['clip']} is there twice: it is in "
                    f"row {first} too; remove one"
                )
        if _names_another(row.get("data_sub", ""), clip):
            renamed.append(f"row {number}, '{row['data_sub']}' is {clip['data_sub']}")
    if renamed:
        warn(
            f"{path}: data_sub is of another subject than the row in {len(renamed)} rows; data and "
            f"subject are taken (the first: {renamed[0]})"
        )
    table = pd.DataFrame(clean).astype(dict.fromkeys(_FRAMES, "Int64"))
    try:
        class_names(table, classes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return table[COLUMNS + [column for column in table if column not in COLUMNS]]


def clip_key(clip: Mapping) -> tuple:
    """What tells the clips of an index apart: the onset too where videos have several."""
    corpus = CORPORA.get(clip["data"])
    several = corpus is None or corpus.several
    onset = str(clip["onset_frame"]) if several else ""
    return clip["data"], clip["subject"], name_key(clip["clip"]), onset


def _picture_column(path: Path, columns: set[str]) -> str:
    """The column of the pictures; UserError where it, or one of the others, is not there."""
    picture = "motion_path" if "motion_path" in columns else "apex_frame_path"
    for column in ("data", "subject", "clip", picture):
        if column not in columns:
            raise UserError(f"{path}: no column '{column}'")
    if not columns & {"label", "emotion"}:
        raise UserError(f"{path}: no column 'label', nor an 'emotion' to derive it from")
    return picture


def _read_lines(path: Path) -> dict[int, list[str]]:
    """The cells of a CSV file's lines that hold anything, by line number from 1."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
        if "\0" in text or data.startswith(b"PK\x03\x04"):
            raise UserError(f"{path}: not a CSV table: save it as CSV UTF-8")
        lines = split_rows(text)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV table in UTF-8: save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table ({error})") from error
    filled = {n: line for n, line in enumerate(lines, start=1) if any(map(str.strip, line))}
    if not filled:
        raise UserError(f"{path}: not a CSV table (it is empty)")
    return filled


def read_rows(path: Path) -> dict[int, dict[str, str]]:
    """The rows of a CSV file that hold anything: row number -> column -> text."""
    filled = _read_lines(path)
    top, *numbers = filled
    names = [name.strip().lower() for name in filled[top]]
    names = [_OLD_NAMES.get(name, name) for name in names]
    rows = {}
    for number in numbers:
        line = filled[number]
        if any(map(str.strip, line[len(names) :])):
            raise UserError(
                f"{path}, row {number}: {len(line)} cells, and the header has {len(names)}"
            )
        cells = ["" if is_empty(cell) else re.sub(r"\s*[\r\n]+\s*", " ", cell) for cell in line]
        cells = [cell.strip() for cell in cells]
        cells += [""] * (len(names) - len(cells))
        row: dict[str, str] = {}
        for name, cell in zip(names, cells):
            if name and not name.startswith("unnamed"):
                row.setdefault(name, cell.replace("\\", "/") if name.endswith("_path") else cell)
        if any(row.values()):
            rows[number] = row
    if not rows:
        missing = {"data", "subject", "clip"} - set(names)
        fault = f"no column '{min(missing)}'" if missing else "no clip in it"
        raise UserError(f"{path}: {fault}")
    return rows


def _read_index_row(row: dict, where: str, classes: int) -> dict:
    data = row["data"].lower()
    task = row.get("task", "")
    clean = dict.fromkeys(COLUMNS, "") | row
    if task == OWN:
        label, subject = _own_label(row, where), row["subject"]
        if not re.fullmatch(r"\w[\w.-]*", f"{data}_{subject}"):
            raise UserError(f"{where}: subject '{subject}': letters, digits, '_', '-' and '.'")
    else:
        if data not in CORPORA:
            raise UserError(f"{where}: data '{row['data']}' is not one of {', '.join(CORPORA)}")
        corpus = CORPORA[data]
        if task not in ("", AU, *corpus.tasks):
            raise UserError(f"{where}: task '{task}' is none of {data}")
        try:
            subject = corpus.subject(row["subject"])
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        label = 0 if task == AU else _label(row, corpus, task, classes, where)
    clean |= {"data": data, "subject": subject, "label": label, "data_sub": f"{data}_{subject}"}
    for frame in _FRAMES:
        clean[frame] = _number(row.get(frame, ""), f"{where}, {frame}")
    return clean


def _own_label(row: dict, where: str) -> int:
    label = _number(row.get("label", ""), f"{where}, label")
    if isinstance(label, NAType) or not 0 <= label < 1000:
        raise UserError(f"{where}: label '{row.get('label', '')}' where a class's number belongs")
    return label


def _check_order(clip: dict, where: str) -> None:
    known = [frame for frame in _FRAMES if clip[frame] is not pd.NA]
    for before, after in itertools.pairwise(known):
        if clip[before] > clip[after]:
            raise UserError(
                f"{where}: {before} {clip[before]} comes after {after} {clip[after]}; correct the "
                "row, or leave its frame numbers empty"
            )


def _names_another(data_sub: str, clip: dict) -> bool:
    """Whether a file's data_sub is of another subject than its row, not just another spelling."""
    if data_sub in ("", clip["data_sub"]) or clip["data"] not in CORPORA:
        return False
    try:
        return CORPORA[clip["data"]].subject(data_sub) != clip["subject"]
    except ValueError:
        return True


def _label(row: dict, corpus: Corpus, task: str, classes: int, where: str) -> int:
    of = corpus.tasks.get(task or str(classes))
    if row.get("label", "") == "":
        word = row.get("emotion", "")
        emotion = corpus.emotion(word, task or str(classes))
        label = of.label(emotion) if of and emotion else NOT_USED
        if label == NOT_USED:
            raise UserError(f"{where}: no label, and emotion '{word}' is of no class")
        return label
    number = _number(row["label"], f"{where}, label")
    known = of.classes if task and of else CLASSES.get(classes, ())
    if isinstance(number, NAType) or not 0 <= number < len(known):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(known))
        raise UserError(f"{where}: label {row['label']} is outside the classes ({names})")
    return number


def _number(text: str, where: str) -> int | NAType:
    if text == "":
        return pd.NA
    try:
        number = float(text)
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise UserError(f"{where}: '{text}' is not a whole number") from None
    return int(number)
