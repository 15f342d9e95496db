"""What happens in drawn long videos, and when. All of it follows from a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthetic.demo.plan import generator
from synthetic.motion.actions import PATTERNS, SIDED, UNITS

from .looks import AnyLook, Look, look_of

EMOTIONS = ("negative", "positive", "surprise")  # by class
MICRO_SECONDS = 0.5  # the longest micro-expression, onset and offset counted in
EXPRESSIONS = ("micro", "macro")
MARGIN = 0.7  # seconds at least between two of expressions, speech and stillness


@dataclass(frozen=True)
class Layout:
    """One corpus's ways: subjects and their videos, names on disk."""

    person: str  # the demo set's corpus whose people these are
    subjects: tuple[str, ...]
    videos: tuple[str, ...]  # names after the subject's, in the order they are drawn in
    folder: str  # {subject}, {number} (without letters), {video}
    frame: str
    grey: bool
    step: float  # seconds between rendered frames; those between are blended


LAYOUTS = {
    "casme_sq": Layout(
        person="casme2",
        subjects=("s15", "s19", "s21", "s22", "s27", "s29", "s30", "s31"),
        videos=("0101disgustingteeth", "0502funnyerrors", "0401girlcrashing", "0102eatingworms",
                "0505funnyinnovations", "0402beatingpregnantwoman"),
        folder="CASME_sq/rawpic/{subject}/{video}",
        frame="img{frame}.jpg",
        grey=False,
        step=0.0,
    ),
    "samm_lv": Layout(
        person="samm",
        subjects=("006", "010", "007", "011", "012", "014"),
        videos=("1", "2", "3", "4", "5", "6", "7"),
        folder="SAMM_longvideos/{video}",
        frame="{video}_{frame:04d}.jpg",
        grey=True,
        step=0.025,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """An action unit: FACS number, the side that leads ("" for both), share of a full unit."""

    number: int
    side: str
    strength: float


@dataclass(frozen=True)
class Event:
    """Something that happens, from frame onset to offset, both counted in; apex: its furthest.

    kind: micro and macro (expressions), blink, gaze, speech, turn, nod, light, still. amount:
    what the kind needs besides: gaze (x, y); turn (pitch, yaw); nod (pitch, how many);
    light (logarithm of all light's factor, of the key light's); blink (how far the lids close).
    """

    kind: str
    onset: int
    apex: int
    offset: int
    label: int = -1
    units: tuple[Unit, ...] = ()
    amount: tuple[float, ...] = ()


@dataclass(frozen=True)
class Video:
    """A long video to draw; frames are numbered from 1."""

    corpus: str
    subject: str
    name: str
    look: AnyLook
    fps: int
    frames: int
    events: tuple[Event, ...]

    @property
    def folder(self) -> str:
        """Of its frames, below the set's root."""
        return LAYOUTS[self.corpus].folder.format(subject=self.subject, video=self.name)

    def frame_name(self, number: int) -> str:
        """File name of a frame."""
        return LAYOUTS[self.corpus].frame.format(video=self.name, frame=number)


@dataclass(frozen=True)
class LongSize:
    """How much of a corpus is drawn: videos, spread over the subjects; each one's seconds."""

    subjects: int
    videos: int
    seconds: tuple[float, float] = (60.0, 180.0)


def plan_long(seed: int, sizes: dict[str, LongSize], look: AnyLook = "plain") -> list[Video]:
    """Every video of a set, in order of corpus, subject, video."""
    videos = []
    for corpus, size in sizes.items():
        layout = LAYOUTS[corpus]
        for i, subject in enumerate(layout.subjects[: size.subjects]):
            count = size.videos // size.subjects + (i < size.videos % size.subjects)
            for name in layout.videos[:count]:
                full = f"{subject.removeprefix('s')}_{name}"
                rng = generator(seed, "long", look, corpus, full)
                low, high = size.seconds
                seconds = low + (high - low) * rng.beta(1, 2)
                fps = look_of(look, seed).rates[corpus]
                frames = round(seconds * fps)
                events = _plan_events(rng, frames, fps, look_of(look, seed))
                videos.append(Video(corpus, subject, full, look, fps, frames, events))
    return videos


def _plan_events(rng: np.random.Generator, frames: int, fps: int, look: Look) -> tuple[Event, ...]:
    """Events in order of their onset."""
    minutes = frames / fps / 60
    events = _plan_in_turn(rng, frames, fps, look)
    taken = [(e.onset, e.offset) for e in events if e.kind in ("micro", "still")]
    macros = [(e.onset, e.offset) for e in events if e.kind == "macro"]
    moves: list[Event] = []
    for kind, rate in (("turn", (2, 4)), ("nod", (0.5, 1.5))):
        for _ in range(_number(rng, minutes, rate)):
            # A head may turn while its face moves slowly, but not through a micro-expression.
            avoided = taken + [(m.onset, m.offset) for m in moves]
            avoided += macros if rng.random() < 0.75 else []
            length = round(fps * (rng.uniform(1.6, 4.0) if kind == "turn" else rng.uniform(1, 2)))
            onset = _free_start(rng, frames, length, avoided, round(0.3 * fps))
            if onset is not None:
                moves.append(_move(rng, kind, onset, length, look))
    events += moves
    still = [(e.onset, e.offset) for e in events if e.kind == "still"]
    for draw in (_blinks, _gazes):
        events += [
            e for e in draw(rng, frames, fps) if not _meets(e.onset, e.offset, still, fps // 5)
        ]
    events += _lights(rng, frames, fps, look)
    return tuple(sorted(events, key=lambda e: (e.onset, e.offset, e.kind)))


def _number(rng: np.random.Generator, minutes: float, rate: tuple[float, float]) -> int:
    """How many of something with a rate a minute: the whole part, and one more by chance."""
    mean = minutes * rng.uniform(*rate)
    return int(mean) + int(rng.random() < mean % 1)


def _plan_in_turn(rng: np.random.Generator, frames: int, fps: int, look: Look) -> list[Event]:
    """Expressions, speech and stretches of stillness: one after the other, with pauses."""
    minutes = frames / fps / 60
    wanted: list[tuple[str, float]] = []
    wanted += [
        ("micro", float(rng.uniform(0.14, MICRO_SECONDS)))
        for _ in range(max(1, _number(rng, minutes, (look.busy, 2.5 * look.busy))))
    ]
    wanted += [
        ("macro", 0.6 + 2.4 * float(rng.beta(1.2, 2)))
        for _ in range(max(1, _number(rng, minutes, (look.busy, 2 * look.busy))))
    ]
    wanted += [("speech", rng.uniform(2, 8)) for _ in range(_number(rng, minutes, (0.7, 1.5)))]
    wanted += [("still", rng.uniform(4, 8)) for _ in range(_number(rng, minutes, (0.5, 1)))]
    lengths = []
    for kind, seconds in wanted:
        longest = int(MICRO_SECONDS * fps) if kind == "micro" else frames
        lengths.append(min(max(round(seconds * fps), 4), longest))
    margin = round(MARGIN * fps)
    while lengths and sum(lengths) + margin * (len(lengths) + 1) > frames:
        lengths.pop()  # a short video has no room for all of them
    kept = wanted[: len(lengths)]
    spare = frames - sum(lengths) - margin * (len(lengths) + 1)
    pauses = np.floor(rng.dirichlet(np.full(len(lengths) + 1, 1.5)) * spare).astype(int) + margin
    events, at = [], 1
    for i, pause in zip(rng.permutation(len(lengths)), pauses):
        at += int(pause)
        events.append(_in_turn(rng, kept[i][0], at, lengths[i], fps, look))
        at += lengths[i]
    return events


def _in_turn(
    rng: np.random.Generator, kind: str, onset: int, length: int, fps: int, look: Look
) -> Event:
    offset = onset + length - 1
    if kind not in EXPRESSIONS:
        return Event(kind, onset, (onset + offset) // 2, offset)
    label = int(rng.integers(3))
    strength = rng.uniform(*(look.micro if kind == "micro" else look.macro))
    share = rng.uniform(0.35, 0.65) if kind == "micro" else rng.uniform(0.2, 0.4)
    apex = int(np.clip(onset + round(share * length), onset + 1, offset - 1))
    return Event(kind, onset, apex, offset, label, _draw_units(rng, label, strength))


def _draw_units(rng: np.random.Generator, label: int, strength: float) -> tuple[Unit, ...]:
    """Units of one of the class's patterns, the strongest of them at `strength`."""
    patterns, odds = zip(*PATTERNS[label])
    weights = np.sqrt(np.array(odds))  # the rare ones a little more often than they are
    pattern = patterns[rng.choice(len(patterns), p=weights / weights.sum())]
    side = rng.choice(["Left", "Right"]) if rng.random() < 0.3 else ""
    units = []
    for i, number in enumerate(rng.permutation(pattern)):
        share = 1.0 if i == 0 else rng.uniform(0.5, 1.0)
        sided = all(action in SIDED for action in UNITS[int(number)])
        units.append(
            Unit(int(number), str(side) if sided else "", round(float(strength * share), 3))
        )
    return tuple(sorted(units, key=lambda unit: unit.number))


def _meets(onset: int, offset: int, others: list[tuple[int, int]], margin: int) -> bool:
    return any(onset <= last + margin and offset >= first - margin for first, last in others)


def _free_start(
    rng: np.random.Generator, frames: int, length: int, others: list[tuple[int, int]], margin: int
) -> int | None:
    """Where `length` frames fit beside the others; None if forty tries find no such place."""
    for _ in range(40 if frames > length + 2 * margin else 0):
        onset = int(rng.integers(1 + margin, frames - length - margin + 1))
        if not _meets(onset, onset + length - 1, others, margin):
            return onset
    return None


def _move(rng: np.random.Generator, kind: str, onset: int, length: int, look: Look) -> Event:
    offset = onset + length - 1
    middle = (onset + offset) // 2
    if kind == "nod":
        amount = (float(rng.uniform(0.04, 0.10)), float(rng.integers(1, 4)))
    else:
        furthest = rng.uniform(*look.turn)
        way = rng.uniform(0, 2 * np.pi)
        amount = (float(0.6 * furthest * np.sin(way)), float(furthest * np.cos(way)))
    return Event(kind, onset, middle, offset, amount=amount)


def _blinks(rng: np.random.Generator, frames: int, fps: int) -> list[Event]:
    events, rate = [], rng.uniform(10, 20)
    at = float(rng.uniform(0, 2))
    while (at := at + 0.6 + rng.exponential(60 / rate - 0.6)) * fps < frames - fps:
        length = max(4, round(fps * rng.uniform(0.15, 0.35)))
        onset = 1 + int(at * fps)
        apex = onset + max(1, round(0.4 * length))
        closed = 1.0 if rng.random() < 0.85 else rng.uniform(0.4, 0.8)
        events.append(Event("blink", onset, apex, onset + length - 1, amount=(float(closed),)))
    return events


def _gazes(rng: np.random.Generator, frames: int, fps: int) -> list[Event]:
    events, at = [], 0.0
    while (at := at + 1.5 + rng.exponential(6)) * fps < frames - fps:
        onset = 1 + int(at * fps)
        length = max(2, round(0.06 * fps))
        home = rng.random() < 0.4
        way = (0.0, 0.0) if home else tuple(map(float, rng.normal(0, (0.25, 0.15))))
        last = onset + length - 1
        events.append(Event("gaze", onset, last, last, amount=way))
    return events


def _lights(rng: np.random.Generator, frames: int, fps: int, look: Look) -> list[Event]:
    """One gradual change and one at once, every 100 seconds or so."""
    events: list[Event] = []
    lengths: tuple[Callable[[], float], ...] = (lambda: rng.uniform(3, 10), lambda: 0.07)
    for furthest, seconds in zip(look.light, lengths):
        for _ in range(_number(rng, frames / fps / 60, (0.4, 0.9))):
            length = max(2, round(seconds() * fps))
            taken = [(e.onset, e.offset) for e in events]
            onset = _free_start(rng, frames, length, taken, fps)
            if onset is not None:
                amount = tuple(map(float, rng.uniform(-furthest, furthest, 2)))
                last = onset + length - 1
                events.append(Event("light", onset, last, last, amount=amount))
    return events
