"""The whole composite on this machine: 442 synthetic clips, from frames to 68 records.

    python -m benchmarks.bench_composite --out FOLDER [--epochs 15] [--precision bf16]

Clips per corpus and class, and subjects per corpus, are those of the MEGC 2019 composite; the clips
are the demo generator's, with their true apexes. They are drawn once (some minutes, not counted);
a run's time begins and ends with the command: pictures read, features computed, 68 folds trained.
A frozen EfficientNet-Lite0 trunk, 160 px, flips: `make demo`'s setting.
"""

import os
from pathlib import Path
from typing import Literal

import pandas as pd
import tyro

from data.disk.frames import ClipFolders
from data.index import build_index, index_path, write_index
from synthetic.demo.corpora import render_clips
from synthetic.demo.plan import Clip, Size, plan

from .bench_folds import DEMO, run_timed

# negative, positive, surprise and subjects of the real composite.
COUNTS = {"smic": (70, 51, 43), "casme2": (88, 32, 25), "samm": (92, 26, 15)}
SUBJECTS = {"smic": 16, "casme2": 24, "samm": 28}
ENOUGH = 15  # clips a subject to choose from


def main(
    out: Path,
    epochs: int = 15,
    precision: Literal["float32", "bf16"] = "float32",
    workers: int = os.cpu_count() or 1,
) -> None:
    """Draw what is missing below `out`, train all folds there, print seconds and memory.

    Args:
        out: folder of the clips, the index and the records.
        epochs: of each fold.
        precision: of the run.
        workers: that draw, and that train folds.
    """
    clips = composite_clips()
    render_clips(out, 0, clips, workers)
    index, four_frames, skipped = build_index(pd.DataFrame(map(_row, clips)), ClipFolders(out))
    assert not skipped
    path = index_path(out, "composite")
    write_index(index, four_frames, path)
    load = os.getloadavg()[0]
    name = f"composite_{precision}_{epochs}"
    seconds, memory = run_timed(
        "train_me_loso.py", "--dataset", "composite", "--root", str(out),
        "--index", str(path), *DEMO, "--epochs", str(epochs), "--precision", precision,
        "--experiment", name, "--result", str(out / "result"), "--workers", str(workers),
        "--overwrite",
    )  # fmt: skip
    done = len(list((out / "result" / name).glob("fold_*.json")))
    print(
        f"{len(index)} clips, {done} folds, {epochs} epochs, {precision}, {workers} workers: "
        f"{seconds / 60:.1f} minutes, {memory / 2**30:.2f} GiB at most; load before: {load:.1f}"
    )


def composite_clips() -> list[Clip]:
    """The planned clips that are drawn, spread evenly over each corpus's subjects."""
    chosen = []
    for data, counts in COUNTS.items():
        planned = plan(0, {data: Size(SUBJECTS[data], ENOUGH * SUBJECTS[data])})
        table = pd.DataFrame({"clip": planned, "label": [c.label for c in planned],
                              "subject": [c.subject for c in planned]})  # fmt: skip
        turn = table.groupby(["label", "subject"]).cumcount()
        table = table.iloc[turn.argsort(kind="stable")]
        for label, count in enumerate(counts):
            chosen += list(table[table["label"] == label]["clip"][:count])
    return chosen


def _row(clip: Clip) -> dict:
    return {
        "data": clip.data, "subject": clip.subject, "clip": clip.name, "label": clip.label,
        "emotion": clip.emotion, "onset_frame": clip.onset, "apex_frame": clip.apex,
        "offset_frame": clip.offset, "data_sub": f"{clip.data}_{clip.subject}",
    }  # fmt: skip


if __name__ == "__main__":
    tyro.cli(main)
