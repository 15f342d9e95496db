"""The task of an index: which classes, by name, its labels stand for."""

import pandas as pd

from common.errors import UserError
from data.corpora.known import AU, CLASSES, CORPORA, OWN
from data.corpora.units import CD6ME, shown_units


def task_of(index: pd.DataFrame) -> str:
    """The task that an index names in its column `task`; "" where it names none.

    UserError where it names several.
    """
    named = sorted(set(index["task"]) - {""}) if "task" in index else []
    if len(named) > 1:
        raise UserError(f"its rows are of several tasks ({', '.join(named)}): one index has one")
    return named[0] if named else ""


def class_names(index: pd.DataFrame, classes: int = 3) -> tuple[str, ...]:
    """The names of an index's classes, in the order of its labels.

    classes: how many there are, where the index does not name its task. Of clips of one's own they
    are the words of its column `emotion`; of action units, the units. UserError where corpora do
    not share the task's classes.
    """
    task = task_of(index)
    if task == "":
        if classes not in CLASSES:
            raise UserError(
                f"names no task (column task), so it is of 3 or 5 classes, not {classes}"
            )
        return CLASSES[classes]
    if task == AU:
        return tuple(f"AU{number}" for number in CD6ME)
    if task == OWN:
        return _own_names(index)
    first, *others = index["data"].unique()
    names = CORPORA[first].tasks[task].classes
    for other in others:
        if CORPORA[other].tasks[task].classes != names:
            raise UserError(
                f"{first} and {other} have other classes in task {task}: "
                f"{', '.join(names)}, and {', '.join(CORPORA[other].tasks[task].classes)}"
            )
    return names


def _own_names(index: pd.DataFrame) -> tuple[str, ...]:
    pairs = index[["label", "emotion"]].drop_duplicates().sort_values("label")
    labels, words = pairs["label"].tolist(), pairs["emotion"].tolist()
    if labels != list(range(len(labels))) or len(set(words)) != len(words):
        told = ", ".join(f"{label} {word}" for label, word in zip(labels, words))
        raise UserError(f"labels and emotions do not go together one to one from 0 on: {told}")
    return tuple(words)


def unit_targets(index: pd.DataFrame) -> list[list[int]]:
    """Which of CD6ME's 12 action units each clip shows, (N, 12) of 0 and 1."""
    if "units" not in index:
        raise UserError("the index has no column 'units'; prepare_data.py --task au makes one")
    return [shown_units(text) for text in index["units"]]
