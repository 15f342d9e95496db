"""What a corpus is: its table, its words, its names on disk, its tasks; a file each has one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from data.disk.frames import name_key

NOT_USED = -1  # an emotion that the annotation knows and the task leaves out
THREE = ("negative", "positive", "surprise")  # of MEGC 2019
OBJECTIVE = ("I", "II", "III", "IV", "V")  # of MEGC 2018: action units decide (Davison et al. 2018)

# Headers that other releases and edited tables have, besides the corpus's own.
HEADERS = {
    "subject": ("Subject", "Sub", "Subject ID", "Sub ID", "Subject No", "Participant"),
    "clip": ("Filename", "File", "Clip", "Clip name", "Video", "Video name", "Material"),
    "onset_frame": ("OnsetFrame", "Onset", "OnsetF"),
    "apex_frame": ("ApexFrame", "Apex", "ApexF", "ApexF1"),
    "offset_frame": ("OffsetFrame", "Offset", "OffsetF", "OffFrame", "Off", "OffF"),
    "emotion": ("Estimated Emotion", "Emotion", "Emotions", "Expression", "Label"),
    "objective": ("Objective Classes", "Objective Class", "Objective"),
    "units": ("Action Units", "Action Unit", "AUs", "AU"),
    "fps": ("Fps", "Frame rate", "Frames per second"),
}
OPTIONAL = frozenset({"units", "objective", "fps"})  # columns that a table may lack
# Words for an emotion, besides the corpus's own: the first that the corpus knows is meant.
_EMOTIONS = {
    "angry": ("anger",), "contemptuous": ("contempt",), "disgusted": ("disgust",),
    "fearful": ("fear",), "happy": ("happiness",), "happiness": ("happy",), "ne": ("negative",),
    "neg": ("negative",), "other": ("others",), "others": ("other",), "po": ("positive",),
    "pos": ("positive",), "repressed": ("repression",), "sad": ("sadness",), "sadness": ("sad",),
    "sur": ("surprise",), "surprised": ("surprise",),
}  # fmt: skip
_ROMAN = {str(n): word for n, word in enumerate(("i", "ii", "iii", "iv", "v", "vi", "vii"), 1)}


@dataclass(frozen=True)
class Task:
    """Classes in the order of their labels, and the annotation's words for them.

    words: word in small letters -> class, or None: known, and not of this task. column: what is
    read, emotion or objective.
    """

    classes: tuple[str, ...]
    words: Mapping[str, str | None]
    column: str = "emotion"

    def label(self, word: str) -> int:
        """The label of a known word; NOT_USED where the task leaves it out."""
        of = self.words[word.lower()]
        return NOT_USED if of is None else self.classes.index(of)


def task(classes: str | tuple[str, ...], left_out: str = "", **words: str) -> Task:
    """A task by names separated by blanks: classes, the words of each, words left out.

    task("negative surprise", "others", negative="disgust fear") knows four words: a class without
    words of its own is its own word.
    """
    names = tuple(classes.split()) if isinstance(classes, str) else classes
    known: dict[str, str | None] = {}
    for name, of_class in words.items():
        known |= dict.fromkeys(of_class.split(), name)
    known |= {name: name for name in names if name not in words}
    return Task(names, known | dict.fromkeys(left_out.split()))


def objective_task() -> Task:
    """MEGC 2018's five objective classes; VI and VII are left out."""
    known = {name.lower(): name if name in OBJECTIVE else None for name in
             (*OBJECTIVE, "VI", "VII")}  # fmt: skip
    return Task(OBJECTIVE, known, "objective")


@dataclass(frozen=True)
class Repair:
    """A known fault of a released table. row: 0-based row of data below the header.

    old: the value that is there; None where only the source's new one is known: then it is made
    where the row cannot be right as it is (no number, 0, or frames out of order).
    """

    row: int
    field: str
    old: int | str | None
    new: int | str
    source: str


@dataclass(frozen=True)
class Added:
    """A clip that a released table has no row of."""

    subject: str
    clip: str
    onset: int
    offset: int
    emotion: str


