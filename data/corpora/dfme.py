"""DFME (Zhao et al. 2023): 7 emotions; 500, 300 or 200 frames a second; train and test lists."""

from .description import THREE, Corpus, task

_SEVEN = "anger contempt disgust fear happiness sadness surprise"

CORPUS = Corpus(
    name="dfme",
    title="DFME",
    columns={
        "subject": "Subject",
        "clip": "Filename",
        "onset_frame": "OnsetFrame",
        "apex_frame": "ApexFrame",
        "offset_frame": "OffsetFrame",
        "emotion": "Emotion",
        "fps": "Fps",
        "units": "AU",
    },
    tasks={
        "3": task(
            THREE, "others", negative="anger contempt disgust fear sadness", positive="happiness"
        ),
        "7": task(_SEVEN, "others"),
    },
    fps=None,
    first_frame=0,
    above=False,
    lists={r".*train.*": "train", r".*test_?a.*": "testA", r".*test_?b.*": "testB"},
)
