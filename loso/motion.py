"""Folds of motion alone: a network adapted, a head on its features, or nothing trained at all."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, StepLR

from data.clip_set import ClipSet
from models.motion import (
    ClassNet,
    MotionNet,
    as_class_net,
    as_motion_net,
    standardise,
    vary,
)
from models.registry import MotionLearning

from .action_units import unit_epochs, unit_loss
from .at_once import AT_ONCE, class_scores, log_loss, one_epoch, regression, with_head
from .folds import Fold
from .metrics import with_prior
from .networks import build_network, read_weights
from .prior import SHARES, prior_epochs
from .settings import Settings
from .training import OnEpoch, train_fold

CPU = torch.device("cpu")
PENALTY = 0.01  # of the squared distance from pretrained weights


class MotionRunner:
    """Trains folds of networks that read motion maps alone: small enough for any CPU."""

    def __init__(self, settings: Settings, clips: ClipSet, device: torch.device) -> None:
        """Read what all folds share: --weights and motion maps."""
        self.settings = settings
        assert clips.motion is not None  # read for this stream
        targets = clips.units if settings.tells_units else clips.labels
        self.maps, self.labels = clips.motion.numpy(), targets.numpy()
        self.subjects = clips.index["data_sub"].to_numpy()
        self.state = read_weights(settings)

    def run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], ClassNet]:
        """See fold_job.Runner."""
        epochs, network = self._run(fold, lambda record: on_epoch(self._weighed(record)))
        return [self._weighed(record) for record in epochs], network

    def _weighed(self, record: dict) -> dict:
        """A record whose scores assume --prior; its losses go on being those of even classes."""
        if not self.settings.prior:
            return record
        weighed = with_prior(np.array(record["scores"]), self.settings.prior)
        return record | {"scores": weighed.round(6).tolist()}

    def _run(self, fold: Fold, on_epoch: OnEpoch) -> tuple[list[dict], ClassNet]:
        settings = self.settings
        torch.manual_seed(fold.seed(settings.seed))  # of what neither weights nor fold decide
        if settings.tells_units and (settings.at_once or settings.adapt != "all"):
            start = as_class_net(build_network(settings, self.state))
            epochs, network = unit_epochs(start, self.maps, self.labels, fold, settings)
            on_epoch(epochs[0])
            return epochs, network
        if settings.at_once:
            epochs, network = self._fit(fold)
            on_epoch(epochs[0])
            return epochs, network
        start = as_class_net(build_network(settings, self.state))
        return motion_epochs(start, self.maps, self.labels, fold, settings, on_epoch)

    def _fit(self, fold: Fold) -> tuple[list[dict], ClassNet]:
        """A fold in one go, from nothing or from a prior."""
        settings = self.settings
        if self.state is None:
            fit = AT_ONCE[settings.motion_net]
            return fit(self.maps, self.labels, fold, settings.classes)
        start = as_motion_net(build_network(settings, self.state))
        # A head that no weights were loaded into is none to start from.
        shares = SHARES if any(name.startswith("classes.") for name in self.state) else (0.0,)
        return prior_epochs(
            start, self.maps, self.labels, self.subjects, fold, settings.seed, shares
        )


@torch.no_grad()
def predict_maps(net: MotionNet, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, 3, S, S) -> class probabilities (N, 3) and action-unit probabilities (N, 16)."""
    output = net.eval()(torch.from_numpy(np.ascontiguousarray(maps, np.float32)))
    return net.scores(output).numpy(), net.unit_scores(output).numpy()


