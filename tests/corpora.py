"""Annotation tables with the counts of the released corpora, and trees of tiny images for them."""

import itertools
from pathlib import Path

from conftest import SMIC_HEADER, write_frame, write_sheet

from data.corpora.known import CORPORA

CASME2_HEADER = [
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None,
    "Action Units", "Estimated Emotion",
]  # fmt: skip
SAMM_HEADER = [
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
    "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
]  # fmt: skip


def spread(counts: dict[str, int], subjects: list) -> list[tuple]:
    """(subject, emotion) for every clip, the subjects taking turns."""
    turns = itertools.cycle(subjects)
    return [(next(turns), emotion) for emotion, n in counts.items() for _ in range(n)]


def casme2_rows() -> list[list]:
    """145 clips of three classes, the two that MEGC leaves out, and the unused emotions."""
    counts = {"happiness": 32, "disgust": 61, "repression": 27, "surprise": 25}
    counts |= {"others": 99, "sadness": 4, "fear": 2}
    subjects = [n for n in range(1, 27) if n not in (10, 18)]
    spellings = itertools.cycle([int, str, "{:02d}".format])
    rows = [CASME2_HEADER]
    for i, (subject, emotion) in enumerate(spread(counts, subjects)):
        rows.append(
            [next(spellings)(subject), f"EP99_{i:03d}", None, 46, 59, 86, None, "4", emotion]
        )
    rows.append(["04", "EP12_01f", None, 10, "/", 40, None, "4", "disgust"])
    rows.append([5, "EP09_05f", None, 10, 20, 40, None, "4", "disgust"])
    return rows


def samm_rows() -> list[list]:
    """133 clips of three classes, 26 "Other", two apexes outside their interval."""
    counts = {"Happiness": 26, "Surprise": 15, "Anger": 57, "Contempt": 12, "Disgust": 9}
    counts |= {"Fear": 8, "Sadness": 6, "Other": 26}
    rows = [["Micro expressions"], ["free text"], *[[None]] * 11, SAMM_HEADER]
    for i, (subject, emotion) in enumerate(spread(counts, list(range(6, 34)))):
        apex = {0: 5001, 1: 4999}.get(i, 5010)
        onset = 5005 if i == 0 else 5000
        rows.append(
            [f"{subject:03d}", f"{subject:03d}_9_{i}", "x", onset, apex, 5030, 31, "Micro",
             "AU4", emotion, 1, None]
        )  # fmt: skip
    return rows


def smic_rows() -> list[list]:
    """164 clips of 16 subjects."""
    subjects = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20]
    counts = {"negative": 70, "positive": 51, "surprise": 43}
    rows = [SMIC_HEADER]
    for i, (subject, emotion) in enumerate(spread(counts, subjects)):
        clip = f"s{subject}_{emotion[:2]}_{i:03d}"
        rows.append([subject, clip, None, 1000, 1030, 990, 1040, emotion])
    return rows


def make_frames(root: Path, table, layout) -> None:
    """One-clip folders with the frames around the apex; layout(clip) -> (folder, file format)."""
    source = root / "one.jpg"
    write_frame(source)
    for clip in table.to_dict("records"):
        folder, name = layout(clip)
        folder = root / folder
        folder.mkdir(parents=True)
        apex = clip["apex_frame"]
        numbers = {clip["onset_frame"], clip["offset_frame"], *range(apex - 2, apex + 3)}
        for number in numbers:
            (folder / name.format(number)).hardlink_to(source)
    source.unlink()


LAYOUTS = {
    "casme2": lambda c: (f"CASME2_RAW_selected/{c['subject']}/{c['clip']}", "img{}.jpg"),
    "samm": lambda c: (
        f"SAMM/{c['subject']}/{c['clip']}",
        c["subject"] + "_{:05d}.JPG",
    ),
    "smic": lambda c: (
        f"SMIC/HS/s{int(c['subject'])}/micro/{c['emotion']}/{c['clip']}",
        "reg_image{:06d}.jpg",
    ),
}
ROWS = {"casme2": casme2_rows, "samm": samm_rows, "smic": smic_rows}


def write_annotation(folder: Path, data: str) -> Path:
    sheet = next(iter(CORPORA[data].sheets), "Sheet1")
    return write_sheet(folder / f"{data}.xlsx", ROWS[data](), sheet)
