"""Expressions in a long video: where, how long, which, how sure.

data/spotting follows the face and reads facial actions; a network that learned from synthetic
motion (models/spotter.py) finds the intervals in their curves; the motion from onset to apex is
read by the motion network that classifies clips.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from common.checkpoints import one_line
from common.errors import UserError
from data.corpora.known import CLASSES
from data.motion.flow import (
    FLOW_SIDE,
    MOTION_SIZE,
    flow_to_maps,
    look,
    measured_flow,
)
from data.spotting.actions import ACTIONS, COLUMNS, UNITS, mean_reading, mirrored, unit_levels
from data.spotting.curves import CHANNELS, RATE, at_rate, curve_channels
from data.spotting.intervals import MICRO, Candidate, candidates
from data.spotting.reader import Film, read_some
from data.spotting.track import Track
from models.motion import UNITS as NETWORK_UNITS
from models.motion import MotionNet
from models.spotter import MEMBERS, Committee, Spotter

WEIGHTS = Path(__file__).parent.parent / "models" / "weights" / "spotter.safetensors"
WINDOW, BESIDE = 60.0, 12.0  # seconds that are looked at together, and around them
# The score that an interval has to reach: chosen on plain drawn videos; where in its range the
# second lies, on a portrait (docs/spotting.md).
THRESHOLDS = {"micro": 0.5, "macro": 0.25}
SHOWN = 0.7  # a unit of at least this probability is named; chosen on drawn long videos
CLEAR = 0.05  # of a full unit: below that no side is told from the other
NEARLY = 1.25  # times MICRO up to which an interval may be cut to MICRO
LEADS = 1.25  # times the other side's level makes a unit one-sided
EXPRESSION = [COLUMNS.index(name) for name in ACTIONS if not name.startswith("eyeBlink")]


@dataclass(frozen=True)
class Interval:
    """One expression. Times are rows of the track: the frames that were looked at.

    levels (U, 2): what the curves show of each unit at the apex, the person's left and right.
    map (3, S, S): motion from onset to apex, None where a frame could not be read again; of it
    classes, scores by name, and units: FACS number, side ("left" or "right" of the person, "" for
    both), strength (1: full).
    """

    onset: int
    apex: int
    offset: int
    kind: str
    score: float
    levels: np.ndarray
    map: np.ndarray | None = None
    classes: dict[str, float] = field(default_factory=dict)
    units: list[tuple[int, str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class TrainedSpotter:
    """The networks, and what their scores are worth: an interval of score s is an expression with
    the probability sigmoid(slope logit(s) + offset), on synthetic motion it did not learn from."""

    network: Committee
    slope: float
    offset: float

    def confidence(self, scores: np.ndarray) -> np.ndarray:
        """Scores in [0, 1] -> probabilities."""
        odds = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
        return 1 / (1 + np.exp(-(self.slope * odds + self.offset)))


def load_spotter(path: Path = WEIGHTS) -> TrainedSpotter:
    """The spotter of a file, in evaluation mode; UserError if it is none."""
    network = Committee([Spotter(CHANNELS, len(COLUMNS)) for _ in range(MEMBERS)])
    try:
        with safe_open(path, "pt") as file:
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            slope, offset = json.loads(file.metadata()["made by"])["calibration"]
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        fault = one_line(error)
        raise UserError(f"{path}: {fault}; python -m tools.make_spotter makes it") from error
    return TrainedSpotter(network.eval(), slope, offset)


@dataclass(frozen=True)
class Scores:
    """At RATE from the first frame on: the confidence (2, T) in an interval around of either kind,
    micro and macro, and reach (2, T) in frames to its onset and offset."""

    scores: np.ndarray
    reach: np.ndarray


@torch.no_grad()
def look_both_ways(network: nn.Module, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (T, V) at RATE -> scores (2, T) in [0, 1] and reach (2, T): the mean of what the
    network says of them and of the same face in a mirror."""
    both = np.stack([curve_channels(values), curve_channels(mirrored(values))])
    logits, reach, _ = network(torch.from_numpy(both))
    return logits.mean(0).sigmoid().numpy(), reach.log().mean(0).exp().numpy()


def score_moments(values: np.ndarray, spotter: TrainedSpotter) -> Scores:
    """Values (T, V) at RATE -> what the network says of every moment, window after window."""
    scores, reach = [], []
    for low, first, last, high in _windows(len(values)):
        score, distance = look_both_ways(spotter.network, values[low:high])
        part = np.s_[:, first - low : last - low]
        scores.append(spotter.confidence(score)[part])
        reach.append(distance[part])
    found = np.concatenate(scores, 1)
    found[:, ~np.isfinite(values[:, 0])] = 0
    return Scores(found, np.concatenate(reach, 1))


