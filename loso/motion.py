"""Motion in the protocol: synthetic weights, predictions, a fold adapted or not at all."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional as F

from common.checkpoints import StateDict, named_as, one_line
from common.errors import UserError
from models.motion import MotionKind, MotionNet, build_motion, standardise, vary

from .checkpoints import read_state_dict
from .folds import Fold
from .records import check_converging, epoch_record
from .settings import Settings

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

SYNTHETIC_WEIGHTS = (
    Path(__file__).parent.parent / "models" / "weights" / "motion_synthetic.safetensors"
)
MAKES_THEM = "python -m tools.pretrain_motion makes it"
STRENGTH = 1e-3  # C of a fold's logistic regression


def load_synthetic(kind: MotionKind = "linear", path: Path = SYNTHETIC_WEIGHTS) -> MotionNet:
    """A motion network with the weights of tools.pretrain_motion, in evaluation mode.

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
        raise UserError(
            f"{path}: {one_line(error)}; python -m tools.pretrain_motion makes it"
        ) from error
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in expected.items()}:
        raise UserError(f"{path}: holds no '{kind}' network of this version; {MAKES_THEM}")
    net.load_state_dict(state)
    return net.eval()


def read_start(settings: Settings) -> StateDict | None:
    """The weights that --weights names for a motion network; None for random ones."""
    if settings.first_weights == "none":
        return None
    if settings.first_weights != "synthetic":
        return read_state_dict(Path(settings.first_weights))
    state = load_synthetic(settings.motion_net).state_dict()
    if settings.classes != 3:
        state = {n: t for n, t in state.items() if not n.startswith("classes.")}
    return state


def build_start(settings: Settings, state: StateDict | None) -> MotionNet:
    """The motion network that a fold starts from, with `state` of read_start in it.

    What the weights do not hold (a head of other classes, or all of it) is random, from torch's
    generator. UserError if the weights are of another network.
    """
    net = build_motion(settings.motion_net, settings.motion_size, settings.classes)
    if state is None:
        return net
    expected = net.state_dict()
    try:
        state = named_as(state, expected)
    except ValueError as error:
        raise UserError(f"--weights {settings.first_weights}: holds {error}") from error
    wrong = sorted(n for n, t in state.items() if n not in expected or expected[n].shape != t.shape)
    optional = ("classes.", "num_batches_tracked")
    needed = {n for n in expected if not n.startswith(optional[0]) and not n.endswith(optional[1])}
    if wrong or needed - set(state):
        raise UserError(
            f"--weights {settings.first_weights}: is no '{settings.motion_net}' motion network "
            f"of {settings.motion_size} px and {settings.classes} classes"
        )
    net.load_state_dict(expected | state)
    return net.eval()


def synthetic_facts(path: Path = SYNTHETIC_WEIGHTS) -> dict:
    """What the weights say about themselves: command, seed, samples, domains, held_out_uf1, …"""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["made by"])


