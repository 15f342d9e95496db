"""What choosing the best of many is worth: UF1 of labels that are drawn at random.

Labels drawn from a fold's training prior know nothing of a clip. Where the best of as many draws as
a run had epochs is kept for each fold, they reach this. Epochs are no independent draws, so it is a
ceiling of what the choice alone can add.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from loso.metrics import uf1_of_counts

REPEATS = 100
SEED = 0
_AT_ONCE = 100_000  # draws of a fold that are held in memory


@dataclass(frozen=True)
class FoldFacts:
    """What chance needs to know of a fold.

    clips: the held-out clips by corpus, so many of each class. prior: training clips of each class.
    epochs: how many the fold's record has.
    """

    clips: tuple[tuple[str, tuple[int, ...]], ...]
    prior: tuple[int, ...]
    epochs: int


def fold_facts(records: Iterable[dict]) -> list[FoldFacts]:
    """Of each fold record its facts.

    A record of an earlier version does not say what its fold was trained on: all clips of the other
    folds are taken, which they were where the run is whole.
    """
    records = list(records)
    everyone = np.sum([_by_class(record["clips"], record) for record in records], axis=0)
    facts = []
    for record in records:
        prior = record.get("train_labels")
        if prior is None:
            prior = everyone - _by_class(record["clips"], record)
        corpora = sorted({clip["data"] for clip in record["clips"]})
        of_corpus = {
            data: _by_class([clip for clip in record["clips"] if clip["data"] == data], record)
            for data in corpora
        }
        clips = tuple((data, tuple(map(int, counts))) for data, counts in of_corpus.items())
        facts.append(FoldFacts(clips, tuple(map(int, prior)), len(record["epochs"])))
    return facts


def _by_class(clips: list[dict], record: dict) -> np.ndarray:
    labels = np.array([clip["label"] for clip in clips], int)
    return np.bincount(labels, minlength=len(record["classes"]))


def chance_uf1(
    folds: Iterable[FoldFacts], best: bool, data: str = "full", repeats: int = REPEATS
) -> float:
    """UF1, pooled over folds, of labels drawn at random; on one corpus's clips, or on all (full).

    best: of as many draws as a fold has epochs the one with the highest UF1 on the fold's held-out
    clips is kept, as `best` keeps epochs; else one draw is all. The mean of `repeats`, seeded. NaN
    where the prior of a fold is not known.
    """
    return _chance(tuple(folds), best, repeats).get(data, float("nan"))


@cache
def _chance(folds: tuple[FoldFacts, ...], best: bool, repeats: int) -> dict[str, float]:
    if any(sum(fold.prior) == 0 for fold in folds):
        return {}
    rng = np.random.default_rng(SEED)
    pooled: dict[str, np.ndarray] = {}
    for fold in folds:
        kept = _kept_draws(fold, fold.epochs if best else 1, repeats, rng)
        for (data, _), counts in zip(fold.clips, kept):
            for name in (data, "full"):
                pooled[name] = pooled.get(name, 0) + counts
    return {data: float(uf1_of_counts(counts).mean()) for data, counts in pooled.items()}


def _kept_draws(fold: FoldFacts, draws: int, repeats: int, rng: np.random.Generator) -> np.ndarray:
    """Confusion counts (corpora, repeats, true, predicted) of the best draw of each repeat.

    Which clip is told what makes no difference: a draw is, for each true class, how often each
    class was told.
    """
    prior = np.array(fold.prior) / sum(fold.prior)
    true = np.array([counts for _, counts in fold.clips])  # (corpora, true)
    best_uf1 = np.full(repeats, -1.0)
    best = np.zeros((len(true), repeats, *2 * prior.shape), int)
    step = max(_AT_ONCE // repeats, 1)
    for start in range(0, draws, step):
        number = min(step, draws - start)
        told = rng.multinomial(true[:, None, None], prior, (len(true), repeats, number, len(prior)))
        uf1 = uf1_of_counts(told.sum(0))  # (repeats, number)
        top = uf1.argmax(1)
        rows = np.arange(repeats)
        better = uf1[rows, top] >= best_uf1
        best[:, better] = told[:, rows, top][:, better]
        best_uf1 = np.maximum(best_uf1, uf1[rows, top])
    return best
