"""4DME (Li et al. 2022), its grey 2D clips: 267 micro-expressions; emotions may be several."""

from .description import THREE, Corpus, task

CORPUS = Corpus(
    name="fourdme",
    title="4DME",
    columns={
        "subject": "sub_ID",
        "clip": "fold_name",
        "onset_frame": "Onset",
        "apex_frame": "Apex",
        "offset_frame": "Offset",
        "units": "AUs",  # not the 0/1 columns, which rows 144 and 145 have swapped
        "emotion": "Emotion",
    },
    one_hot=("Positive", "Negative", "Surprise", "Repression", "Others"),
    tasks={
        "3": task(THREE, "repression others"),
        "5": task("positive negative surprise repression others"),
    },
    fps=60,
    folder_formats=("{}", "sub{}", "sub_{}", "s{}", "subject{}"),  # as its table writes them
    prefer=("gray_micro",),
)
