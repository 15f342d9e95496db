"""The three corpora: their words, names on disk and classes (spec: datasets.md)."""

import re
from dataclasses import dataclass

CLASSES = {
    3: ("negative", "positive", "surprise"),
    5: ("disgust", "happiness", "repression", "surprise", "others"),
}
NOT_USED = -1  # an emotion that the annotation knows and the task leaves out


@dataclass(frozen=True)
class Corpus:
    """What is particular to one corpus: its spreadsheet, its words, its names on disk."""

    name: str
    sheet: str | int
    subject_format: str  # of a subject's number, in the index
    folder_format: str  # of the index's subject, on disk
    columns: dict[str, str]  # index column -> header in the spreadsheet
    labels: dict[int, dict[str, int]]  # classes -> emotion -> label
    left_out: frozenset[tuple[str, str]] = frozenset()  # of the three-class task
    glasses: frozenset[int] = frozenset()  # subjects who wear them
    prefer: tuple[str, ...] = ("cropped",)  # folder names, where releases lie side by side

    def subject(self, value: object) -> str:
        """The index's name of a subject: 1, "01", "s1" or "sub01" -> its one spelling."""
        digits = re.search(r"(\d+)(\.0+)?$", str(value).strip())
        if not digits:
            raise ValueError(f"'{value}' is not a subject of {self.name}")
        return self.subject_format.format(int(digits[1]))

    def wears_glasses(self, subject: str) -> bool:
        """Whether the corpus shows this subject (as in the index) with glasses."""
        return int(re.search(r"\d+$", subject)[0]) in self.glasses


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
        ),
    )
}
