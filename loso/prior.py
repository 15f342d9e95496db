"""A fold of a linear head that starts from a pretrained one: regression with a prior.

The pretrained head's logits stand in front of the fold's own, multiplied by a share: 1 trusts what
was learned from synthetic faces, 0 forgets it. The share is chosen on the training subjects alone,
some of them held out in turn.
"""

import copy

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from models.motion import ClassNet, MotionNet

from .at_once import FOLD_C, class_scores, log_loss, one_epoch, with_head
from .folds import Fold, subject_groups
from .records import check_converging

SHARES = (0.0, 0.125, 0.25, 0.5, 1.0)
GROUPS = 5  # that the training subjects are split into


def prior_epochs(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    subjects: np.ndarray,
    fold: Fold,
    seed: int,
    shares: tuple[float, ...] = SHARES,
) -> tuple[list[dict], ClassNet]:
    """The fold's one epoch record, and its network: `net` with another head of its classes.

    maps (N, 3, S, S), labels and subjects (N,) of all clips; the held-out ones' are scored and
    nothing else. Class-balanced logistic regression on the features, with the share of SHARES that
    ranks the training subjects' clips best where they are held out in turn.
    """
    here = fold.train
    x = _features(net, maps[here])
    check_converging(fold.data_sub, 1, "features", x, "take other --weights")
    weight, bias = (p.detach().double().numpy() for p in net.classes.parameters())
    prior = x @ weight.T + bias
    axes = span(x)
    x = x @ axes
    share = choose_share(x, labels[here], prior, subjects[here], fold.seed(seed), shares)
    own, own_bias = fit_head(x, labels[here], share * prior)
    fitted = with_head(copy.deepcopy(net), own.T @ axes.T + share * weight, own_bias + share * bias)
    train_loss = log_loss(class_scores(fitted, maps[here]), labels[here])
    scores = class_scores(fitted, maps[fold.test])
    return [one_epoch(fold, 1, train_loss, scores, labels[fold.test])], fitted


@torch.no_grad()
def _features(net: MotionNet, maps: np.ndarray) -> np.ndarray:
    return net.eval().features(torch.from_numpy(maps))[0].double().numpy()


def span(x: np.ndarray) -> np.ndarray:
    """Axes (D, K) of what features (N, D) span: fewer than features, and nothing is lost."""
    sizes, axes = np.linalg.eigh(x @ x.T)
    kept = sizes > 1e-10 * sizes[-1]
    return x.T @ axes[:, kept] / np.sqrt(sizes[kept])


def choose_share(
    x: np.ndarray,
    labels: np.ndarray,
    prior: np.ndarray,
    subjects: np.ndarray,
    seed: int,
    shares: tuple[float, ...] = SHARES,
) -> float:
    """The share of the prior's logits (N, C) that ranks clips best whose subjects are held out.

    x (N, D). Ranking is the area under the ROC curve, the mean over classes; of equals the least
    share. With one subject there is nobody to hold out: then it is the largest.
    """
    groups = min(GROUPS, len(np.unique(subjects)))
    if groups < 2 or len(shares) == 1:
        return shares[-1]
    group = subject_groups(labels, subjects, groups, seed)
    ranked = []
    for share in shares:
        scores = np.empty_like(prior)
        for out in range(groups):
            inside = group != out
            weight, bias = fit_head(x[inside], labels[inside], share * prior[inside])
            scores[~inside] = x[~inside] @ weight + bias + share * prior[~inside]
        ranked.append(ranking(scores, labels))
    return shares[int(np.argmax(np.round(ranked, 12)))]


def ranking(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve of each class against the rest, the mean over the classes shown.

    scores: logits (N, C); labels (N,) of at least two classes.
    """
    from sklearn.metrics import roc_auc_score  # predict.py needs none of its second

    against = log_softmax(scores, axis=1)
    against = against - against.mean(1, keepdims=True)
    return float(np.mean([roc_auc_score(labels == c, against[:, c]) for c in np.unique(labels)]))


def fit_head(
    x: np.ndarray, labels: np.ndarray, offset: np.ndarray, strength: float = FOLD_C
) -> tuple[np.ndarray, np.ndarray]:
    """Class-balanced logistic regression on top of fixed logits: weights (D, C), biases (C,).

    x (N, D), offset (N, C). As scikit-learn's, `strength` being its C; a class without clips
    keeps its offset's logits.
    """
    shown, index = np.unique(labels, return_inverse=True)
    balance = (len(labels) / (len(shown) * np.bincount(index)))[index]
    target = np.eye(len(shown))[index]
    offset_shown, width = offset[:, shown], x.shape[1]

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = _split(flat, width)
        logits = x @ weight + bias + offset_shown
        loss = -(balance * (log_softmax(logits, axis=1) * target).sum(1)).sum()
        slope = balance[:, None] * (softmax(logits, axis=1) - target)
        down = np.concatenate([x.T @ slope + weight / strength, slope.sum(0)[None]])
        return loss + (weight**2).sum() / (2 * strength), down.ravel()

    start = np.zeros((width + 1) * len(shown))
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weight = np.zeros((width, offset.shape[1]))
    bias = np.zeros(offset.shape[1])
    weight[:, shown], bias[shown] = _split(found.x, width)
    return weight, bias


def _split(flat: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    both = flat.reshape(width + 1, -1)
    return both[:width], both[width]
