"""Spotted intervals as people write them down: tables with or without a header, MEGC's logs."""

import re
from pathlib import Path

import pandas as pd

from common.errors import UserError, warn

from .cells import is_empty
from .long_names import CLASSES, kind_word, video_key
from .sheets import Cells, header_key, read_sheets

PREDICTED = ("video", "subject", "onset", "offset", "kind", "label", "score")
# Headers by their keys (sheets.header_key), the likeliest first.
_HEADERS = {
    "video": ("video", "videoname", "videocode", "videoid", "vid", "filename", "file", "clip",
              "material", "path", "name", "code"),
    "subject": ("subject", "sub", "subjectid", "participant"),
    "onset": ("onset", "onsetframe", "onsetf", "predonset", "predictedonset", "start",
              "startframe", "predstart", "begin", "first"),
    "offset": ("offset", "offsetframe", "offsetf", "predoffset", "predictedoffset", "end",
               "endframe", "predend", "stop", "last"),
    "kind": ("kind", "type", "expressiontype", "exptype"),
    "label": ("label", "emotion", "class", "prediction", "predemotion", "predictedemotion"),
    "score": ("confidence", "score", "probability", "prob"),
}  # fmt: skip
_VERDICTS = {"TP", "FP", "FN"}
_NONE = {"-", "–", "—", ""}


