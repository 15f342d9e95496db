"""Long videos one after the other, or several at once; what is done is not done again."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from queue import Empty

from common.errors import UserError, joined_lines
from common.files import check_writable
from common.parallel import fixed_threads, worker_pool
from common.progress import Bar, progress_bar
from data.clip_list import read_list
from data.disk.file_kinds import clip_name, is_image
from data.disk.frames import ClipFolders
from data.landmarks import LandmarkFinder, load_landmark_finder
from data.spotting.reader import Film, open_film
from data.spotting.track import follow_film
from models.motion import MotionNet

from .spot_files import Spotted, write_spotted, write_tables
from .spotting import (
    TrainedSpotter,
    find_intervals,
    load_spotter,
    motion_maps,
    name_all,
    rows_at_rate,
    score_moments,
)
from .synthetic_weights import load_synthetic

STATE = "state"  # folder in a video's, of what a run that is stopped goes on from


@dataclass(frozen=True)
class SpotSettings:
    """fps: of folders of frames; first: the number of a video file's first frame; face: which
    one where there are several, counted from the left (None: the largest)."""

    fps: float | None = None
    first: int = 0
    face: int | None = None


def list_videos(given: Path) -> dict[str, Path]:
    """What --video names, by the names that its results get: a file, a folder of frames or of
    videos, or a .txt with one of those a line. UserError where there is none."""
    if given.suffix.lower() == ".txt" and given.is_file():
        paths = read_list(given, given.parent, "--video")
    elif given.is_dir():
        paths = ClipFolders(given).clips()
        if not paths and any(is_image(path) for path in given.iterdir()):
            paths = [given]  # of images without numbers: what reads them says so
    else:
        paths = [given]
    if not paths:
        raise UserError(f"--video {given}: no videos and no folders of frames in it")
    return _named(paths)


def _named(paths: list[Path]) -> dict[str, Path]:
    """A name for each: the clip's, with the folder's before it where two are the same."""
    stems = list(map(clip_name, paths))
    named: dict[str, Path] = {}
    for stem, path in zip(stems, paths):
        name = stem if stems.count(stem) == 1 else f"{path.parent.name}_{stem}"
        if name in named:
            raise UserError(f"{path} and {named[name]} would have one name, {name}; rename one")
        named[name] = path
    return named


def spot_videos(
    videos: dict[str, Path], out: Path, settings: SpotSettings, workers: int = 1
) -> tuple[list[dict], dict[str, str]]:
    """Look through videos by name and write what is found below `out` -> each one's spotting.json
    as facts, and why others could not be read. Results do not depend on `workers`. UserError where
    none can be read, or nothing be written to `out`."""
    check_writable(out)
    films: dict[str, Film] = {}
    failed: dict[str, str] = {}
    for name, path in videos.items():
        try:
            films[name] = open_film(path, settings.fps, settings.first)
        except UserError as error:
            failed[name] = str(error)
    counts = [-(-film.count // film.step) for film in films.values()]
    total = sum(counts) if all(counts) else None
    done: dict[str, dict] = {}
    try:
        with progress_bar("frames", total) as bar:
            for name, facts, lines in _outcomes(films, out, settings, workers, bar):
                for line in lines:
                    bar.say(line)
                if isinstance(facts, str):
                    failed[name] = facts
                else:
                    done[name] = facts
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from there") from None
    in_order = [done[name] for name in videos if name in done]
    write_tables(out, in_order, failed)
    if not in_order:
        fault = next(iter(failed.values()))
        several = f"none of the {len(failed)} videos could be read; the first: "
        raise UserError(f"{several if len(failed) > 1 else ''}{fault}")
    return in_order, failed


Outcome = tuple[str, dict | str, list[str]]  # name, facts or fault, warnings


def _outcomes(
    films: dict[str, Film], out: Path, settings: SpotSettings, workers: int, bar: Bar
) -> Iterator[Outcome]:
    if workers == 1 or len(films) < 2:
        with fixed_threads(1):
            for name, film in films.items():
                yield _one(name, film, out, settings, bar.advance)
        return
    said = get_context("spawn").Queue()
    with worker_pool(min(workers, len(films)), _start, said) as pool:
        waiting = {
            pool.submit(_in_worker, name, film, out, settings) for name, film in films.items()
        }
        while waiting:
            with contextlib.suppress(TimeoutError):
                for future in as_completed(waiting, timeout=0.5):
                    waiting.discard(future)
                    yield future.result()
                    break
            with contextlib.suppress(Empty):
                while True:
                    bar.advance(said.get_nowait())


_advance: Callable[[int], None]  # of a worker process


def _start(said) -> None:
    global _advance
    _advance = said.put


def _in_worker(name: str, film: Film, out: Path, settings: SpotSettings) -> Outcome:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        name, facts, _ = _one(name, film, out, settings, _advance)
    return name, facts, said.getvalue().splitlines()


def _one(
    name: str, film: Film, out: Path, settings: SpotSettings, advance: Callable[[int], None]
) -> Outcome:
    """Look through one film."""
    try:
        return name, spot_film(name, film, out, settings, advance), []
    except UserError as error:
        return name, str(error), []


def spot_film(
    name: str,
    film: Film,
    out: Path,
    settings: SpotSettings,
    advance: Callable[[int], None] = lambda frames: None,
) -> dict:
    """Look through one film, and write what is found -> what its spotting.json says."""
    finder, spotter, network = _networks()
    track = follow_film(film, finder, out / name / STATE, settings.face, advance)
    values = rows_at_rate(track)
    scores = score_moments(values, spotter)
    intervals = find_intervals(track, scores, values)
    intervals = name_all(intervals, motion_maps(film, track, intervals), network)
    return write_spotted(out, Spotted(name, film, track, scores, intervals))


@cache
def _networks() -> tuple[LandmarkFinder, TrainedSpotter, MotionNet]:
    """What every film is read with, loaded once a process."""
    return load_landmark_finder("dlib"), load_spotter(), load_synthetic()


def say_spotted(videos: list[dict], failed: dict[str, str], out: Path) -> None:
    """Print what was found, a line a video, and where it is."""
    for video in videos:
        kinds = [one["kind"] for one in video["intervals"]]
        found = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("micro", "macro"))
        missed = sum(one["to"] - one["from"] + 1 for one in video["missed"])
        lost = f"; no face in {missed} of {video['frames']} frames" if missed else ""
        told = found if kinds else "no expression"
        print(f"{joined_lines(video['name'])}: {told} in {video['seconds']:.0f} s{lost}")
    for name, fault in failed.items():
        print(joined_lines(f"{name}: {fault}"), file=sys.stderr)
    print(f"{len(videos)} of {len(videos) + len(failed)} videos: {out / 'intervals.csv'}")
