"""What the spotter is made from: streams of synthetic flow, and drawn films that are followed."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from common.files import write_whole
from common.parallel import as_done
from common.progress import progress_bar
from data.landmarks import load_landmark_finder
from data.spotting.actions import ACTIONS, COLUMNS, ActionReader
from data.spotting.fit import Motions
from data.spotting.follow import Follower
from deca.anny.head import load_head
from synthetic.long.learning import cameras_of, draw_learning, see, what_happens
from synthetic.motion.domains import Domain
from synthetic.motion.streams import make_stream
from synthetic.motion.timelines import Life, Timeline

PAIRS = 40  # of frames, of each person
APART = 90  # frames at most
FILM_PAIRS, FILM_APART = 300, 60  # of each film, as each camera sees it
# Much happens at once, so that little is taken for something else.
BUSY = Life(
    micro=(10, 20), macro=(15, 30), blinks=(10, 25), glances=(10, 20), speech=(1, 4), turns=(2, 6),
    fidgets=(2, 5), macro_strength=(0.15, 0.8), sway=(0.002, 0.02), turn_size=(0.03, 0.15), still=0,
)  # fmt: skip


def targets(actions: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Actions (T, A) and turns (T, 3) -> the columns (T, K)."""
    at = {name: i for i, name in enumerate(load_head().actions)}
    named = [actions[:, at[name]] for name in ACTIONS]
    left = actions[:, at["eyeLookOutLeft"]] - actions[:, at["eyeLookInLeft"]]
    up = actions[:, at["eyeLookUpLeft"]] - actions[:, at["eyeLookDownLeft"]]
    return np.stack([*named, left, up, *turn.T], 1)


def draw_pairs(
    people: int, seed: int, domains: tuple[Domain, ...], exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Flow between two frames of synthetic streams (N, 2, S, S), and what changed (N, K).

    exact: the flow itself, not what an estimator would make of it.
    """
    flows, changes = [], []
    with progress_bar("people", people) as bar:
        for i in range(people):
            number = i // len(domains)
            stream = make_stream(seed, domains[i % len(domains)], number, 600, BUSY, exact)
            rng = np.random.default_rng([seed, i, 5])
            first, second = _two(rng, stream.timeline, PAIRS, APART)
            flows.append(stream.flow[second] - stream.flow[first])
            values = targets(stream.timeline.actions, stream.timeline.turn)
            changes.append(values[second] - values[first])
            bar.advance()
    return np.concatenate(flows), np.concatenate(changes)


def _two(
    rng: np.random.Generator, timeline: Timeline, count: int, apart: int
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (count,) and others near them; half of them an expression's onset and apex."""
    last = len(timeline.actions) - 1
    first = rng.integers(0, last, count)
    second = np.clip(first + rng.integers(-apart, apart, count), 0, last)
    for k, event in enumerate(timeline.expressions[: count // 2]):
        first[k], second[k] = event.onset, event.apex
    return first, second


def draw_curves(
    people: int, seed: int, domains: tuple[Domain, ...], reader: ActionReader, frames: int
) -> tuple[list[np.ndarray], list[Timeline]]:
    """Values (T, V) as they are read of streams, and what happened in each."""
    curves, timelines = [], []
    with progress_bar("streams", people) as bar:
        for i in range(people):
            stream = make_stream(seed, domains[i % len(domains)], i // len(domains), frames)
            curves.append(reader.read(stream.flow).astype(np.float32))
            timelines.append(stream.timeline)
            bar.advance()
    return curves, timelines


def follow_films(
    seeds: Sequence[int], work: Path, motions: Motions, of_flow: np.ndarray, workers: int
) -> None:
    """Draw films and follow the face in each, as its cameras see it; what is there is kept.

    The columns read of flow (T, K) and the amounts of motions since the first frame (T, M), NaN
    without a face, are written to <work>/<seed>_<camera>.npz.
    """
    key = _key(motions, of_flow)
    jobs = [(seed, name) for seed in seeds for name in cameras_of(seed)]
    missing = [job for job in jobs if not _is_done(work, *job, key)]
    every_amount = np.eye(len(motions.fields), dtype=np.float32)
    reader = ActionReader(motions, of_flow, every_amount)
    seeds_left = sorted({seed for seed, _ in missing})
    load_head()  # built once, before workers ask for it
    with progress_bar("drawing films", len(seeds_left)) as bar:
        for _ in as_done(partial(_draw, work), seeds_left, workers, torch.set_num_threads, 1):
            bar.advance()
    with progress_bar("following films", len(missing)) as bar:
        for _ in as_done(
            partial(_follow, work, reader, key), missing, workers, torch.set_num_threads, 1
        ):
            bar.advance()


def films_followed(seeds: Sequence[int], work: Path) -> Iterator[tuple[np.ndarray, Timeline]]:
    """Of each film and camera: columns of flow and amounts of motions (T, K + M), what happened."""
    for seed in seeds:
        timeline = what_happens(seed)
        for name in cameras_of(seed):
            with np.load(_record(work, seed, name), allow_pickle=False) as content:
                yield content["values"].astype(np.float32), timeline


def film_pairs(seeds: Sequence[int], work: Path) -> tuple[np.ndarray, np.ndarray]:
    """Amounts between two frames of films (N, M), and what changed (N, K)."""
    amounts, changes = [], []
    for i, (values, timeline) in enumerate(films_followed(seeds, work)):
        rng = np.random.default_rng([seeds[0], i, 6])
        first, second = _two(rng, timeline, FILM_PAIRS, FILM_APART)
        moved = (values[second] - values[first])[:, len(COLUMNS) :]
        there = np.isfinite(moved).all(1)
        happened = targets(timeline.actions, timeline.turn)
        amounts.append(moved[there])
        changes.append((happened[second] - happened[first])[there])
    return np.concatenate(amounts), np.concatenate(changes)


def _film(work: Path, seed: int) -> Path:
    return work / f"{seed}.avi"


def _record(work: Path, seed: int, name: str) -> Path:
    return work / f"{seed}_{name}.npz"


def _is_done(work: Path, seed: int, name: str, key: str) -> bool:
    """Whether a film was followed with the same motions and map."""
    path = _record(work, seed, name)
    if not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as content:
        return "key" in content and str(content["key"]) == key


def _key(motions: Motions, of_flow: np.ndarray) -> str:
    kept = motions.fields.tobytes() + of_flow.tobytes()
    return hashlib.blake2b(kept, digest_size=16).hexdigest()


def _draw(work: Path, seed: int) -> None:
    draw_learning(_film(work, seed), seed)


def _follow(work: Path, reader: ActionReader, key: str, job: tuple[int, str]) -> None:
    """Follow one film as one camera sees it."""
    seed, name = job
    follower = Follower(load_landmark_finder("dlib"), reader=reader)
    readings = [follower.read(frame) for frame in see(_film(work, seed), seed, name)]
    values = np.stack([reading.values for reading in readings])
    with write_whole(_record(work, seed, name)) as part:
        np.savez(part, values=values.astype(np.float32), key=np.array(key))
