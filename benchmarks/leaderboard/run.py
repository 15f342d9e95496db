"""Running the leaderboard's rows, one after the other, with the time that is left for all."""

import time
from collections.abc import Sequence

import pandas as pd

from common.errors import UserError
from common.parallel import cores
from loso.config import check_folder
from loso.experiment import run_experiment
from loso.folds import inner_folds, plan_folds

from .rows import Row


def check_rows(rows: Sequence[Row], index: pd.DataFrame) -> int:
    """How many folds each row has. UserError, before any is trained, where one cannot be run.

    index: of the clips. A row whose records are of other settings is such a one.
    """
    for settings in (row.settings for row in rows):
        try:
            check_folder(settings, {"settings": settings.facts()})
        except UserError as error:
            what, _, _ = str(error).partition("; --overwrite")
            raise UserError(f"{what}; --out goes elsewhere") from error
    folds = plan_folds(index, rows[0].settings)
    for inner in {row.settings.inner: row.settings for row in rows if row.settings.inner}.values():
        for fold in folds:
            inner_folds(fold, index, inner)
    return len(folds)


def run_rows(rows: Sequence[Row], folds: int) -> None:
    """Run what has no record yet, of so many folds a row, and say how long all may take."""
    todo = [row.seconds(folds - len(list(row.settings.folder.glob("fold_*.json")))) for row in rows]
    start = time.monotonic()
    for number, row in enumerate(rows):
        pace = _pace(time.monotonic() - start, sum(todo[:number]), row.settings.workers or cores())
        left, rest = (_minutes(pace * sum(todo[first:])) for first in (number, number + 1))
        print(
            f"row {number + 1}/{len(rows)}, {row.name}: about {left} left for all rows, {rest} "
            "of it for those that follow",
            flush=True,
        )
        run_experiment(row.settings)


def _pace(taken: float, done: float, workers: int) -> float:
    """Seconds that a second of the rows' work takes, after so much of it was done in `taken`.

    Little has been seen at first: a minute's work counts as if all workers had shared it.
    """
    return (taken + 60 / workers) / (done + 60)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} minutes"
