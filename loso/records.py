"""Fold records and config.json: what a run leaves behind."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import write_whole

from .metrics import later_best, scores, uf1_by_epoch, unit_f1

FORMAT = 1
PROTOCOLS = ("last", "nested", "best")


def record_path(folder: Path, data_sub: str) -> Path:
    """Where a fold's record lies."""
    return folder / f"fold_{data_sub}.json"


def write_json(path: Path, content: dict) -> None:
    """Write JSON, whole or not at all. ValueError for numbers that JSON has no word for."""
    text = json.dumps(content, indent=None, allow_nan=False) + "\n"
    with write_whole(path) as part:
        part.write_text(text)


def read_json(path: Path) -> dict:
    """Read a JSON object; UserError if the file is cut off or is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cut off or not JSON; delete it and run again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object; delete it and run again")
    return content


def epoch_record(
    fold: str, number: int, train_loss: float | None, test_loss: float, scores: np.ndarray
) -> dict:
    """What a record keeps of a fold's epoch; train_loss is None where nothing was trained.

    scores: (N, C), kept to six digits. UserError, naming fold and epoch, where training has
    diverged: a loss or a score that is no finite number says nothing about a clip.
    """
    advice = "take other --weights" if train_loss is None else "lower --lr"
    for what, values in (("loss", train_loss), ("held-out loss", test_loss), ("scores", scores)):
        if values is not None:
            check_converging(fold, number, what, values, advice)
    return {
        "epoch": number,
        "train_loss": train_loss,
        "test_loss": test_loss,
        "scores": np.asarray(scores, float).round(6).tolist(),
    }


def check_converging(
    fold: str, epoch: int, what: str, values: float | np.ndarray, advice: str = "lower --lr"
) -> None:
    """UserError where one of an epoch's values is no finite number."""
    values = np.asarray(values, float)
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        verb = "are" if values.ndim else "is"
        raise UserError(f"fold {fold}, epoch {epoch}: the {what} {verb} {wrong[0]}; {advice}")


def read_record(path: Path) -> dict:
    """Read and check one fold record; UserError names the file and the fault."""
    record = read_json(path)
    if record.get("format") != FORMAT:
        raise UserError(
            f"{path}: format {record.get('format')}, this version reads {FORMAT}; move it away"
        )
    for key in ("experiment", "data_sub", "classes", "clips", "epochs"):
        if not record.get(key):
            raise UserError(f"{path}: no '{key}' in it; delete it and run again")
    shape = (len(record["clips"]), len(record["classes"]))
    parts = [(f"epoch {epoch.get('epoch')}", epoch) for epoch in record["epochs"]]
    if "nested" in record:
        if not isinstance(record["nested"], dict):
            raise UserError(f"{path}: 'nested' is no object; delete it and run again")
        parts.append(("nested", record["nested"]))
    for what, part in parts:
        rows = part.get("scores") or []
        if [len(row) for row in rows] != [shape[1]] * shape[0]:
            raise UserError(
                f"{path}: {what} has no {shape[0]} x {shape[1]} scores; delete it and run again"
            )
        losses = [part.get(name) for name in ("train_loss", "test_loss")]
        numbers = [loss for loss in losses if loss is not None] + [n for row in rows for n in row]
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise UserError(
                f"{path}: {what} has a loss or scores that are no finite "
                "numbers: the run diverged; delete it and run again with a lower --lr"
            )
    return record


def read_records(folder: Path) -> list[dict]:
    """All fold records of an experiment, by name of the fold."""
    return [read_record(path) for path in sorted(folder.glob("fold_*.json"))]


def seed_folders(folder: Path) -> list[Path]:
    """The folders of an experiment's further seeds (--seeds), by seed."""
    found = [path for path in folder.glob("seed_*") if path.name[5:].isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name[5:]))


def protocols_of(records: Iterable[dict]) -> tuple[str, ...]:
    """The protocols that all records can be read under: nested where they were run with it."""
    nested = all("nested" in record for record in records)
    return tuple(name for name in PROTOCOLS if nested or name != "nested")


def record_labels(record: dict) -> np.ndarray:
    """True labels of a fold's clips (N,)."""
    return np.array([clip["label"] for clip in record["clips"]])


def epoch_predictions(record: dict) -> np.ndarray:
    """Predictions (E, N) of a fold's clips after each epoch."""
    return np.argmax([epoch["scores"] for epoch in record["epochs"]], axis=2)


def tells_units(record: dict) -> bool:
    """Whether a fold tells action units: its clips say which ones they show."""
    return "units" in record["clips"][0]


def unit_truth(record: dict) -> np.ndarray:
    """Which units a fold's clips show, bool (N, U)."""
    return np.array([clip["units"] for clip in record["clips"]], bool)


def unit_predictions(record: dict, protocol: str) -> np.ndarray:
    """Which units a fold's clips are said to show under a protocol, bool (N, U): from 0.5 on."""
    return np.array(record["epochs"][chosen_epoch(record, protocol)]["scores"]) >= 0.5


def epoch_uf1(record: dict) -> np.ndarray:
    """UF1 (E,) on a fold's held-out subject after each epoch; of units the mean F1."""
    if tells_units(record):
        truth = unit_truth(record)
        said = [np.array(epoch["scores"]) >= 0.5 for epoch in record["epochs"]]
        return np.array([unit_f1(truth, one).mean() for one in said]).round(12)
    return uf1_by_epoch(record_labels(record), epoch_predictions(record), len(record["classes"]))


def chosen_epoch(record: dict, protocol: str) -> int:
    """Which of a fold's epochs `last` or `best` takes, counted from 0.

    last: the final epoch. best: the epoch with the highest UF1 on the held-out subject, the
    later of equals: optimistic, since it selects on the test subject.
    """
    return len(record["epochs"]) - 1 if protocol == "last" else later_best(epoch_uf1(record))


def record_predictions(record: dict, protocol: str) -> np.ndarray:
    """Predictions of a fold's clips (N,) under a protocol: of its epoch, or of `nested`'s choice.

    `nested` may be of other settings than the epochs are, so it has scores of its own.
    """
    of_nested = protocol == "nested"
    chosen = record["nested"] if of_nested else record["epochs"][chosen_epoch(record, protocol)]
    return np.argmax(chosen["scores"], axis=1)


def only_class(records: Iterable[dict]) -> str | None:
    """The class that every clip is predicted as, under `last`; None where there are several.

    None too where the clips are of one class: then that may be right.
    """
    records = list(records)
    if any(map(tells_units, records)):
        return None
    predicted = {int(p) for record in records for p in record_predictions(record, "last")}
    true = {clip["label"] for record in records for clip in record["clips"]}
    if len(predicted) != 1 or len(true) < 2:
        return None
    return records[0]["classes"][predicted.pop()]


def pooled_uf1(records: Iterable[dict]) -> float:
    """UF1 of the folds so far, under `last`; of units the mean F1."""
    records = list(records)
    if tells_units(records[0]):
        truth = np.concatenate([unit_truth(record) for record in records])
        said = np.concatenate([unit_predictions(record, "last") for record in records])
        return float(unit_f1(truth, said).mean())
    labels = np.concatenate([record_labels(record) for record in records])
    predictions = np.concatenate([record_predictions(record, "last") for record in records])
    return scores(labels, predictions, len(records[0]["classes"])).uf1
