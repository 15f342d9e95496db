"""Folds of motion alone: a network adapted, a head on its features, or nothing trained at all."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from data.clip_set import ClipSet
from models.motion import MotionNet, as_motion_net, standardise, vary
from models.registry import Plan, make_network

from .folds import Fold
from .networks import build_network, read_weights
from .records import check_converging, epoch_record
from .settings import Settings
from .training import OnEpoch, train_fold

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

CPU = torch.device("cpu")
FOLD_C = 1e-3  # of a fold's logistic regression
PENALTY = 0.01  # of the squared distance from pretrained weights


class MotionRunner:
    """Trains folds of networks that read motion maps alone: small enough for any CPU."""

    def __init__(self, settings: Settings, clips: ClipSet, device: torch.device) -> None:
        """Read what all folds share: --weights and motion maps."""
        self.settings = settings
        assert clips.motion is not None  # read for this stream
        self.maps, self.labels = clips.motion.numpy(), clips.labels.numpy()
        self.state = read_weights(settings)

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], MotionNet]:
        """See fold_job.Runner."""
        settings = self.settings
        torch.manual_seed(fold.seed(settings.seed))  # of what neither weights nor fold decide
        if settings.first_weights == "none" and settings.motion_net == "linear":
            epochs, network = linear_epochs(self.maps, self.labels, fold, settings.classes)
            on_epoch(epochs[0])
            return epochs, network
        start = as_motion_net(build_network(settings, self.state))
        return motion_epochs(start, self.maps, self.labels, fold, settings, on_epoch)


@torch.no_grad()
def predict_maps(net: MotionNet, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, 3, S, S) -> class probabilities (N, 3) and action-unit probabilities (N, 16)."""
    output = net.eval()(torch.from_numpy(np.ascontiguousarray(maps, np.float32)))
    return net.scores(output).numpy(), net.unit_scores(output).numpy()


def linear_epochs(
    maps: np.ndarray, labels: np.ndarray, fold: Fold, classes: int = 3
) -> tuple[list[dict], MotionNet]:
    """The plainest way: class-balanced logistic regression on a fold's standardised maps.

    The fold's one epoch record, as train_fold gives them, and the network that it is. Regression
    runs on the coordinates of the N training maps (3, S, S) in the space that they span, K =
    min(N, 3 S²) axes: that costs far less than on the pixels and is a change of axes and nothing
    else. The held-out maps are left out of it, so that not even a last bit comes from them.
    """
    x = standardise(torch.from_numpy(maps)).flatten(1)
    axes = torch.linalg.qr(x[fold.train].T).Q  # (3 S², K)
    epochs, model = _regression((x @ axes).numpy(), labels, fold)
    plan = Plan(streams="motion", motion_size=maps.shape[-1], classes=classes)
    net = as_motion_net(make_network("linear", plan))
    return epochs, _with_head(net, model.coef_ @ axes.numpy().T, model.intercept_)


def motion_epochs(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    fold: Fold,
    settings: Settings,
    on_epoch: OnEpoch = lambda epoch: None,
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
            features = net.eval().features(torch.from_numpy(maps))[0].numpy()
        epochs, model = _regression(features, labels, fold)
        on_epoch(epochs[0])
        return epochs, _with_head(copy.deepcopy(net), model.coef_, model.intercept_)
    tuned = copy.deepcopy(net)
    recipe = MotionRecipe(tuned, maps, labels, fold, settings)
    return train_fold(recipe, fold.data_sub, settings.epochs, on_epoch), tuned.eval()


def _regression(
    x: np.ndarray, labels: np.ndarray, fold: Fold
) -> tuple[list[dict], "LogisticRegression"]:
    from sklearn.linear_model import LogisticRegression  # predict.py needs none of its second

    model = LogisticRegression(C=FOLD_C, class_weight="balanced", max_iter=500)
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


class MotionRecipe:
    """AdamW at one rate on varied maps, every class of equal weight; see training.Recipe.

    A pretrained network stays near its first weights and keeps its batch-norm statistics: a fold
    is too small to estimate them anew.
    """

    device, sums = CPU, torch.float64
    half: torch.dtype | None = None

    def __init__(
        self,
        network: MotionNet,
        maps: np.ndarray,
        labels: np.ndarray,
        fold: Fold,
        settings: Settings,
    ) -> None:
        """maps (N, 3, S, S) and labels (N,) of all clips."""
        self.network, self.batch_size = network, settings.batch_size
        self.start: dict[str, Tensor] = {}
        if settings.first_weights != "none":
            self.start = {n: p.detach().clone() for n, p in network.named_parameters()}
        seed = fold.seed(settings.seed)
        torch.manual_seed(seed)  # dropout
        self.generator = torch.Generator().manual_seed(seed)
        self.x = standardise(torch.from_numpy(maps[fold.train]))
        self.y = torch.from_numpy(labels[fold.train])
        counts = torch.bincount(self.y, minlength=network.classes.out_features).clamp_min(1)
        self.balance = len(self.y) / counts
        self.held_out = maps[fold.test], labels[fold.test]
        trained = [*network.body.parameters(), *network.classes.parameters()]
        self.optimiser: Optimizer = AdamW(trained, lr=settings.learning_rate, weight_decay=0.01)
        self.schedule: LRScheduler = ConstantLR(self.optimiser, factor=1)

    def losses(self) -> Iterator[tuple[Tensor, int]]:
        """See training.Recipe."""
        network = self.network.train()
        for module in network.modules():
            if self.start and isinstance(module, nn.BatchNorm2d):
                module.eval()
        order = torch.randperm(len(self.y), generator=self.generator)
        for rows in order.split(self.batch_size):
            output = network(vary(self.x[rows], self.generator))
            loss = network.loss(output, self.y[rows], self.balance)
            if self.start:
                loss = loss + PENALTY * sum(
                    (p - self.start[name]).square().sum() for name, p in network.named_parameters()
                )
            yield loss, len(rows)

    def evaluate(self) -> tuple[float, np.ndarray]:
        """See training.Recipe."""
        maps, labels = self.held_out
        scores = predict_maps(self.network, maps)[0]
        return _loss(scores, labels), scores


def _epoch(
    fold: Fold, number: int, train_loss: float | None, scores: np.ndarray, labels: np.ndarray
) -> dict:
    return epoch_record(fold.data_sub, number, train_loss, _loss(scores, labels), scores)


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())
