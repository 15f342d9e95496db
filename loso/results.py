"""From fold records to result_log.csv and summary.csv."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole

from .metrics import intervals, resampled, scores
from .names import modern_facts
from .records import (
    PROTOCOLS,
    only_class,
    protocols_of,
    read_json,
    read_records,
    record_labels,
    record_predictions,
    seed_folders,
    tells_units,
)
from .selection.chance import FoldFacts, chance_uf1, fold_facts
from .settings import FREE, Settings, first_difference

LOG_COLUMNS = ["experiment", "protocol", "data", "subject", "clip", "label", "prediction", "seed"]
_LOG_ORDER = [*LOG_COLUMNS[:5], "seed"]
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
    "chance",
    "seeds",
    "uf1_sd",
    "uar_sd",
    "accuracy_sd",
    "split",
]


@dataclass(frozen=True)
class Experiment:
    """What the tables say of an experiment beside its clips.

    expected: how many subjects it holds out once it is whole. split: loso, lodo, or corpora to
    corpora by name. folds: what chance needs of them. seeds: those of its runs in the tables.
    """

    classes: tuple[str, ...]
    expected: int
    split: str
    folds: list[FoldFacts]
    seeds: tuple[int, ...]


def collect(result: Path) -> tuple[pd.DataFrame, dict[str, Experiment]]:
    """Every held-out clip of every experiment under `result`, protocol and seed; the experiments.

    Warnings name missing folds, seeds that are left out (of other settings, or with other folds
    than the first), and experiments whose predictions are all one class.
    """
    rows: list[tuple] = []
    experiments = {}
    _warn_of_seeds_alone(result)
    for folder in sorted(path.parent for path in result.glob("*/config.json")):
        config = read_json(folder / "config.json")
        records = _read_run(folder, config)
        if not records or tells_units(records[0]):
            continue
        name, facts = folder.name, _facts(config)
        runs = {facts["seed"]: records} | _further_seeds(folder, facts, records)
        for seed, run in runs.items():
            rows += _log_rows(name, seed, run)
        everyone = config.get("subjects", {})
        experiments[name] = Experiment(
            classes=tuple(records[0]["classes"]),
            expected=config.get("held_out", len(everyone)),
            split=_split(facts),
            folds=fold_facts(records),
            seeds=tuple(runs),
        )
    log = pd.DataFrame(rows, columns=LOG_COLUMNS).sort_values(_LOG_ORDER, ignore_index=True)
    return log, experiments


def _warn_of_seeds_alone(result: Path) -> None:
    for path in sorted(result.glob("*/seed_*/config.json")):
        if not (path.parents[1] / "config.json").is_file():
            warn(f"{path.parent}: left out of the tables: run its experiment's first seed too")


def _facts(config: dict) -> dict:
    """The settings in a config.json; those that came later had their defaults."""
    return Settings().facts() | modern_facts(config.get("settings", {}))


def _split(facts: dict) -> str:
    if facts["train_on"]:
        return f"{'+'.join(facts['train_on'])} to {'+'.join(facts['test_on'])}"
    return f"{facts['folds']} folds" if facts["folds"] else facts["protocol"]


def _read_run(folder: Path, config: dict) -> list[dict]:
    """The records of one seed, and warnings about them."""
    records = read_records(folder)
    everyone = config.get("subjects", {})
    missing = sorted(set(everyone) - {record["data_sub"] for record in records})
    if missing:
        clips = sum(everyone[name] for name in missing)
        warn(
            f"{folder.name}: {len(missing)} of {len(everyone)} folds ({clips} clips) are "
            f"missing: {', '.join(missing)}"
        )
    for record in records:
        if record["classes"] != records[0]["classes"]:
            raise UserError(f"{folder}: fold {record['data_sub']} has other classes")
    if records and (only := only_class(records)):
        warn(f"{folder.name}: every clip is predicted {only}: the network tells nothing apart")
    return records


def _further_seeds(folder: Path, facts: dict, first: list[dict]) -> dict[int, list[dict]]:
    """The records of an experiment's further seeds that can be averaged with its first one's."""
    runs: dict[int, list[dict]] = {}
    for path in seed_folders(folder):
        records = read_records(path)
        if not records:
            continue
        theirs = _facts(read_json(path / "config.json"))
        compared = [name for name in facts if name not in FREE | {"seed"}]
        if name := first_difference(facts, theirs, compared):
            why = f"its {name} is {theirs[name]}, not {facts[name]}"
        elif [_held_out(record) for record in records] != [_held_out(record) for record in first]:
            why = f"it has other folds or clips than {folder} (is it unfinished?)"
        elif theirs["seed"] in (facts["seed"], *runs):
            why = f"seed {theirs['seed']} is there already"
        else:
            runs[theirs["seed"]] = records
            continue
        warn(f"{path}: left out of the tables: {why}")
    return runs


def _held_out(record: dict) -> tuple:
    return record["data_sub"], record["classes"], record["clips"], protocols_of([record])


def _log_rows(experiment: str, seed: int, records: list[dict]) -> list[tuple]:
    rows = []
    for record in records:
        for protocol in protocols_of(records):
            predictions = record_predictions(record, protocol)
            for clip, label, prediction in zip(record["clips"], record_labels(record), predictions):
                names = clip["data"], clip["subject"], clip["clip"]
                rows.append((experiment, protocol, *names, int(label), int(prediction), seed))
    return rows


def summarise(log: pd.DataFrame, experiments: dict[str, Experiment]) -> pd.DataFrame:
    """UF1, UAR and accuracy with intervals: per experiment, protocol and data (full first).

    Over several seeds they are means, uf1_sd and the like their standard deviation. chance: what
    labels drawn at random reach in UF1 under the same choice of epoch; see loso.selection.chance.
    """
    rows = []
    for (name, protocol), clips in log.groupby(["experiment", "protocol"], sort=False):
        experiment = experiments[str(name)]
        groups = [("full", clips)]
        groups += [(str(data), group) for data, group in clips.groupby("data")]
        for data, group in groups:
            chance = chance_uf1(experiment.folds, protocol == "best", data)
            rows.append(
                {"experiment": name, "protocol": protocol, "data": data}
                | score_clips(group, len(experiment.classes))
                | {"chance": round(chance, 4), "split": experiment.split}
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
    """Counts, scores and intervals of rows of the log, by the names of the summary's columns.

    Scores are pooled over folds and unweighted over classes; of several seeds their mean, and the
    intervals are of that mean.
    """
    points, samples = [], []
    for _, run in clips.groupby("seed"):
        labels, predictions = run["label"].to_numpy(), run["prediction"].to_numpy()
        subjects = (run["data"] + "_" + run["subject"]).to_numpy()
        points.append(scores(labels, predictions, classes))
        samples.append(resampled(labels, predictions, subjects, classes))
    row: dict[str, int | float] = {"clips": len(run), "subjects": len(set(subjects))}
    names = ("uf1", "uar", "accuracy")
    reached = {name: [getattr(point, name) for point in points] for name in names}
    row |= {name: float(np.mean(values)) for name, values in reached.items()}
    for name, (low, high) in intervals(samples).items():
        row |= {f"{name}_low": low, f"{name}_high": high}
    row["seeds"] = len(points)
    for name, values in reached.items():
        row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(points) > 1 else float("nan")
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }


def first_seed(log: pd.DataFrame, experiments: dict[str, Experiment]) -> pd.DataFrame:
    """The log without the further seeds: what is drawn clip by clip is drawn of the first."""
    first = {name: experiment.seeds[0] for name, experiment in experiments.items()}
    return log[log["seed"] == log["experiment"].map(first)]


def write_tables(result: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as CSV, by name."""
    for name, table in tables.items():
        with write_whole(result / name) as part:
            table.to_csv(part, index=False)
