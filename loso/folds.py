"""Which clips a fold trains on, and which it holds out: a subject, a corpus, or corpora by name."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from common.errors import UserError
from data.corpora.known import AU, CORPORA
from data.index_task import class_names, task_of

if TYPE_CHECKING:
    from .settings import Settings


@dataclass(frozen=True)
class Fold:
    """What is held out, by name: a subject, or corpora. train and test: positions in the index."""

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
    return _leave_out(index, "data_sub", subjects, classes)


def plan_folds(index: pd.DataFrame, settings: "Settings") -> list[Fold]:
    """The folds of an experiment: one a subject, a group of them, a corpus, or of corpora by name.

    UserError, as make_folds, and where the index has not the corpora that it takes.
    """
    corpora = sorted(index["data"].unique())
    if settings.train_on:
        return [_corpora_fold(index, settings, corpora)]
    if settings.folds:
        return _group_folds(index, settings)
    if settings.protocol == "lists":
        return _listed_folds(index, settings.classes)
    if settings.protocol in ("cde", "hde"):
        _check_megc2018(index, settings.protocol)
    if settings.protocol in ("loso", "cde"):
        return make_folds(index, settings.classes)
    if len(corpora) < 2:
        raise UserError(
            f"--protocol lodo: {corpora[0]} is the only corpus in the index, and leaving one out "
            "needs two; take --dataset composite"
        )
    return _leave_out(index, "data", corpora, settings.classes)


def _group_folds(index: pd.DataFrame, settings: "Settings") -> list[Fold]:
    """--folds: groups of subjects, each class spread over them as evenly as it can be."""
    subjects = index["data_sub"].to_numpy()
    if (number := len(set(subjects))) < settings.folds:
        raise UserError(f"--folds {settings.folds}: the index has {number} subjects")
    groups = subject_groups(index["label"].to_numpy(), subjects, settings.folds, settings.seed)
    names = [f"group_{group + 1:02d}" for group in groups]
    return _leave_out(index.assign(group=names), "group", sorted(set(names)), settings.classes)


def _listed_folds(index: pd.DataFrame, classes: int) -> list[Fold]:
    """--protocol lists: trained on the corpus's training list, tested on each of its others."""
    lists = index["list"].to_numpy() if "list" in index else np.array([], str)
    others = sorted(set(lists) - {"train", ""})
    if "train" not in lists or not others:
        has = f"its clips are of {', '.join(others) or 'none'}" if len(lists) else "it has no lists"
        raise UserError(
            "--protocol lists: needs an index of a training list and a test list, and "
            f"{has}; prepare_data.py dfme --annotation TRAIN TEST … makes one"
        )
    train = np.flatnonzero(lists == "train")
    folds = [Fold(name, train, np.flatnonzero(lists == name)) for name in others]
    for fold in folds:
        both = set(index["data_sub"].iloc[train]) & set(index["data_sub"].iloc[fold.test])
        if both:
            raise UserError(f"--protocol lists: {min(both)} is in train and in {fold.data_sub}")
    return _checked(folds, index, classes)


def _check_megc2018(index: pd.DataFrame, protocol: str) -> None:
    """UserError for an index that is not MEGC 2018's: CASME II and SAMM, objective classes."""
    corpora, task = sorted(index["data"].unique()), task_of(index)
    if corpora != ["casme2", "samm"] or task != "objective":
        raise UserError(
            f"--protocol {protocol} is of CASME II and SAMM with objective classes, and the index "
            f"has {', '.join(corpora)} with task {task or 'of none'}; prepare_data.py join "
            "--corpora casme2 samm --task objective makes it"
        )


def _leave_out(index: pd.DataFrame, column: str, names: list[str], classes: int) -> list[Fold]:
    held_out = index[column].to_numpy()
    folds = [
        Fold(name, train=np.flatnonzero(held_out != name), test=np.flatnonzero(held_out == name))
        for name in names
    ]
    return _checked(folds, index, classes)


