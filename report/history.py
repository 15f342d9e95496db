"""An experiment epoch by epoch: losses and running UF1, per fold and pooled over folds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError
from loso.metrics import uf1_by_epoch
from loso.records import (
    chosen_epoch,
    epoch_predictions,
    epoch_uf1,
    read_records,
    record_labels,
    tells_units,
)


@dataclass(frozen=True)
class History:
    """The course of an experiment: F folds, E epochs.

    records: the F fold records. epochs: (E,), their numbers. train_loss, test_loss, fold_uf1:
    (F, E); a loss is NaN where a record has none (nothing was trained). pooled_uf1: (E,), over
    the clips of all folds; its end is `last`. best: (F,), the position of each fold's best
    epoch; best_uf1: UF1 with every fold taken there.
    """

    experiment: str
    records: list[dict]
    epochs: np.ndarray
    train_loss: np.ndarray
    test_loss: np.ndarray
    fold_uf1: np.ndarray
    pooled_uf1: np.ndarray
    best: np.ndarray
    best_uf1: float

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.records[0]["classes"])

    @property
    def mean_train_loss(self) -> np.ndarray:
        """Training loss (E,): the mean over folds, whose training sets are nearly one size."""
        return self.train_loss.mean(0)

    @property
    def mean_test_loss(self) -> np.ndarray:
        """Held-out loss (E,): the mean over all held-out clips."""
        return np.average(self.test_loss, axis=0, weights=[len(r["clips"]) for r in self.records])


def read_history(folder: Path) -> History:
    """The course of the experiment in a folder; UserError where no fold is, or folds differ."""
    records = read_records(folder)
    if not records:
        raise UserError(f"{folder}: no fold record in it; run a train_me_loso script first")
    if tells_units(records[0]):
        raise UserError(f"{folder}: tells action units; its scores are in units.csv")
    epochs = [epoch["epoch"] for epoch in records[0]["epochs"]]
    for record in records[1:]:
        if [epoch["epoch"] for epoch in record["epochs"]] != epochs:
            raise UserError(
                f"{folder}: fold {record['data_sub']} has other epochs than "
                f"{records[0]['data_sub']}; delete the one that is wrong and run again"
            )
    classes = len(records[0]["classes"])
    labels = np.concatenate([record_labels(record) for record in records])
    predictions = [epoch_predictions(record) for record in records]
    best = np.array([chosen_epoch(record, "best") for record in records])
    at_best = np.concatenate([rows[i] for rows, i in zip(predictions, best)])
    return History(
        experiment=folder.name,
        records=records,
        epochs=np.array(epochs),
        train_loss=_losses(records, "train_loss"),
        test_loss=_losses(records, "test_loss"),
        fold_uf1=np.stack([epoch_uf1(record) for record in records]),
        pooled_uf1=uf1_by_epoch(labels, np.concatenate(predictions, axis=1), classes),
        best=best,
        best_uf1=float(uf1_by_epoch(labels, at_best[None], classes)[0]),
    )


def _losses(records: list[dict], name: str) -> np.ndarray:
    rows = [[epoch.get(name) for epoch in record["epochs"]] for record in records]
    return np.array(rows, dtype=float)  # None becomes NaN
