"""Tables of the further corpora with the counts that public copies have, and trees for them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from conftest import write_frame, write_sheet
from corpora import spread

from data.corpora.description import Corpus
from data.corpora.known import CORPORA

Rows = list[list]


def casme3_rows() -> Rows:
    """Part A's 860 rows of 94 subjects, with the faults at their places."""
    rows: Rows = [["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class",
                   "emotion"]]  # fmt: skip
    counts = {"disgust": 250, "surprise": 187, "others": 158, "Others": 3, "fear": 86,
              "anger": 64, "sad": 57, "happy": 55}  # fmt: skip
    classes = iter(["VII"] * 373 + ["III"] * 234 + ["II"] * 151 + ["V"] * 47 + ["IV"] * 37
                   + ["I"] * 15 + ["VI"] * 3)  # fmt: skip
    times: dict[tuple, int] = {}
    for i, (subject, emotion) in enumerate(spread(counts, list(range(1, 95)))):
        video = "abcdJ"[i // 94] if i < 463 else "abcd"[i // 94 % 4]
        onset = times[subject, video] = times.get((subject, video), 81) + 20
        rows.append(
            [f"spNO.{subject}", video, onset, onset + 5, onset + 10, "4+7", next(classes), emotion]
        )
    faults = {128: (117, 83, 130), 749: (3647, 2653, 2658), 708: (24, 29, 3),
              796: (1835, 1840, 0), 798: (2393, 2398, 0), 750: (0, 0, 9)}  # fmt: skip
    for at, frames in faults.items():
        rows[at + 1][2:5] = frames
    return rows


MENDED = {128: (117, 123, 130), 749: (2647, 2653, 2658), 708: (24, 29, 34),
          796: (1835, 1840, 1845), 798: (2393, 2398, 2403), 750: (1, 1, 9)}  # fmt: skip


def casme3_c_rows() -> Rows:
    counts = {"negative": 99, "surprise": 30, "others": 20, "positive": 16}
    rows: Rows = [["sub", "count", "onset", "offset", "au", "emotion"]]
    for i, (subject, emotion) in enumerate(spread(counts, list(range(1, 31)))):
        rows.append([subject, i // 30 + 1, 10, 20, "4，7" if i == 16 else "4,7", emotion])
    return rows


def casme_rows() -> Rows:
    """189 rows of 19 subjects, 19 of them a second expression of a video."""
    counts = {"tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7,
              "sadness": 6, "contempt": 2, "fear": 2}  # fmt: skip
    rows: Rows = [["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None,
                   "AU", "Emotion"]]  # fmt: skip
    for i, (subject, emotion) in enumerate(spread(counts, list(range(1, 20)))):
        second = i >= 170
        video = f"EP{(i // 19 if not second else 0) + 1:02d}_1"
        onset = 300 if second else 10
        rows.append([subject, video, None, onset, onset + 5, None, onset + 10, None, "4", emotion])
    rows[54 + 1][3:7] = [30, 35, None, 4]  # offset before onset, as released
    return rows


def casme_sq_sheets() -> dict[str, Rows]:
    """57 micro- and 300 macro-expressions of 22 subjects; 44 offsets are 0."""
    emotions = itertools.cycle(["negative", "Positive", "surprise", "others"])
    rows: Rows = []
    for i in range(357):
        micro, onset = i < 57, 10 + 40 * (i // 22 % 12)
        offset = 0 if i % 8 == 0 and i // 8 < 44 else onset + 10
        kind = f"{'micro' if micro else 'macro'}-expression"
        rows.append([i % 22 + 1, f"disgustingteeth_{i // 22 + 1}", onset, onset + 5, offset, "4",
                     next(emotions), kind, "fear"])  # fmt: skip
    folders: Rows = [[n, f"s{n + 14}"] for n in range(1, 23)]
    return {"final": rows, "rule2": folders, "rule1": [["0101", "disgustingteeth"]]}


def mmew_rows() -> Rows:
    counts = {"happiness": 36, "anger": 8, "surprise": 89, "disgust": 72, "fear": 16,
              "sadness": 13, "others": 66}  # fmt: skip
    rows: Rows = [["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
                   "Estimated Emotion", "remarks"]]  # fmt: skip
    for i, (subject, emotion) in enumerate(spread(counts, list(range(1, 37)))):
        rows.append([subject, f"S{subject:02d}-{i:03d}", 1, 6, 11, "12", emotion, None])
    return rows


def fourdme_rows() -> Rows:
    marks = ["Positive", "Negative", "Surprise", "Repression", "Others"]
    rows: Rows = [["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", *marks]]
    for i in range(267):
        shown = [int(i % 5 == n) for n in range(5)]
        if i >= 260:
            shown[0] = shown[1] = 1
        rows.append([f"sub{i % 41 + 1:02d}", f"m{i // 41}", "x", 0, 5, 10, "4+7(k)", *shown])
    return rows


def dfme_rows(clips: int, subjects: range, name: str) -> Rows:
    rows: Rows = [["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion",
                   "EmotionId", "Fps", "AU"]]  # fmt: skip
    counts = {"disgust": 548, "surprise": 298, "sadness": 278, "fear": 265, "happiness": 206,
              "anger": 161, "contempt": 100}  # fmt: skip
    if clips != 1856:
        counts = {emotion: clips // 7 + (i < clips % 7) for i, emotion in enumerate(counts)}
    for i, (subject, emotion) in enumerate(spread(counts, list(subjects))):
        onset = i % 2
        rows.append([subject, f"{subject}_{name}_{i}", onset, onset + 5, onset + 10, emotion, 0,
                     (500, 300, 200)[i % 3], "L12"])  # fmt: skip
    return rows


def smic_other_rows() -> Rows:
    rows: Rows = [["Subject", "Filename", None, "OnsetF", "OffsetF", "FirstF", "Emotion"]]
    counts = {"negative": 23, "positive": 28, "surprise": 20}
    for i, (subject, emotion) in enumerate(spread(counts, list(range(11, 19)))):
        rows.append([subject, f"s{subject}_{emotion[:2]}_{i}", None, 10, 20, 1, emotion])
    return rows


def tables(name: str) -> Iterator[tuple[str, dict[str, Rows]]]:
    """A corpus's files and their sheets."""
    if name == "casme_sq":
        yield "CAS(ME)^2code_final.xlsx", casme_sq_sheets()
    elif name == "dfme":
        yield "training_full_with_AU.xlsx", {"a": dfme_rows(1856, range(1, 177), "t")}
        yield "testA_full_with_AU.xlsx", {"a": dfme_rows(474, range(201, 243), "a")}
        yield "testB_full_with_AU.xlsx", {"a": dfme_rows(299, range(301, 342), "b")}
    else:
        rows = {
            "casme3": casme3_rows, "casme3_c": casme3_c_rows, "casme": casme_rows,
            "mmew": mmew_rows, "fourdme": fourdme_rows, "smic_vis": smic_other_rows,
            "smic_nir": smic_other_rows,
        }[name]()  # fmt: skip
        yield f"{name}.xlsx", {next(iter(CORPORA[name].sheets), "Sheet1"): rows}


def write_tables(folder: Path, name: str) -> tuple[Path, ...]:
    """A corpus's spreadsheets, written; their paths."""
    paths = []
    for file, sheets in tables(name):
        path = folder / file
        write_sheets(path, sheets)
        paths.append(path)
    return tuple(paths)


def write_sheets(path: Path, sheets: dict[str, Rows]) -> None:
    """A workbook of several sheets."""
    import openpyxl

    if len(sheets) == 1:
        write_sheet(path, next(iter(sheets.values())), next(iter(sheets)))
        return
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def place(corpus: Corpus, clip: dict) -> tuple[str, str]:
    """Where a clip's frames lie, as released: folder, and pattern of their names."""
    subject, name = clip["subject"], clip["clip"]
    return {
        "casme3": (f"part_A/{subject}/{name}/color", "{}.jpg"),
        "casme3_c": (f"part_C/{subject}/{name}/color", "{}.jpg"),
        "casme": (f"CASME_raw_selected/{subject}/{name}", "reg_{}.jpg"),
        "casme_sq": (f"rawpic/{subject}/{subject[1:]}_0101disgustingteeth", "img{}.jpg"),
        "mmew": (f"MMEW/Micro_Expression/{clip['emotion']}/{name}", "{}.jpg"),
        "fourdme": (f"4DMicro/gray_micro/sub{subject}/{name}", "{:03d}.jpg"),
        "dfme": (f"USTC_MEv4_partA_sub0001_sub0015/{name}", "{:05d}.png"),
        "smic_vis": (f"SMIC-VIS-E/VIS/s{subject}/{name}", "image{}.jpg"),
        "smic_nir": (f"SMIC-NIR-E/NIR/s{subject}/{name}", "image{}.jpg"),
    }[corpus.name]


def write_tree(root: Path, corpus: Corpus, clips: list[dict]) -> None:
    """The frames of clips, links to one tiny picture: onset, apex and what lies beside, offset."""
    for suffix in (".jpg", ".png"):
        write_frame(root / f"one{suffix}")
    for clip in clips:
        folder, pattern = place(corpus, clip)
        (root / folder).mkdir(parents=True, exist_ok=True)
        onset, offset = clip["onset_frame"], clip["offset_frame"]
        middle = (onset + offset) // 2
        for number in {onset, *range(middle - 3, middle + 4), offset}:
            if number >= 0:
                path = root / folder / pattern.format(number)
                if not path.exists():
                    path.hardlink_to(root / f"one{path.suffix}")
    for path in root.glob("one.*"):
        path.unlink()