@torch.no_grad()
def predict_maps(net: MotionNet, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, 3, S, S) -> class probabilities (N, 3) and action-unit probabilities (N, 16)."""
    output = net.eval()(torch.from_numpy(np.ascontiguousarray(maps, np.float32)))
    return net.scores(output).numpy(), net.unit_scores(output).numpy()


def linear_epochs(
    maps: np.ndarray, labels: np.ndarray, fold: Fold, classes: int = 3
) -> tuple[list[dict], MotionNet]:
    """The line to beat: class-balanced logistic regression on a fold's standardised maps.

    The fold's one epoch record, as train_fold gives them, and the network that it is. Regression
    runs on the coordinates of the N training maps (3, S, S) in the space that they span, K =
    min(N, 3 S²) axes: that costs far less than on the pixels and is a change of axes and nothing
    else. The held-out maps are left out of it, so that not even a last bit comes from them.
    """
    x = standardise(torch.from_numpy(maps)).flatten(1)
    axes = torch.linalg.qr(x[fold.train].T).Q  # (3 S², K)
    epochs, model = _regression((x @ axes).numpy(), labels, fold)
    net = build_motion("linear", maps.shape[-1], classes)
    return epochs, _with_head(net, model.coef_ @ axes.numpy().T, model.intercept_)


def motion_epochs(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    fold: Fold,
    settings: Settings,
    on_epoch: Callable[[dict], None] = lambda epoch: None,
) -> tuple[list[dict], MotionNet]:
    """A fold from `net`'s weights: its epoch records, as train_fold gives them, and its network.

    settings.adapt none: zero-shot, nothing is trained. head: class-balanced logistic regression
    on the network's features. all: the whole network is tuned. `net` itself is not changed.
    """
    if settings.adapt == "none":
        scores = predict_maps(net, maps[fold.test])[0]
        epochs = [_epoch(fold, 1, None, scores, labels[fold.test])]
        on_epoch(epochs[0])
        return epochs, net
    if settings.adapt == "head":
        with torch.no_grad():
            features = net.eval().features(torch.from_numpy(maps)).numpy()
        epochs, model = _regression(features, labels, fold)
        on_epoch(epochs[0])
        return epochs, _with_head(copy.deepcopy(net), model.coef_, model.intercept_)
    return _tune(net, maps, labels, fold, settings, on_epoch)


def _regression(
    x: np.ndarray, labels: np.ndarray, fold: Fold
) -> tuple[list[dict], "LogisticRegression"]:
    from sklearn.linear_model import LogisticRegression  # predict.py needs none of its second

    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    check_converging(fold.data_sub, 1, "features", x, "take other --weights")
    model.fit(x[fold.train], labels[fold.train])
    train_loss = _loss(model.predict_proba(x[fold.train]), labels[fold.train])
    scores = model.predict_proba(x[fold.test])
    return [_epoch(fold, 1, train_loss, scores, labels[fold.test])], model


@torch.no_grad()
def _with_head(net: MotionNet, weight: np.ndarray, bias: np.ndarray) -> MotionNet:
    net.classes.weight.copy_(torch.from_numpy(weight))
    net.classes.bias.copy_(torch.from_numpy(bias))
    return net.eval()


def _tune(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    fold: Fold,
    settings: Settings,
    on_epoch: Callable[[dict], None],
) -> tuple[list[dict], MotionNet]:
    pretrained = settings.first_weights != "none"
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tuned = copy.deepcopy(net)
    seed = fold.seed(settings.seed)
    torch.manual_seed(seed)  # dropout
    generator = torch.Generator().manual_seed(seed)
    x, y = standardise(torch.from_numpy(maps[fold.train])), torch.from_numpy(labels[fold.train])
    balance = len(y) / torch.bincount(y, minlength=tuned.classes.out_features).clamp_min(1)
    trained = [*tuned.body.parameters(), *tuned.classes.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.01)
    epochs = []
    for number in range(1, settings.epochs + 1):
        tuned.train()
        for module in tuned.modules():
            if pretrained and isinstance(module, nn.BatchNorm2d):
                module.eval()  # a fold is too small to estimate its statistics anew
        total = 0.0
        for rows in torch.randperm(len(y), generator=generator).split(settings.batch_size):
            loss = F.cross_entropy(tuned(vary(x[rows], generator))[0], y[rows], weight=balance)
            if pretrained:  # not far from what it was taught before
                loss = loss + 0.01 * sum(
                    (p - state[name]).square().sum() for name, p in tuned.named_parameters()
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(rows)
        check_converging(fold.data_sub, number, "loss", total / len(y))
        scores = predict_maps(tuned, maps[fold.test])[0]
        epochs.append(_epoch(fold, number, total / len(y), scores, labels[fold.test]))
        on_epoch(epochs[-1])
    return epochs, tuned.eval()


def _epoch(
    fold: Fold, number: int, train_loss: float | None, scores: np.ndarray, labels: np.ndarray
) -> dict:
    return epoch_record(fold.data_sub, number, train_loss, _loss(scores, labels), scores)


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())
