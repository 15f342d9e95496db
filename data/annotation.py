"""A corpus's spreadsheet, as its owners give it out, read into a table of clips."""

import re
from pathlib import Path

import pandas as pd

from .corpora import NOT_USED, Corpus
from .errors import UserError, warn


def read_annotation(corpus: Corpus, path: Path | str, classes: int = 3) -> pd.DataFrame:
    """Read a corpus's spreadsheet: one row a clip that the task uses, in the file's order.

    Columns: data, subject, clip, label, emotion, onset_frame, apex_frame, offset_frame,
    data_sub. apex_frame is <NA> where the corpus gives none (SMIC); it lies within onset and
    offset (clamped, with a warning). UserError names the file, the row and the fault.
    """
    if classes not in corpus.labels:
        raise UserError(f"{corpus.name} has no task of {classes} classes: --classes 3 (or casme2)")
    sheet = _read_sheet(Path(path), corpus.sheet)
    missing = [header for header in corpus.columns.values() if _key(header) not in sheet]
    if missing:
        raise UserError(f"{path}: no column '{missing[0]}' in the header row")
    clips = []
    seen: dict[tuple[str, str], int] = {}
    for row, cells in sheet.iterrows():
        values = {column: cells[_key(header)] for column, header in corpus.columns.items()}
        if pd.isna(values["subject"]) and pd.isna(values["clip"]):
            continue
        where = f"{path}, row {row}"
        clip = _read_names(corpus, values, classes, where)
        key = (clip["subject"], clip["clip"])
        if key in seen:
            raise UserError(f"{where}: clip {key[0]} {key[1]} is in row {seen[key]} too")
        seen[key] = row
        if clip["label"] != NOT_USED and not (classes == 3 and key in corpus.left_out):
            clips.append(clip | _read_frames(corpus, values, clip, where))
    if not clips:
        raise UserError(f"{path}: no clip of the {classes} classes in it")
    table = pd.DataFrame(clips)
    return table.astype({"apex_frame": "Int64"})


def _read_sheet(path: Path, sheet: str | int) -> pd.DataFrame:
    """Cells below the row that begins with "Subject", by header key; the index is Excel's row."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; --annotation names the corpus's spreadsheet")
    try:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            if isinstance(sheet, str) and sheet not in book.sheet_names:
                names = ", ".join(map(str, book.sheet_names))
                raise UserError(f"{path}: no sheet '{sheet}' (it has {names})")
            cells = book.parse(sheet, header=None, dtype=object)
    except UserError:
        raise
    except Exception as error:  # openpyxl raises whatever its zip and XML readers raise
        raise UserError(f"{path}: not an .xlsx spreadsheet ({type(error).__name__})") from error
    first = cells[0].map(_key) if cells.shape[1] else pd.Series(dtype=str)
    headers = first.index[first == "subject"]
    if not len(headers):
        raise UserError(f"{path}: no header row: none begins with 'Subject'")
    top = headers[0]
    body = cells.iloc[top + 1 :]
    body.index = body.index + 1  # pandas counts from 0, Excel from 1
    keys = cells.iloc[top].map(_key)
    body.columns = keys
    return body.loc[:, (keys != "").to_numpy() & ~keys.duplicated().to_numpy()]


def _key(header: object) -> str:
    return "" if pd.isna(header) else re.sub(r"[\s_]", "", str(header)).lower()


def _read_names(corpus: Corpus, values: dict, classes: int, where: str) -> dict:
    emotion = str(values["emotion"]).strip()
    labels = corpus.labels[classes]
    if emotion.lower() not in labels:
        raise UserError(f"{where}: emotion '{emotion}' is not one of {', '.join(labels)}")
    if pd.isna(values["clip"]) or not str(values["clip"]).strip():
        raise UserError(f"{where}: no Filename")
    try:
        subject = corpus.subject(values["subject"])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return {
        "data": corpus.name,
        "subject": subject,
        "clip": str(values["clip"]).strip(),
        "label": labels[emotion.lower()],
        "emotion": emotion,
        "data_sub": f"{corpus.name}_{subject}",
    }


def _read_frames(corpus: Corpus, values: dict, clip: dict, where: str) -> dict:
    def where_of(frame: str) -> str:
        return f"{where}, {corpus.columns[frame]}"

    onset = _frame(values["onset_frame"], where_of("onset_frame"))
    offset = _frame(values["offset_frame"], where_of("offset_frame"))
    if onset > offset:
        raise UserError(f"{where}: onset {onset} comes after offset {offset}")
    apex = pd.NA
    if "apex_frame" in corpus.columns:
        name = f"{clip['data_sub']} {clip['clip']}"
        apex = _apex(values["apex_frame"], onset, offset, name, where_of("apex_frame"))
    return {"onset_frame": onset, "apex_frame": apex, "offset_frame": offset}


def _apex(value: object, onset: int, offset: int, name: str, where: str) -> int:
    if pd.isna(value) or str(value).strip() in {"", "/"}:
        warn(f"{name}: no apex in the annotation; the middle of onset and offset is taken")
        return (onset + offset) // 2
    apex = _frame(value, where)
    if not onset <= apex <= offset:
        warn(f"{name}: apex {apex} lies outside {onset} to {offset}; clamped")
    return min(max(apex, onset), offset)


def _frame(value: object, where: str) -> int:
    try:
        number = float(value)
        if number != int(number) or number < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        shown = "nothing" if pd.isna(value) else f"'{value}'"
        raise UserError(f"{where}: {shown} where a frame number belongs") from None
    return int(number)
