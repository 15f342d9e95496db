"""Scores of spotting by MEGC's rules, and of recognition after it (STRS).

A spotted interval is true if it meets a true one of its kind with an intersection over union of
at least 0.5, in frames, onset and offset counted in. Each interval is used once: as many pairs as
can be, and of those the ones that overlap most (a maximum matching, where published scripts take
the first that fits). True and false ones are counted over all videos of a corpus together. The
kind of a spotted interval is what its file says, else its length: micro up to half a second.
`overall` adds micro and macro, as MEGC 2020 does; `either` matches whatever the kind.

STRS (Liong, See and Chan 2023) is F1 of spotting times F1 of recognition on the true positives:
the harmonic mean of macro precision and macro recall, which is not UF1. A class that is neither
there nor predicted counts as 0; true positives whose emotion is none of the classes are left out.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from data.corpora.long_names import CLASSES

IOU = 0.5  # least intersection over union of a true positive
KINDS = ("micro", "macro")
THREE = ("negative", "positive", "surprise")


@dataclass(frozen=True)
class Counts:
    """True and false positives and false negatives of intervals, and what follows from them."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of the spotted that is true; 0 where nothing was spotted."""
        return self.tp / max(self.tp + self.fp, 1)

    @property
    def recall(self) -> float:
        """Share of the true that was spotted; 0 where nothing is true."""
        return self.tp / max(self.tp + self.fn, 1)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return 2 * self.tp / max(2 * self.tp + self.fp + self.fn, 1)


@dataclass(frozen=True)
class Recognition:
    """Of the true positives with a class: how many, macro precision and recall, and their F1."""

    clips: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of macro precision and macro recall."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


@dataclass(frozen=True)
class SpotScore:
    """Counts and recognition by row: micro, macro, overall (their sum), either (any kind).

    recognition has no row where the spotted intervals have no classes, or the truth none.
    """

    corpus: str
    videos: int
    counts: dict[str, Counts]
    recognition: dict[str, Recognition]
    # By held-out subject and kind, where trained; infinite where nothing is kept.
    thresholds: dict[str, float] | None = None

    def strs(self, row: str) -> float | None:
        """F1 of spotting times F1 of recognition."""
        found = self.recognition.get(row)
        return None if found is None else self.counts[row].f1 * found.f1

    def as_json(self) -> dict:
        """Everything, and what follows from it, for a file."""
        rows = {}
        for row, counts in self.counts.items():
            rows[row] = asdict(counts) | {
                "precision": counts.precision, "recall": counts.recall, "f1": counts.f1,
            }  # fmt: skip
            if row in self.recognition:
                known = self.recognition[row]
                rows[row] |= {"recognised": asdict(known) | {"f1": known.f1}}
                rows[row] |= {"strs": self.strs(row)}
        trained = {
            name: None if np.isinf(least) else least
            for name, least in (self.thresholds or {}).items()
        }
        return {
            "corpus": self.corpus, "videos": self.videos, "iou": IOU, "rows": rows,
            "thresholds": trained,
        }  # fmt: skip


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (A, B) of intervals (A, 2), (B, 2): frames, the last counted in."""
    start = np.maximum(first[:, None, 0], second[None, :, 0])
    end = np.minimum(first[:, None, 1], second[None, :, 1])
    shared = np.maximum(end - start + 1, 0)
    lengths = [each[:, 1] - each[:, 0] + 1 for each in (first, second)]
    return shared / (lengths[0][:, None] + lengths[1][None] - shared)


def match(true: np.ndarray, spotted: np.ndarray, least: float = IOU) -> list[tuple[int, int]]:
    """Pairs (true, spotted) of intervals (A, 2) and (B, 2): as many as can be, each used once.

    Of as many pairs, those with the largest sum of overlaps.
    """
    if not len(true) or not len(spotted):
        return []
    shared = overlap(true, spotted)
    fits = shared >= least
    # One more pair outweighs whatever the overlaps of all could add.
    gain = fits * (1 + shared / (2 * min(shared.shape) + 2))
    pairs = zip(*linear_sum_assignment(gain, maximize=True))
    return [(int(a), int(b)) for a, b in pairs if fits[a, b]]


def score(
    truth: pd.DataFrame,
    spotted: pd.DataFrame,
    corpus: str = "",
    classes: Sequence[str] = THREE,
    videos: Sequence[str] = (),
) -> SpotScore:
    """Scores of spotted intervals against true ones, videos pooled.

    truth: video, onset, offset, kind, emotion; spotted: video, onset, offset, kind, label. videos:
    others that were looked through, in which nothing is true.
    """
    tables = truth.reset_index(drop=True), spotted.reset_index(drop=True)
    names = sorted({*truth["video"], *spotted["video"], *videos})
    counts, recognition = {}, {}
    pairs: dict[str, list[tuple[int, int]]] = {}  # positions in the two tables
    for row in (*KINDS, "either"):
        own = [table if row == "either" else table.loc[table["kind"] == row] for table in tables]
        pairs[row] = pair(own[0], own[1])
        tp = len(pairs[row])
        counts[row] = Counts(tp, len(own[1]) - tp, len(own[0]) - tp)
    counts["overall"] = counts["micro"] + counts["macro"]
    pairs["overall"] = pairs["micro"] + pairs["macro"]
    for row, found in pairs.items():
        known = _recognised(*tables, found, classes)
        if known is not None:
            recognition[row] = known
    return SpotScore(corpus, len(names), counts, recognition)


def pair(truth: pd.DataFrame, spotted: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs of the two tables' rows, by their index labels, video by video; see match."""
    found = []
    there = dict(iter(spotted.groupby("video", sort=False)))
    for name, true in truth.groupby("video", sort=False):
        if name in there:
            ends = [t[["onset", "offset"]].to_numpy(np.int64) for t in (true, there[name])]
            for a, b in match(ends[0], ends[1]):
                found.append((int(true.index[a]), int(there[name].index[b])))
    return found


def _recognised(
    truth: pd.DataFrame,
    spotted: pd.DataFrame,
    pairs: list[tuple[int, int]],
    classes: Sequence[str],
) -> Recognition | None:
    if not any(truth["emotion"].isin(CLASSES)) or not any(spotted["label"].isin(CLASSES)):
        return None
    true = [CLASSES.get(word, "") for word in truth["emotion"]]
    said = [CLASSES.get(word, "") for word in spotted["label"]]
    kept = [(true[a], said[b]) for a, b in pairs if true[a] in classes]
    precision, recall = [], []
    for name in classes:
        hits = sum(t == s == name for t, s in kept)
        precision.append(hits / max(sum(s == name for _, s in kept), 1))
        recall.append(hits / max(sum(t == name for t, _ in kept), 1))
    return Recognition(len(kept), float(np.mean(precision)), float(np.mean(recall)))
