"""A corpus's spreadsheet, as its owners give it out, read into a table of clips."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd
from pandas.api.typing import NAType

from common.errors import UserError, warn
from data.disk.frames import name_key

from .cells import is_empty
from .description import HEADERS, NOT_USED, Corpus
from .repairs import repair
from .sheets import FORMULA, Cells, header_key, read_sheets


@dataclass(frozen=True)
class Annotation:
    """The clips of a corpus that a task uses, and what was found wrong on the way to them.

    clips: one row a clip: data, subject, clip, label, emotion, onset_frame, apex_frame,
    offset_frame, data_sub; apex_frame is <NA> where the corpus gives none (SMIC). skipped: one
    line for each row that is no clip, with the reason. rows: how many were read. source: of
    what: "rows of FILE".
    """

    clips: pd.DataFrame
    skipped: list[str] = field(default_factory=list)
    rows: int = 0
    source: str = ""


@dataclass(frozen=True)
class _Table:
    """The rows below a sheet's header: spreadsheet row number -> index column -> cell."""

    rows: dict[int, dict[str, object]]
    headers: Mapping[str, str]  # index column -> header as it is written there


def read_annotation(
    corpus: Corpus,
    path: Path | str,
    classes: int = 3,
    strict: bool = False,
    sheet: str | None = None,
) -> Annotation:
    """Read a corpus's spreadsheet: the clips that the task uses, in the file's order.

    A row that is no clip (a footer, an unknown emotion, swapped frames, a clip again) is
    skipped, with a warning that names it; with `strict` it is a UserError. An apex outside
    onset and offset is clamped, one that is not given becomes their middle, each with a
    warning. Known faults of the released table are mended (repairs.py). sheet: the sheet's
    name, where it is not the corpus's. UserError if the file cannot be read or no clip is left.
    """
    path = Path(path)
    if classes not in corpus.labels:
        raise UserError(f"{corpus.name} has no task of {classes} classes: --classes 3 (or casme2)")
    table = _read_table(corpus, path, sheet)
    clips, skipped = [], []
    seen: dict[tuple[str, str], int] = {}
    named: set[tuple[str, str]] = set()
    for row, values in table.rows.items():
        clip: dict[str, Any] = {}
        try:
            clip |= _read_names(corpus, values, table.headers)
            key = (clip["subject"], name_key(clip["clip"]))
            named.add(key)
            clip |= _read_emotion(corpus, values, classes, table.headers)
            if key in seen:
                raise UserError(f"the clip is in row {seen[key]} too")
            if _is_used(corpus, clip, classes):
                clip |= _read_frames(corpus, values, clip, table.headers)
                clips.append(clip)
            seen[key] = row
        except UserError as fault:
            if strict:
                raise UserError(f"{path}, row {row}: {fault}") from None
            skipped.append(f"row {row} ({_row_name(values, clip)}): {fault}")
    if not clips:
        why = f"; {len(skipped)} rows were skipped, the first: {skipped[0]}" if skipped else ""
        raise UserError(f"{path}: no clip of the {classes} classes in it{why}")
    for line in skipped:
        warn(f"{path}: skipped {line}")
    frame = pd.DataFrame(clips).astype({"apex_frame": "Int64"})
    frame = repair(corpus.name, frame, named, str(path))
    return Annotation(frame, skipped, len(table.rows), f"rows of {path}")


