"""Known faults of released annotation tables, each with its source, and their mending."""

import re

import pandas as pd

from data.disk.frames import name_key

from .description import CORPORA

SMIC_CLIPS = 164  # of SMIC-HS: 70 negative, 51 positive, 43 surprise
SMIC_SUBJECTS = frozenset(f"{n:02d}" for n in (*range(1, 7), 8, 9, *range(11, 16), 18, 19, 20))
# The spreadsheets of SMIC-HS in public use have one row a long video, 157 or 162 in all: these
# clips have none of their own. subject, clip, onset, offset, emotion.
SMIC_MISSING = (
    ("01", "s1_ne_02", 563854, 563885, "negative"),
    ("02", "s2_sur_05", 219114, 219143, "surprise"),
    ("03", "s3_ne_03", 302370, 302380, "negative"),
    ("03", "s3_ne_20", 426679, 426709, "negative"),
    ("04", "s4_ne_05", 219343, 219361, "negative"),
    ("04", "s4_ne_06", 219413, 219435, "negative"),
    ("09", "s9_sur_02", 61250, 61291, "surprise"),
)
SMIC_RELABELLED = ("18", "s18_sur_03", "negative", "surprise")  # subject, clip, sheet's, right one
SMIC_SOURCE = "the 164-clip lists of SLSTT (preprocess/databases/smic/coding.csv) and MEGC 2019"
_LABELS = CORPORA["smic"].labels[3]
_FEWEST = 150  # rows of a sheet that is whole, a few being faulty


def repair(
    data: str, clips: pd.DataFrame, named: set[tuple[str, str]], source: str
) -> pd.DataFrame:
    """A corpus's clips with the faults mended that its released table is known to have.

    named: subject and name_key of every clip that the table names, usable or not. A repair is
    made only where it is needed; one line says which were, and where they come from.
    """
    if data != "smic":
        return clips
    clips, mended = _relabel(clips)
    absent = [row for row in SMIC_MISSING if (row[0], name_key(row[1])) not in named]
    if absent and _is_smic(named, len(absent)):
        rows = pd.DataFrame([_row(clips, *row) for row in absent], columns=clips.columns)
        clips = pd.concat([clips, rows.astype(clips.dtypes)], ignore_index=True)
        names = ", ".join(row[1] for row in absent)
        mended.append(f"{len(absent)} clips that have no row of their own added ({names})")
    if mended:
        print(f"{source}: {'; '.join(mended)}: after {SMIC_SOURCE}")
    return clips


def _relabel(clips: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    subject, name, wrong, right = SMIC_RELABELLED
    at = (clips["subject"] == subject) & (clips["clip"].map(name_key) == name_key(name))
    at &= clips["emotion"].str.lower() == wrong
    if not at.any():
        return clips, []
    clips = clips.copy()
    clips.loc[at, ["emotion", "label"]] = right, _LABELS[right]
    return clips, [f"{name} is {right}, not {wrong}"]


def _is_smic(named: set[tuple[str, str]], missing: int) -> bool:
    """Whether a table is SMIC-HS's own, with no other gap than the known one.

    So it is if it names SMIC's clips in SMIC's way, of SMIC's 16 subjects and of no other,
    nearly all of them, and with those added no more than there are. A part of the corpus, the
    demo set and a list that is whole already are none, and gain no row.
    """
    pattern = re.compile(r"s0*(\d+)_(ne|po|sur?)_\d+")
    known = [
        subject
        for subject, clip in named
        if (found := pattern.fullmatch(clip)) and int(found[1]) == int(subject)
    ]
    return (
        {subject for subject, _ in named} == SMIC_SUBJECTS
        and len(known) >= _FEWEST
        and len(named) + missing <= SMIC_CLIPS
    )


def _row(
    clips: pd.DataFrame, subject: str, clip: str, onset: int, offset: int, emotion: str
) -> dict:
    """A clip's row, its name spelled as the table spells the subject's others (s1_ or s01_)."""
    own = clips.loc[clips["subject"] == subject, "clip"]
    prefix, rest = clip.split("_", 1)
    written = own.iloc[0].partition("_")[0] if len(own) else prefix
    if name_key(written) == prefix:
        clip = f"{written}_{rest}"
    return {
        "data": "smic",
        "subject": subject,
        "clip": clip,
        "label": _LABELS[emotion],
        "emotion": emotion,
        "onset_frame": onset,
        "apex_frame": pd.NA,
        "offset_frame": offset,
        "data_sub": f"smic_{subject}",
    }
