"""Known faults of released annotation tables, as their descriptions have them, mended."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from data.disk.frames import name_key

from .cells import is_empty
from .description import Added, Corpus, Gaps, Repair
from .table import Table

_ORDER = ("onset_frame", "apex_frame", "offset_frame")


def repair_rows(corpus: Corpus, table: Table, source: str) -> None:
    """Mend the cells of a table that have the faults which its corpus is known to have.

    A repair is made only where the old value stands; where only the new one is known, only in a
    row that cannot be right. One that would put frames out of order is not made. One line says
    which were, and where they come from.
    """
    made: dict[str, list[str]] = {}
    by_row: dict[int, list[Repair]] = {}
    for one in corpus.repairs:
        by_row.setdefault(table.first + one.row, []).append(one)
    for row, repairs in by_row.items():
        values = table.rows.get(row)
        if values is None:
            continue
        frames = [name for name in _ORDER if name in values]
        wrong = not _in_order(values, frames)
        fitting = [one for one in repairs if _stands(one, values.get(one.field), wrong)]
        mended = values | {one.field: one.new for one in fitting}
        moved = any(one.field in _ORDER for one in fitting)
        if moved and not _in_order(mended, frames):
            continue
        for one in fitting:
            what = f"row {row} {one.field.replace('_frame', '')} {_shown(values[one.field])}"
            made.setdefault(one.source, []).append(f"{what} is {one.new}")
        values |= {one.field: one.new for one in fitting}
    for of, lines in made.items():
        print(f"{source}: {'; '.join(lines)}: after {of}")


def _stands(one: Repair, value: object, wrong: bool) -> bool:
    """Whether a cell has the fault that a repair is of."""
    if one.old is None:
        return wrong and _frame(value) != one.new
    if one.field not in _ORDER:
        return bool(re.search(rf"\b{re.escape(str(one.old))}\b", str(value)))
    return _frame(value) == one.old


def _in_order(values: Mapping[str, object], frames: Sequence[str]) -> bool:
    numbers = [_frame(values[name]) for name in frames]
    if any(number is None for number in numbers):
        return False
    known = [number for number in numbers if number is not None]
    return known == sorted(known) and known[-1] > 0 and (len(known) < 3 or known[1] > 0)


def _frame(value: object) -> int | None:
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return None


def _shown(value: object) -> str:
    return "(empty)" if is_empty(value) else str(value)


def close_gaps(
    corpus: Corpus, clips: pd.DataFrame, named: set[tuple[str, str]], source: str
) -> pd.DataFrame:
    """A corpus's clips with those added that its released table has no row of.

    named: subject and name_key of every clip that the table names, usable or not. One line says
    what was added or labelled anew, and after whom.
    """
    gaps = corpus.gaps
    if gaps is None:
        return clips
    clips, mended = _relabel(corpus, gaps, clips)
    absent = [one for one in gaps.added if (one.subject, name_key(one.clip)) not in named]
    if absent and _is_whole(gaps, named, len(absent)):
        rows = pd.DataFrame([_row(corpus, clips, one) for one in absent], columns=clips.columns)
        clips = pd.concat([clips, rows.astype(clips.dtypes)], ignore_index=True)
        names = ", ".join(one.clip for one in absent)
        mended.append(f"{len(absent)} clips that have no row of their own added ({names})")
    if mended:
        print(f"{source}: {'; '.join(mended)}: after {gaps.source}")
    return clips


def _relabel(corpus: Corpus, gaps: Gaps, clips: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    told = []
    for subject, name, wrong, right in gaps.relabelled:
        at = (clips["subject"] == subject) & (clips["clip"].map(name_key) == name_key(name))
        at &= clips["emotion"].str.lower() == wrong
        if at.any():
            clips = clips.copy()
            clips.loc[at, ["emotion", "label"]] = right, corpus.tasks["3"].label(right)
            told.append(f"{name} is {right}, not {wrong}")
    return clips, told


def _is_whole(gaps: Gaps, named: set[tuple[str, str]], missing: int) -> bool:
    """Whether a table is the corpus's own, with no other gap than the known one.

    So it is if it names the corpus's clips in its way, of its subjects and of no other, nearly all
    of them, and with those added no more than there are. A part of the corpus, the demo set and a
    list that is whole already are none, and gain no row.
    """
    pattern = re.compile(gaps.pattern)
    known = [
        subject
        for subject, clip in named
        if (found := pattern.fullmatch(clip)) and int(found[1]) == int(subject)
    ]
    return (
        {subject for subject, _ in named} == gaps.subjects
        and len(known) >= gaps.fewest
        and len(named) + missing <= gaps.most
    )


def _row(corpus: Corpus, clips: pd.DataFrame, one: Added) -> dict:
    """A clip's row, its name spelled as the table spells the subject's others (s1_ or s01_)."""
    subject, clip, emotion = one.subject, one.clip, one.emotion
    own = clips.loc[clips["subject"] == subject, "clip"]
    prefix, rest = clip.split("_", 1)
    written = own.iloc[0].partition("_")[0] if len(own) else prefix
    if name_key(written) == prefix:
        clip = f"{written}_{rest}"
    return dict.fromkeys(clips.columns, "") | {
        "data": corpus.name,
        "subject": subject,
        "clip": clip,
        "label": corpus.tasks["3"].label(emotion),
        "emotion": emotion,
        "onset_frame": one.onset,
        "apex_frame": pd.NA,
        "offset_frame": one.offset,
        "data_sub": f"{corpus.name}_{subject}",
        "fps": f"{corpus.fps:g}",
        "task": "3",
    }
