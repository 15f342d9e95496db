"""What false alarms in drawn long videos are of: truth_long.csv tells what happened there."""

from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError
from data.corpora.long_names import kind_word, video_key
from data.corpora.predicted import read_predicted

from .spot_counts import overlap, pair

# The likeliest first: of those that a false alarm meets, the first is its cause.
CAUSES = ("expression", "speech", "blink", "nod", "turn", "light", "gaze", "nothing")


def false_alarms(predicted: Path, truth: Path) -> dict[str, float]:
    """False alarms a minute of video by cause, of intervals that are no expression's of any kind.

    truth: truth_long.csv of drawn videos. A cause is what happens at the same time, the first of
    CAUSES; "expression" is one that was met with too little overlap, or twice. UserError if the
    table is no such truth.
    """
    events = pd.read_csv(truth, keep_default_na=False)
    if not {"video", "event", "onset", "offset", "fps", "frames"} <= set(events.columns):
        raise UserError(f"{truth}: no truth_long.csv of drawn long videos")
    events["video"] = [video_key(name) for name in events["video"]]
    spotted = read_predicted(predicted)
    spotted["video"] = [video_key(name) for name in spotted["video"]]
    shown = events[[bool(kind_word(event)) for event in events["event"]]]
    right = {row for _, row in pair(shown, spotted)}
    count = dict.fromkeys(CAUSES, 0)
    for video, alarms in spotted.drop(index=list(right)).groupby("video"):
        there = events[events["video"] == video]
        ends = [t[["onset", "offset"]].to_numpy(np.int64) for t in (alarms, there)]
        meets = overlap(*ends) > 0
        for row in meets:
            kinds = {"expression" if kind_word(e) else e for e in there["event"][row]}
            count[next(c for c in CAUSES if c in kinds or c == "nothing")] += 1
    videos = events.drop_duplicates("video")
    minutes = float((videos["frames"] / videos["fps"]).sum()) / 60
    return {cause: number / minutes for cause, number in count.items()}
