"""CASME II (Yan et al. 2014): 200 frames a second."""

from .description import THREE, Corpus, Repair, objective_task, task

CORPUS = Corpus(
    name="casme2",
    title="CASME II",
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "OnsetFrame",
        "apex_frame": "ApexFrame",
        "offset_frame": "OffsetFrame",
        "units": "Action Units",
        "emotion": "Estimated Emotion",
        "objective": "Objective Class",  # given out as a table of its own
    },
    tasks={
        "3": task(
            THREE, "others sadness fear", positive="happiness", negative="disgust repression"
        ),
        "5": task("disgust happiness repression surprise others", "sadness fear"),
        "objective": objective_task(),
    },
    fps=200,
    subject_format="sub{:02d}",
    left_out=frozenset({("sub04", "EP12_01f"), ("sub05", "EP09_05f")}),  # of MEGC 2019
    glasses=frozenset((3, 6, 12, 13, 14, 15, 16, 20, 22, 23, 24, 25, 26)),
    repairs=(Repair(60, "offset_frame", None, 91, "meb (Varanka et al.), loader of CASME II"),),
)
