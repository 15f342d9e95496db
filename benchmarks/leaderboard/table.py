"""The leaderboard as a table: from the rows' fold records to CSV, Markdown and a page."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from common.files import write_whole
from common.version import VERSION
from loso.records import read_json, read_records
from loso.results import collect, summarise
from loso.selection.chance import REPEATS
from loso.terminal import BEST_NOTE, NESTED_NOTE, SCORES_NOTE
from report.page import write_leaderboard

from .maps import Board
from .rows import CHOICE, ENSEMBLE, MEMBERS, Row

SCORES = ("uf1", "uar", "accuracy")
ENDS = ("", "_low", "_high")
NAMES = {"smic": "SMIC", "casme2": "CASME II", "samm": "SAMM"}
CORPUS_PREFIX = "uf1_"


def make_table(rows: Sequence[Row], out: Path) -> pd.DataFrame:
    """One line a row, from the records below `out`: the columns of leaderboard.csv.

    Scores and their 95% intervals are last_uf1, last_uf1_low, …, nested_…, best_…; a choice has
    those of nested alone. Where a row has nothing to choose, nested is last. chance_last and
    chance_best: UF1 of labels drawn at random. uf1_<corpus>: under last, of a choice under nested.
    """
    log, experiments = collect(out)
    names = {row.name for row in rows}
    summary = summarise(log[log["experiment"].isin(names)], experiments)
    lines = []
    for row in rows:
        config = read_json(row.settings.folder / "config.json")
        own = summary[summary["experiment"] == row.name]
        lines.append(_facts(row) | _scores(row, own) | {"commit": config.get("git_commit")})
    table = pd.DataFrame(lines)
    counts = ["parameters", "epochs", "published_epochs", "inner"]  # none in some rows
    return table.astype(dict.fromkeys(counts, "Int64"))


def _facts(row: Row) -> dict:
    """What a row is, and how long its folds took."""
    records = read_records(row.settings.folder)
    return {
        "row": row.name,
        "network": "+".join(row.networks),
        "source": "" if row.is_choice else row.entry.source,
        "parameters": row.parameters,
        "weights": row.settings.first_weights,
        "trained": row.settings.adapt,
        "epochs": None if row.is_choice else row.settings.passes,
        "published_epochs": None if row.is_choice else row.published.get("epochs"),
        "learning_rate": row.settings.learning.lr if row.settings.passes > 1 else None,
        "published_rate": None if row.is_choice else row.published.get("lr"),
        "clips": sum(len(record["clips"]) for record in records),
        "subjects": len(records),
        "inner": row.settings.inner or None,
        "seconds": round(sum(record["seconds"] for record in records), 1),
    }


def _scores(row: Row, own: pd.DataFrame) -> dict:
    """A row's scores, from its part of the summary."""
    found = {(line["protocol"], line["data"]): line for line in own.to_dict("records")}
    scores: dict[str, float | None] = {}
    for protocol in ("last", "nested", "best"):
        line = found.get((protocol, "full"), found["last", "full"])  # nothing to choose
        shown = protocol == "nested" or not row.is_choice
        for name in (f"{score}{end}" for score in SCORES for end in ENDS):
            scores[f"{protocol}_{name}"] = line[name] if shown else None
        if protocol != "nested":
            scores[f"chance_{protocol}"] = line["chance"] if shown else None
    headline = "nested" if row.is_choice else "last"
    for data in NAMES:
        if (headline, data) in found:
            scores[f"{CORPUS_PREFIX}{data}"] = found[headline, data]["uf1"]
    return scores


