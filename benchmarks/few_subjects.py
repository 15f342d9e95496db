"""What the synthetic start is worth: UF1 with 1, 5, 20 and all but one subject to train on.

python -m benchmarks.few_subjects --maps FILE.npz
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from threadpoolctl import threadpool_limits

from common.cli import run_script
from common.errors import UserError
from data.motion.alignment import find_frame, into_frame
from data.motion.flow import face_mask, remove_head_motion
from loso.at_once import class_scores
from loso.folds import Fold
from loso.metrics import scores
from loso.prior import prior_epochs
from loso.synthetic_weights import load_synthetic
from models.motion import MotionNet, as_motion_net
from models.registry import Plan, make_network

SIZES = (1, 5, 20)


def main(maps: Path, draws: int = 20, seed: int = 1) -> None:
    """Score `directed` from nothing and from synthetic weights, by subjects trained on.

    With 1, 5 and 20 subjects: trained on so many drawn at random, tested on all the others, the
    mean and the spread over draws. With all: leave-one-subject-out, pooled. Zero-shot beside it.

    Args:
        maps: an .npz of maps onset_apex (N, 3, S, S), label (N,) and data_sub (N,).
        draws: of training subjects, for each size.
        seed: of the draws.
    """
    x, labels, subjects = read(maps)
    threadpool_limits(1)  # small matrices: more threads wait for each other
    torch.set_num_threads(1)
    starts = {
        "from nothing": as_motion_net(make_network("directed", Plan("motion"))),
        "synthetic": load_synthetic("directed"),
    }
    zero_shot = class_scores(starts["synthetic"], x).argmax(1)
    print(f"zero-shot: UF1 {scores(labels, zero_shot, 3).uf1:.3f}")
    everyone = np.unique(subjects)
    rng = np.random.default_rng(seed)
    for size in (n for n in SIZES if n < len(everyone)):
        chosen = [rng.choice(everyone, size, replace=False) for _ in range(draws)]
        reached: dict[str, list[float]] = {name: [] for name in starts}
        for names in track(chosen, f"{size} subjects", transient=True):
            fold = _fold("drawn", np.isin(subjects, names))
            for name, net in starts.items():
                predicted = _train(net, x, labels, subjects, fold, name).argmax(1)
                reached[name].append(scores(labels[fold.test], predicted, 3).uf1)
        for name, values in reached.items():
            told = f"UF1 {np.mean(values):.3f}, spread {np.std(values):.3f}"
            print(f"{size} subjects, {name}: {told}")
    for name, net in starts.items():
        predicted = np.empty_like(labels)
        for fold in track(each_subject(subjects), f"all, {name}", transient=True):
            predicted[fold.test] = _train(net, x, labels, subjects, fold, name).argmax(1)
        found = scores(labels, predicted, 3)
        print(f"all but one subject, {name}: UF1 {found.uf1:.3f}, UAR {found.uar:.3f}")


def read(path: Path, phase: str = "onset_apex") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (N, 3, 28, 28) in this project's frame, labels (N,) and subjects (N,) of an .npz."""
    try:
        with np.load(path, allow_pickle=False) as content:
            raw, labels, subjects = (content[k] for k in (phase, "label", "data_sub"))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--maps {path}: no .npz of {phase}, label, data_sub ({error})") from error
    frame, unsure = find_frame(raw.astype(np.float32))
    print(f"{len(raw)} maps of {len(set(subjects))} subjects; {frame} (unsure by {unsure:.3f})")
    maps = np.stack([into_frame(one.astype(np.float32), frame) for one in raw])
    moved = remove_head_motion(maps[:, :2])
    low = maps[:, 2:].min((2, 3), keepdims=True)
    return np.concatenate([moved, maps[:, 2:] - low], 1) * face_mask(28), labels, subjects


def each_subject(subjects: np.ndarray) -> list[Fold]:
    """Leave-one-subject-out folds of clips whose subjects (N,) are given."""
    return [_fold(one, subjects != one) for one in np.unique(subjects)]


def _fold(name: str, train: np.ndarray) -> Fold:
    return Fold(name, np.flatnonzero(train), np.flatnonzero(~train))


def _train(
    net: MotionNet,
    maps: np.ndarray,
    labels: np.ndarray,
    subjects: np.ndarray,
    fold: Fold,
    start: str,
) -> np.ndarray:
    """Class scores of a fold's test clips."""
    more: dict[str, Any] = {"shares": (0.0,)} if start == "from nothing" else {}
    torch.manual_seed(0)
    return class_scores(
        prior_epochs(copy.deepcopy(net), maps, labels, subjects, fold, 9, **more)[1],
        maps[fold.test],
    )


if __name__ == "__main__":
    run_script(main)
