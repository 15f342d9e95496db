"""Motion maps as others publish them: their layout, their names, and an index of such a folder.

The layout is that of STSTNet, HTNet and CausalNet: a picture a clip, `<subject>_<clip> .png`
(CausalNet: from apex to offset `<subject>_<clip>_1 .png` besides), folders of these for
leave-one-subject-out, and a table of labels.
"""

import csv
from pathlib import Path

import pandas as pd

from common.errors import UserError, warn
from data.corpora.cells import split_rows
from data.corpora.known import CORPORA
from data.disk.frames import name_key

WHOLE = "datasets/STSNet_whole_norm_u_v_os"  # every clip's map, once
FOLDS = "datasets/three_norm_u_v_os"  # <subject>/u_train|u_test/<class>/<map>
TABLE = "combined_3_class2_for_optical_flow.csv"
COLUMNS = ("dataset", "sub", "filename_o", "label")  # of the table that are read
OFFSET = "_1"  # ends the names of maps from apex to offset
COMPOSITE = (442, 68)  # clips and subjects of MEGC 2019


def published_name(clip: dict) -> str:
    """The name of a clip's map without its suffix: sub01_EP02_01f, s01_s01_ne_01, 006_006_1_2.

    clip: a row of an index. The subject is as on disk, with two digits for SMIC; so is the one
    that SMIC's clips begin with.
    """
    subject, name = published_subject(clip), clip["clip"]
    if clip["data"] == "smic":
        first, _, rest = name.partition("_")
        if name_key(first) == name_key(subject):
            name = f"{subject}_{rest}"
    return f"{subject}_{name}"


def published_subject(clip: dict) -> str:
    """The subject of a row of an index as published folders call it: s01, sub01, 006."""
    return f"s{clip['subject']}" if clip["data"] == "smic" else clip["subject"]


def picture_name(name: str) -> str:
    """The file of a map: with the blank before its suffix that published ones have."""
    return f"{name} .png"


def read_published(folder: Path) -> pd.DataFrame:
    """The index of a folder in the layout of CausalNet's or HTNet's repository.

    Columns: data, data_sub, subject, clip, label, motion_path and, where maps from apex to offset
    are there, motion_offset_path ("" where a clip has none), both below `folder`. Names match
    whatever their case, leading zeros and blanks. What did not match is named and counted, and
    the clips and subjects are counted beside the composite's. UserError for a folder of another
    layout, a faulty table and where nothing matches.
    """
    maps = _find_maps(folder)
    table = _find_table(folder)
    stems = {path.stem.strip(): path for path in maps}
    by_key: dict[str, list[str]] = {}
    for stem in stems:
        by_key.setdefault(name_key(stem), []).append(stem)
    found: list[tuple[dict, str]] = []  # a row of the table, and its map
    missing: list[str] = []
    for row in _read_table(table):
        name = f"{row['sub']}_{row['filename_o']}"
        near = by_key.get(name_key(name), [])
        match = name if name in stems else near[0] if len(near) == 1 else None
        if match is None:
            missing.append(name)
        else:
            found.append((row, match))
    taken = {stem for _, stem in found}
    if not found:
        raise UserError(
            f"{table}: none of its {len(missing)} clips has a map below {maps[0].parent}"
        )
    rows = []
    for row, stem in found:
        offset = stem + OFFSET
        offset = offset if offset in stems and offset not in taken else ""
        taken.add(offset)
        paths = [stems[one].relative_to(folder).as_posix() if one else "" for one in (stem, offset)]
        data_sub = f"{row['data']}_{row['subject']}"
        rows.append(
            [row["data"], data_sub, row["subject"], row["filename_o"], row["label"], *paths]
        )
    index = pd.DataFrame(rows, columns=[
        "data", "data_sub", "subject", "clip", "label", "motion_path", "motion_offset_path",
    ])  # fmt: skip
    extra = sorted(set(stems) - taken - {f"{stem}_{n}" for stem in taken for n in (2, 3)})
    _report(index, missing, extra, table)
    if not index["motion_offset_path"].any():
        return index.drop(columns="motion_offset_path")
    return index


def _find_maps(folder: Path) -> list[Path]:
    whole = folder / WHOLE
    maps = sorted(path for path in whole.glob("*.png") if not path.name.startswith("."))
    if not maps:
        raise UserError(
            f"{folder}: no published maps: neither CausalNet's nor HTNet's repository, which have "
            f"{WHOLE}/<subject>_<clip> .png"
        )
    return maps


def _find_table(folder: Path) -> Path:
    places = (folder, folder / "label", folder / "datasets")
    table = next((place / TABLE for place in places if (place / TABLE).is_file()), None)
    if table is None:
        raise UserError(
            f"{folder}: no {TABLE} with the columns {', '.join(COLUMNS)}; HTNet's repository has "
            "one that fits CausalNet's maps too: copy it there"
        )
    return table


def _read_table(table: Path) -> list[dict]:
    """The table's rows: data, subject, sub and filename_o as they stand, label."""
    try:
        lines = split_rows(table.read_text("utf-8-sig"))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{table}: not a CSV table ({error})") from error
    if not lines:
        raise UserError(f"{table}: no clip in it")
    header, *lines = lines
    names = [name.strip().lower() for name in header]
    lacking = [column for column in COLUMNS if column not in names]
    if lacking:
        raise UserError(f"{table}: no column '{lacking[0]}'")
    rows: list[dict] = []
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        cells = dict(zip(names, (cell.strip() for cell in line)))
        row = _read_row(cells, f"{table}, row {number}")
        first = seen.setdefault(
            (row["data"], name_key(f"{row['sub']}_{row['filename_o']}")), number
        )
        if first != number:
            raise UserError(
                f"{table}, row {number}: clip {row['filename_o']} is in row {first} too"
            )
        rows.append(row)
    return rows


def _read_row(cells: dict[str, str], where: str) -> dict:
    data = cells.get("dataset", "").lower()
    if data not in CORPORA:
        raise UserError(f"{where}: dataset '{data}' is not one of {', '.join(CORPORA)}")
    label = cells.get("label", "")
    if label not in ("0", "1", "2"):
        raise UserError(f"{where}: label '{label}' is none of 0 negative, 1 positive, 2 surprise")
    if not cells.get("filename_o"):
        raise UserError(f"{where}: no filename_o")
    try:
        subject = CORPORA[data].subject(cells["sub"])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return cells | {"data": data, "subject": subject, "label": int(label)}


def _report(index: pd.DataFrame, missing: list[str], extra: list[str], table: Path) -> None:
    """Say what is there and, by name and count, what has no map or no row."""
    clips, subjects = len(index), index["data_sub"].nunique()
    offsets = int((index["motion_offset_path"] != "").sum())
    whole = (
        "the whole composite" if (clips, subjects) == COMPOSITE else "the composite has {} of {}"
    )
    print(
        f"published maps: {clips} clips of {subjects} subjects ({whole.format(*COMPOSITE)}), "
        f"{offsets} with a map from apex to offset"
    )
    if missing:
        warn(f"{table}: {len(missing)} clips have no map: {', '.join(missing)}")
    if extra:
        warn(f"{table}: {len(extra)} maps have no row: {', '.join(extra)}")
    if 0 < offsets < clips:
        lacking = index["clip"][index["motion_offset_path"] == ""].tolist()
        warn(f"{len(lacking)} clips have no map from apex to offset: {', '.join(lacking)}")
