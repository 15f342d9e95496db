"""Leave-one-subject-out: which clips a fold trains on, and which it holds out."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from common.errors import UserError
from data.corpora.description import CLASSES, CORPORA


@dataclass(frozen=True)
class Fold:
    """One held-out subject. train and test are positions in the index."""

    data_sub: str
    train: np.ndarray
    test: np.ndarray

    def seed(self, seed: int) -> int:
        """The fold's own seed: the same whichever folds ran before it."""
        digest = hashlib.sha256(f"{seed}/{self.data_sub}".encode()).digest()
        return int.from_bytes(digest[:7], "big")


def make_folds(index: pd.DataFrame, classes: int) -> list[Fold]:
    """One fold a subject, by name. UserError where a fold could not learn every class."""
    subjects = sorted(index["data_sub"].unique())
    if len(subjects) < 2:
        raise UserError(
            f"only one subject ({subjects[0]}) in the index: leave-one-subject-out needs two"
        )
    held_out = index["data_sub"].to_numpy()
    folds = [
        Fold(s, train=np.flatnonzero(held_out != s), test=np.flatnonzero(held_out == s))
        for s in subjects
    ]
    labels = index["label"].to_numpy()
    for fold in folds:
        missing = sorted(set(range(classes)) - set(labels[fold.train]))
        if missing:
            raise UserError(
                f"fold {fold.data_sub}: no clip of class {CLASSES[classes][missing[0]]} is left "
                "to train on; add clips of other subjects"
            )
    return folds


def choose_folds(folds: list[Fold], subjects: tuple[str, ...]) -> list[Fold]:
    """The folds that --subjects names: all for (), the first N for one number."""
    if not subjects:
        return folds
    if len(subjects) == 1 and subjects[0].isdigit():
        return folds[: int(subjects[0])]
    by_name = {fold.data_sub: fold for fold in folds}
    for name in subjects:
        if name not in by_name:
            raise UserError(f"--subjects {name}: no such fold; there are {', '.join(by_name)}")
    return [by_name[name] for name in subjects]


def wears_glasses(data: Iterable[str], subjects: Iterable[str]) -> np.ndarray:
    """Whether each subject wears glasses, bool (N,)."""
    return np.array([CORPORA[d].wears_glasses(s) for d, s in zip(data, subjects)])


def by_glasses(index: pd.DataFrame, with_glasses: bool) -> pd.DataFrame:
    """The clips of subjects with glasses, or of those without; UserError if there are none."""
    chosen = wears_glasses(index["data"], index["subject"]) == with_glasses
    if not chosen.any():
        flag, whom = "--without-glasses", "every subject"
        if with_glasses:
            flag, whom = "--glasses-only", "no subject"
        raise UserError(f"{flag}: {whom} of this index wears glasses")
    return index[chosen].reset_index(drop=True)
