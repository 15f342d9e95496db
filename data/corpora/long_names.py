"""Words and names of long videos' corpora: kinds of expression, classes, names of videos."""

import re

from .sheets import header_key

RATES: dict[str, float] = {  # frames a second
    "casme_sq": 30, "samm_lv": 200, "smic_hs": 100, "smic_vis": 25,
}  # fmt: skip
MICRO_SECONDS = 0.5  # the longest micro-expression, onset and offset counted in
CLASSES = {  # what recognition after spotting tells apart, by the corpora's words
    "negative": "negative", "positive": "positive", "surprise": "surprise", "others": "others",
    "other": "others", "anger": "negative", "contempt": "negative", "disgust": "negative",
    "fear": "negative", "sadness": "negative", "happiness": "positive",
}  # fmt: skip


def video_key(name: str) -> str:
    """A video's name without what spellings differ in.

    CAS(ME)²: "15_0101disgustingteeth", "s15_0101", "s15/15_0101disgustingteeth.avi" -> "15_0101".
    SAMM: "006_1", "006_1_2" -> "006_1". Others: the file's name without its suffix, in small
    letters.
    """
    parts = [part for part in re.split(r"[\\/]", str(name).strip()) if part]
    last = parts[-1] if parts else ""
    last = re.sub(r"\.(avi|mp4|mov|mkv|csv|txt|xlsx?|npy|pkl)$", "", last, flags=re.IGNORECASE)
    if found := re.match(r"s?(\d{2})_(\d{4})(?!\d)", last, re.IGNORECASE):
        return f"{found[1]}_{found[2]}"
    if found := re.match(r"(\d{3})_(\d)(?!\d)", last):
        return f"{found[1]}_{found[2]}"
    return last.lower()


def kind_of(onset: int, offset: int, fps: float) -> str:
    """micro up to half a second, onset and offset counted in; else macro."""
    return "micro" if (offset - onset + 1) <= MICRO_SECONDS * fps + 1e-9 else "macro"


def kind_word(word: object) -> str:
    """micro or macro for "Micro - 1/2", "macro-expression", "ME", "MaE"; "" for other words."""
    key = header_key(word)
    if key.startswith("micro") or key == "me":
        return "micro"
    return "macro" if key.startswith("macro") or key == "mae" else ""
