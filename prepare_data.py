"""From raw annotations and frames to the index that training reads; and the demo set.

python prepare_data.py demo --out demo
python prepare_data.py casme2 --root datasets --annotation CASME2-coding-20140508.xlsx
python prepare_data.py composite
"""

import time
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console
from rich.table import Table

from data.annotation import read_annotation
from data.corpora import CLASSES, CORPORA
from data.errors import run_script
from data.frames import ClipFolders
from data.index import (
    build_index,
    four_frames_path,
    index_path,
    join_indexes,
    smic_apexes,
    write_index,
)


def demo(out: Path, seed: int = 0, workers: int = 2) -> None:
    """Draw the demo set: synthetic faces in the layouts of all three corpora.

    Args:
        out: folder to draw into.
        seed: another seed draws other faces.
        workers: processes that draw; the pictures do not depend on it.
    """
    from data.demo import draw_demo

    draw_demo(out, seed=seed, workers=workers)


def smic(
    root: Path,
    annotation: Path,
    out: Path = Path("data"),
    classes: Literal[3, 5] = 3,
    apex: Path | None = None,
) -> None:
    """Index SMIC-HS: <out>/smic_apex.csv and <out>/smic_four_frames.csv.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: SMIC-HS-E_annotation.xlsx.
        out: folder of the index.
        classes: 3; SMIC has no other task.
        apex: CSV of smic_processing.py with the apex frames; <out>/smic_apex.csv if not given.
    """
    path = index_path(out, "smic")
    clips = smic_apexes(read_annotation(CORPORA["smic"], annotation, classes), apex or path)
    _index(clips, root, path, classes)


def casme2(
    root: Path, annotation: Path, out: Path = Path("data"), classes: Literal[3, 5] = 3
) -> None:
    """Index CASME II: <out>/casme2_apex.csv, or casme2_5_apex.csv for five classes.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: CASME2-coding-*.xlsx.
        out: folder of the index.
        classes: 3 (MEGC 2019) or 5 (disgust, happiness, repression, surprise, others).
    """
    clips = read_annotation(CORPORA["casme2"], annotation, classes)
    _index(clips, root, index_path(out, "casme2", classes), classes)


def samm(
    root: Path, annotation: Path, out: Path = Path("data"), classes: Literal[3, 5] = 3
) -> None:
    """Index SAMM: <out>/samm_apex.csv and <out>/samm_four_frames.csv.

    Args:
        root: folder that holds the datasets; clips are found below it in any released layout.
        annotation: SAMM_Micro_FACS_Codes_v2.xlsx.
        out: folder of the index.
        classes: 3; SAMM has no other task here.
    """
    clips = read_annotation(CORPORA["samm"], annotation, classes)
    _index(clips, root, index_path(out, "samm"), classes)


def composite(out: Path = Path("data")) -> None:
    """Join the three indexes of <out> into the MEGC 2019 composite.

    Args:
        out: folder of the three indexes, and of the composite's.
    """
    path = index_path(out, "composite")
    index, four_frames = join_indexes(index_path(out, name) for name in CORPORA)
    write_index(index, four_frames, path)
    _report(index, path, classes=3)


def motion(
    out: Path,
    samples: int = 6000,
    seed: int = 0,
    domains: Literal["training", "held_out"] = "training",
    workers: int = 2,
) -> None:
    """Draw motion: onset-to-apex maps of drawn faces with action units and class.

    Args:
        out: folder of motion.npz.
        samples: pairs to draw.
        seed: another seed draws other faces and movements.
        domains: the generator settings to learn from, or those that models are chosen on.
        workers: processes that draw; the maps do not depend on it.
    """
    from data.drawn_motion import draw_motion, write_motion
    from data.motion_domains import HELD_OUT, TRAINING

    started = time.monotonic()
    chosen = TRAINING if domains == "training" else HELD_OUT
    drawn = draw_motion(samples, seed, chosen, workers=workers)
    rate = samples / (time.monotonic() - started)
    path = write_motion(out, drawn, seed)
    names = ", ".join(domain.name for domain in chosen)
    print(f"wrote {path}: {samples} pairs ({rate:.0f} a second) of the domains {names}")


def _index(clips: pd.DataFrame, root: Path, path: Path, classes: int) -> None:
    index, four_frames, skipped = build_index(clips, ClipFolders(root))
    write_index(index, four_frames, path)
    _report(index, path, classes)
    if skipped:
        print(f"{len(skipped)} of {len(clips)} clips skipped:", *skipped, sep="\n  ")


def _report(index: pd.DataFrame, path: Path, classes: int) -> None:
    """Print the counts by subject and class, and where the index went."""
    names = CLASSES[classes]
    table = Table("data", "subject", *names, "clips", title=str(path))
    counts = pd.crosstab([index["data"], index["subject"]], index["label"])
    counts = counts.reindex(columns=range(classes), fill_value=0)
    for (data, subject), row in counts.iterrows():
        table.add_row(data, subject, *map(str, row), str(row.sum()))
    table.add_section()
    for data, rows in counts.groupby(level="data"):
        subjects = f"{len(rows)} subjects"
        table.add_row(data, subjects, *map(str, rows.sum()), str(rows.to_numpy().sum()))
    if index["data"].nunique() > 1:
        subjects = f"{len(counts)} subjects"
        table.add_row("all", subjects, *map(str, counts.sum()), str(len(index)))
    Console(width=100).print(table)
    print(f"wrote {path} and {four_frames_path(path)}")


if __name__ == "__main__":
    commands = {"demo": demo, "smic": smic, "casme2": casme2, "samm": samm}
    run_script(commands | {"composite": composite, "motion": motion})
