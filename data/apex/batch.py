"""The apexes of many clips: workers, progress, going on after an interruption."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from common.errors import UserError, warn
from common.files import write_whole
from common.parallel import fixed_threads, worker_pool
from common.progress import progress_bar
from data.disk.frames import ClipFolders
from data.faces import FaceFinder, NoFaceError, load_face_finder
from data.index import clip_folder, clip_names, first_number
from data.landmarks import fan_is_here, load_landmark_finder

from .plot import plot_apex
from .spotting import Apex, ApexSettings, find_apex, frames_between


@dataclass(frozen=True)
class Spotted:
    """What spot_clips found.

    clips: those that have an apex now, in order, with apex_frame, apex_source and spotted_onset,
    where the movement begins, filled in.
    unspotted: a line for each other one that shows a face, as far as it was looked at.
    faceless: a line for each clip in which no face is found.
    """

    clips: pd.DataFrame
    unspotted: list[str]
    faceless: list[str]


@dataclass(frozen=True)
class Job:
    """One clip to look at, and where its results go."""

    name: str  # smic_01 s1_ne_01: unique
    folder: Path
    onset: int
    offset: int
    record: Path | None  # the file that keeps the result until the run is done
    plot: Path | None
    first: int | None = None  # number of a video's first frame, where that is known


Outcome = Apex | UserError  # or why there is none, in a line that begins with the clip's name


def spot_clips(
    clips: pd.DataFrame,
    folders: ClipFolders,
    settings: ApexSettings,
    workers: int = 1,
    plots: Path | None = None,
    keep: Path | None = None,
    cache: Path | None = None,
) -> Spotted:
    """Find the apex of each clip; apexes in `clips` are ignored.

    clips: as from read_annotation. plots: a folder for one curve a clip. keep: a folder that
    holds each clip's result from the moment it is found, so that a run that was interrupted
    goes on there. cache: as for FaceFinder. The result does not depend on `workers`.
    """
    if keep:
        _open_kept(keep, asdict(settings) | {"root": str(folders.root), "plots": str(plots)})
    jobs, apexes, unspotted, faceless = {}, {}, {}, {}
    for i, (name, clip) in enumerate(zip(clip_names(clips), clips.to_dict("records"))):
        try:
            job = Job(
                name=name,
                folder=clip_folder(clip, folders),
                onset=clip["onset_frame"],
                offset=clip["offset_frame"],
                record=keep / f"{name.replace(' ', '_')}.json" if keep else None,
                plot=plots / f"{name.replace(' ', '_')}.png" if plots else None,
                first=first_number(clip["data"]),
            )
        except UserError as error:
            unspotted[i] = f"{name}: {error}"
            continue
        kept = _kept(job)
        if kept is None:
            jobs[i] = job
        else:
            apexes[i] = kept
    if apexes:
        print(
            f"going on after {len(apexes)} clips found before, {len(jobs)} to go", file=sys.stderr
        )
    for i, outcome in _run(jobs, settings, workers, cache).items():
        if isinstance(outcome, Apex):
            apexes[i] = outcome.frame, outcome.onset
        elif isinstance(outcome, NoFaceError):
            faceless[i] = str(outcome)
        else:
            unspotted[i] = str(outcome)
    found = clips.iloc[sorted(apexes)]
    frames = pd.array([apexes[i][0] for i in sorted(apexes)], "Int64")
    begins = [apexes[i][1] for i in sorted(apexes)]
    found = found.assign(apex_frame=frames, apex_source="spotted", spotted_onset=begins)
    return Spotted(found, *([lines[i] for i in sorted(lines)] for lines in (unspotted, faceless)))


def forget_kept(keep: Path) -> None:
    """Remove the results kept for going on: the run is done."""
    shutil.rmtree(keep, ignore_errors=True)


def _open_kept(keep: Path, now: dict) -> None:
    """Make the folder of kept results ready; those of other settings than now's go."""
    path = keep / "settings.json"
    before = json.loads(path.read_text()) if path.is_file() else now
    if before != now:
        other = next(name for name in now if before.get(name) != now[name])
        warn(
            f"{keep}: the interrupted run had {other} {before.get(other)}, this one "
            f"{now[other]}: starting anew"
        )
        forget_kept(keep)
    with write_whole(path) as part:
        part.write_text(json.dumps(now))


def _kept(job: Job) -> tuple[int, int] | None:
    if job.record is None or not job.record.is_file():
        return None
    record = json.loads(job.record.read_text())
    if (record["onset"], record["offset"]) != (job.onset, job.offset) or "begins" not in record:
        return None  # the annotation has changed since
    return record["apex"], record["begins"]


def _run(
    jobs: dict[int, Job], settings: ApexSettings, workers: int, cache: Path | None
) -> dict[int, Outcome]:
    """The apex of each job, or the line that says why there is none."""
    outcomes = {}
    try:
        with progress_bar("apexes", len(jobs)) as bar:
            for i, outcome, warnings in _outcomes(jobs, settings, min(workers, len(jobs)), cache):
                if isinstance(outcome, UserError):
                    warnings += f"warning: no apex: {outcome}"
                for line in warnings.splitlines():
                    bar.say(line)
                outcomes[i] = outcome
                bar.advance()
    except KeyboardInterrupt:
        done = f"{len(outcomes)} of {len(jobs)} clips done"
        raise KeyboardInterrupt(f"{done}; the same command goes on from there") from None
    return outcomes


def _outcomes(
    jobs: dict[int, Job], settings: ApexSettings, workers: int, cache: Path | None
) -> Iterator[tuple[int, Outcome, str]]:
    if workers <= 1:
        with fixed_threads(1):
            _start_worker(settings, cache)
            for job in jobs.items():
                yield _spot(job)
        return
    if settings.landmarks == "fan" and not fan_is_here():
        load_landmark_finder("fan")  # fetches the weights, once and not in every worker
    with worker_pool(workers, _start_worker, settings, cache) as pool:
        for future in as_completed([pool.submit(_spot, job) for job in jobs.items()]):
            yield future.result()


_faces: FaceFinder  # of a worker process
_settings: ApexSettings


def _start_worker(settings: ApexSettings, cache: Path | None) -> None:
    global _faces, _settings
    device = "cpu"
    if settings.landmarks == "fan":
        import torch

        torch.set_num_threads(1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _settings = settings
    _faces = load_face_finder(settings.landmarks, settings.face, cache, device)


def _spot(numbered: tuple[int, Job]) -> tuple[int, Outcome, str]:
    """One clip in a worker: its position, its apex or why there is none, its warnings."""
    i, job = numbered
    warnings = io.StringIO()
    with contextlib.redirect_stderr(warnings):
        try:
            frames = frames_between(job.folder, job.onset, job.offset, job.name, job.first)
            apex = find_apex(frames, _faces, _settings, job.name)
            if job.plot:
                plot_apex(apex, job.name, job.plot)
            if job.record:
                record = {"onset": job.onset, "offset": job.offset, "apex": apex.frame}
                record["begins"] = apex.onset
                with write_whole(job.record) as part:
                    part.write_text(json.dumps(record))
            outcome: Outcome = apex
        except UserError as error:
            named = str(error).startswith(job.name)
            outcome = error if named else type(error)(f"{job.name}: {error}")
        except Exception as error:
            error.add_note(f"while looking for the apex of {job.name}, in {job.folder}")
            raise
    return i, outcome, warnings.getvalue()
