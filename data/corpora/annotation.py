"""A corpus's spreadsheet, as its owners give it out, read into a table of clips."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from common.errors import UserError, warn
from data.disk.frames import name_key

from .cells import is_empty
from .description import HEADERS, Corpus
from .known import AU
from .repairs import close_gaps, repair_rows
from .row import RowReader
from .sheets import FORMULA, header_key, read_sheets
from .table import find_header, read_table


@dataclass(frozen=True)
class Annotation:
    """The clips of a corpus that a task uses, and what was found wrong on the way to them.

    clips: one row a clip: data, subject, clip, label, emotion, onset_frame, apex_frame,
    offset_frame, data_sub, fps, units, task; apex_frame is <NA> where the corpus gives none.
    on_disk: what a clip's folders are called where its names do not tell. skipped: one line for
    each row that is no clip, with the reason. rows: how many were read. source: of what: "rows of
    FILE".
    """

    clips: pd.DataFrame
    skipped: list[str] = field(default_factory=list)
    rows: int = 0
    source: str = ""


def read_annotation(
    corpus: Corpus,
    path: Path | str,
    task: str | int = "3",
    strict: bool = False,
    sheet: str | None = None,
    objective: Path | None = None,
) -> Annotation:
    """Read a corpus's spreadsheet: the clips that the task uses, in the file's order.

    A row that is no clip (a footer, an unknown emotion, swapped frames, a clip again) is
    skipped, with a warning that names it; with `strict` it is a UserError. An apex outside
    onset and offset is clamped, one that is not given becomes their middle, each with a
    warning. Known faults of the released table are mended (repairs.py). sheet: the sheet's
    name, where it is not the corpus's. objective: a table of objective classes beside it.
    UserError if the file cannot be read or no clip is left.
    """
    path, task = Path(path), str(task)
    check_task(corpus, task)
    table = read_table(corpus, path, sheet)
    further = {} if objective is None else _read_objective(corpus, objective)
    repair_rows(corpus, table, str(path))
    reader = RowReader(corpus, task, table.headers, table.lookups, further)
    clips, skipped = [], []
    for row, values in table.rows.items():
        clip: dict[str, Any] = {}
        try:
            if reader.reads(row, values, clip):
                clips.append(clip)
        except UserError as fault:
            if strict:
                raise UserError(f"{path}, row {row}: {fault}") from None
            skipped.append(f"row {row} ({_row_name(values, clip)}): {fault}")
    if not clips:
        why = f"; {len(skipped)} rows were skipped, the first: {skipped[0]}" if skipped else ""
        raise UserError(f"{path}: no clip of {_told(corpus, task)} in it{why}")
    for line in (*skipped, *reader.remarks):
        warn(f"{path}: {'' if line in reader.remarks else 'skipped '}{line}")
    if table.unread:
        print(f"{path}: {table.unread} rows are of no micro-expression, and not read")
    frame = pd.DataFrame(clips).astype({"apex_frame": "Int64"})
    frame = close_gaps(corpus, frame, reader.named, str(path))
    return Annotation(frame, skipped, len(table.rows), f"rows of {path}")


def read_annotations(
    corpus: Corpus,
    paths: Iterable[Path],
    task: str | int = "3",
    strict: bool = False,
    sheet: str | None = None,
    objective: Path | None = None,
) -> Annotation:
    """Several tables of one corpus, one below the other; see read_annotation.

    Where the corpus has lists, a column says which one a clip is of, by its table's name.
    """
    parts = []
    for path in paths:
        part = read_annotation(corpus, path, task, strict, sheet, objective)
        if corpus.lists:
            part.clips["list"] = _list_of(corpus, path)
        parts.append(part)
    clips = pd.concat([part.clips for part in parts], ignore_index=True)
    again = clips.duplicated(["subject", "clip", "onset_frame"])
    if again.any():
        clip = clips[again].iloc[0]
        raise UserError(f"{clip['data_sub']} {clip['clip']}: is in two of the tables")
    skipped = [line for part in parts for line in part.skipped]
    sources = ", ".join(part.source for part in parts)
    return Annotation(clips, skipped, sum(part.rows for part in parts), sources)


def check_task(corpus: Corpus, task: str) -> None:
    """UserError where a corpus has no such task."""
    has = [*corpus.tasks, *([AU] if "units" in corpus.columns else [])]
    if task in has:
        return
    if task.isdigit():
        raise UserError(
            f"{corpus.name} has no task of {task} classes: --task {' or '.join(has)} "
            "(the older --classes has 3, or 5 with casme2)"
        )
    raise UserError(f"{corpus.name} has no task '{task}': --task {' or '.join(has)}")


def _told(corpus: Corpus, task: str) -> str:
    if task == AU:
        return "known action units"
    return f"the {len(corpus.tasks[task].classes)} classes"


def _list_of(corpus: Corpus, path: Path) -> str:
    found = [name for pattern, name in corpus.lists.items()
             if re.fullmatch(pattern, path.stem, re.IGNORECASE)]  # fmt: skip
    return found[0] if found else ""


def _read_objective(corpus: Corpus, path: Path) -> dict[tuple[str, str], str]:
    """Objective classes by subject and clip, from a table that has them alone."""
    wanted = {c: tuple(map(header_key, HEADERS[c])) for c in ("subject", "clip", "objective")}
    for cells in read_sheets(path).values():
        top, columns = find_header(cells, wanted)
        if len(columns) == len(wanted):
            break
    else:
        raise UserError(f"{path}: no table with the columns Subject, Filename, Objective Class")
    found = {}
    for number, row in enumerate(cells[top + 1 :], start=top + 2):
        subject, clip, of = (row[columns[c]] if columns[c] < len(row) else None for c in wanted)
        if is_empty(subject) or is_empty(clip) or is_empty(of):
            continue
        try:
            found[corpus.subject(subject), name_key(str(clip))] = str(of).strip()
        except ValueError as error:
            raise UserError(f"{path}, row {number}: {error}") from None
    return found


def _row_name(values: dict[str, object], clip: dict) -> str:
    """What a row is called in a message, however much of it could be read."""
    parts = clip.get("data_sub", values["subject"]), clip.get("clip", values["clip"])
    shown = [str(part) for part in parts if part is not FORMULA and not is_empty(part)]
    return shorten(" ".join(dict.fromkeys(shown)), 60, placeholder="…") or "no name"
