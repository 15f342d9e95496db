"""Subjects with glasses beside the rest: what taking glasses off in 3D is worth."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from .folds import wears_glasses
from .results import Experiment, score_clips

GROUPS = ("glasses", "no glasses")


def summarise_groups(log: pd.DataFrame, experiments: dict[str, Experiment]) -> pd.DataFrame:
    """UF1, UAR, accuracy with intervals of held-out subjects with and without glasses.

    One row an experiment, protocol and group: columns as in summary.csv, with `group` in the
    place of `data`. A network that was trained on everyone is scored in both groups, one that
    was trained on one group in that alone.
    """
    with_glasses = wears_glasses(log["data"], log["subject"])
    group = pd.Series(GROUPS[1], index=log.index).mask(with_glasses, GROUPS[0])
    rows = [
        {"experiment": experiment, "protocol": protocol, "group": name}
        | score_clips(clips, len(experiments[str(experiment)].classes))
        for (experiment, protocol, name), clips in log.groupby(["experiment", "protocol", group])
    ]
    return pd.DataFrame(rows)


def print_groups(groups: pd.DataFrame) -> None:
    """UF1 under `last`, both groups side by side."""
    last = groups[groups["protocol"] == "last"]
    table = Table("experiment", title="by glasses of the held-out subject, protocol last")
    for name in GROUPS:
        for column in (name, "UF1", "95%"):
            table.add_column(column, justify="right", no_wrap=True)
    for experiment, rows in last.groupby("experiment"):
        cells = []
        for name in GROUPS:
            of_group = rows[rows["group"] == name]
            if of_group.empty:
                cells += ["-", "", ""]
                continue
            row = of_group.iloc[0]
            cells += [
                f"{row.clips} clips, {row.subjects} subjects",
                f"{row.uf1:.4f}",
                f"{row.uf1_low:.2f}-{row.uf1_high:.2f}",
            ]
        table.add_row(str(experiment), *cells)
    Console(width=200).print(table)
