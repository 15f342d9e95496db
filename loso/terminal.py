"""The summary as a table on the terminal, and the lines that say how to read it."""

from collections.abc import Iterable

import pandas as pd
from rich.console import Console
from rich.table import Table

from .results import Experiment
from .selection.chance import REPEATS

BEST_NOTE = "best: each fold's epoch is chosen on its test subject; optimistic, for comparison only"
NESTED_NOTE = "nested: what is chosen is chosen on each fold's training subjects alone"
CHANCE_NOTE = (
    "chance: UF1 of labels drawn at random from each fold's training prior, for best the best of "
    f"as many draws as epochs (mean of {REPEATS}): a ceiling of what that choice alone adds"
)
SCORES_NOTE = (
    "UF1, UAR: unweighted means over classes of counts pooled over folds, not means over folds; "
    "accuracy: over clips"
)


def notes(protocols: Iterable[str]) -> list[str]:
    """How to read scores of these protocols, a line each."""
    nested = [NESTED_NOTE] if "nested" in set(protocols) else []
    return [*nested, CHANCE_NOTE, SCORES_NOTE]


def print_summary(summary: pd.DataFrame, experiments: dict[str, Experiment]) -> None:
    """The summary as a table on the terminal; one corpus alone is its own `full`."""
    several = bool((summary["seeds"] > 1).any())
    splits = bool((summary["split"] != "loso").any())
    table = Table()
    for name in ("experiment", *["split"] * splits, "protocol", "data"):
        table.add_column(name, no_wrap=True)
    spread = ["seeds", "UF1 sd"] * several
    for name in ("clips", "subjects", "UF1", "95%", *spread, "chance", "UAR", "95% ", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    previous = None
    # Protocols that agree in everything are one: a run of one epoch has none to choose.
    scores_of = ["experiment", "data", "uf1", "uar", "accuracy"]
    last = summary[summary["protocol"] != "nested"]
    same = last.index[(last["protocol"] == "best") & last.duplicated(scores_of)]
    shown = summary.drop(same)
    alone = shown.groupby(["experiment", "protocol"])["data"].transform("size") == 2
    for row in shown[~(alone & (shown["data"] != "full"))].to_dict("records"):
        experiment, protocol = row["experiment"], row["protocol"]
        if previous not in (None, experiment):
            table.add_section()
        previous = experiment
        expected, subjects = experiments[experiment].expected, str(row["subjects"])
        if row["data"] == "full" and row["subjects"] < expected:
            subjects += f" of {expected}"
        sd = "" if row["seeds"] == 1 else f"{row['uf1_sd']:.4f}"
        table.add_row(
            experiment,
            *[row["split"]] * splits,
            protocol + " *" * (protocol == "best"),
            row["data"],
            str(row["clips"]),
            subjects,
            f"{row['uf1']:.4f}",
            f"{row['uf1_low']:.2f}-{row['uf1_high']:.2f}",
            *[str(row["seeds"]), sd] * several,
            "" if pd.isna(row["chance"]) else f"{row['chance']:.3f}",
            f"{row['uar']:.4f}",
            f"{row['uar_low']:.2f}-{row['uar_high']:.2f}",
            f"{row['accuracy']:.4f}",
            style="dim" if protocol == "best" else None,
        )
    Console(width=200).print(table)  # as wide as its cells: names are not cut off
    print(f"* {BEST_NOTE}. 95%: bootstrap over subjects.")
    for note in notes(shown["protocol"]):
        print(f"{note}.")
