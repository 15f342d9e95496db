"""A corpus's index made, and what became of every row and clip said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from common.errors import UserError
from data.disk.frames import ClipFolders
from data.index import build_index, four_frames_path, index_path, join_indexes, write_index
from data.index_task import class_names, task_of, unit_targets

from .annotation import Annotation, read_annotations
from .description import Corpus
from .known import AU
from .spotted import Spot, write_spotted


@dataclass(frozen=True)
class Asked:
    """What of a corpus is to be indexed; apex: as for write_spotted."""

    root: Path
    annotation: Sequence[Path]
    out: Path
    task: str = "3"
    sheet: str | None = None
    objective: Path | None = None
    apex: Path | None = None
    strict: bool = False


def index_corpus(corpus: Corpus, asked: Asked, spot: Spot | None = None) -> int:
    """Write a corpus's index from its tables; the exit code of the script that asked for it.

    spot: as for write_spotted, of a corpus without apexes. Errors as read_annotation and
    build_index.
    """
    task, strict = asked.task, asked.strict
    source = read_annotations(corpus, asked.annotation, task, strict, asked.sheet, asked.objective)
    folders, path = ClipFolders(asked.root), index_path(asked.out, corpus.name, task)
    if "apex_frame" in corpus.columns:
        index, four_frames, skipped = build_index(source.clips, folders)
        write_index(index, four_frames, path)
    else:
        written = write_spotted(source, folders, path, asked.apex, spot)
        index, skipped = written.index, written.skipped
    return say_made(index, skipped, source, path, strict)


def join(out: Path, names: Iterable[str], name: str, task: str = "3") -> Path:
    """Join the indexes of several corpora into <out>/<name>_apex.csv; errors as join_indexes."""
    path = index_path(out, name, task)
    index, four_frames = join_indexes(index_path(out, one, task) for one in names)
    try:
        class_names(index)
    except UserError as error:
        raise UserError(f"{path}: cannot be made: {error}") from None
    write_index(index, four_frames, path)
    report(index, path)
    return path


def say_made(
    index: pd.DataFrame, skipped: list[str], source: Annotation, path: Path, strict: bool
) -> int:
    """Print what became of every row and clip; the exit code."""
    report(index, path)
    print(f"{len(index)} of {len(source.clips)} clips used")
    if source.skipped:
        rows = f"{len(source.skipped)} of {source.rows} {source.source} skipped:"
        print(rows, *source.skipped, sep="\n  ")
    if skipped:
        print(f"{len(skipped)} of {len(source.clips)} clips skipped:", *skipped, sep="\n  ")
    return 1 if strict and skipped else 0


def report(index: pd.DataFrame, path: Path) -> None:
    """Print the counts by subject and class, or by action unit, and where the index went."""
    names = class_names(index)
    table = Table("data", "subject", *names, "clips", title=str(path))
    counts = _counts(index, len(names))
    for (data, subject), row in zip(counts.index, counts.to_numpy()):
        table.add_row(data, subject, *map(str, row))
    table.add_section()
    for data, rows in counts.groupby(level="data"):
        table.add_row(str(data), f"{len(rows)} subjects", *map(str, rows.sum()))
    if index["data"].nunique() > 1:
        table.add_row("all", f"{len(counts)} subjects", *map(str, counts.sum()))
    Console(width=max(100, 40 + 6 * len(names))).print(table)
    print(f"wrote {path} and {four_frames_path(path)}")


def _counts(index: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Clips of each class, or that show each unit, and all, by data and subject."""
    by = [index["data"], index["subject"]]
    if task_of(index) == AU:
        shown = pd.DataFrame(unit_targets(index), index=index.index)
    else:
        shown = pd.DataFrame({c: (index["label"] == c).astype(int) for c in range(classes)})
    return shown.assign(clips=1).groupby(by).sum()