def read_predicted(path: Path | str) -> pd.DataFrame:
    """Spotted intervals, one a row: the columns PREDICTED.

    video and subject are as written; onset and offset are frame numbers, counted in; kind is
    micro, macro or "" where none is told; label is an emotion or class or ""; score is NaN where
    there is none. path: a table (.csv, .xlsx, text with spaces) whose header may be missing; a
    log as MEGC asks for it (video, true onset and offset, spotted ones, TP, FP or FN, a dash
    where there is none); or a folder of files, each named after its video. A file with a header
    and no rows is none spotted. UserError for what is none of these.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".csv", ".txt"))
        if not files:
            raise UserError(f"{path}: a folder without .csv or .txt files of intervals")
        return pd.concat([_read_file(file, file.stem) for file in files], ignore_index=True)
    return _read_file(path, None)


def read_log_truth(path: Path) -> tuple[pd.DataFrame, int] | None:
    """The true intervals (video, onset, offset) that a MEGC log holds beside the spotted ones,
    and how many true positives it counts itself; None for a file that is no such log."""
    if path.is_dir():
        return None
    rows = _log_rows(_spread(next(iter(read_sheets(path).values()))))
    if rows is None:
        return None
    pairs = sum(bool(row["true"] and row["spotted"]) for row in rows)
    return _frame([row for row in rows if row["true"]], "true"), pairs


def _read_file(path: Path, video: str | None) -> pd.DataFrame:
    cells = _spread(next(iter(read_sheets(path).values())))
    log = _log_rows(cells)
    if log is not None:
        return _frame([row for row in log if row["spotted"]], "spotted")
    top, columns = _header(cells)
    if top < 0:
        columns = _guess(path, cells, video is None)
    for needed in ("onset", "offset") if video is not None else ("video", "onset", "offset"):
        if needed not in columns:
            raise UserError(
                f"{path}: no column of each interval's {needed} (header: video, onset, offset)"
            )
    rows, bad = [], []
    for number, row in enumerate(cells[top + 1 :], start=top + 2):
        values = {c: row[i] if i < len(row) else None for c, i in columns.items()}
        if all(is_empty(value) for value in values.values()):
            continue
        one = _interval(values, video)
        if one is None:
            bad.append(number)
        else:
            rows.append(one)
    if bad:
        raise UserError(
            f"{path}: row {bad[0]} holds no interval (frame numbers, onset not after offset)"
            + (f", nor do {len(bad) - 1} others" if len(bad) > 1 else "")
        )
    return pd.DataFrame(rows, columns=list(PREDICTED)).astype({"score": float})


def _interval(values: dict[str, object], video: str | None) -> dict | None:
    onset, offset = (_number(values[end]) for end in ("onset", "offset"))
    if onset is None or offset is None or onset > offset:
        return None
    score = _number(values.get("score"))
    word = str(values.get("label") or "").strip().lower()
    return {
        "video": str(values.get("video", video)).strip(),
        "subject": "" if is_empty(values.get("subject")) else str(values["subject"]).strip(),
        "onset": round(onset),
        "offset": round(offset),
        "kind": kind_word(values.get("kind")),
        "label": "" if kind_word(word) else word,
        "score": float("nan") if score is None else score,
    }


def _spread(cells: Cells) -> Cells:
    """Rows of one cell with spaces in it, as text files have them, split at the spaces."""
    full = [row for row in cells if not all(map(is_empty, row))]
    if full and all(sum(not is_empty(cell) for cell in row) == 1 for row in full):
        texts = [str(next(cell for cell in row if not is_empty(cell))) for row in full]
        return [list(text.split()) for text in texts]
    return full


def _header(cells: Cells) -> tuple[int, dict[str, int]]:
    """The row of the header and its columns; -1 where there is none."""
    for top, row in enumerate(cells[:20]):
        keys = [header_key(cell) for cell in row]
        columns = {
            name: keys.index(next(key for key in known if key in keys))
            for name, known in _HEADERS.items()
            if not set(known).isdisjoint(keys)
        }
        if {"onset", "offset"} <= set(columns):
            return top, columns
    return -1, {}


def _guess(path: Path, cells: Cells, named: bool) -> dict[str, int]:
    """What columns without a header are, by what is in them."""
    if not cells:
        raise UserError(f"{path}: an empty table, without so much as a header")
    width = min(len(row) for row in cells)
    numeric, columns = [], {}
    for i in range(width):
        values = [row[i] for row in cells]
        if all(_number(value) is not None for value in values):
            numeric.append(i)
        elif all(kind_word(value) for value in values):
            columns["kind"] = i
        elif all(str(value).strip().lower() in CLASSES for value in values):
            columns["label"] = i
        elif named and "video" not in columns:
            columns["video"] = i
    frames = [i for i in numeric if all(float(str(row[i])) % 1 == 0 for row in cells)]
    ordered = len(frames) > 2 and all(
        float(str(r[frames[0]])) <= float(str(r[frames[1]])) <= float(str(r[frames[2]]))
        for r in cells
    )
    if len(frames) > 1:  # onset and offset, or with the apex between them
        columns |= {"onset": frames[0], "offset": frames[2 if ordered else 1]}
    used = set(columns.values()) | set(frames[: 3 if ordered else 2])
    rest = [i for i in numeric if i not in used]
    if rest:
        columns["score"] = rest[-1]
    told = ", ".join(f"{name} {i + 1}" for name, i in sorted(columns.items(), key=lambda c: c[1]))
    warn(f"{path}: no header; its columns are taken as {told}")
    return columns


def _log_rows(cells: Cells) -> list[dict] | None:
    """A MEGC log's rows; None for another file. Lines of one number name the corpus there."""
    rows = []
    for row in cells:
        texts = [str(cell).strip() for cell in row if not is_empty(cell)]
        if len(texts) < 6 or texts[-1].upper() not in _VERDICTS:
            if len(texts) < 2:
                continue
            return None
        video, *ends = texts[:5]
        true, spotted = (
            None if set(pair) & _NONE else tuple(int(float(text)) for text in pair)
            for pair in (ends[:2], ends[2:4])
        )
        rows.append({"video": video, "true": true, "spotted": spotted})
    return rows or None


def _frame(rows: list[dict], which: str) -> pd.DataFrame:
    table = pd.DataFrame(
        [{"video": row["video"], "onset": row[which][0], "offset": row[which][1]} for row in rows],
        columns=["video", "onset", "offset"],
    )
    for name in ("subject", "kind", "label"):
        table[name] = ""
    table["score"] = float("nan")
    return table[list(PREDICTED)]


def _number(value: object) -> float | None:
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return None
    return None if number != number or "_" in text else number  # 006_1 is Python's 61


def match_names(names: pd.DataFrame, known: list[str]) -> pd.Series:
    """The annotation's name of each prediction's video, its own key where there is none.

    names: video and subject, as written. CAS(ME)² may have them apart: s15 and 0101.
    """
    keys = {video_key(name): name for name in known}

    def one(video: str, subject: str) -> str:
        digits = re.sub(r"\D", "", subject)
        tries = [video, f"{digits.zfill(2)}_{video}", f"{digits.zfill(3)}_{video}"]
        for name in tries if subject else tries[:1]:
            if video_key(name) in keys:
                return keys[video_key(name)]
        return video_key(video)

    found = [one(v, s) for v, s in zip(names["video"], names["subject"])]
    return pd.Series(found, index=names.index, dtype=object)
