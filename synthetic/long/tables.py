"""Annotations of drawn long videos: truth_long.csv, and each corpus's own spreadsheet."""

from pathlib import Path

import pandas as pd

from common.files import write_whole
from synthetic.demo.tables import write_xlsx

from .acting import millimetres
from .plan import EMOTIONS, EXPRESSIONS, LAYOUTS, Event, Unit, Video

TABLES = {
    "casme_sq": "CASME_sq/CAS(ME)^2code_final.xlsx",
    "samm_lv": "SAMM_LongVideos_V3_Release.xlsx",
}
TRUTH = "truth_long.csv"
CASME_NAMES = {  # codes of videos, and what the released table calls them
    "0101": "disgust1", "0102": "disgust2", "0401": "anger1", "0402": "anger2", "0502": "happy1",
    "0505": "happy3",
}  # fmt: skip
NO_OFFSET = 7  # each so many-th row of CAS(ME)² has offset 0, as one in eight of the released ones


def write_long_tables(root: Path, seed: int, videos: list[Video]) -> None:
    """Write truth_long.csv and one spreadsheet a corpus below `root`."""
    for corpus, sheets in (("casme_sq", _casme_sheets), ("samm_lv", _samm_sheets)):
        own = [video for video in videos if video.corpus == corpus]
        if own:
            write_xlsx(root / TABLES[corpus], sheets(own))
    with write_whole(root / TRUTH) as path:
        long_truth(seed, videos).to_csv(path, index=False)


def long_truth(seed: int, videos: list[Video]) -> pd.DataFrame:
    """One row an event: everything that was drawn, expressions or not.

    corpus, subject, video, fps, frames (of the video, from 1), event (its kind), onset, apex,
    offset (frames, the last counted in), emotion, units ("4+L12"), strength (share of a full
    unit), millimetres (acting.millimetres), amount (what else the kind has, see plan.Event).
    """
    rows = []
    for video in videos:
        for event in video.events:
            rows.append({
                "corpus": video.corpus, "subject": video.subject, "video": video.name,
                "fps": video.fps, "frames": video.frames, "event": event.kind,
                "onset": event.onset, "apex": event.apex, "offset": event.offset,
                "emotion": EMOTIONS[event.label] if event.label >= 0 else "",
                "units": units_text(event.units),
                "strength": max((unit.strength for unit in event.units), default=0.0),
                "millimetres": round(millimetres(seed, video, event), 2),
                "amount": " ".join(f"{amount:.4f}" for amount in event.amount),
            })  # fmt: skip
    return pd.DataFrame(rows)


def units_text(units: tuple[Unit, ...]) -> str:
    """FACS notation, such as 4+L12."""
    return "+".join(f"{unit.side[:1]}{unit.number}" for unit in units)


def _expressions(video: Video) -> list[Event]:
    return [event for event in video.events if event.kind in EXPRESSIONS]


def _casme_sheets(videos: list[Video]) -> dict[str, list[list]]:
    """Three sheets without headers: expressions, subjects' folders, videos' codes."""
    rows: list[list] = []
    count: dict[tuple[int, str], int] = {}
    subjects = LAYOUTS["casme_sq"].subjects
    for video in videos:
        number = subjects.index(video.subject) + 1
        name = CASME_NAMES[video.name.split("_")[1][:4]]
        for event in _expressions(video):
            count[number, name] = count.get((number, name), 0) + 1
            offset = 0 if len(rows) % NO_OFFSET == NO_OFFSET - 1 else event.offset
            emotion = EMOTIONS[event.label]
            rows.append([
                number, f"{name}_{count[number, name]}", event.onset, event.apex, offset,
                units_text(event.units), emotion, f"{event.kind}-expression", emotion,
            ])  # fmt: skip
    drawn = sorted({video.subject for video in videos})
    codes = sorted({video.name.split("_")[1][:4] for video in videos})
    return {
        "CASMEcode_final": rows,
        "naming rule1": [[int(s[1:]), s, subjects.index(s) + 1] for s in drawn],
        "naming rule2": [[code, CASME_NAMES[code]] for code in codes],
    }


def _samm_sheets(videos: list[Video]) -> dict[str, list[list]]:
    """Text, then the header in row 10."""
    rows: list[list] = [["Synthetic stand-in for the SAMM long videos' FACS codes"]]
    rows += [["Frames are numbered as in their file names."], ["All faces are drawn."]]
    rows += [[] for _ in range(6)]
    rows.append([
        "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type",
        "Action Units", "Notes",
    ])  # fmt: skip
    for video in videos:
        for i, event in enumerate(_expressions(video), start=1):
            kind = "Micro - 1/2" if event.kind == "micro" else "Macro"
            rows.append([
                int(video.subject), f"{video.name}_{i}", int(video.name.split("_")[1]),
                event.onset, event.apex, event.offset, event.offset - event.onset + 1, kind,
                units_text(event.units), None,
            ])  # fmt: skip
    return {"FACS_Movement_Final": rows}
