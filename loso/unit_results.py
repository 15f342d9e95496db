"""Action units: F1 of each over the folds of an experiment, and their mean."""

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from .metrics import unit_f1
from .records import read_records, tells_units, unit_predictions, unit_truth

COLUMNS = ["experiment", "protocol", "data", "unit", "clips", "shown", "said", "f1"]
MEAN = "mean"


def collect_units(result: Path) -> pd.DataFrame:
    """F1 of each unit, pooled over folds, and the mean: by experiment, protocol and data.

    One row each; `shown` and `said`: clips that show the unit, and that are said to. data is full,
    then each corpus. Empty where no experiment below `result` tells units.
    """
    rows: list[dict] = []
    for folder in sorted(path.parent for path in result.glob("*/config.json")):
        records = read_records(folder)
        if not records or not tells_units(records[0]):
            continue
        data = np.array([clip["data"] for record in records for clip in record["clips"]])
        truth = np.concatenate([unit_truth(record) for record in records])
        for protocol in ("last", "best"):
            said = np.concatenate([unit_predictions(record, protocol) for record in records])
            of = {"experiment": folder.name, "protocol": protocol}
            for name in ("full", *np.unique(data)):
                chosen = (data == name) | (name == "full")
                names = records[0]["classes"]
                rows += [of | {"data": name} | row for row in _rows(truth, said, chosen, names)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(truth: np.ndarray, said: np.ndarray, chosen: np.ndarray, names: list[str]) -> list[dict]:
    truth, said = truth[chosen], said[chosen]
    f1 = unit_f1(truth, said)
    counts = zip(names, truth.sum(0).tolist(), said.sum(0).tolist(), f1.round(4).tolist())
    rows = [
        {"unit": name, "clips": len(truth), "shown": shown, "said": so, "f1": value}
        for name, shown, so, value in counts
    ]
    total = {"unit": MEAN, "clips": len(truth), "shown": int(truth.sum()), "said": int(said.sum())}
    return [*rows, total | {"f1": round(float(f1.mean()), 4)}]


def print_units(table: pd.DataFrame) -> None:
    """The F1 of each unit, an experiment's protocols and corpora one below the other."""
    names = list(dict.fromkeys(table["unit"]))
    shown = Table("experiment", "protocol", "data", "clips", title="action units: F1")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    for (experiment, protocol, data), rows in table.groupby(
        ["experiment", "protocol", "data"], sort=False
    ):
        of = dict(zip(rows["unit"], rows["f1"]))
        marked = f"{protocol} (optimistic)" if protocol == "best" else str(protocol)
        cells = [f"{of[name]:.3f}" for name in names]
        shown.add_row(str(experiment), marked, str(data), str(rows["clips"].iloc[0]), *cells)
    Console(width=200).print(shown)
