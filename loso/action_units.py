"""Action units of motion alone: a linear head for each, on pretrained features or from nothing.

Each unit is told by itself: a clip may show several, or none.
"""

import copy

import numpy as np
import torch

from models.motion import ClassNet

from .at_once import class_scores, with_head
from .folds import Fold
from .prior import fit_head, span
from .records import check_converging, epoch_record
from .settings import Settings

LEAST = 2  # clips of the training subjects that show a unit, for a head of its own


def unit_epochs(
    net: ClassNet, maps: np.ndarray, units: np.ndarray, fold: Fold, settings: Settings
) -> tuple[list[dict], ClassNet]:
    """The fold's one epoch record, and its network: `net` with another head of its units.

    maps (N, 3, S, S), units (N, U) of 0 and 1 of all clips; of the held-out ones nothing is
    fitted. With --adapt none `net` is scored as it is (zero-shot). Else class-balanced logistic
    regression of each unit on the features, on top of the pretrained head's logits where there is
    one; a unit that fewer than LEAST training clips show, or all but so many, keeps those.
    """
    fitted = net.eval()
    train_loss = None
    if settings.adapt != "none":
        fitted = _with_own_heads(net, maps[fold.train], units[fold.train], fold, settings)
        train_loss = unit_loss(class_scores(fitted, maps[fold.train], True), units[fold.train])
    scores = class_scores(fitted, maps[fold.test], True)
    test_loss = unit_loss(scores, units[fold.test])
    return [epoch_record(fold.data_sub, 1, train_loss, test_loss, scores)], fitted


def _with_own_heads(
    net: ClassNet, maps: np.ndarray, units: np.ndarray, fold: Fold, settings: Settings
) -> ClassNet:
    with torch.no_grad():
        x = net.eval().features(torch.from_numpy(maps))[0].double().numpy()
    check_converging(fold.data_sub, 1, "features", x, "take other --weights")
    weight, bias = (
        net.classes.get_parameter(name).detach().double().numpy().copy()
        for name in ("weight", "bias")
    )
    if settings.first_weights == "none":
        weight[:], bias[:] = 0, 0
    before = x @ weight.T + bias
    axes = span(x)
    x = x @ axes
    for unit in range(units.shape[1]):
        shown = units[:, unit].astype(int)
        if not LEAST <= shown.sum() <= len(shown) - LEAST:
            if settings.first_weights == "none":
                bias[unit] = _logit(shown.mean())
            continue
        offset = np.stack([np.zeros(len(x)), before[:, unit]], axis=1)
        own, own_bias = fit_head(x, shown, offset)
        weight[unit] += axes @ (own[:, 1] - own[:, 0])
        bias[unit] += own_bias[1] - own_bias[0]
    return with_head(copy.deepcopy(net), weight, bias)


def _logit(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(share / (1 - share)))


def unit_loss(probabilities: np.ndarray, units: np.ndarray) -> float:
    """Mean binary cross-entropy of probabilities (N, U) and units (N, U) of 0 and 1."""
    chosen = np.where(units > 0.5, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())
