"""What a whole video shows, frame by frame; kept on disk as it grows, so that a run goes on."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from common.errors import UserError, warn
from common.files import write_whole
from data.landmarks import LandmarkFinder

from .actions import FILE
from .fit import FILE as MOTIONS_FILE
from .follow import Follower, Reading
from .reader import Film, read_film

VERSION = 5  # of what is kept: another one is read anew
PART = 900  # frames between two saves: half a minute
COLUMNS_OF_A_FRAME = ("numbers", "times", "values", "frames", "aspects", "moved", "alike", "began")


@dataclass(frozen=True)
class Track:
    """N frames that were looked at: numbers (N,), times (N,) in seconds, values (N, V) of
    actions.ActionReader (NaN without a face), frames (N, 2, 3) from [0, 1]² to pixels, aspects
    (N,), moved (N,) in face widths since the reference, alike (N,), began (N,): found anew."""

    numbers: np.ndarray
    times: np.ndarray
    values: np.ndarray
    frames: np.ndarray
    aspects: np.ndarray
    moved: np.ndarray
    alike: np.ndarray
    began: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(N,) bool: where there is a face."""
        return np.isfinite(self.values[:, 0])


def follow_film(
    film: Film,
    finder: LandmarkFinder,
    folder: Path,
    number: int | None = None,
    advance: Callable[[int], None] = lambda frames: None,
) -> Track:
    """Follow a film's face from its start to its end, or on from what `folder` keeps.

    number: which face, counted from the left; the largest if None. advance is told how many
    frames were done. What is kept there is of this film and these settings, or it is not used.
    UserError for a film in which no frame can be read.
    """
    key = _key(film, number)
    parts = _kept(folder, key)
    follower = Follower(finder, number)
    done = sum(len(part["numbers"]) for part in parts)
    if parts:
        follower.load(parts[-1])
        advance(done)
        if bool(parts[-1]["last"]):
            return _joined(parts)
    start = int(parts[-1]["next"]) if parts else 0
    readings: list[tuple[int, float, Reading]] = []
    for frame in read_film(film, start):
        readings.append((frame.number, frame.time, follower.read(frame.grey)))
        start = frame.at + 1
        if len(readings) == PART:
            parts.append(_keep(folder, len(parts), key, readings, follower, start, False))
            advance(len(readings))
            readings = []
    if not readings and not parts:
        raise UserError(f"{film.path}: no frame of it can be read")
    parts.append(_keep(folder, len(parts), key, readings, follower, start, True))
    advance(len(readings))
    return _joined(parts)


def _key(film: Film, number: int | None) -> str:
    stat = film.path.stat()
    files = MOTIONS_FILE.read_bytes() + FILE.read_bytes()
    weights = hashlib.blake2b(files, digest_size=8).hexdigest()
    facts = (VERSION, film.path.resolve(), stat.st_size, stat.st_mtime_ns, film.fps, film.timed,
             film.first, film.count, number, weights)  # fmt: skip
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _part(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.npz"


def _kept(folder: Path, key: str) -> list[dict[str, np.ndarray]]:
    """The parts that an earlier run of the same left, in order."""
    parts: list[dict[str, np.ndarray]] = []
    while (path := _part(folder, len(parts))).is_file():
        try:
            with np.load(path, allow_pickle=False) as content:
                part = {name: content[name] for name in content.files}
            if str(part["key"]) != key:
                break
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            warn(f"{path}: damaged; the video is read on from before it")
            break
        parts.append(part)
        if bool(part["last"]):
            break
    return parts


def _keep(
    folder: Path,
    index: int,
    key: str,
    readings: list[tuple[int, float, Reading]],
    follower: Follower,
    following: int,
    last: bool,
) -> dict[str, np.ndarray]:
    """Write a part whole, and give it."""
    shown = [reading for _, _, reading in readings]
    count, size = len(readings), follower.reader.size
    part = {
        "numbers": np.array([number for number, _, _ in readings], np.int64),
        "times": np.array([time for _, time, _ in readings], float),
        "values": np.array([one.values for one in shown], np.float32).reshape(count, size),
        "frames": np.array([one.frame for one in shown], np.float32).reshape(count, 2, 3),
        "aspects": np.array([one.aspect for one in shown], np.float32),
        "moved": np.array([one.moved for one in shown], np.float32),
        "alike": np.array([one.alike for one in shown], np.float32),
        "began": np.array([one.began for one in shown], bool),
        "key": np.array(key),
        "next": np.array(following),
        "last": np.array(last),
        **follower.save(),
    }
    with write_whole(_part(folder, index)) as path:
        np.savez(path, **part)  # type: ignore[arg-type]  # names are those of arrays
    return part


def _joined(parts: list[dict[str, np.ndarray]]) -> Track:
    joined = {name: np.concatenate([p[name] for p in parts]) for name in COLUMNS_OF_A_FRAME}
    return Track(**joined)