def _windows(count: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows over `count` moments: where each begins with what lies beside, itself, and ends."""
    size, beside = int(WINDOW * RATE), int(BESIDE * RATE)
    for first in range(0, count, size):
        last = min(first + size, count)
        yield max(first - beside, 0), first, last, min(last + beside, count)


def find_intervals(
    track: Track, found: Scores, values: np.ndarray, thresholds: dict[str, float] = THRESHOLDS
) -> list[Interval]:
    """The intervals whose score reaches their kind's threshold, with apex and units.

    values (T, V) at RATE. An interval across a cut or a lost face is left out.
    """
    grid = np.interp(np.arange(len(values)) / RATE, track.times, np.arange(len(track.times)))
    breaks = np.flatnonzero(track.began | ~track.found)
    intervals = []
    for one in candidates(found.scores, found.reach, min(thresholds.values())):
        onset, offset = (
            round(float(np.interp(t, np.arange(len(grid)), grid))) for t in (one.onset, one.offset)
        )
        offset = max(offset, min(onset + 2, len(track.times) - 1))
        onset = max(min(onset, offset - 2), 0)
        if one.kind == "micro":
            onset, offset = _within_micro(track, onset, offset)
        if offset - onset < 2 or ((breaks > onset) & (breaks <= offset)).any():
            continue
        kind = kind_of(track, onset, offset)
        if one.score < thresholds[kind]:
            continue
        apex, levels = _apex_and_levels(one, values, grid, onset, offset)
        intervals.append(Interval(onset, apex, offset, kind, one.score, levels))
    return intervals


def kind_of(track: Track, onset: int, offset: int) -> str:
    """micro up to half a second, both frames counted in; else macro."""
    long = track.times[offset] - track.times[onset] + _step(track) > MICRO + 1e-6
    return "macro" if long else "micro"


def _within_micro(track: Track, onset: int, offset: int) -> tuple[int, int]:
    """An interval that looks micro and is a little longer than one can be, cut at both ends."""
    if track.times[offset] - track.times[onset] + _step(track) > MICRO * NEARLY:
        return onset, offset
    while kind_of(track, onset, offset) != "micro" and offset - onset > 2:
        onset, offset = (onset + 1, offset) if (offset - onset) % 2 else (onset, offset - 1)
    return onset, offset


def _step(track: Track) -> float:
    return float(np.median(np.diff(track.times))) if len(track.times) > 1 else 0.0


def _apex_and_levels(
    one: Candidate, values: np.ndarray, grid: np.ndarray, onset: int, offset: int
) -> tuple[int, np.ndarray]:
    first, last = int(max(one.onset, 0)), int(min(np.ceil(one.offset), len(values) - 1))
    part = values[first : last + 1]
    share = np.linspace(0, 1, len(part))[:, None]
    change = part - (part[:1] * (1 - share) + part[-1:] * share)
    size = np.linalg.norm(mean_reading(change)[:, EXPRESSION], axis=1)
    size = np.convolve(size, [0.25, 0.5, 0.25], "same")
    best = int(np.argmax(size[1:-1])) + 1 if len(size) > 2 else len(size) // 2
    apex = int(np.clip(round(float(grid[first + best])), onset + 1, offset - 1))
    near = change[max(best - 1, 0) : best + 2].mean(0)
    return apex, unit_levels(near)


def name_units(levels: np.ndarray, probabilities: dict[int, float]) -> list[tuple[int, str, float]]:
    """The units that show, the strongest first.

    levels (U, 2) of the person's left and right say how strongly and where, the network's
    probabilities which.
    """
    named = []
    for unit, (left, right) in zip(UNITS, np.maximum(levels, 0).tolist()):
        if probabilities.get(unit, 0.0) >= SHOWN:
            strong, weak = max(left, right), min(left, right)
            one_sided = strong >= CLEAR and strong > LEADS * weak
            side = ("left" if left > right else "right") if one_sided else ""
            named.append((unit, side, min(strong, 1.0)))
    return sorted(named, key=lambda one: -one[2])


def motion_maps(film: Film, track: Track, intervals: list[Interval]) -> list[np.ndarray | None]:
    """The motion (3, S, S) from onset to apex of each interval, from the film's frames."""
    wanted: dict[int, set[int]] = {}  # a frame's number -> the intervals that need it
    for i, one in enumerate(intervals):
        for row in (one.onset, one.apex):
            wanted.setdefault(int(track.numbers[row]), set()).add(i)
    looks: dict[tuple[int, int], np.ndarray] = {}  # (interval, row): until its other is there
    maps: list[np.ndarray | None] = [None] * len(intervals)
    for number, image in read_some(film, set(wanted)):
        for i in wanted[number]:
            one = intervals[i]
            row = one.onset if number == int(track.numbers[one.onset]) else one.apex
            looks[i, row] = look(image, _from_pixels(track.frames[row]))
            if (i, one.onset) in looks and (i, one.apex) in looks:
                first, second = looks.pop((i, one.onset)), looks.pop((i, one.apex))
                aspect = float(track.aspects[one.onset])
                flow = measured_flow(first, second, aspect, 2 * MOTION_SIZE)
                maps[i] = flow_to_maps(flow[None], np.array([aspect]), MOTION_SIZE)[0]
    return maps


def _from_pixels(frame: np.ndarray) -> np.ndarray:
    """A frame (2, 3) from [0, 1]² as (3, 3) from the pixels of a look of FLOW_SIDE."""
    whole = np.vstack([frame, [0, 0, 1]]).astype(float)
    return whole @ np.diag([1 / FLOW_SIDE, 1 / FLOW_SIDE, 1])


@torch.no_grad()
def name_all(
    intervals: list[Interval], maps: list[np.ndarray | None], network: MotionNet
) -> list[Interval]:
    """The intervals with their maps, and the classes and units that the network reads of these."""
    there = [one for one in maps if one is not None]
    if not there:
        return intervals
    output = network(torch.from_numpy(np.stack(there)))
    rows = zip(network.scores(output).tolist(), network.unit_scores(output).tolist())
    named = []
    for interval, map_ in zip(intervals, maps):
        if map_ is not None:
            scores, shown = next(rows)
            units = name_units(interval.levels, dict(zip(NETWORK_UNITS, shown)))
            classes = dict(zip(CLASSES[3], scores))
            interval = replace(interval, map=map_, classes=classes, units=units)
        named.append(interval)
    return named


def rows_at_rate(track: Track) -> np.ndarray:
    """The track's values (T, V) at RATE."""
    return at_rate(track.values, track.times)