def make_notes(rows: Sequence[Row], board: Board, table: pd.DataFrame) -> list[str]:
    """How to read the table, a line each."""
    index = board.clips.index
    corpora = [
        f"{NAMES[str(data)]} {len(clips)} of {clips['data_sub'].nunique()}"
        for data, clips in index.groupby("data", sort=False)
    ]
    lost = len(board.clips.left_out)
    one_draw = table["chance_last"].dropna()
    epochs = sorted(
        {row.settings.inner for row in rows if row.settings.inner and not row.is_choice}
    )
    choices = sorted({row.settings.inner for row in rows if row.is_choice})
    return [
        f"{len(index)} clips of {index['data_sub'].nunique()} subjects ({', '.join(corpora)})"
        + (f"; {lost} more have no map and are left out" if lost else ""),
        f"maps: {board.source}; the face in them: {board.frame}",
        "each subject is held out once (leave-one-subject-out); 95%: bootstrap over subjects",
        SCORES_NOTE,
        "last: the final epoch; nothing of the held-out subject was used",
        NESTED_NOTE
        + "".join(f": the epoch on {number} groups of them" for number in epochs)
        + "".join(f"; the network of a choice on {number} groups" for number in choices)
        + "; with one epoch and one network nothing is chosen, and nested is last",
        *([
            f"{CHOICE}: one of {', '.join(rows[-1].networks)} in each fold; {ENSEMBLE}: the mean "
            f"of up to {MEMBERS} of them; no other protocol is of these rows"
        ] if choices else []),
        BEST_NOTE,
        "chance: UF1 of labels drawn at random from each fold's training prior, the best on the "
        f"test subject of as many draws as the row has epochs (mean of {REPEATS}): a ceiling of "
        "what that choice alone adds"
        + (f"; one draw reaches {one_draw.iloc[0]:.2f}" if len(one_draw) else ""),
        "epochs: as many as were run, by the time that they take; the paper's in brackets where "
        "they differ; rates and batches differ too, see docs/motion.md",
        "parameters: none are counted where the training maps are kept. seconds: of training, the "
        "folds' sum",
        f"DSNCA {VERSION}, commit {', '.join(str(one)[:10] for one in table['commit'].unique())}",
    ]  # fmt: skip


HEADS = (
    "row", "source", "parameters", "weights", "epochs", "UF1 last", "UAR last", "accuracy last",
    "UF1 nested", "UF1 best †", "chance †",
)  # fmt: skip
STARTS = {"all": "tuned", "none": "zero-shot"}


def make_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The heads and cells of Markdown and page, as text."""
    corpora = [name for name in NAMES if f"{CORPUS_PREFIX}{name}" in table]
    heads = [*HEADS, *(NAMES[name] for name in corpora), "seconds"]
    cells = []
    for line in table.to_dict("records"):
        one = line["parameters"]
        start = line["weights"]
        cells.append([
            line["row"],
            line["source"],
            "" if pd.isna(one) else f"{one:,.0f}",
            start if start == "none" else f"{start}, {STARTS[line['trained']]}",
            _epochs(line),
            *(_interval(line, "last", score) for score in SCORES),
            _interval(line, "nested", "uf1"),
            _number(line["best_uf1"]),
            _number(line["chance_best"]),
            *(_number(line[f"{CORPUS_PREFIX}{name}"]) for name in corpora),
            f"{line['seconds']:.0f}",
        ])  # fmt: skip
    return heads, cells


def _epochs(line: dict) -> str:
    if pd.isna(line["epochs"]):
        return ""
    run, paper = line["epochs"], line["published_epochs"]
    return f"{run:.0f}" if pd.isna(paper) or paper == run else f"{run:.0f} ({paper:.0f})"


def _interval(line: dict, protocol: str, score: str) -> str:
    value, low, high = (line[f"{protocol}_{score}{end}"] for end in ENDS)
    return "" if pd.isna(value) else f"{value:.3f} ({low:.2f}–{high:.2f})"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def as_markdown(heads: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Notes as a list, then the table."""
    lines = [heads, ["---"] * len(heads), *cells]
    text = [f"- {note}" for note in notes] + [""]
    return "\n".join(text + [f"| {' | '.join(line)} |" for line in lines]) + "\n"


def write_table(rows: Sequence[Row], board: Board, out: Path) -> str:
    """Write leaderboard.csv, .md and .html below `out` -> the Markdown."""
    table = make_table(rows, out)
    notes, (heads, cells) = make_notes(rows, board, table), make_cells(table)
    with write_whole(out / "leaderboard.csv") as part:
        table.to_csv(part, index=False)
    text = as_markdown(heads, cells, notes)
    with write_whole(out / "leaderboard.md") as part:
        part.write_text(text, encoding="utf-8")
    write_leaderboard(out / "leaderboard.html", heads, cells, notes)
    return text
