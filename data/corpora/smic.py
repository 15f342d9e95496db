"""SMIC-HS (Li et al. 2013): 164 clips at 100 frames a second; no apexes, no action units."""

from .description import THREE, Added, Corpus, Gaps, task

COLUMNS = {
    "subject": "Subject",
    "clip": "Filename",
    "onset_frame": "OnsetF",
    "offset_frame": "OffsetF",
    "emotion": "Emotion",
}
GLASSES = frozenset((1, 4, 5, 6, 8, 9, 12, 15, 18, 19))
SUBJECT_IN_CLIP = r"(s\d+)_"

CORPUS = Corpus(
    name="smic",
    title="SMIC-HS",
    sheets=("HS",),
    columns=COLUMNS,
    tasks={"3": task(THREE)},
    fps=100,
    folder_formats=("s{}",),
    glasses=GLASSES,
    prefer=("hs",),
    subject_in_clip=SUBJECT_IN_CLIP,
    # The spreadsheets in public use have one row a long video, 157 or 162 in all: these clips have
    # none of their own.
    gaps=Gaps(
        pattern=r"s0*(\d+)_(?:ne|po|sur?)_\d+",
        subjects=frozenset(f"{n:02d}" for n in (*range(1, 7), 8, 9, *range(11, 16), 18, 19, 20)),
        fewest=150,
        most=164,
        added=(
            Added("01", "s1_ne_02", 563854, 563885, "negative"),
            Added("02", "s2_sur_05", 219114, 219143, "surprise"),
            Added("03", "s3_ne_03", 302370, 302380, "negative"),
            Added("03", "s3_ne_20", 426679, 426709, "negative"),
            Added("04", "s4_ne_05", 219343, 219361, "negative"),
            Added("04", "s4_ne_06", 219413, 219435, "negative"),
            Added("09", "s9_sur_02", 61250, 61291, "surprise"),
        ),
        relabelled=(("18", "s18_sur_03", "negative", "surprise"),),
        source="the 164-clip lists of SLSTT (preprocess/databases/smic/coding.csv) and MEGC 2019",
    ),
)
