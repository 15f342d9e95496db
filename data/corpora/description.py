"""The three corpora: their words, names on disk and classes."""

import re
from dataclasses import dataclass

from data.disk.frames import name_key

CLASSES = {
    3: ("negative", "positive", "surprise"),
    5: ("disgust", "happiness", "repression", "surprise", "others"),
}
NOT_USED = -1  # an emotion that the annotation knows and the task leaves out
MEGC2019 = ("smic", "casme2", "samm")  # the corpora of the composite

# Headers that other releases and edited tables have, besides the corpus's own.
HEADERS = {
    "subject": ("Subject", "Sub", "Subject ID", "Sub ID", "Subject No", "Participant"),
    "clip": ("Filename", "File", "Clip", "Clip name", "Video", "Video name", "Material"),
    "onset_frame": ("OnsetFrame", "Onset", "OnsetF"),
    "apex_frame": ("ApexFrame", "Apex", "ApexF"),
    "offset_frame": ("OffsetFrame", "Offset", "OffsetF", "OffFrame", "Off", "OffF"),
    "emotion": ("Estimated Emotion", "Emotion", "Emotions", "Expression", "Label"),
}
# Words for an emotion, besides the corpus's own: the first that the corpus knows is meant.
_EMOTIONS = {
    "angry": ("anger",), "contemptuous": ("contempt",), "disgusted": ("disgust",),
    "fearful": ("fear",), "happy": ("happiness",), "ne": ("negative",), "neg": ("negative",),
    "other": ("others",), "others": ("other",), "po": ("positive",), "pos": ("positive",),
    "repressed": ("repression",), "sad": ("sadness",), "sur": ("surprise",),
    "surprised": ("surprise",),
}  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """What is particular to one corpus: its spreadsheet, its words, its names on disk."""

    name: str
    sheet: str | int
    subject_format: str  # of a subject's number, in the index
    folder_format: str  # of the index's subject, on disk
    columns: dict[str, str]  # index column -> header in the released spreadsheet
    labels: dict[int, dict[str, int]]  # classes -> emotion -> label
    left_out: frozenset[tuple[str, str]] = frozenset()  # of the three-class task
    glasses: frozenset[int] = frozenset()  # subjects who wear them
    prefer: tuple[str, ...] = ("cropped",)  # folder names, where releases lie side by side
    subject_in_clip: str | None = None  # pattern of clip names that begin with their subject

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

    def emotion(self, word: str, classes: int) -> str | None:
        """The corpus's own spelling of an emotion (happy -> happiness); None if it is none."""
        labels = self.labels.get(classes, {})
        word = word.strip()
        if word.lower() in labels:
            return word
        return next((known for known in _EMOTIONS.get(word.lower(), ()) if known in labels), None)

    def leaves_out(self, subject: str, clip: str) -> bool:
        """Whether the three-class task leaves this clip out."""
        return (subject, name_key(clip)) in {(s, name_key(c)) for s, c in self.left_out}

    def wears_glasses(self, subject: str) -> bool:
        """Whether the corpus shows this subject (as in the index) with glasses."""
        number = re.search(r"\d+$", subject)
        return number is not None and int(number[0]) in self.glasses


_CASME2_THREE = {"happiness": 1, "disgust": 0, "repression": 0, "surprise": 2}
_CASME2_REST = dict.fromkeys(("others", "sadness", "fear"), NOT_USED)
_SAMM_NEGATIVE = dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), 0)

CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="smic",
            sheet="HS",
            subject_format="{:02d}",
            folder_format="s{}",
            columns={
                "subject": "Subject",
                "clip": "Filename",
                "onset_frame": "OnsetF",
                "offset_frame": "OffsetF",
                "emotion": "Emotion",
            },
            labels={3: {name: label for label, name in enumerate(CLASSES[3])}},
            glasses=frozenset((1, 4, 5, 6, 8, 9, 12, 15, 18, 19)),
            prefer=("hs",),
            subject_in_clip=r"(s\d+)_",
        ),
        Corpus(
            name="casme2",
            sheet=0,
            subject_format="sub{:02d}",
            folder_format="{}",
            columns={
                "subject": "Subject",
                "clip": "Filename",
                "onset_frame": "OnsetFrame",
                "apex_frame": "ApexFrame",
                "offset_frame": "OffsetFrame",
                "emotion": "Estimated Emotion",
            },
            labels={
                3: _CASME2_THREE | _CASME2_REST,
                5: {name: label for label, name in enumerate(CLASSES[5])}
                | dict.fromkeys(("sadness", "fear"), NOT_USED),
            },
            left_out=frozenset({("sub04", "EP12_01f"), ("sub05", "EP09_05f")}),
            glasses=frozenset((3, 6, 12, 13, 14, 15, 16, 20, 22, 23, 24, 25, 26)),
        ),
        Corpus(
            name="samm",
            sheet="MICRO_ONLY",
            subject_format="{:03d}",
            folder_format="{}",
            columns={
                "subject": "Subject",
                "clip": "Filename",
                "onset_frame": "Onset Frame",
                "apex_frame": "Apex Frame",
                "offset_frame": "Offset Frame",
                "emotion": "Estimated Emotion",
            },
            labels={3: {"happiness": 1, "surprise": 2, "other": NOT_USED} | _SAMM_NEGATIVE},
            glasses=frozenset((10, 20, 21, 32, 37)),
            subject_in_clip=r"(\d{3})_",
        ),
    )
}
