"""CAS(ME)² (Qu et al. 2018): long videos at 30 frames a second; 57 micro-expressions."""

from .description import THREE, Corpus, task

CORPUS = Corpus(
    name="casme_sq",
    title="CAS(ME)²",
    headless=True,
    columns={
        "subject": "subject",
        "clip": "video",
        "onset_frame": "onset",
        "apex_frame": "apex",
        "offset_frame": "offset",
        "units": "AU",
        "emotion": "emotion",
        "type": "type",
    },
    only=(("type", r"micro.*"),),
    tasks={"3": task(THREE, "others"), "4": task((*THREE, "others"))},
    fps=30,
    first_frame=1,
    lookups=True,  # number -> folder, code -> video
    subject_format="s{}",
    place="{number}_{code}*",
    several=True,
    zero_offset="apex",
    prefer=("rawpic",),
)
