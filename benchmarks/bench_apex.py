"""Apex spotting on the demo set, whose apexes are known: error, speed, memory.

python benchmarks/bench_apex.py
"""

import os
import resource
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from common.cli import run_script
from data.apex.batch import spot_clips
from data.apex.cells import cell_values, face_cells
from data.apex.spotting import ApexSettings, frames_between
from data.disk.clip_frames import read_frames
from data.disk.frames import ClipFolders
from data.faces import load_face_finder
from data.index import clip_folder
from data.landmarks import FinderName, choose_finder

REPEATS = 5
Sets = list[tuple[pd.DataFrame, ClipFolders]]


def main(
    out: Path = Path("result/bench_apex"),
    seeds: tuple[int, ...] = (0, 1, 2),
    workers: int = os.cpu_count() or 1,
    landmarks: FinderName | None = None,
    speed_only: bool = False,
) -> None:
    """Compare the methods and the ways to get landmarks.

    Args:
        out: where the demo sets lie, one folder a seed; drawn if not there.
        seeds: of the demo sets.
        workers: processes of the parallel rows.
        landmarks: fan or dlib (default: fan if its weights are here, else dlib).
        speed_only: leave out memory and errors.
    """
    finder = choose_finder(landmarks)
    sets = [open_demo(out / str(seed), seed, workers) for seed in seeds]
    if speed_only:
        print_speed(sets, finder, workers)
        return
    print_memory(sets, finder)  # first: a peak stays
    print_errors("as drawn", sets, finder, workers)
    rough = [(truth, roughen(truth, folders)) for truth, folders in sets]
    print_errors("with shake, flicker and more noise", rough, finder, workers)
    print_speed(sets, finder, workers)


def open_demo(root: Path, seed: int, workers: int) -> tuple[pd.DataFrame, ClipFolders]:
    """A demo set, drawn if it is not there: its true onsets, apexes and offsets; its frames."""
    if not (root / "truth.csv").is_file():
        from synthetic.demo.corpora import (
            make_demo,  # torch and the head, which no worker here needs
        )
        from synthetic.demo.plan import Size

        sizes = {data: Size(subjects=6, clips=36) for data in ("smic", "casme2", "samm")}
        make_demo(root, seed, workers, sizes)
    truth = pd.read_csv(root / "truth.csv", dtype={"subject": str})
    return truth.assign(data_sub=truth["data"] + "_" + truth["subject"]), ClipFolders(root)


def roughen(truth: pd.DataFrame, folders: ClipFolders) -> ClipFolders:
    """The same clips as a worse camera would film them, beside the first.

    The camera wanders by 0.2 pixels a frame and turns a little, exposure flickers by 2%, and
    the noise of the sensor gets 5 grey levels more.
    """
    root = folders.root.with_name(f"{folders.root.name}_rough")
    for i, clip in enumerate(truth.to_dict("records")):
        random = np.random.default_rng(i)
        ends = clip["onset_frame"], clip["offset_frame"]
        frames = frames_between(clip_folder(clip, folders), *ends, "")
        path_of_camera = random.normal(0, 0.2, (len(frames), 3)).cumsum(0)
        for (_, image), path, (x, y, turn) in zip(
            read_frames(frames), frames.values(), path_of_camera, strict=True
        ):
            size = image.shape[1], image.shape[0]
            motion = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 0.3 * turn, 1)
            motion[:, 2] += x, y
            moved = cv2.warpAffine(image, motion, size, None, cv2.INTER_CUBIC, cv2.BORDER_REFLECT)
            noise = random.normal(0, 5, image.shape)
            worse = (moved * (1 + 0.02 * random.normal()) + noise).clip(0, 255).astype(np.uint8)
            target = root / path.relative_to(folders.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), worse[:, :, ::-1])
    return ClipFolders(root)


