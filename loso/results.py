"""From fold records to result_log.csv and summary.csv."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from common.errors import UserError, warn
from common.files import write_whole

from .metrics import bootstrap, scores
from .records import (
    PROTOCOLS,
    only_class,
    read_json,
    read_records,
    record_labels,
    record_predictions,
)

LOG_COLUMNS = ["experiment", "protocol", "data", "subject", "clip", "label", "prediction"]
SUMMARY_COLUMNS = [
    "experiment",
    "protocol",
    "data",
    "clips",
    "subjects",
    "uf1",
    "uar",
    "accuracy",
    "uf1_low",
    "uf1_high",
    "uar_low",
    "uar_high",
    "accuracy_low",
    "accuracy_high",
]
BEST_NOTE = "best: each fold's epoch is chosen on its test subject; optimistic, for comparison only"


def collect(result: Path) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]], dict[str, int]]:
    """Every held-out clip of every experiment under `result`, under both protocols.

    Returns the log, the class names of each experiment, and how many subjects each should
    have; warnings name missing folds, and experiments whose predictions are all one class.
    """
    rows, classes, expected = [], {}, {}
    for folder in sorted(path.parent for path in result.glob("*/config.json")):
        records = read_records(folder)
        everyone = read_json(folder / "config.json").get("subjects", {})
        missing = sorted(set(everyone) - {record["data_sub"] for record in records})
        if missing:
            clips = sum(everyone[name] for name in missing)
            warn(
                f"{folder.name}: {len(missing)} of {len(everyone)} folds ({clips} clips) are "
                f"missing: {', '.join(missing)}"
            )
        if not records:
            continue
        experiment = folder.name
        classes[experiment] = tuple(records[0]["classes"])
        expected[experiment] = len(everyone)
        if only := only_class(records):
            warn(f"{experiment}: every clip is predicted {only}: the network tells nothing apart")
        for record in records:
            if tuple(record["classes"]) != classes[experiment]:
                raise UserError(f"{folder}: fold {record['data_sub']} has other classes")
            for protocol in PROTOCOLS:
                predictions = record_predictions(record, protocol)
                for clip, label, prediction in zip(
                    record["clips"], record_labels(record), predictions
                ):
                    rows.append(
                        (
                            experiment,
                            protocol,
                            clip["data"],
                            clip["subject"],
                            clip["clip"],
                            int(label),
                            int(prediction),
                        )
                    )
    if not rows:
        raise UserError(f"{result}: no fold record in any folder; run a train_me_loso script first")
    log = pd.DataFrame(rows, columns=LOG_COLUMNS).sort_values(LOG_COLUMNS[:5], ignore_index=True)
    return log, classes, expected


def summarise(log: pd.DataFrame, classes: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """UF1, UAR and accuracy with intervals: per experiment, protocol and data (full first)."""
    rows = []
    for (experiment, protocol), clips in log.groupby(["experiment", "protocol"], sort=False):
        groups = [("full", clips)]
        groups += [(str(data), group) for data, group in clips.groupby("data")]
        for data, group in groups:
            rows.append(
                {"experiment": experiment, "protocol": protocol, "data": data}
                | score_clips(group, len(classes[str(experiment)]))
            )
    summary = pd.DataFrame(rows)[SUMMARY_COLUMNS]
    order = {protocol: i for i, protocol in enumerate(PROTOCOLS)}
    return summary.sort_values(
        ["experiment", "protocol"],
        key=lambda c: c.map(order) if c.name == "protocol" else c,
        kind="stable",
        ignore_index=True,
    )


def score_clips(clips: pd.DataFrame, classes: int) -> dict:
    """Counts, scores and intervals of rows of the log, by the names of the summary's columns."""
    labels, predictions = clips["label"].to_numpy(), clips["prediction"].to_numpy()
    subjects = (clips["data"] + "_" + clips["subject"]).to_numpy()
    point = scores(labels, predictions, classes)
    spread = bootstrap(labels, predictions, subjects, classes)
    row: dict[str, int | float] = {"clips": len(clips), "subjects": len(set(subjects))}
    row |= {"uf1": point.uf1, "uar": point.uar, "accuracy": point.accuracy}
    for name, (low, high) in spread.items():
        row |= {f"{name}_low": low, f"{name}_high": high}
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }


def write_tables(result: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as CSV, by name."""
    for name, table in tables.items():
        with write_whole(result / name) as part:
            table.to_csv(part, index=False)


def print_summary(summary: pd.DataFrame, expected: dict[str, int]) -> None:
    """The summary as a table on the terminal; one corpus alone is its own `full`."""
    table = Table()
    for name in ("experiment", "protocol", "data"):
        table.add_column(name, no_wrap=True)
    for name in ("clips", "subjects", "UF1", "95%", "UAR", "95% ", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    previous = None
    # Protocols that agree in everything are one: a run of one epoch has none to choose.
    scores_of = ["experiment", "data", "uf1", "uar", "accuracy"]
    summary = summary[~((summary["protocol"] == "best") & summary.duplicated(scores_of))]
    alone = summary.groupby(["experiment", "protocol"])["data"].transform("size") == 2
    for row in summary[~(alone & (summary["data"] != "full"))].to_dict("records"):
        experiment, protocol = row["experiment"], row["protocol"]
        if previous not in (None, experiment):
            table.add_section()
        previous = experiment
        subjects = str(row["subjects"])
        if row["data"] == "full" and row["subjects"] < expected[experiment]:
            subjects += f" of {expected[experiment]}"
        table.add_row(
            experiment,
            protocol + " *" * (protocol == "best"),
            row["data"],
            str(row["clips"]),
            subjects,
            f"{row['uf1']:.4f}",
            f"{row['uf1_low']:.2f}-{row['uf1_high']:.2f}",
            f"{row['uar']:.4f}",
            f"{row['uar_low']:.2f}-{row['uar_high']:.2f}",
            f"{row['accuracy']:.4f}",
            style="dim" if protocol == "best" else None,
        )
    Console(width=200).print(table)  # as wide as its cells: names are not cut off
    print(f"* {BEST_NOTE}. 95%: bootstrap over subjects.")
