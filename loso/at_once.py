"""Networks of motion alone that scikit-learn fits in one go, each class of equal weight."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.kernel import KernelMachine
from models.motion import ClassNet, as_class_net, standardise
from models.registry import Plan, make_network

from .folds import Fold
from .records import check_converging, epoch_record

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FOLD_C = 1e-3  # of a fold's logistic regression
RIDGE = 1.0  # lambda of kernel ridge regression
SVM_C = 1.0


@torch.no_grad()
def class_scores(net: ClassNet, maps: np.ndarray, each: bool = False) -> np.ndarray:
    """Maps (N, 3, S, S) -> probabilities (N, classes): of one class, or of each by itself."""
    output = net.eval()(torch.from_numpy(np.ascontiguousarray(maps, np.float32)))
    return (net.shown if each else net.scores)(output).numpy()


def linear_epochs(
    name: str, maps: np.ndarray, labels: np.ndarray, fold: Fold, classes: int = 3
) -> tuple[list[dict], ClassNet]:
    """The plainest way: class-balanced logistic regression on the features of a fold's maps.

    The fold's one epoch record, as train_fold gives them, and the network that it is, `name` of
    the registry with one linear layer of D features (linear: the standardised maps themselves).
    Regression runs on the coordinates of the N training maps' features in the space that they
    span, K = min(N, D) axes: that costs far less than on all of them and is a change of axes and
    nothing else. The held-out maps are left out of it, so that not even a last bit is theirs.
    """
    plan = Plan(streams="motion", motion_size=maps.shape[-1], classes=classes)
    net = as_class_net(make_network(name, plan))
    with torch.no_grad():
        (x,) = net.eval().features(torch.from_numpy(maps))
    axes = torch.linalg.qr(x[fold.train].T).Q  # (D, K)
    epochs, model = regression((x @ axes).numpy(), labels, fold)
    return epochs, with_head(net, model.coef_ @ axes.numpy().T, model.intercept_)


def kernel_epochs(
    machine: "Machine", maps: np.ndarray, labels: np.ndarray, fold: Fold, classes: int = 3
) -> tuple[list[dict], ClassNet]:
    """A kernel machine on a fold's standardised maps: its record, and the network that it is."""
    x = standardise(torch.from_numpy(maps[fold.train])).flatten(1)
    net = as_class_net(make_network("svm", Plan("motion", motion_size=maps.shape[-1],
                                               classes=classes))).eval()  # fmt: skip
    assert isinstance(net.classes, KernelMachine)
    check_converging(fold.data_sub, 1, "maps", x.numpy(), "look at their files")
    weight, bias = machine(x.double().numpy(), labels[fold.train], classes)
    kept = torch.from_numpy(weight.any(1))
    net.classes.keep(x[kept], torch.from_numpy(weight)[kept], torch.from_numpy(bias))
    train_loss = log_loss(class_scores(net, maps[fold.train]), labels[fold.train])
    scores = class_scores(net, maps[fold.test])
    return [one_epoch(fold, 1, train_loss, scores, labels[fold.test])], net


Machine = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def kernel_ridge(x: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ridge regression on one-hot labels: weights (N, classes) of maps (N, D), biases 0."""
    from sklearn.kernel_ridge import KernelRidge

    share = np.bincount(labels, minlength=classes)[labels] * classes / len(labels)
    model = KernelRidge(alpha=RIDGE, kernel="rbf", gamma=1 / x.shape[1])
    model.fit(x, np.eye(classes)[labels], sample_weight=1 / share)
    return model.dual_coef_, np.zeros(classes)


def support_vectors(
    x: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Support vectors, each class against the rest: weights (N, classes) of maps (N, D), biases."""
    from sklearn.svm import SVC

    weight, bias = np.zeros((len(x), classes)), np.zeros(classes)
    for label in range(classes):
        model = SVC(C=SVM_C, gamma=1 / x.shape[1], class_weight="balanced")
        model.fit(x, labels == label)
        weight[model.support_, label], bias[label] = model.dual_coef_[0], model.intercept_[0]
    return weight, bias


def regression(
    x: np.ndarray, labels: np.ndarray, fold: Fold
) -> tuple[list[dict], "LogisticRegression"]:
    """Class-balanced logistic regression on features (N, D): the fold's record, and the model."""
    from sklearn.linear_model import LogisticRegression  # predict.py needs none of its second

    model = LogisticRegression(C=FOLD_C, class_weight="balanced", max_iter=500)
    check_converging(fold.data_sub, 1, "features", x, "take other --weights")
    model.fit(x[fold.train], labels[fold.train])
    train_loss = log_loss(model.predict_proba(x[fold.train]), labels[fold.train])
    scores = model.predict_proba(x[fold.test])
    return [one_epoch(fold, 1, train_loss, scores, labels[fold.test])], model


@torch.no_grad()
def with_head(net: ClassNet, weight: np.ndarray, bias: np.ndarray) -> ClassNet:
    """The network with the last layer that was fitted: (classes, D) and (classes,)."""
    net.classes.get_parameter("weight").copy_(torch.from_numpy(weight))
    net.classes.get_parameter("bias").copy_(torch.from_numpy(bias))
    return net.eval()


def one_epoch(
    fold: Fold, number: int, train_loss: float | None, scores: np.ndarray, labels: np.ndarray
) -> dict:
    """An epoch's record, from class probabilities (N, C) of the held-out clips."""
    return epoch_record(fold.data_sub, number, train_loss, log_loss(scores, labels), scores)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of class probabilities (N, C)."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())


AT_ONCE: dict[str, Callable[..., tuple[list[dict], ClassNet]]] = {
    "linear": partial(linear_epochs, "linear"),
    "directed": partial(linear_epochs, "directed"),
    "kernel_ridge": partial(kernel_epochs, kernel_ridge),
    "svm": partial(kernel_epochs, support_vectors),
}
