"""MMEW (Ben et al. 2021): 300 micro-expressions at 90 frames a second, a folder an emotion."""

from .description import THREE, Corpus, task

CORPUS = Corpus(
    name="mmew",
    title="MMEW",
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "OnsetFrame",
        "apex_frame": "ApexFrame",
        "offset_frame": "OffsetFrame",
        "units": "Action Units",
        "emotion": "Estimated Emotion",
    },
    tasks={
        "3": task(THREE, "others", negative="anger disgust fear sadness", positive="happiness"),
        "4": task("happiness surprise disgust others", "anger fear sadness"),
        "6": task("happiness anger surprise disgust fear sadness", "others"),
        "7": task("happiness anger surprise disgust fear sadness others"),
    },
    fps=90,
    subject_in_clip=r"S(\d+)-",
    above=False,
    prefer=("micro_expression",),
)
