"""The long demo set: videos of minutes in the layouts of CAS(ME)² and SAMM long videos."""

import functools
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch

from common.errors import UserError
from common.files import write_whole
from common.parallel import as_done, cores
from common.progress import progress_bar
from deca.anny.head import load_head
from synthetic.claim import claim
from synthetic.demo.plan import generator

from .avi import as_jpeg, write_avi
from .film import draw_frames
from .looks import LookName, look_of
from .plan import LongSize, Video, plan_long
from .tables import TABLES, TRUTH, write_long_tables

VERSION = 1  # of what is drawn; a folder of another version is not completed but refused
MARK = "demo_long.json"
LONG_SIZES = {
    "casme_sq": LongSize(6, 8, (60, 150)),
    "samm_lv": LongSize(2, 2, (60, 75)),
}
Kind = Literal["frames", "avi"]


def draw_long(
    out: Path,
    seed: int = 0,
    workers: int | None = None,
    sizes: dict[str, LongSize] | None = None,
    look: LookName = "plain",
    files: Kind = "frames",
) -> list[Video]:
    """Draw long videos below `out`, or what is missing of them, and say what happens in them.

    sizes: how many videos each corpus gets, and how long they are (default: LONG_SIZES). look:
    "plain" to choose thresholds on, "far" to report on. files: a folder of JPEG frames a video,
    as in the corpora, or one file <folder>.avi of Motion JPEG. truth_long.csv holds every event,
    the corpora's spreadsheets the expressions.

    Videos are written whole, so a stopped run goes on where it was. The same seed gives the same
    bytes, whatever the number of workers (default: one a CPU), and another look or seed draws
    other people and other events. UserError: `out` holds something else, or other settings; a
    seed below 0, fewer than one worker; a disk that is full.
    """
    workers = cores() if workers is None else workers
    for name, value, least in (("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise UserError(f"--{name} {value}: must be {least} or more")
    out, sizes = Path(out), sizes or LONG_SIZES
    _claim(out, seed, sizes, look, files)
    videos = plan_long(seed, sizes, look)
    _draw_missing(out, seed, videos, workers, files)
    tables = [out / TRUTH, *(out / TABLES[corpus] for corpus in sizes)]
    if not all(path.is_file() for path in tables):
        write_long_tables(out, seed, videos)
    return videos


def video_path(out: Path, video: Video, files: Kind = "frames") -> Path:
    """Where a video's frames, or its file, are below a set's root."""
    folder = Path(out) / video.folder
    return folder if files == "frames" else folder.with_name(f"{folder.name}.avi")


def _claim(out: Path, seed: int, sizes: dict[str, LongSize], look: LookName, files: Kind) -> None:
    settings = {
        "long set": VERSION, "seed": seed, "look": look, "files": files,
        "sizes": {corpus: asdict(size) for corpus, size in sizes.items()},
    }  # fmt: skip
    claim(out / MARK, settings, "long set")


def _draw_missing(out: Path, seed: int, videos: list[Video], workers: int, files: Kind) -> None:
    missing = [video for video in videos if not video_path(out, video, files).exists()]
    if not missing:
        return
    missing.sort(key=lambda video: -video.frames)  # the longest first, so that none is left alone
    load_head()  # built once, before workers ask for it
    with progress_bar("drawing long videos", len(missing)) as bar:
        draw = functools.partial(draw_video, out, seed, files=files)
        for _ in as_done(draw, missing, workers, torch.set_num_threads, 1):
            bar.advance()


def draw_video(out: Path, seed: int, video: Video, files: Kind = "frames") -> None:
    """Draw one video, which is there only when it is whole."""
    path = video_path(out, video, files)
    low, high = look_of(video.look, seed).quality
    rng = generator(seed, "long codec", video.look, video.corpus, video.name)
    quality = int(rng.integers(low, high + 1))
    frames = draw_frames(seed, video)
    if files == "avi":
        with write_whole(path) as part:
            film = look_of(video.look, seed).films[video.corpus]
            jpegs = (as_jpeg(frame, quality) for frame in frames)
            write_avi(part, jpegs, video.fps, (film.width, film.height))
        return
    part = path.with_name(f".{path.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            (part / video.frame_name(number)).write_bytes(as_jpeg(frame, quality))
        part.rename(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