def print_errors(title: str, sets: Sets, finder: FinderName, workers: int) -> None:
    """Mean absolute error, and the share within two frames, by corpus and method."""
    columns = "corpus", "method", "clips", "mean abs. error", "within 2", "mean error"
    table = Table(*columns, title=title)
    for method in ("pattern", "cells"):
        setting = ApexSettings(finder, method)
        found = pd.concat(_errors(truth, folders, setting, workers) for truth, folders in sets)
        groups = [*found.groupby("data")["error"], ("all", found["error"])]
        for corpus, error in groups:
            near = (error.abs() <= 2).mean()
            row = f"{error.abs().mean():.2f}", f"{near:.1%}", f"{error.mean():+.2f}"
            table.add_row(corpus, method, str(len(error)), *row)
        table.add_section()
    Console().print(table)


def _errors(
    truth: pd.DataFrame, folders: ClipFolders, setting: ApexSettings, workers: int
) -> pd.DataFrame:
    spotted = spot_clips(truth, folders, setting, workers)
    found, missed = spotted.clips, spotted.unspotted + spotted.faceless
    assert not missed, missed
    return found.assign(error=(found["apex_frame"] - truth["apex_frame"]).astype(int))


def print_speed(sets: Sets, finder: FinderName, workers: int) -> None:
    """Frames a second from files to apexes, on the same clips, files in the system's cache.

    Starts (processes, imports, models) are included; the faster ways look at every clip
    REPEATS times, so that they weigh no more than in a run over a corpus. The time of all
    processors a frame hardly depends on what else the machine does.
    """
    many = [(pd.concat([truth] * REPEATS), folders) for truth, folders in sets]
    runs = {
        "landmarks in every frame, cells": (1, sets, lambda: per_frame_way(sets, finder)),
        "landmarks once a clip, cells": (1, many, lambda: _spot(many, finder, "cells", 1)),
        "landmarks once a clip, pattern": (1, many, lambda: _spot(many, finder, "pattern", 1)),
        "the same on all cores": (workers, many, lambda: _spot(many, finder, "pattern", workers)),
    }
    _spot(sets, finder, "pattern", 1)  # fills the system's file cache
    table = Table("way", "processes", "frames/s", "ratio", "processor ms/frame", "ratio")
    first = None
    for name, (processes, clips, run) in runs.items():
        count = sum(int((t["offset_frame"] - t["onset_frame"] + 1).sum()) for t, _ in clips)
        wall, busy = time.perf_counter(), _processor_seconds()
        run()
        wall, busy = count / (time.perf_counter() - wall), (_processor_seconds() - busy) / count
        first = first or (wall, busy)
        ratios = f"{wall / first[0]:.1f}", f"{first[1] / busy:.1f}"
        table.add_row(
            name, str(processes), f"{wall:.0f}", ratios[0], f"{1000 * busy:.2f}", ratios[1]
        )
    Console(width=110).print(table)


def _processor_seconds() -> float:
    """Of this process and its children that have ended."""
    return sum(os.times()[:4])


def _spot(sets: Sets, finder: FinderName, method: str, workers: int) -> None:
    for truth, folders in sets:
        spot_clips(truth, folders, ApexSettings(finder, method), workers)


def per_frame_way(sets: Sets, finder_name: FinderName) -> list[int]:
    """As the published script goes about it: every frame is read once and its landmarks found."""
    cv2.setNumThreads(1)
    finder = load_face_finder(finder_name)
    apexes = []
    for truth, folders in sets:
        for clip in truth.to_dict("records"):
            ends = clip["onset_frame"], clip["offset_frame"]
            frames, cells = [], []
            for _, image in read_frames(frames_between(clip_folder(clip, folders), *ends, "")):
                found = finder.find(image, clip["clip"])
                cells.append(cells[-1] if found is None and cells else face_cells(found.landmarks))
                frames.append(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
            curve = [
                np.nanmean(cell_values(frame, before, frames[0], frames[-1], where))
                for frame, before, where in zip(frames[1:], frames, cells[1:], strict=False)
            ]
            apexes.append(ends[0] + 1 + int(np.argmax(curve)))
    return apexes


def print_memory(sets: Sets, finder: FinderName) -> None:
    """Peak memory of this process after few clips and after many."""
    truth, folders = sets[0]
    for clips in (truth.head(10), pd.concat([truth] * 5)):
        spot_clips(clips, folders, ApexSettings(finder), 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory after {len(clips)} clips: {peak:.0f} MiB")


if __name__ == "__main__":
    run_script(main)
