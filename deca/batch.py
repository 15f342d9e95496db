"""The frames of an index: workers, progress, going on after an interruption.

Subjects are the unit of work, because a subject's frames share one identity: where any of them
is to be written, all are fitted together again, so that an interrupted run ends as a whole one.
"""

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from common.errors import UserError, warn
from common.parallel import fixed_threads, worker_pool
from common.progress import progress_bar
from data.face_search import FOUND_BY, FoundBy
from data.faces import FaceFinder, NoFaceError, load_face_finder
from data.index import four_frames_path, read_index
from data.landmarks import FinderName
from data.views import BackendName, MakerName, claim_views, note_faceless, view_folder

from .frame import (
    Extras,
    check_onset,
    load_backend,
    missing_files,
    paints,
    read_face,
    write_head,
)
from .reconstruction import Backend, Face


@dataclass(frozen=True)
class Engine:
    """What reconstructs; each process loads its own."""

    backend: BackendName | MakerName
    assets: Path | None
    landmarks: FinderName | Literal["file"]  # file: those beside the pictures
    device: str  # cpu or cuda
    face: int | None = None  # this and the next as for FaceFinder
    cache: Path | None = None

    def load(self) -> tuple[Backend, FaceFinder | None]:
        """Load it; errors as load_backend and load_face_finder."""
        backend = load_backend(self.backend, self.assets, self.device)
        if self.landmarks == "file":
            return backend, None
        return backend, load_face_finder(self.landmarks, self.face, self.cache, self.device)


@dataclass(frozen=True)
class Job:
    """One subject's frames."""

    subject: str
    rows: Mapping[Path, Mapping]  # by the folder that a frame's files go to
    root: Path
    extras: Extras


@dataclass(frozen=True)
class Outcome:
    """What became of a subject's frames."""

    frames: int
    failed: list[str]  # a line each
    found_by: list[FoundBy]  # of each frame that was read
    faceless: list[Path]  # the folders of frames that show no face
    warnings: list[str]


def reconstruct_index(
    index: Path,
    root: Path,
    out: Path,
    engine: Engine,
    extras: Extras,
    four_frames: bool = False,
    workers: int = 1,
) -> list[str]:
    """Reconstruct an index's apex frames -> a line for each frame that failed.

    Frames whose folder holds all that is asked for are skipped. The files do not depend on
    `workers`. UserError if no frame at all is to be had.
    """
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    rows = {view_folder(out, row): row for row in _read_frames(index, four_frames)}
    subjects: dict[str, dict[Path, Mapping]] = {}
    for folder, row in rows.items():
        subjects.setdefault(row["data_sub"], {})[folder] = row
    loaded = engine.load()
    extras.check(loaded[0].name)
    engine = replace(engine, backend=loaded[0].name)
    claim_views(out, engine.backend)
    jobs = [
        Job(subject, frames, Path(root), extras)
        for subject, frames in subjects.items()
        if any(missing_files(folder, extras) for folder in frames)
    ]
    before = len(rows) - sum(len(job.rows) for job in jobs)
    failed: list[str] = []
    found_by: list[FoundBy] = []
    faceless: list[Path] = []
    said: set[str] = set()
    try:
        with progress_bar("frames", len(rows), before) as bar:
            for outcome in _outcomes(jobs, engine, loaded, min(workers, len(jobs))):
                failed += outcome.failed
                found_by += outcome.found_by
                faceless += outcome.faceless
                for line in outcome.warnings:
                    if line not in said:  # a worker says it once, each of them does
                        bar.say(line)
                        said.add(line)
                bar.advance(outcome.frames)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from there") from None
    note_faceless(out, rows, faceless)
    _report(len(rows), failed, found_by)
    return sorted(failed)


def _read_frames(index: Path, four_frames: bool) -> list[dict]:
    """The rows of an index, and with `four_frames` those of its companion."""
    table = read_index(index)
    if four_frames:
        companion = four_frames_path(index)
        if not companion.is_file():
            raise UserError(
                f"--four-frames: {index} has no companion {companion.name} beside it; put it "
                "there, or leave the flag out"
            )
        table = pd.concat([table, read_index(companion, companion=True)])
    return table.to_dict("records")


def _report(frames: int, failed: list[str], found_by: list[FoundBy]) -> None:
    """Say how faces were found, and which frames were skipped; UserError if all of them were."""
    if len(failed) == frames:
        raise UserError(f"none of {frames} frames shows a face; the first: {failed[0]}")
    if found_by:
        counts = ", ".join(f"{found_by.count(by)} by {by}" for by in FOUND_BY if by in found_by)
        print(f"faces found: {counts}")
    if failed:
        print(f"{len(failed)} of {frames} frames skipped:", *failed, sep="\n  ", file=sys.stderr)


def _outcomes(
    jobs: list[Job], engine: Engine, loaded: tuple[Backend, FaceFinder | None], workers: int
) -> Iterator[Outcome]:
    if workers <= 1:
        with fixed_threads(1):
            for job in jobs:
                yield _reconstruct(job, *loaded)
        return
    with worker_pool(workers, _start_worker, engine) as pool:
        for future in as_completed([pool.submit(_in_worker, job) for job in jobs]):
            yield future.result()


_loaded: tuple[Backend, FaceFinder | None]  # of a worker process


def _start_worker(engine: Engine) -> None:
    global _loaded
    torch.set_num_threads(1)
    _loaded = engine.load()


def _in_worker(job: Job) -> Outcome:
    return _reconstruct(job, *_loaded)


def _reconstruct(job: Job, backend: Backend, faces: FaceFinder | None) -> Outcome:
    """Fit a subject's frames together, write what is missing."""
    wanted = [folder for folder in job.rows if missing_files(folder, job.extras)]
    read: dict[Path, Face] = {}
    failed: list[str] = []
    faceless: list[Path] = []
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for folder in sorted(job.rows, key=lambda folder: folder not in wanted):
            if folder not in wanted and not read:
                break  # nothing that can be written
            try:
                read[folder] = _read(job.rows[folder], job, faces)
            except UserError as error:
                failed.append(f"{job.subject} {job.rows[folder]['clip']}: {error}")
                warn(f"skipped {failed[-1]}")
                if isinstance(error, NoFaceError):
                    faceless.append(folder)
        ready = {folder: read[folder] for folder in job.rows if folder in read}
        heads = backend.reconstruct(list(ready.values()))
        laid_over = paints(heads, list(ready.values()), job.extras)
        for (folder, face), head, paint in zip(ready.items(), heads, laid_over, strict=True):
            if folder in wanted:
                write_head(head, face, backend.name, folder, job.extras, paint)
    found_by = [face.found_by for face in read.values()]
    return Outcome(len(job.rows), failed, found_by, faceless, said.getvalue().splitlines())


def _read(row: Mapping, job: Job, faces: FaceFinder | None) -> Face:
    onset = row.get("onset_frame_path")
    onset = job.root / onset if onset else None
    apex = job.root / row["apex_frame_path"]
    face = read_face(apex, faces, job.subject, onset)
    check_onset(face, apex, job.extras)
    return face
