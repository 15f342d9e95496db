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

from .apex import Apex, ApexSettings, find_apex, frames_between, plot_apex
from .errors import UserError, warn
from .files import write_whole
from .frames import ClipFolders
from .index import clip_folder
from .landmarks import fan_is_here, load_landmark_finder
from .progress import progress_bar
from .workers import fixed_threads, worker_pool


@dataclass(frozen=True)
class Job:
    """One clip to look at, and where its results go."""

    name: str  # smic_01 s1_ne_01: unique
    folder: Path
    onset: int
    offset: int
    record: Path | None  # the file that keeps the result until the run is done
    plot: Path | None


def spot_clips(
    clips: pd.DataFrame,
    folders: ClipFolders,
    settings: ApexSettings,
    workers: int = 1,
    plots: Path | None = None,
    keep: Path | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Find the apex of each clip; apexes in `clips` are ignored.

    clips: as from read_annotation. plots: a folder for one curve a clip. keep: a folder that
    holds each clip's result from the moment it is found, so that a run that was interrupted
    goes on there. Returns the clips that have an apex now, in order, with apex_frame and
    apex_source filled in, and one line for each clip that was skipped. The result does not
    depend on `workers`.
    """
    if keep:
        _open_kept(keep, asdict(settings) | {"root": str(folders.root), "plots": str(plots)})
    jobs, apexes, skipped = {}, {}, {}
    for i, clip in enumerate(clips.to_dict("records")):
        name = f"{clip['data_sub']} {clip['clip']}"
        try:
            job = Job(
                name=name,
                folder=clip_folder(clip, folders),
                onset=clip["onset_frame"],
                offset=clip["offset_frame"],
                record=keep / f"{name.replace(' ', '_')}.json" if keep else None,
                plot=plots / f"{name.replace(' ', '_')}.png" if plots else None,
            )
        except UserError as error:
            skipped[i] = f"{name}: {error}"
            continue
        apex = _kept(job)
        if apex is None:
            jobs[i] = job
        else:
            apexes[i] = apex
    if apexes:
        print(
            f"going on after {len(apexes)} clips found before, {len(jobs)} to go", file=sys.stderr
        )
    for i, outcome in _run(jobs, settings, workers).items():
        if isinstance(outcome, Apex):
            apexes[i] = outcome.frame
        else:
            skipped[i] = outcome
    found = clips.iloc[sorted(apexes)]
    frames = pd.array([apexes[i] for i in sorted(apexes)], "Int64")
    found = found.assign(apex_frame=frames, apex_source="spotted")
    return found, [skipped[i] for i in sorted(skipped)]


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


def _kept(job: Job) -> int | None:
    if job.record is None or not job.record.is_file():
        return None
    record = json.loads(job.record.read_text())
    if (record["onset"], record["offset"]) != (job.onset, job.offset):
        return None  # the annotation has changed since
    return record["apex"]


def _run(jobs: dict[int, Job], settings: ApexSettings, workers: int) -> dict[int, Apex | str]:
    """The apex of each job, or the line that says why there is none."""
    outcomes = {}
    try:
        with progress_bar("apexes", len(jobs)) as bar:
            for i, outcome, warnings in _outcomes(jobs, settings, min(workers, len(jobs))):
                if isinstance(outcome, str):
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
    jobs: dict[int, Job], settings: ApexSettings, workers: int
) -> Iterator[tuple[int, Apex | str, str]]:
    if workers <= 1:
        with fixed_threads(1):
            _start_worker(settings)
            for job in jobs.items():
                yield _spot(job)
        return
    if settings.landmarks == "fan" and not fan_is_here():
        load_landmark_finder("fan")  # fetches the weights, once and not in every worker
    with worker_pool(workers, _start_worker, settings) as pool:
        for future in as_completed([pool.submit(_spot, job) for job in jobs.items()]):
            yield future.result()


def _start_worker(settings: ApexSettings) -> None:
    global _finder, _settings
    device = "cpu"
    if settings.landmarks == "fan":
        import torch

        torch.set_num_threads(1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _settings = settings
    _finder = load_landmark_finder(settings.landmarks, device)


def _spot(numbered: tuple[int, Job]) -> tuple[int, Apex | str, str]:
    """One clip in a worker: its position, its apex or why there is none, its warnings."""
    i, job = numbered
    warnings = io.StringIO()
    with contextlib.redirect_stderr(warnings):
        try:
            frames = frames_between(job.folder, job.onset, job.offset, job.name)
            outcome = find_apex(frames, _finder, _settings, job.name)
            if job.plot:
                plot_apex(outcome, job.name, job.plot)
            if job.record:
                record = {"onset": job.onset, "offset": job.offset, "apex": outcome.frame}
                with write_whole(job.record) as part:
                    part.write_text(json.dumps(record))
        except UserError as error:
            outcome = str(error) if str(error).startswith(job.name) else f"{job.name}: {error}"
    return i, outcome, warnings.getvalue()
