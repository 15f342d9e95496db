"""CASME (Yan et al. 2013): 60 frames a second; several rows may be of one video."""

from .description import THREE, Corpus, Repair, task

_SOURCE = "meb (Varanka et al.), loader of CASME"


def _repairs(field: str, values: dict[int, int]) -> tuple[Repair, ...]:
    return tuple(Repair(row, field, None, new, _SOURCE) for row, new in values.items())


CORPUS = Corpus(
    name="casme",
    title="CASME",
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "OnsetF",
        "apex_frame": "ApexF1",
        "offset_frame": "OffsetF",
        "units": "AU",
        "emotion": "Emotion",
    },
    tasks={
        # No standard says where tense belongs: it is left out of the three classes.
        "3": task(
            THREE, "tense", negative="disgust sadness fear contempt repression",
            positive="happiness",
        ),
        "4": task("disgust repression surprise tense", "happiness sadness fear contempt"),
    },
    fps=60,
    subject_format="sub{:02d}",
    several=True,
    repairs=(
        *_repairs("onset_frame", {40: 100, 42: 101, 43: 57}),
        *_repairs("apex_frame", {40: 120, 42: 110, 43: 65}),
        *_repairs("offset_frame", {40: 149, 42: 119, 43: 74, 54: 40, 140: 142}),
    ),
)  # fmt: skip
