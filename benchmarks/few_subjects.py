"""What the synthetic start is worth: UF1 with 1, 5, 20 and all but one subject to train on.

python -m benchmarks.few_subjects --maps FOLDER
"""

from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from threadpoolctl import threadpool_limits

from common.cli import run_script
from loso.at_once import class_scores
from loso.folds import Fold, make_folds
from loso.metrics import scores
from loso.prior import SHARES, prior_epochs
from loso.synthetic_weights import load_synthetic
from models.motion import MotionNet, as_motion_net
from models.registry import Plan, make_network

from .leaderboard.maps import read_board

SIZES = (1, 5, 20)
SEED = 9  # of the groups in which a share is chosen


def main(maps: Path, draws: int = 20, seed: int = 1) -> None:
    """Score `directed` from nothing and from synthetic weights, by subjects trained on.

    With 1, 5 and 20 subjects: trained on so many drawn at random, tested on all the others, the
    mean and the spread over draws. With all: leave-one-subject-out, pooled. Zero-shot beside it.

    Args:
        maps: as for benchmarks.leaderboard: a published folder, an index (.csv) or an .npz.
        draws: of training subjects, for each size.
        seed: of the draws.
    """
    clips = read_board(maps, None, "auto").clips
    assert clips.motion is not None  # read for this
    x, labels = clips.motion.numpy(), clips.labels.numpy()
    subjects = clips.index["data_sub"].to_numpy()
    threadpool_limits(1)  # small matrices: more threads wait for each other
    torch.set_num_threads(1)
    synthetic = load_synthetic("directed")
    starts = {
        "from nothing": (as_motion_net(make_network("directed", Plan("motion"))), (0.0,)),
        "synthetic": (synthetic, SHARES),
    }
    zero_shot = class_scores(synthetic, x).argmax(1)
    print(f"zero-shot: UF1 {scores(labels, zero_shot, 3).uf1:.3f}")
    everyone = np.unique(subjects)
    rng = np.random.default_rng(seed)
    for size in (n for n in SIZES if n < len(everyone)):
        chosen = [rng.choice(everyone, size, replace=False) for _ in range(draws)]
        reached: dict[str, list[float]] = {name: [] for name in starts}
        for names in track(chosen, f"{size} subjects", transient=True):
            inside = np.isin(subjects, names)
            fold = Fold("drawn", np.flatnonzero(inside), np.flatnonzero(~inside))
            for name, (net, shares) in starts.items():
                predicted = _train(net, x, labels, subjects, fold, shares)
                reached[name].append(scores(labels[fold.test], predicted, 3).uf1)
        for name, values in reached.items():
            told = f"UF1 {np.mean(values):.3f}, spread {np.std(values):.3f}"
            print(f"{size} subjects, {name}: {told}")
    for name, (net, shares) in starts.items():
        predicted = np.empty_like(labels)
        for fold in track(make_folds(clips.index, 3), f"all, {name}", transient=True):
            predicted[fold.test] = _train(net, x, labels, subjects, fold, shares)
        found = scores(labels, predicted, 3)
        print(f"all but one subject, {name}: UF1 {found.uf1:.3f}, UAR {found.uar:.3f}")


def _train(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    subjects: np.ndarray,
    fold: Fold,
    shares: tuple[float, ...],
) -> np.ndarray:
    """The classes that a fold's test clips are told to be."""
    _, network = prior_epochs(net, maps, labels, subjects, fold, SEED, shares)
    return class_scores(network, maps[fold.test]).argmax(1)


if __name__ == "__main__":
    run_script(main)
