"""SAMM (Davison et al. 2018): 200 frames a second, grey."""

from .description import THREE, Corpus, Repair, objective_task, task

_SOURCE = "meb (Varanka et al.), loader of SAMM"
_NEGATIVE = "anger contempt disgust fear sadness"

CORPUS = Corpus(
    name="samm",
    title="SAMM",
    sheets=("MICRO_ONLY",),
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "Onset Frame",
        "apex_frame": "Apex Frame",
        "offset_frame": "Offset Frame",
        "units": "Action Units",
        "emotion": "Estimated Emotion",
        "objective": "Objective Classes",
    },
    tasks={
        "3": task(THREE, "other", negative=_NEGATIVE, positive="happiness"),
        "5": task("anger contempt happiness surprise other", "disgust fear sadness"),
        "objective": objective_task(),
    },
    fps=200,
    subject_format="{:03d}",
    glasses=frozenset((10, 20, 21, 32, 37)),
    subject_in_clip=r"(\d{3})_",
    repairs=(
        Repair(125, "apex_frame", None, 1105, _SOURCE),
        Repair(132, "apex_frame", None, 4945, _SOURCE),
        Repair(133, "apex_frame", None, 5130, _SOURCE),
        Repair(56, "offset_frame", None, 5739, _SOURCE),
        Repair(15, "units", "or", "R12+R15", _SOURCE),
        Repair(18, "units", "or", "R12+R15", _SOURCE),
        Repair(41, "units", "or", "L14", _SOURCE),
        Repair(64, "units", "or", "R14", _SOURCE),
        Repair(154, "units", "or", "R14A", _SOURCE),
    ),
)