def motion_epochs(
    net: ClassNet,
    maps: np.ndarray,
    labels: np.ndarray,
    fold: Fold,
    settings: Settings,
    on_epoch: OnEpoch = lambda epoch: None,
) -> tuple[list[dict], ClassNet]:
    """A fold from `net`'s weights: its epoch records, as train_fold gives them, and its network.

    settings.adapt none: zero-shot, nothing is trained. head: class-balanced logistic regression
    on the network's features. all: the whole network is tuned. `net` itself is not changed.
    """
    if settings.adapt == "none":
        scores = class_scores(net, maps[fold.test])
        epochs = [one_epoch(fold, 1, None, scores, labels[fold.test])]
        on_epoch(epochs[0])
        return epochs, net
    if settings.adapt == "head":
        with torch.no_grad():
            features = net.eval().features(torch.from_numpy(maps))[0].numpy()
        epochs, model = regression(features, labels, fold)
        on_epoch(epochs[0])
        return epochs, with_head(copy.deepcopy(net), model.coef_, model.intercept_)
    tuned = copy.deepcopy(net)
    recipe = MotionRecipe(tuned, maps, labels, fold, settings)
    return train_fold(recipe, fold.data_sub, settings.passes, on_epoch), tuned.eval()


class MotionRecipe:
    """A network's own recipe (models.registry.MotionLearning); see training.Recipe.

    A pretrained network stays near its first weights and keeps its batch-norm statistics: a fold
    is too small to estimate them anew.
    """

    device, sums = CPU, torch.float64
    half: torch.dtype | None = None

    def __init__(
        self,
        network: ClassNet,
        maps: np.ndarray,
        labels: np.ndarray,
        fold: Fold,
        settings: Settings,
    ) -> None:
        """maps (N, 3, S, S) and labels (N,), or units (N, U) of 0 and 1, of all clips."""
        learning = settings.learning
        assert isinstance(learning, MotionLearning)  # of motion alone
        self.network, self.learning = network, learning
        self.start: dict[str, Tensor] = {}
        if settings.first_weights != "none":
            self.start = {n: p.detach().clone() for n, p in network.named_parameters()}
        seed = fold.seed(settings.seed)
        torch.manual_seed(seed)  # dropout
        self.generator = torch.Generator().manual_seed(seed)
        self.x = torch.from_numpy(maps[fold.train])
        if learning.varied:
            self.x = standardise(self.x)
        self.y = torch.from_numpy(labels[fold.train])
        self.balance = None
        if learning.balanced and not settings.tells_units:
            counts = torch.bincount(self.y, minlength=settings.classes).clamp_min(1)
            self.balance = len(self.y) / counts
        self.held_out = maps[fold.test], labels[fold.test]
        self.tells_units = settings.tells_units
        self.optimiser = make_optimiser(network, learning)
        self.schedule: LRScheduler = ConstantLR(self.optimiser, factor=1)
        if learning.halved is not None:
            self.schedule = StepLR(self.optimiser, learning.halved, gamma=0.5)

    def losses(self) -> Iterator[tuple[Tensor, int]]:
        """See training.Recipe."""
        network = self.network.train()
        for module in network.modules():
            if self.start and isinstance(module, nn.BatchNorm2d):
                module.eval()
        order = torch.randperm(len(self.y), generator=self.generator)
        for rows in order.split(self.learning.batch_size):
            maps = self.x[rows]
            output = network(vary(maps, self.generator) if self.learning.varied else maps)
            loss = network.loss(output, self.y[rows], self.balance)
            if self.start:
                loss = loss + PENALTY * sum(
                    (p - self.start[name]).square().sum() for name, p in network.named_parameters()
                )
            yield loss, len(rows)

    def evaluate(self) -> tuple[float, np.ndarray]:
        """See training.Recipe."""
        maps, labels = self.held_out
        scores = class_scores(self.network, maps, self.tells_units)
        return (unit_loss if self.tells_units else log_loss)(scores, labels), scores


def make_optimiser(network: ClassNet, learning: MotionLearning) -> Optimizer:
    """The recipe's optimiser of all that classes depend on: a head of units is not trained."""
    trained = [p for name, p in network.named_parameters() if not name.startswith("units.")]
    rate, decay = learning.lr, learning.weight_decay
    if learning.optimiser == "sgd":
        return SGD(trained, lr=rate, momentum=0.9, weight_decay=decay)
    kind = AdamW if learning.optimiser == "adamw" else Adam
    return kind(trained, lr=rate, weight_decay=decay)
