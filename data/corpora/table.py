"""A corpus's sheet found in its spreadsheet: the rows below the header, by index column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import UserError, warn

from .cells import is_empty
from .description import HEADERS, OPTIONAL, Corpus
from .sheets import Cells, header_key, read_sheets

Names = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The rows of a sheet: spreadsheet row number -> index column -> cell.

    headers: index column -> header as it is written there. first: the number of the first row of
    data. unread: how many rows are of other kinds (macro-expressions). lookups: further sheets'
    pairs, by what they are of.
    """

    rows: dict[int, dict[str, object]]
    headers: Mapping[str, str]
    first: int
    unread: int = 0
    lookups: dict[str, dict[str, str]] = field(default_factory=dict)


def read_table(corpus: Corpus, path: Path, sheet: str | None = None) -> Table:
    """Read the sheet of a corpus; empty subjects are those of the row above.

    sheet: its name, where it is not the corpus's. UserError, naming what is lacking, for a
    spreadsheet without such a table.
    """
    sheets = read_sheets(path)
    if not sheets:
        raise UserError(f"{path}: no sheet with cells in it")
    wanted = {column: _spellings(corpus, column) for column in corpus.columns}
    cells = sheets[_choose_sheet(corpus, path, sheets, wanted, sheet)]
    top, columns = _locate_columns(corpus, path, cells, wanted)
    extra = _extra_columns(corpus, cells[top]) if top >= 0 else {}
    if top >= 0:
        _say_unread_apexes(corpus, path, cells[top])
    rows: dict[int, dict[str, object]] = {}
    unread = 0
    for number, row in enumerate(cells[top + 1 :], start=top + 2):

        def cell(at: int | None, row: list[object] = row) -> object:
            return row[at] if at is not None and at < len(row) else None

        values = {column: cell(columns.get(column)) for column in corpus.columns}
        if all(is_empty(values[column]) for column in ("subject", "clip", "emotion")):
            continue
        if not _is_kept(corpus, {name: cell(at) for name, at in extra.items()} | values):
            unread += 1
            continue
        if corpus.one_hot and set(corpus.one_hot) <= set(extra):
            values["emotion"] = _shown(corpus, {n: cell(extra[n]) for n in corpus.one_hot})
        rows[number] = values
    _fill_subjects(corpus, path, rows)
    names = dict(corpus.columns)
    names |= {c: str(cells[top][at]).strip() for c, at in columns.items() if top >= 0}
    lookups = read_lookups(sheets) if corpus.lookups else {}
    return Table(rows, names, top + 2, unread, lookups)


def _spellings(corpus: Corpus, column: str) -> Names:
    header = corpus.columns[column]
    return tuple(dict.fromkeys(map(header_key, (header, *HEADERS.get(column, ())))))


def _needed(corpus: Corpus) -> list[str]:
    optional = OPTIONAL | ({"emotion"} if corpus.one_hot else set())
    return [column for column in corpus.columns if column not in optional]


def _locate_columns(
    corpus: Corpus, path: Path, cells: Cells, wanted: dict[str, Names]
) -> tuple[int, dict[str, int]]:
    """The header's row (-1: there is none) and where the columns are."""
    top, columns = find_header(cells, wanted)
    needed = _needed(corpus)
    missing = [corpus.columns[column] for column in needed if column not in columns]
    if not missing:
        return top, columns
    if corpus.headless and len(columns) < 3:
        return -1, {column: at for at, column in enumerate(corpus.columns)}
    if len(missing) > len(needed) - 2 or not {"subject", "clip"} & set(columns):
        names = ", ".join(corpus.columns.values())
        raise UserError(f"{path}: no header row in it; its table has the columns {names}")
    raise UserError(f"{path}: no column '{missing[0]}' in the header row, row {top + 1}")


def _extra_columns(corpus: Corpus, headers: list[object]) -> dict[str, int]:
    """Where those of `only` and `one_hot` are, as far as there are such."""
    keys = [header_key(cell) for cell in headers]
    names = (*(header for header, _ in corpus.only), *corpus.one_hot)
    return {name: keys.index(header_key(name)) for name in names if header_key(name) in keys}


def _is_kept(corpus: Corpus, values: Mapping[str, object]) -> bool:
    """Whether a row is of the kind that the corpus's description reads."""
    return all(
        re.fullmatch(pattern, str(values[name]).strip(), re.IGNORECASE)
        for name, pattern in corpus.only
        if not is_empty(values.get(name))
    )


def _shown(corpus: Corpus, marks: Mapping[str, object]) -> str | None:
    """The emotions that a row's 0/1 columns mark, joined by +."""
    marked = [name.lower() for name, mark in marks.items() if str(mark).strip() in ("1", "1.0")]
    return "+".join(marked) or None


def read_lookups(sheets: dict[str, Cells]) -> dict[str, dict[str, str]]:
    """The pairs of a number and a name that further sheets hold: "subject", and "clip" for videos.

    A pair whose name is that of a subject's folder (s15) is a subject's; its number is the last
    bare one of the row, whichever of both comes first.
    """
    found: dict[str, dict[str, str]] = {}
    for cells in list(sheets.values())[1:]:
        for row in cells:
            words = [str(cell).strip().removesuffix(".0") for cell in row if not is_empty(cell)]
            numbers = [word for word in words if word.isdigit()]
            name = next((word for word in words if re.search("[a-z]", word, re.IGNORECASE)), None)
            if numbers and name:
                folder = re.fullmatch(r"[a-z]+_?\d+", name, re.IGNORECASE)
                of = "subject" if folder and len(numbers[-1]) < 3 else "clip"
                found.setdefault(of, {})[numbers[-1]] = name
    return found


def _choose_sheet(
    corpus: Corpus,
    path: Path,
    sheets: dict[str, Cells],
    wanted: dict[str, Names],
    asked: str | None,
) -> str:
    """The sheet asked for, the corpus's own, the only one, or the only one with its columns."""
    listed = ", ".join(sheets)
    by_key = {header_key(name): name for name in reversed(sheets)}
    if asked is not None:
        if header_key(asked) not in by_key:
            raise UserError(f"{path}: no sheet '{asked}' (it has {listed})")
        return by_key[header_key(asked)]
    for own in corpus.sheets:
        if header_key(own) in by_key:
            return by_key[header_key(own)]
    names = list(sheets)
    if corpus.headless:
        return names[0]
    needed = set(_needed(corpus))
    fitting = [n for n, cells in sheets.items() if needed <= set(find_header(cells, wanted)[1])]
    if not corpus.sheets and names[0] in fitting:
        return names[0]
    if len(names) == 1 or len(fitting) == 1:
        return (fitting or names)[0]
    which = "the first sheet has no such table"
    if corpus.sheets:
        which = f"no sheet '{corpus.sheets[0]}'"
    raise UserError(
        f"{path}: {which}, and {len(fitting) or 'none'} of the others "
        f"{'have' if fitting else 'has'} its columns: --sheet names one of {listed}"
    )


def find_header(cells: Cells, wanted: Mapping[str, Names]) -> tuple[int, dict[str, int]]:
    """The first row with the most of the wanted columns, and where in it they are.

    wanted: column -> the keys (header_key) of its headers.
    """
    best: tuple[int, dict[str, int]] = (0, {})
    for number, row in enumerate(cells):
        if sum(not is_empty(cell) for cell in row) <= len(best[1]):
            continue
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
            made = "smic_processing.py" if corpus.name == "smic" else "--spot"
            warn(
                f"{path}: column '{header}' is not read: the apexes of {corpus.name} come from "
                f"{made}, or from the index that --apex names"
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
