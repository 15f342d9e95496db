"""Annotations of long videos: CAS(ME)², SAMM long videos, SMIC's long clips, drawn ones.

One table whatever the corpus: where expressions are, of which kind. Layouts after public loaders
(MEAN load_excel.py, SOFTNet load_images.py, MEGC 2020's baseline); docs/long_videos.md tells the
choices that are made where the tables leave one.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from common.errors import UserError, warn
from data.disk.frames import ClipFolders

from .cells import is_empty
from .long_names import RATES, kind_word, video_key
from .sheets import Cells, header_key, read_sheets
from .table import read_lookups

Corpus = Literal["casme_sq", "samm_lv", "smic_hs", "smic_vis", "drawn"]
NoOffset = Literal["apex", "mirror", "leave"]
# Second expressions of SMIC's sheet that are none of the corpus's 164 clips.
SMIC_NO_CLIP = {"s20_ne_06", "s20_ne_09", "s20_sur_02", "s18_ne_01", "s18_sur_03"}
COLUMNS = (
    "corpus", "video", "subject", "onset", "apex", "offset", "kind", "emotion", "units", "fps",
    "first_frame",
)  # fmt: skip


@dataclass(frozen=True)
class LongAnnotation:
    """expressions: one row each, with the columns COLUMNS: frame numbers as the corpus has them,
    onset and offset counted in; kind is micro or macro; emotion is "" where none is told; apex
    and first_frame may be <NA>. videos: all that the table names, those without expressions too.
    skipped: a line for each row that is no expression."""

    corpus: Corpus
    expressions: pd.DataFrame
    videos: tuple[str, ...]
    skipped: list[str] = field(default_factory=list)


def read_long_annotation(
    path: Path | str,
    corpus: Corpus | None = None,
    emotions: Path | None = None,
    no_offset: NoOffset = "apex",
) -> LongAnnotation:
    """Read where a corpus's expressions are.

    corpus: told by the table's columns if not given. emotions: SAMM's micro-expression table
    (SAMM_Micro_FACS_Codes_v2.xlsx), which alone has them; rows are joined by Filename, as frame
    numbers differ. no_offset: what CAS(ME)²'s offset 0 stands for: the apex (as MEGC 2020's
    baseline), as far behind the apex as the onset is before it ("mirror"), or a row to leave
    out. UserError if the table is none of these.
    """
    path = Path(path)
    sheets = read_sheets(path)
    found = corpus or _which(sheets)
    if found is None:
        raise UserError(
            f"{path}: not the table of CAS(ME)², SAMM long videos, SMIC or drawn long videos; "
            "--corpus says which it is to be read as"
        )
    readers = {
        "casme_sq": lambda: _casme_rows(path, sheets),
        "samm_lv": lambda: _samm_rows(path, sheets, emotions),
        "smic_hs": lambda: _smic_rows(path, sheets, "smic_hs"),
        "smic_vis": lambda: _smic_rows(path, sheets, "smic_vis"),
        "drawn": lambda: _drawn_rows(path, sheets),
    }
    rows, videos = [], []
    skipped = []
    for number, row in readers[found]():
        videos.append(row["video"])
        fault = _complete(row, no_offset) if row["kind"] else ""
        if fault:
            skipped.append(f"row {number} ({row['video']}): {fault}")
        elif row["kind"]:
            rows.append(row)
    if not rows:
        raise UserError(f"{path}: no expression in it (read as {found})")
    for line in skipped:
        warn(f"{path}: skipped {line}")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = dict.fromkeys(("onset", "apex", "offset", "first_frame"), "Int64")
    return LongAnnotation(found, table.astype(whole), tuple(dict.fromkeys(videos)), skipped)


def find_videos(root: Path, annotation: LongAnnotation) -> dict[str, Path]:
    """The folder of frames, or the file, of each of the annotation's videos below `root`.

    Raw videos come before cropped ones. A warning names what is missing; UserError if all is.
    """
    found: dict[str, Path] = {}
    wanted = {video_key(video): video for video in annotation.videos}
    clips = ClipFolders(root).clips()
    clips.sort(key=lambda path: any("crop" in part.lower() for part in path.parts))
    for path in clips:
        video = wanted.get(video_key(path.name))
        if video is not None:
            found.setdefault(video, path)
    missing = [video for video in annotation.videos if video not in found]
    if not found:
        raise UserError(f"{root}: none of the annotation's videos below it ({missing[0]}, …)")
    if missing:
        warn(f"{root}: {len(missing)} of the annotation's videos are missing: {missing[0]}, …")
    return found


Row = tuple[int, dict]  # its number in the sheet, and its cells by COLUMNS


def _which(sheets: dict[str, Cells]) -> Corpus | None:
    for cells in sheets.values():
        for row in cells[:20]:
            keys = {header_key(cell) for cell in row}
            if {"event", "onset", "offset", "fps"} <= keys:
                return "drawn"
            if {"filename", "onset", "offset", "type"} <= keys:
                return "samm_lv"
            if {"filename", "onsetf", "offsetf"} <= keys:
                return "smic_hs" if "firstf" in keys else "smic_vis"
    first = next(iter(sheets.values()), [])
    kinds = [kind_word(row[7]) for row in first if len(row) > 7]
    return "casme_sq" if kinds and sum(map(bool, kinds)) > len(kinds) / 2 else None


def _complete(row: dict, no_offset: NoOffset) -> str:
    """Fill in what a row leaves open, in place; what is wrong with it, "" for nothing."""
    onset, apex, offset = row["onset"], row["apex"], row["offset"]
    if onset is None or offset is None:
        return "no frame numbers"
    if apex is not None and apex <= 0 < onset:
        apex = row["apex"] = None
    if offset == 0:
        if no_offset == "leave" or apex is None:
            return "offset 0, which stands for none"
        offset = row["offset"] = apex if no_offset == "apex" else 2 * apex - onset
    if onset > offset:
        return f"onset {onset} comes after offset {offset}"
    return ""


def _casme_rows(path: Path, sheets: dict[str, Cells]) -> list[Row]:
    tables = list(sheets.values())
    if len(tables) < 3:
        raise UserError(
            f"{path}: {len(tables)} sheets, where CAS(ME)²'s table has three: expressions, "
            "subjects' folders, videos' codes"
        )
    lookups = read_lookups(sheets)
    folders = {
        int(number): int(re.sub(r"\D", "", folder))
        for number, folder in lookups.get("subject", {}).items()
    }
    codes = {name.lower(): code.zfill(4) for code, name in lookups.get("clip", {}).items()}
    rows = []
    for number, row in enumerate(tables[0], start=1):
        cells = [*row, *[None] * (9 - len(row))]
        subject, name = _digits(cells[0]), re.sub(r"_\d+$", "", str(cells[1]).strip().lower())
        if subject not in folders or name not in codes:
            if not all(map(is_empty, cells[:5])):
                warn(f"{path}: row {number} is no expression of a video that the table names")
            continue
        assert subject is not None
        onset, apex, offset = map(_whole, cells[2:5])
        folder = folders[subject]
        rows.append((number, {
            "corpus": "casme_sq", "video": f"{folder:02d}_{codes[name]}",
            "subject": f"s{folder:02d}", "onset": onset, "apex": apex, "offset": offset,
            "kind": kind_word(cells[7]), "emotion": _word(cells[6]), "units": _text(cells[5]),
            "fps": RATES["casme_sq"], "first_frame": 1,
        }))  # fmt: skip
    return rows


def _samm_rows(path: Path, sheets: dict[str, Cells], emotions: Path | None) -> list[Row]:
    felt: dict[str, str] = {}
    if emotions is not None:
        for _, row in _records(emotions, read_sheets(emotions), ("filename", "estimatedemotion")):
            felt[_text(row["filename"])] = _word(row["estimatedemotion"])
    rows = []
    for number, row in _records(path, sheets, ("filename", "onset", "offset", "type")):
        name = _text(row["filename"])
        if not re.match(r"\d{3}_\d", name):
            continue
        micro = kind_word(row["type"]) == "micro"
        rows.append((number, {
            "corpus": "samm_lv", "video": name[:5], "subject": name[:3],
            "onset": _whole(row["onset"]), "apex": _whole(row.get("apex")),
            "offset": _whole(row["offset"]), "kind": kind_word(row["type"]),
            "emotion": felt.get(name, "") if micro else "",
            "units": _text(row.get("actionunits")), "fps": RATES["samm_lv"], "first_frame": 1,
        }))  # fmt: skip
    return rows


def _smic_rows(path: Path, sheets: dict[str, Cells], corpus: Corpus) -> list[Row]:
    """A row is a long clip with one to three micro-expressions; SMIC has no apexes and no units."""
    rows = []
    for number, row in _records(path, sheets, ("filename", "onsetf", "offsetf")):
        name = _text(row["filename"])
        if not re.match(r"s\d", name):
            continue
        video = {
            "corpus": corpus, "video": name, "subject": name.split("_")[0], "apex": None,
            "emotion": _word(row.get("emotion")), "units": "", "fps": RATES[corpus],
            "first_frame": _whole(row.get("firstf")),
        }  # fmt: skip
        for which in ("", "2", "3"):
            onset, offset = (_whole(row.get(f"{end}{which}f")) for end in ("onset", "offset"))
            if which and (not onset or not offset or name in SMIC_NO_CLIP):
                continue
            rows.append((number, video | {"onset": onset, "offset": offset, "kind": "micro"}))
    return rows


def _drawn_rows(path: Path, sheets: dict[str, Cells]) -> list[Row]:
    rows = []
    for number, row in _records(path, sheets, ("video", "event", "onset", "offset", "fps")):
        rows.append((number, {
            "corpus": _text(row.get("corpus")), "video": _text(row["video"]),
            "subject": _text(row.get("subject")), "onset": _whole(row["onset"]),
            "apex": _whole(row.get("apex")), "offset": _whole(row["offset"]),
            "kind": kind_word(row["event"]), "emotion": _word(row.get("emotion")),
            "units": _text(row.get("units")), "fps": float(str(row["fps"])), "first_frame": 1,
        }))  # fmt: skip
    return rows


def _records(path: Path, sheets: dict[str, Cells], needed: tuple[str, ...]) -> list[Row]:
    """The rows below the header that has the needed columns, by header key."""
    for cells in sheets.values():
        for top, header in enumerate(cells):
            keys = [header_key(cell) for cell in header]
            if set(needed) <= set(keys):
                below = enumerate(cells[top + 1 :], start=top + 2)
                return [
                    (number, {key: row[i] if i < len(row) else None for i, key in enumerate(keys)})
                    for number, row in below
                    if not all(map(is_empty, row))
                ]
    raise UserError(f"{path}: no header row with the columns {', '.join(needed)}")


def _text(value: object) -> str:
    return "" if is_empty(value) else str(value).strip()


def _word(value: object) -> str:
    return _text(value).lower()


def _whole(value: object) -> int | None:
    """A frame number; None for an empty cell or another text."""
    found = re.fullmatch(r"\s*(\d+)(?:\.0*)?\s*", str(value))
    return int(found[1]) if found else None


def _digits(value: object) -> int | None:
    """The number in 15, "15", "s15" or "0101"; None for what holds none."""
    found = re.fullmatch(r"[a-z]{0,3}(\d+)(?:\.0)?", str(value).strip(), re.IGNORECASE)
    return int(found[1]) if found else None
