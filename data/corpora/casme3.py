"""CAS(ME)³ (Li et al. 2022), parts A and C: 30 frames a second; several expressions a video."""

from .description import THREE, Corpus, Repair, objective_task, task

_SOURCE = "meb (Varanka et al.), loader of CAS(ME)³"
_RANGE = "frames start at 1"
_SEVEN = "disgust fear anger sad happy surprise others"
_NEGATIVE = {"negative": "disgust fear anger sad", "positive": "happy"}

PART_A = Corpus(
    name="casme3",
    title="CAS(ME)³ part A",
    sheets=("label", "AU+Emotion"),
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "Onset",
        "apex_frame": "Apex",
        "offset_frame": "Offset",
        "units": "AU",
        "objective": "Objective class",
        "emotion": "emotion",
    },
    only=(("Expression type", r"micro.*"),),
    tasks={
        "3": task(THREE, "others", **_NEGATIVE),
        "4": task((*THREE, "others"), **_NEGATIVE),
        "7": task(_SEVEN),
        "objective": objective_task(),
    },
    fps=30,
    first_frame=1,
    subject_format="spNO.{}",
    several=True,
    prefer=("part_a", "parta"),
    repairs=(
        Repair(128, "apex_frame", 83, 123, _SOURCE),
        Repair(749, "onset_frame", 3647, 2647, _SOURCE),
        Repair(708, "offset_frame", None, 34, _SOURCE),
        Repair(796, "offset_frame", 0, 1845, _SOURCE),
        Repair(798, "offset_frame", 0, 2403, _SOURCE),
        Repair(750, "onset_frame", 0, 1, _RANGE),
        Repair(750, "apex_frame", 0, 1, _RANGE),
    ),
)
PART_C = Corpus(
    name="casme3_c",
    title="CAS(ME)³ part C",
    columns={
        "subject": "sub",
        "clip": "count",
        "onset_frame": "onset",
        "offset_frame": "offset",
        "units": "au",
        "emotion": "emotion",
    },
    only=(("Exp_type", r"1(\.0)?|micro.*"),),
    tasks={"3": task(THREE, "others"), "4": task((*THREE, "others"))},
    fps=30,
    subject_format="spNO.{}",
    folder_formats=("{}", "sp{}", "s{}"),
    place="*",  # no public loader says what its folders are called
    several=True,
    prefer=("part_c", "partc"),
)
