"""SMIC-VIS (Li et al. 2013): 71 clips of 8 of SMIC's subjects at 25 frames a second."""

from .description import THREE, Corpus, task
from .smic import COLUMNS, GLASSES, SUBJECT_IN_CLIP

CORPUS = Corpus(
    name="smic_vis",
    title="SMIC-VIS",
    sheets=("VIS",),
    columns=COLUMNS,
    tasks={"3": task(THREE)},
    fps=25,
    folder_formats=("s{}",),
    glasses=GLASSES,
    prefer=("vis",),
    subject_in_clip=SUBJECT_IN_CLIP,
)