def _corpora_fold(index: pd.DataFrame, settings: "Settings", corpora: list[str]) -> Fold:
    for option, names in (("--train-on", settings.train_on), ("--test-on", settings.test_on)):
        for name in names:
            if name not in corpora:
                raise UserError(
                    f"{option} {name}: no such corpus in the index; there are {', '.join(corpora)}"
                )
    train = np.flatnonzero(index["data"].isin(settings.train_on))
    test = np.flatnonzero(index["data"].isin(settings.test_on))
    fold = Fold("+".join(sorted(set(settings.test_on))), train, test)
    return _checked([fold], index, settings.classes)[0]


def _checked(folds: list[Fold], index: pd.DataFrame, classes: int) -> list[Fold]:
    """The folds; UserError where one could not learn every class."""
    labels, names = index["label"].to_numpy(), class_names(index, classes)
    if task_of(index) == AU:
        return folds  # which may lack some unit
    for fold in folds:
        missing = sorted(set(range(classes)) - set(labels[fold.train]))
        if missing:
            there = sorted(set(index["data"].iloc[fold.train]))
            hint = "add clips of other subjects"
            if len(there) < index["data"].nunique():
                hint = f"{' and '.join(there)} has none; --protocol loso learns from all"
            raise UserError(
                f"fold {fold.data_sub}: no clip of class {names[missing[0]]} is left "
                f"to train on; {hint}"
            )
    return folds


def inner_folds(fold: Fold, index: pd.DataFrame, settings: "Settings") -> list[Fold]:
    """A fold's training clips split again, by subject: each inner fold holds out one group.

    Of the fold's held-out clips nothing is read. UserError where there are fewer training subjects
    than groups, or where an inner fold could not learn every class.
    """
    labels = index["label"].to_numpy()[fold.train]
    subjects = index["data_sub"].to_numpy()[fold.train]
    if (number := len(set(subjects))) < settings.inner:
        raise UserError(
            f"--inner {settings.inner}: fold {fold.data_sub} has {number} training subjects; "
            "at most so many groups"
        )
    group = subject_groups(labels, subjects, settings.inner, fold.seed(settings.seed))
    folds = []
    for number in range(settings.inner):
        name = f"{fold.data_sub}, inner group {number + 1}"
        folds.append(Fold(name, fold.train[group != number], fold.train[group == number]))
    return _checked(folds, index, settings.classes)


def subject_groups(labels: np.ndarray, subjects: np.ndarray, groups: int, seed: int) -> np.ndarray:
    """A group (N,) for each clip: whole subjects, each class spread as evenly as they allow.

    Subjects go, those with the most clips first and equals in an order drawn from `seed`, where
    the least of their classes' clips lie so far; of equals to the group with the fewest clips. No
    group stays empty where there are as many subjects.
    """
    names, subject = np.unique(subjects, return_inverse=True)
    counts = np.zeros((len(names), labels.max() + 1))
    np.add.at(counts, (subject, labels), 1)
    totals = np.maximum(counts.sum(0), 1)
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(-counts[drawn].sum(1), kind="stable")]
    filled = np.zeros((groups, counts.shape[1]))
    group_of = np.empty(len(names), int)
    for name in order:
        # What the sum of squares of the groups' shares of each class would grow by.
        met = (filled / totals**2 @ counts[name]).round(12)
        group_of[name] = np.lexsort((filled.sum(1), met))[0]
        filled[group_of[name]] += counts[name]
    return group_of[subject]


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
    return np.array(
        [d in CORPORA and CORPORA[d].wears_glasses(s) for d, s in zip(data, subjects)], bool
    )


def by_glasses(index: pd.DataFrame, with_glasses: bool) -> pd.DataFrame:
    """The clips of subjects with glasses, or of those without; UserError if there are none."""
    chosen = wears_glasses(index["data"], index["subject"]) == with_glasses
    if not chosen.any():
        flag, whom = "--without-glasses", "every subject"
        if with_glasses:
            flag, whom = "--glasses-only", "no subject"
        raise UserError(f"{flag}: {whom} of this index wears glasses")
    return index[chosen].reset_index(drop=True)
