"""`nested`: epoch, settings and ensemble chosen on training subjects alone.

A fold's training subjects are split into groups; networks learn on the other groups and score each
one in turn, and what scores best on all groups together is trained on all of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from common.errors import UserError
from loso.folds import Fold
from loso.metrics import later_best, uf1_by_epoch
from loso.training import OnEpoch

from .candidates import told

if TYPE_CHECKING:
    from loso.fold_job import Runner


@dataclass(frozen=True)
class Candidate:
    """Settings to choose from: values that --choose gives, what trains a fold so, its epochs."""

    values: dict[str, Any]
    runner: "Runner"
    passes: int


@dataclass(frozen=True)
class _Tried:
    """A candidate on the inner groups: its best epoch, from 0, and there UF1 and scores (N, C)."""

    epoch: int
    uf1: float
    scores: np.ndarray


def nested_passes(candidates: Sequence[Candidate], inner: int, members: int) -> int:
    """Epochs that a fold trains for `nested` at most, beside those it has anyway."""
    further = sorted((one.passes for one in candidates if one.values), reverse=True)
    final = sum(further[: max(members, 1)])
    return inner * sum(one.passes for one in candidates) + final


def train_nested(
    candidates: Sequence[Candidate],
    members: int,
    fold: Fold,
    inner: list[Fold],
    index: pd.DataFrame,
    stated: "tuple[Runner, list[dict]]",
    on_epoch: OnEpoch,
) -> dict:
    """What a record keeps under "nested": what was tried, what was chosen, and its scores.

    members: the most candidates of an ensemble; 0 for the best one alone. stated: the runner of
    the settings as they stand, and its epoch records of this fold, which need no second training.
    """
    order = np.concatenate([one.test for one in inner])
    labels = index["label"].to_numpy()[order]
    tried = []
    for number, candidate in enumerate(candidates):
        of = f"candidate {number + 1}/{len(candidates)}, " if len(candidates) > 1 else ""
        tried.append(_try(candidate, inner, labels, of, on_epoch))
    chosen = choose([(one.uf1, one.scores) for one in tried], labels, members)
    scores = []
    for number in chosen:
        candidate, epochs = candidates[number], stated[1]
        if candidate.runner is not stated[0]:
            tell = partial(_tell, on_epoch, "the chosen one", candidate.passes)
            epochs = _run(candidate, fold, tell)
        scores.append(np.array(epochs[tried[number].epoch]["scores"]))
    weights = list(chosen.values())
    return {
        "inner": [sorted(set(index["data_sub"].iloc[one.test])) for one in inner],
        "candidates": [
            {"settings": candidate.values, "epoch": one.epoch + 1, "uf1": round(one.uf1, 6)}
            for candidate, one in zip(candidates, tried)
        ],
        "chosen": [
            {"settings": candidates[n].values, "epoch": tried[n].epoch + 1, "times": times}
            for n, times in chosen.items()
        ],
        "uf1": round(_ensemble_uf1([tried[n].scores for n in chosen], weights, labels), 6),
        "scores": np.average(scores, axis=0, weights=weights).round(6).tolist(),
    }


def choose(
    tried: list[tuple[float, np.ndarray]], labels: np.ndarray, members: int
) -> dict[int, int]:
    """Which candidates are taken, and how often each, by UF1 and scores (N, C) on inner groups.

    The one of the highest UF1, the first of equals; with `members` the ensemble that grows from
    none by the candidate that helps most, with replacement, cut where it was best (Caruana et al.,
    Ensemble selection from libraries of models, ICML 2004).
    """
    if not members:
        return {int(np.argmax([uf1 for uf1, _ in tried])): 1}
    every = np.stack([scores for _, scores in tried])  # (K, N, C)
    taken: list[int] = []
    reached: list[float] = []
    total = np.zeros_like(every[0])
    for _ in range(members):
        uf1 = uf1_by_epoch(labels, (total + every).argmax(-1), every.shape[-1])
        taken.append(int(np.argmax(uf1)))
        reached.append(float(uf1[taken[-1]]))
        total = total + every[taken[-1]]
    return dict(Counter(taken[: int(np.argmax(reached)) + 1]))


def _try(
    candidate: Candidate, inner: list[Fold], labels: np.ndarray, of: str, on_epoch: OnEpoch
) -> _Tried:
    """Train a candidate on each inner fold, and find its epoch: the later of equals."""
    parts = []
    for number, fold in enumerate(inner):
        stage = f"{of}inner group {number + 1}/{len(inner)}"
        epochs = _run(candidate, fold, partial(_tell, on_epoch, stage, candidate.passes))
        parts.append(np.array([epoch["scores"] for epoch in epochs]))
    scores = np.concatenate(parts, axis=1)  # (E, N, C)
    uf1 = uf1_by_epoch(labels, scores.argmax(-1), scores.shape[-1])
    epoch = later_best(uf1)
    return _Tried(epoch, float(uf1[epoch]), scores[epoch])


def _run(candidate: Candidate, fold: Fold, on_epoch: OnEpoch) -> list[dict]:
    try:
        return candidate.runner.run(fold, on_epoch)[0]
    except UserError as error:
        if not candidate.values:
            raise
        raise UserError(f"--choose {told(candidate.values)}: {error}") from error


def _tell(on_epoch: OnEpoch, stage: str, passes: int, epoch: dict) -> None:
    on_epoch(epoch | {"stage": stage, "epochs": passes})


def _ensemble_uf1(scores: list[np.ndarray], weights: list[int], labels: np.ndarray) -> float:
    mean = np.average(scores, axis=0, weights=weights)
    return float(uf1_by_epoch(labels, mean.argmax(-1)[None], mean.shape[-1])[0])
