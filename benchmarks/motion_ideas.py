"""What ideas for reading motion maps are worth: one at a time, leave-one-subject-out.

python -m benchmarks.motion_ideas --maps FOLDER
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track
from threadpoolctl import threadpool_limits

from common.cli import run_script
from common.errors import UserError
from loso.at_once import class_scores
from loso.folds import Fold, make_folds
from loso.metrics import scores
from loso.prior import fit_head, ranking, span
from loso.synthetic_weights import load_synthetic
from models.directed import Directions
from models.motion import flip, standardise

from .leaderboard.maps import read_board

Maps = np.ndarray  # (N, 3, S, S), standardised


def main(maps: Path) -> None:
    """UF1, UAR and ranking (area under the ROC curve, mean over classes) of each idea.

    Class-balanced logistic regression of one strength, pooled over held-out subjects. An idea that
    is called transductive sees the held-out subject's maps, without labels.

    Args:
        maps: as for benchmarks.leaderboard, with maps from apex to offset.
    """
    threadpool_limits(1)
    torch.set_num_threads(1)
    clips = read_board(maps, None, "auto").clips
    if clips.motion is None or clips.motion_offset is None:
        raise UserError(f"--maps {maps}: no maps from apex to offset, which some ideas read")
    labels, subjects = clips.labels.numpy(), clips.index["data_sub"].to_numpy()
    folds = make_folds(clips.index, 3)
    raw = clips.motion.numpy()
    here, back = _standard(clips.motion), _standard(clips.motion_offset)
    net = load_synthetic("directed")
    metric = _features(net.body, here)
    prior = np.log(np.clip(class_scores(net, raw), 1e-12, 1)).astype(float)
    nothing = np.zeros_like(prior)
    parted = _parted(here)
    ideas: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "u, v, strain as they are": (_flat(here), nothing),
        "without strain": (_flat(here[:, :2]), nothing),
        "strain alone": (_flat(here[:, 2:]), nothing),
        "blurred by 1.2 px": (_flat(_blurred(here, 1.2)), nothing),
        "square roots": (_flat(np.sign(here) * np.sqrt(np.abs(here))), nothing),
        "mean with the mirrored map": (_flat((here + _mirrored(here)) / 2), nothing),
        "directions, mirrored": (parted, nothing),
        "the same of apex to offset alone": (_parted(back), nothing),
        "the same of both phases": (np.concatenate([parted, _parted(back) / 2], 1), nothing),
        "the same less the subject's mean map (transductive)": (
            _centred(parted, subjects),
            nothing,
        ),
        "directions in the synthetic metric": (metric, nothing),
        "the same, synthetic prior at an eighth": (metric, prior / 8),
        "the same, at a quarter": (metric, prior / 4),
        "the same, at a half": (metric, prior / 2),
    }
    print("idea | UF1 | UAR | ranking")
    for name, (x, offset) in ideas.items():
        found = _held_out(x, labels, folds, offset, name)
        _tell(name, found, labels)
    _tell("zero-shot", prior, labels)
    _tell("zero-shot, prior 0.5 0.3 0.2", prior + np.log([0.5, 0.3, 0.2]), labels)


def _tell(name: str, logits: np.ndarray, labels: np.ndarray) -> None:
    found = scores(labels, logits.argmax(1), 3)
    print(f"{name} | {found.uf1:.3f} | {found.uar:.3f} | {ranking(logits, labels):.3f}", flush=True)


def _held_out(
    x: np.ndarray, labels: np.ndarray, folds: list[Fold], offset: np.ndarray, name: str
) -> np.ndarray:
    """Logits (N, C) of each subject's clips from regression on all the others'."""
    logits = np.empty_like(offset)
    for fold in track(folds, name, transient=True):
        axes = span(x[fold.train])
        weight, bias = fit_head(x[fold.train] @ axes, labels[fold.train], offset[fold.train])
        logits[fold.test] = x[fold.test] @ axes @ weight + bias + offset[fold.test]
    return logits


def _standard(maps: torch.Tensor) -> Maps:
    return standardise(maps).numpy()


def _mirrored(maps: Maps) -> Maps:
    return flip(torch.from_numpy(maps)).numpy()


def _flat(maps: Maps) -> np.ndarray:
    return maps.reshape(len(maps), -1).astype(float)


@torch.no_grad()
def _features(body: Callable, maps: Maps) -> np.ndarray:
    return body(torch.from_numpy(maps)).double().numpy()


def _parted(maps: Maps) -> np.ndarray:
    return _features(Directions(maps.shape[-1]), maps)


def _blurred(maps: Maps, sigma: float) -> Maps:
    return np.stack([[cv2.GaussianBlur(one, (0, 0), sigma) for one in three] for three in maps])


def _centred(x: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """Features less their subject's mean, where a subject has two clips or more."""
    centred = x.copy()
    for one in np.unique(subjects):
        if (subjects == one).sum() > 1:
            centred[subjects == one] -= x[subjects == one].mean(0)
    return centred


if __name__ == "__main__":
    run_script(main)