@dataclass(frozen=True)
class Gaps:
    """Clips that are missing in a released table, which is known by its subjects and names.

    pattern: of clip names (re.fullmatch), group 1 the subject's number. fewest and most: rows of
    a table that is whole but for the gaps, and clips of the corpus. relabelled: (subject, clip,
    the table's emotion, the right one).
    """

    pattern: str
    subjects: frozenset[str]
    fewest: int
    most: int
    added: tuple[Added, ...]
    relabelled: tuple[tuple[str, str, str, str], ...]
    source: str


@dataclass(frozen=True)
class Corpus:
    """What is particular to one corpus. Its name is the index's `data`.

    columns: index column -> header in the released table; where `headless` the table has no header
    row and these are its columns in order. only: (header, pattern) that rows must match to be
    micro-expressions, where the table has that column. one_hot: headers of 0/1 columns that stand
    for the emotion. lookups: whether further sheets give the numbers and codes that `place` needs.
    subject_format: of a subject's number in the index; folder_formats: on disk, the first of the
    index's name, the others of its number. place: what a clip's folder is called, with {clip}, or
    with {number} and {code} of lookups; a * stands for any text. above: whether a folder above the
    clip's is the subject's. several: videos hold several expressions. fps: frames a second; None
    where a column says it. first_frame: the number of a recording's first frame, where it is a
    video; None: 1, or 0 where an onset is 0. left_out: clips that the three classes leave out.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    tasks: Mapping[str, Task]
    fps: float | None
    first_frame: int | None = None
    sheets: tuple[str, ...] = ()
    headless: bool = False
    only: tuple[tuple[str, str], ...] = ()
    one_hot: tuple[str, ...] = ()
    lookups: bool = False
    subject_format: str = "{:02d}"
    folder_formats: tuple[str, ...] = ("{}",)
    place: str = "{clip}"
    above: bool = True
    several: bool = False
    zero_offset: str = "skip"  # or apex: offset 0 stands for none, the apex is taken
    left_out: frozenset[tuple[str, str]] = frozenset()
    glasses: frozenset[int] = frozenset()  # subjects who wear them
    prefer: tuple[str, ...] = ("cropped",)  # folder names, where releases lie side by side
    subject_in_clip: str | None = None  # pattern of clip names that begin with their subject
    repairs: tuple[Repair, ...] = ()
    gaps: Gaps | None = None
    lists: Mapping[str, str] = field(default_factory=dict)  # pattern of a table's file -> list

    def subject(self, value: object) -> str:
        """The index's name of a subject: 1, "01", "s1" or "sub01" -> its one spelling.

        ValueError for what names no subject.
        """
        named = rf"(?:{self.name}[\s_.-]*)?(?:[a-z]+[\s_.-]*)?(\d+)(?:\.0+)?"
        found = re.fullmatch(named, str(value).strip(), re.IGNORECASE)
        if not found:
            shown = f"'{value}'" if str(value).strip() else "an empty cell"
            raise ValueError(f"{shown} is not a subject of {self.name}")
        return self.subject_format.format(int(found[1]))

    def subject_of(self, clip: str) -> str | None:
        """The subject that a clip's name tells, as in the index; None where it tells none."""
        found = self.subject_in_clip and re.match(self.subject_in_clip, clip, re.IGNORECASE)
        return self.subject(found[1]) if found else None

    def emotion(self, word: str, task: str | int) -> str | None:
        """The corpus's own spelling of an emotion (happy -> happiness); None if it is none.

        Of several at once (happiness+surprise) the words are joined as they are.
        """
        one = self.tasks.get(str(task))
        words = one.words if one else {}
        word = word.strip()
        if word.lower() in words:
            return word
        if one and one.column == "objective":
            roman = _ROMAN.get(word.removesuffix(".0"), "")
            return roman.upper() if roman in words else None
        return next((known for known in _EMOTIONS.get(word.lower(), ()) if known in words), None)

    def leaves_out(self, subject: str, clip: str) -> bool:
        """Whether the three-class task leaves this clip out."""
        return (subject, name_key(clip)) in {(s, name_key(c)) for s, c in self.left_out}

    def wears_glasses(self, subject: str) -> bool:
        """Whether the corpus shows this subject (as in the index) with glasses."""
        number = re.search(r"\d+$", subject)
        return number is not None and int(number[0]) in self.glasses
