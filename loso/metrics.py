"""UF1, UAR and accuracy of pooled predictions, with intervals over subjects."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from common.errors import UserError

RESAMPLES = 2000


@dataclass(frozen=True)
class Scores:
    """Unweighted F1, unweighted average recall and accuracy, each in [0, 1]."""

    uf1: float
    uar: float
    accuracy: float


def scores(labels: np.ndarray, predictions: np.ndarray, classes: int) -> Scores:
    """Scores of pooled predictions (N,); a class with no clip and no prediction counts as 0."""
    every = list(range(classes))
    kwargs = {"labels": every, "average": "macro", "zero_division": 0}
    return Scores(
        uf1=float(f1_score(labels, predictions, **kwargs)),
        uar=float(recall_score(labels, predictions, **kwargs)),
        accuracy=float(accuracy_score(labels, predictions)),
    )


def with_prior(probabilities: np.ndarray, prior: tuple[float, ...]) -> np.ndarray:
    """Class probabilities (N, C) that assumed even classes, where `prior` (C,) are their shares."""
    weighed = np.asarray(probabilities) * prior
    return weighed / weighed.sum(1, keepdims=True)


def check_prior(prior: tuple[float, ...], classes: int) -> None:
    """UserError for what are no shares of so many classes; () is even."""
    if prior and (len(prior) != classes or min(prior) <= 0 or abs(sum(prior) - 1) > 0.01):
        raise UserError(
            f"--prior {' '.join(f'{share:g}' for share in prior)}: {classes} shares above 0 that "
            "sum to 1, in the order of the classes"
        )


def uf1_by_epoch(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """UF1 (E,) of each row of predictions (E, N) for labels (N,): `scores`, many at a time.

    Rounded to 12 digits, so that classes that swap places leave two epochs equal.
    """
    every = np.arange(classes)[:, None]
    predicted, true = predictions[:, None] == every, labels == every  # (E, C, N), (C, N)
    hits = (predicted & true).sum(-1)  # TP
    marked = predicted.sum(-1) + true.sum(-1)  # 2TP + FP + FN
    return (2 * hits / np.maximum(marked, 1)).mean(-1).round(12)


def unit_f1(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """F1 (U,) of each unit by itself, from bool (N, U): 2TP / (2TP + FP + FN).

    A unit that no clip shows and none is said to show counts as 0.
    """
    hits = (truth & said).sum(0)
    return 2 * hits / np.maximum(truth.sum(0) + said.sum(0), 1)


def later_best(values: np.ndarray) -> int:
    """The position of the highest of values (E,), the later of equals."""
    return len(values) - 1 - int(np.argmax(values[::-1]))


def bootstrap(
    labels: np.ndarray, predictions: np.ndarray, subjects: np.ndarray, classes: int, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95% intervals of the scores: subjects (N,) are sampled with replacement, 2000 times."""
    return intervals([resampled(labels, predictions, subjects, classes, seed)])


def intervals(runs: list[dict[str, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """95% intervals of scores that are means over runs, each of them from `resampled`."""
    return {
        name: tuple(np.percentile(np.mean([run[name] for run in runs], axis=0), [2.5, 97.5]))
        for name in runs[0]
    }


def resampled(
    labels: np.ndarray, predictions: np.ndarray, subjects: np.ndarray, classes: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Each score (2000,) of subjects (N,) sampled with replacement.

    The same subjects are drawn for every run that has them.
    """
    every = list(range(classes))
    names, group = np.unique(subjects, return_inverse=True)
    counts = np.stack(
        [
            confusion_matrix(labels[group == s], predictions[group == s], labels=every)
            for s in range(len(names))
        ]
    )  # (S, true, predicted)
    rng = np.random.default_rng(seed)
    sampled = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    pooled = np.einsum("rs,stp->rtp", sampled, counts)
    hits, clips = np.einsum("rcc->rc", pooled), pooled.sum(2)
    return {
        "uf1": uf1_of_counts(pooled),
        "uar": (hits / np.maximum(clips, 1)).mean(1),
        "accuracy": hits.sum(1) / clips.sum(1),
    }


def uf1_of_counts(counts: np.ndarray) -> np.ndarray:
    """UF1 (...) of confusion matrices (..., true, predicted)."""
    hits = np.einsum("...cc->...c", counts)
    marked = counts.sum(-1) + counts.sum(-2)  # 2TP + FP + FN
    return (2 * hits / np.maximum(marked, 1)).mean(-1)