def _read_table(corpus: Corpus, path: Path, sheet: str | None) -> _Table:
    """The rows of the corpus's sheet; empty subjects are those of the row above."""
    sheets = read_sheets(path)
    if not sheets:
        raise UserError(f"{path}: no sheet with cells in it")
    wanted = {
        column: tuple(dict.fromkeys(map(header_key, (header, *HEADERS[column]))))
        for column, header in corpus.columns.items()
    }
    cells = sheets[_choose_sheet(corpus, path, sheets, wanted, sheet)]
    top, columns = _find_header(cells, wanted)
    if missing := [corpus.columns[column] for column in wanted if column not in columns]:
        if len(missing) > len(wanted) - 2 or not {"subject", "clip"} & set(columns):
            names = ", ".join(corpus.columns.values())
            raise UserError(f"{path}: no header row in it; its table has the columns {names}")
        raise UserError(f"{path}: no column '{missing[0]}' in the header row, row {top + 1}")
    _say_unread_apexes(corpus, path, cells[top])
    rows = {}
    for number, row in enumerate(cells[top + 1 :], start=top + 2):
        values = {c: row[at] if at < len(row) else None for c, at in columns.items()}
        if not all(is_empty(values[column]) for column in ("subject", "clip", "emotion")):
            rows[number] = values
    _fill_subjects(corpus, path, rows)
    return _Table(rows, {c: str(cells[top][at]).strip() for c, at in columns.items()})


def _choose_sheet(
    corpus: Corpus,
    path: Path,
    sheets: dict[str, Cells],
    wanted: dict[str, tuple[str, ...]],
    asked: str | None,
) -> str:
    """The sheet asked for, the corpus's own, the only one, or the only one with its columns."""
    listed = ", ".join(sheets)
    by_key = {header_key(name): name for name in reversed(sheets)}
    if asked is not None:
        if header_key(asked) not in by_key:
            raise UserError(f"{path}: no sheet '{asked}' (it has {listed})")
        return by_key[header_key(asked)]
    if header_key(corpus.sheet) in by_key:
        return by_key[header_key(corpus.sheet)]
    fitting = [
        name for name, cells in sheets.items() if len(_find_header(cells, wanted)[1]) == len(wanted)
    ]
    names = list(sheets)
    if corpus.sheet == 0 and names[0] in fitting:
        return names[0]
    if len(names) == 1 or len(fitting) == 1:
        return (fitting or names)[0]
    which = f"no sheet '{corpus.sheet}'" if corpus.sheet else "the first sheet has no such table"
    raise UserError(
        f"{path}: {which}, and {len(fitting) or 'none'} of the others "
        f"{'have' if fitting else 'has'} its columns: --sheet names one of {listed}"
    )


def _find_header(cells: Cells, wanted: dict[str, tuple[str, ...]]) -> tuple[int, dict[str, int]]:
    """The first row with the most of the wanted columns, and where in it they are."""
    best: tuple[int, dict[str, int]] = (0, {})
    for number, row in enumerate(cells):
        keys = [header_key(cell) for cell in row]
        found = {
            column: keys.index(next(name for name in names if name in keys))
            for column, names in wanted.items()
            if not set(names).isdisjoint(keys)
        }
        if len(found) > len(best[1]):
            best = number, found
    return best


def _say_unread_apexes(corpus: Corpus, path: Path, headers: list[object]) -> None:
    if "apex_frame" in corpus.columns:
        return
    names = {header_key(name) for name in HEADERS["apex_frame"]}
    for header in headers:
        if header_key(header) in names:
            warn(
                f"{path}: column '{header}' is not read: the apexes of {corpus.name} come from "
                f"{corpus.name}_processing.py, or from the index that --apex names"
            )


def _fill_subjects(corpus: Corpus, path: Path, rows: dict[int, dict[str, object]]) -> None:
    """Where a subject is written once for several rows: the name of the clip tells it, or the
    row above."""
    above, filled = None, []
    for row, values in rows.items():
        if is_empty(values["subject"]):
            if is_empty(values["clip"]):
                continue
            values["subject"] = corpus.subject_of(str(values["clip"]).strip()) or above
            if values["subject"] is not None:
                filled.append(f"row {row}, {values['subject']}")
        else:
            try:
                above = corpus.subject(values["subject"])
            except ValueError:
                continue  # a line of text, which is told when it is read
    if filled:
        warn(
            f"{path}: {len(filled)} rows have no subject: that of their clip's name or of the row "
            f"above is taken (the first: {filled[0]})"
        )


