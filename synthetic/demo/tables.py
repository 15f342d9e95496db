"""The demo set's annotation spreadsheets, in the corpora's released layouts, and truth.csv."""

import re
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd

from common.files import write_whole

from .plan import Clip

ACTION_UNITS = {  # FACS numbers of the facial actions
    "browInnerUp": 1, "browOuterUp": 2, "browDown": 4, "eyeWide": 5, "cheekSquint": 6,
    "eyeSquint": 7, "noseSneer": 9, "mouthUpperUp": 10, "mouthSmile": 12, "mouthFrown": 15,
    "mouthShrugLower": 17, "mouthPucker": 18, "mouthPress": 24, "jawOpen": 26,
    "mouthRollLower": 28, "jawLeft": 30,
}  # fmt: skip
OBJECTIVE_CLASSES = {
    "happiness": "I", "surprise": "II", "anger": "III", "disgust": "IV", "sadness": "V",
    "fear": "VI", "contempt": "VII",
}  # fmt: skip
TABLES = {
    "smic": "SMIC/SMIC-HS-E_annotation.xlsx",
    "casme2": "CASME2/CASME2-coding-20140508.xlsx",
    "samm": "SAMM/SAMM_Micro_FACS_Codes_v2.xlsx",
}


def action_units(clip: Clip) -> str:
    """FACS notation of a clip's actions, such as 4+L9: a letter where one side leads."""
    sides: dict[str, dict[str, float]] = {}
    for name, strength in clip.actions:
        if strength >= 0.05:
            side = next((side for side in ("Left", "Right") if name.endswith(side)), "")
            if not side or name in ACTION_UNITS:
                sides.setdefault(name, {})["both"] = strength
            else:
                sides.setdefault(name.removesuffix(side), {})[side] = strength
    units = []
    for whole, by_side in sides.items():
        lead = max(by_side, key=by_side.__getitem__)
        other = sum(by_side.values()) - by_side[lead]
        one_sided = lead != "both" and by_side[lead] > 2 * other
        units.append((ACTION_UNITS[whole], lead[0] if one_sided else ""))
    return "+".join(f"{letter}{unit}" for unit, letter in sorted(units))


def write_tables(root: Path, clips: list[Clip]) -> None:
    """Write one spreadsheet a corpus and truth.csv below `root`."""
    writers = {"smic": _smic_rows, "casme2": _casme2_rows, "samm": _samm_rows}
    for data, rows in writers.items():
        own = [clip for clip in clips if clip.data == data]
        if own:
            sheet, table = rows(own)
            write_xlsx(root / TABLES[data], {sheet: table})
    with write_whole(root / "truth.csv") as path:
        truth(clips).to_csv(path, index=False)


def _smic_rows(clips: list[Clip]) -> tuple[str, list[list]]:
    table: list[list] = [[
        "Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F",
        "Offset3F", "FirstF", "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion",
    ]]  # fmt: skip
    for c in clips:
        motion, video = c.offset - c.onset + 1, c.last - c.first + 1
        table.append([
            int(c.subject), c.name, None, c.onset, c.offset, None, None, None,
            None, c.first, c.last, motion, None, None, video, c.emotion,
        ])  # fmt: skip
    return "HS", table


def _casme2_rows(clips: list[Clip]) -> tuple[str, list[list]]:
    table: list[list] = [[
        "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None,
        "Action Units", "Estimated Emotion",
    ]]  # fmt: skip
    for c in clips:
        number = c.subject.removeprefix("sub")
        subject = number if int(number) % 2 else int(number)  # both occur in released tables
        table.append([
            subject, c.name, None, c.onset, c.apex, c.offset, None, action_units(c), c.emotion,
        ])  # fmt: skip
    return "Sheet1", table


def _samm_rows(clips: list[Clip]) -> tuple[str, list[list]]:
    table: list[list] = [["Synthetic stand-in for the SAMM micro-movement FACS codes"]]
    table += [["Frames are numbered as in their file names."], ["All faces are drawn."]]
    table += [[] for _ in range(10)]  # the header stands in row 14
    table.append([
        "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
        "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
    ])  # fmt: skip
    for c in clips:
        film = int(c.name.split("_")[1])
        table.append([
            c.subject, c.name, film, c.onset, c.apex, c.offset, c.offset - c.onset + 1,
            "Micro - 1/2", action_units(c), c.emotion.capitalize(),
            OBJECTIVE_CLASSES[c.emotion], None,
        ])  # fmt: skip
    return "MICRO_ONLY", table


def write_xlsx(path: Path, sheets: dict[str, list[list]]) -> None:
    """Write sheets by name; the same rows give the same bytes, whatever the clock says."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        table = book.create_sheet(name)
        for row in rows:
            table.append(row)
    with write_whole(path) as part:
        book.save(part)
        with zipfile.ZipFile(part) as written:
            files = {name: written.read(name) for name in written.namelist()}
        with zipfile.ZipFile(part, "w") as undated:
            for name, content in files.items():
                if name == "docProps/core.xml":
                    content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2000-01-01T00:00:00Z", content)
                info = zipfile.ZipInfo(name)  # dated 1980
                info.compress_type = zipfile.ZIP_DEFLATED
                undated.writestr(info, content)


def truth(clips: list[Clip]) -> pd.DataFrame:
    """One row a clip: what was drawn. Facial actions are strengths at the apex, one a column."""
    rows = []
    for c in clips:
        row = {
            "data": c.data, "subject": c.subject, "clip": c.name, "emotion": c.emotion,
            "label": c.label, "first_frame": c.first, "onset_frame": c.onset,
            "apex_frame": c.apex, "offset_frame": c.offset, "last_frame": c.last,
            "glasses": int(c.glasses), "group": c.group,
        }  # fmt: skip
        rows.append(row | dict(c.actions))
    table = pd.DataFrame(rows)
    fixed = list(rows[0])[:12]
    actions = sorted(set(table.columns) - set(fixed))
    table[actions] = table[actions].fillna(0.0)
    return table[fixed + actions]
