"""Motion in the protocol: drawn weights, one clip's prediction, a fold adapted or not at all."""

import copy
import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from data.errors import UserError
from data.landmarks import LandmarkFinder
from data.motion import MOTION_SIZE, clip_motion
from models.motion import UNITS, MotionKind, MotionNet, build_motion, standardise, vary

from .folds import Fold

DRAWN_WEIGHTS = Path(__file__).parent.parent / "models" / "weights" / "motion_drawn.safetensors"
Adapt = Literal["none", "head", "all"]

STRENGTH = 1e-3  # C of a fold's logistic regression
TUNE_EPOCHS = 20
TUNE_RATE = 1e-3
TUNE_BATCH = 32


def load_drawn(kind: MotionKind = "linear", path: Path = DRAWN_WEIGHTS) -> MotionNet:
    """A motion network with the weights of pretrain_motion.py, in evaluation mode.

    UserError if the file is missing, no safetensors, or of other networks.
    """
    net = build_motion(kind)
    expected = net.state_dict()
    state = {}
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                if name.startswith(f"{kind}."):
                    state[name.removeprefix(f"{kind}.")] = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: {reason}; python pretrain_motion.py makes it") from error
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in expected.items()}:
        raise UserError(f"{path}: holds no '{kind}' network of this version; pretrain_motion.py")
    net.load_state_dict(state)
    return net.eval()


def drawn_facts(path: Path = DRAWN_WEIGHTS) -> dict:
    """What the weights say about themselves: command, seed, samples, domains, held_out_uf1, …"""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["made by"])


@torch.no_grad()
def predict_maps(net: MotionNet, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, 3, S, S) -> class probabilities (N, 3) and action-unit probabilities (N, 16)."""
    output = net.eval()(torch.from_numpy(np.ascontiguousarray(maps, np.float32)))
    return net.scores(output).numpy(), net.unit_scores(output).numpy()


def predict_clip(
    net: MotionNet, onset: np.ndarray, apex: np.ndarray, finder: LandmarkFinder, where: str = "clip"
) -> tuple[np.ndarray, dict[int, float]]:
    """Onset and apex, uint8 (H, W, 3) RGB -> class and action-unit probabilities, (3,) and a dict.

    UserError as clip_motion: equal pictures, other shapes, no face.
    """
    made = clip_motion(onset, apex, finder, MOTION_SIZE, where=where)
    scores, units = predict_maps(net, made[None])
    return scores[0], dict(zip(UNITS, units[0].round(4).tolist()))


def linear_features(maps: np.ndarray) -> np.ndarray:
    """Maps (N, 3, S, S) -> (N, min(N, 3 S²)): what `linear` learns from, once for all folds.

    The standardised maps, turned onto the axes that the N of them span. That is a change of
    axes and nothing else: L2-regularised regression gives the same predictions on either.
    """
    x = standardise(torch.from_numpy(maps)).flatten(1)
    return (x @ torch.linalg.svd(x, full_matrices=False).Vh.T).numpy()


def linear_epochs(x: np.ndarray, labels: np.ndarray, fold: Fold) -> list[dict]:
    """The line to beat: class-balanced logistic regression on a fold's standardised maps.

    x (N, F) from linear_features, labels (N,) -> the fold's one epoch record, as train_fold
    gives them.
    """
    return _regression(x, labels, fold)


def motion_epochs(
    net: MotionNet, maps: np.ndarray, labels: np.ndarray, fold: Fold, adapt: Adapt, seed: int
) -> list[dict]:
    """A fold from pretrained weights: its epoch records, as train_fold gives them.

    none: zero-shot, nothing is trained. head: class-balanced logistic regression on the
    network's features. all: the whole network is fine-tuned for TUNE_EPOCHS epochs. `net` is
    not changed.
    """
    if adapt == "none":
        return [_epoch(1, None, predict_maps(net, maps[fold.test])[0], labels[fold.test])]
    if adapt == "head":
        with torch.no_grad():
            features = net.eval().features(torch.from_numpy(maps)).numpy()
        return _regression(features, labels, fold)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with so little to do a second thread costs more than it gives
    try:
        return _fine_tune(net, maps, labels, fold, fold.seed(seed))
    finally:
        torch.set_num_threads(threads)


def _regression(x: np.ndarray, labels: np.ndarray, fold: Fold) -> list[dict]:
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    model.fit(x[fold.train], labels[fold.train])
    seen = model.predict_proba(x[fold.train])
    train_loss = _loss(seen, labels[fold.train])
    return [_epoch(1, train_loss, model.predict_proba(x[fold.test]), labels[fold.test])]


def _fine_tune(
    net: MotionNet, maps: np.ndarray, labels: np.ndarray, fold: Fold, seed: int
) -> list[dict]:
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tuned = copy.deepcopy(net)
    torch.manual_seed(seed)  # dropout
    generator = torch.Generator().manual_seed(seed)
    x, y = standardise(torch.from_numpy(maps[fold.train])), torch.from_numpy(labels[fold.train])
    balance = len(y) / torch.bincount(y, minlength=tuned.classes.out_features).clamp_min(1)
    optimiser = torch.optim.AdamW(tuned.parameters(), lr=TUNE_RATE, weight_decay=0.01)
    epochs = []
    for number in range(1, TUNE_EPOCHS + 1):
        tuned.train()
        for module in tuned.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # a fold is too small to estimate its statistics anew
        total = 0.0
        for rows in torch.randperm(len(y), generator=generator).split(TUNE_BATCH):
            output = tuned(vary(x[rows], generator))[0]
            loss = F.cross_entropy(output, y[rows], weight=balance)
            # Not far from what the drawn faces taught.
            loss = loss + 0.01 * sum(
                (p - state[name]).square().sum() for name, p in tuned.named_parameters()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(rows)
        scores = predict_maps(tuned, maps[fold.test])[0]
        epochs.append(_epoch(number, total / len(y), scores, labels[fold.test]))
    return epochs


def _epoch(number: int, train_loss: float | None, scores: np.ndarray, labels: np.ndarray) -> dict:
    # train_loss is null where nothing was trained.
    rows = scores.astype(float).round(6).tolist()
    return {
        "epoch": number,
        "train_loss": train_loss,
        "test_loss": _loss(scores, labels),
        "scores": rows,
    }


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())