def _row_name(values: dict[str, object], clip: dict) -> str:
    """What a row is called in a message, however much of it could be read."""
    parts = clip.get("data_sub", values["subject"]), clip.get("clip", values["clip"])
    shown = [str(part) for part in parts if part is not FORMULA and not is_empty(part)]
    return shorten(" ".join(dict.fromkeys(shown)), 60, placeholder="…") or "no name"


def _read_names(corpus: Corpus, values: dict, headers: Mapping[str, str]) -> dict:
    subject, clip = (_text(values[column], headers[column]) for column in ("subject", "clip"))
    try:
        subject = corpus.subject(subject)
    except ValueError as error:
        raise UserError(str(error)) from None
    return {
        "data": corpus.name,
        "subject": subject,
        "clip": clip,
        "data_sub": f"{corpus.name}_{subject}",
    }


def _read_emotion(corpus: Corpus, values: dict, classes: int, headers: Mapping[str, str]) -> dict:
    word = _text(values["emotion"], headers["emotion"])
    emotion, labels = corpus.emotion(word, classes), corpus.labels[classes]
    if emotion is None:
        raise UserError(f"emotion '{word}' is not one of {', '.join(labels)}")
    return {"emotion": emotion, "label": labels[emotion.lower()]}


def _is_used(corpus: Corpus, clip: dict, classes: int) -> bool:
    left_out = classes == 3 and corpus.leaves_out(clip["subject"], clip["clip"])
    return clip["label"] != NOT_USED and not left_out


def _read_frames(corpus: Corpus, values: dict, clip: dict, headers: Mapping[str, str]) -> dict:
    onset, offset = (
        _frame(values[frame], headers[frame]) for frame in ("onset_frame", "offset_frame")
    )
    if offset == 0:
        raise UserError(f"{headers['offset_frame']}: 0, which stands for none")
    if onset > offset:
        raise UserError(f"onset {onset} comes after offset {offset}")
    apex: int | NAType = pd.NA
    if "apex_frame" in corpus.columns:
        name = f"{clip['data_sub']} {clip['clip']}"
        apex = _apex(values["apex_frame"], onset, offset, name, headers["apex_frame"])
    return {"onset_frame": onset, "apex_frame": apex, "offset_frame": offset}


def _frame(value: object, header: str) -> int:
    text = _text(value, header, "a frame number")
    number = _whole(text)
    if number is None or number < 0:
        raise UserError(f"{header}: '{text}' where a frame number belongs")
    return number


def _apex(value: object, onset: int, offset: int, name: str, header: str) -> int:
    """The apex within onset and offset; their middle where the cell is no frame number.

    0 and -1 too stand for "none": clamped, they would make the neutral onset the apex.
    """
    apex = None if is_empty(value) else _whole(_text(value, header))
    if apex is None or apex <= 0:
        mark = "" if is_empty(value) else f" (but '{_text(value, header)}')"
        warn(f"{name}: no apex in the annotation{mark}; the middle of onset and offset is taken")
        return (onset + offset) // 2
    if not onset <= apex <= offset:
        warn(f"{name}: apex {apex} lies outside {onset} to {offset}; clamped")
    return min(max(apex, onset), offset)


def _text(value: object, header: str, what: str = "") -> str:
    """A cell's text in one line; UserError if it is empty, or a formula without its value."""
    if value is FORMULA:
        raise UserError(
            f"{header}: a formula without a stored value: open and save the file in a spreadsheet "
            "program"
        )
    if is_empty(value):
        raise UserError(f"{header}: empty{what and f' where {what} belongs'}")
    return " ".join(str(value).split())


def _whole(text: str) -> int | None:
    """46, "46" or "46.0" -> 46; None for what is no whole number."""
    try:
        number = float(text)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None
