"""Intervals out of what the spotter's network says of every moment."""

from dataclasses import dataclass

import numpy as np

MICRO = 0.5  # seconds, both frames included: the longest micro-expression
LEAST = 0.05  # score below which nothing is a candidate
SHARED = 0.25  # intervals that overlap by more (IoU) are one


@dataclass(frozen=True)
class Candidate:
    """An interval in frames at the network's rate, both ends included; at: the moment that says
    so; score in [0, 1]; kind: which of micro and macro it looks like, whatever its length."""

    onset: float
    offset: float
    at: int
    score: float
    kind: str

    @property
    def length(self) -> float:
        """Frames, both ends included."""
        return self.offset - self.onset + 1


def candidates(scores: np.ndarray, reach: np.ndarray, least: float = LEAST) -> list[Candidate]:
    """scores (2, T) of micro and macro in [0, 1], reach (2, T) in frames to onset and offset ->
    intervals in order of time, the best where several overlap."""
    best = scores.max(0)
    moments = np.flatnonzero(best >= least)
    order = moments[np.argsort(-best[moments], kind="stable")]
    onset = np.maximum(np.arange(len(best)) - reach[0], 0)
    offset = np.minimum(np.arange(len(best)) + reach[1], len(best) - 1)
    taken: list[Candidate] = []
    alive = np.ones(len(best), bool)
    for t in order:
        if not alive[t]:
            continue
        kind = "micro" if scores[0, t] >= scores[1, t] else "macro"
        taken.append(Candidate(float(onset[t]), float(offset[t]), int(t), float(best[t]), kind))
        shared = np.minimum(offset, offset[t]) - np.maximum(onset, onset[t]) + 1
        whole = np.maximum(offset, offset[t]) - np.minimum(onset, onset[t]) + 1
        alive &= shared / np.maximum(whole, 1) <= SHARED
        alive[int(np.ceil(onset[t])) : int(offset[t]) + 1] = False
    return sorted(taken, key=lambda one: one.onset)


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """IoU of two intervals in frames, both ends included."""
    shared = min(a[1], b[1]) - max(a[0], b[0]) + 1
    return max(shared, 0) / (max(a[1], b[1]) - min(a[0], b[0]) + 1)
