"""What a synthetic face does over a minute or so: expressions, and all that is none.

Times are frames at RATE. Expressions are the classes' patterns (actions.py), short ones (micro, up
to half a second) and longer ones (macro); beside them lids blink, eyes wander, the mouth speaks,
the head turns, nods and sways, and a face at rest drifts a little.
"""

from dataclasses import dataclass, field

import numpy as np

from .actions import GAZE, PATTERNS, UNIT_NUMBERS, UNITS, names_of

RATE = 30.0  # frames a second
MICRO = 0.5  # seconds: the longest micro-expression
SPEECH = (
    ("jawOpen", 0.25), ("mouthFunnel", 0.3), ("mouthPucker", 0.3), ("mouthLowerDown", 0.3),
    ("mouthUpperUp", 0.15), ("mouthStretch", 0.15), ("mouthClose", 0.1), ("mouthPress", 0.15),
    ("mouthSmile", 0.1), ("mouthRollLower", 0.2),
)  # fmt: skip
FIDGETS = (("mouthPucker", 0.4), ("mouthRollLower", 0.5), ("jawLeft", 0.25), ("jawRight", 0.25))


@dataclass(frozen=True)
class Life:
    """How much happens: per minute, uniform ranges; strengths are shares of a full unit."""

    micro: tuple[float, float] = (1, 4)
    macro: tuple[float, float] = (1, 4)
    blinks: tuple[float, float] = (6, 25)
    glances: tuple[float, float] = (2, 15)
    speech: tuple[float, float] = (0, 3)
    turns: tuple[float, float] = (0, 10)
    fidgets: tuple[float, float] = (0, 2)
    lights: tuple[float, float] = (0, 2)
    micro_strength: tuple[float, float] = (0.12, 0.65)
    macro_strength: tuple[float, float] = (0.2, 1.0)
    one_sided: float = 0.35
    turn_size: tuple[float, float] = (0.03, 0.45)  # radians
    sway: tuple[float, float] = (0.002, 0.03)  # sd, radians
    still: float = 0.1  # chance that nothing happens at all


LIFE = Life()


@dataclass(frozen=True)
class Event:
    """Something that a face does, from onset to offset, both included.

    kind: micro, macro, or what is no expression: blink, gaze, speech, turn, fidget, light.
    units: of an expression, (U, 2) levels of the person's left and right.
    """

    kind: str
    onset: int
    apex: int
    offset: int
    label: int = -1
    units: np.ndarray | None = None


@dataclass(frozen=True)
class Timeline:
    """T frames: actions (T, A), turn (T, 3) radians, and what they are made of, in order."""

    actions: np.ndarray
    turn: np.ndarray
    events: list[Event] = field(default_factory=list)

    @property
    def expressions(self) -> list[Event]:
        """The micro- and macro-expressions."""
        return [event for event in self.events if event.units is not None]


def draw_timeline(
    rng: np.random.Generator, frames: int, columns: dict[str, int], life: Life = LIFE
) -> Timeline:
    """What happens within some frames; `columns` numbers the head's facial actions."""
    actions = np.zeros((frames, len(columns)), np.float32)
    busy = np.zeros(frames, bool)
    calm = rng.random() < life.still
    events = [] if calm else _expressions(rng, busy, actions, columns, life)
    for kind, often, add in (
        ("blink", life.blinks, _blink),
        ("gaze", life.glances, _glance),
        ("fidget", life.fidgets, _fidget),
    ):
        for at in _starts(rng, frames, often):
            events.append(_event(kind, at, at + add(rng, at, actions, columns), frames))
    for at in _starts(rng, frames, life.speech):
        length = int(rng.uniform(1.0, 8.0) * RATE)
        if not busy[at : at + length].any() or rng.random() > 0.9:
            _speak(rng, at, length, actions, columns)
            events.append(_event("speech", at, at + length, frames))
    turn = _sway(rng, frames, life)
    for at in _starts(rng, frames, life.turns):
        events.append(_event("turn", at, at + _turn(rng, at, turn, life), frames))
    for at in _starts(rng, frames, life.lights):
        events.append(_event("light", at, at + int(rng.choice([1, 8, 60])), frames))
    drift = _smooth(rng, frames, 6 * RATE, actions.shape[1]) * rng.uniform(0, 0.015)
    moving = [name not in ("jawForward", "tongueOut", "cheekPuff") for name in columns]
    actions += drift * np.array(moving, np.float32)
    return Timeline(actions, turn, sorted(events, key=lambda event: event.onset))


def _starts(rng: np.random.Generator, frames: int, often: tuple[float, float]) -> list[int]:
    """When something begins that happens so often a minute."""
    count = rng.poisson(rng.uniform(*often) * frames / RATE / 60)
    return [int(at) for at in rng.integers(frames, size=count)]


def _expressions(
    rng: np.random.Generator,
    busy: np.ndarray,
    actions: np.ndarray,
    columns: dict[str, int],
    life: Life,
) -> list[Event]:
    """Add expressions where there is room for them."""
    drawn = []
    for kind, often in (("macro", life.macro), ("micro", life.micro)):
        for _ in _starts(rng, len(busy), often):
            drawn.append(_express(rng, kind, busy, actions, columns, life))
    return [event for event in drawn if event is not None]


def _event(kind: str, first: int, last: int, frames: int) -> Event:
    last = min(last, frames - 1)
    return Event(kind, first, (first + last) // 2, last)


def _pulse(frames: int, first: int, rise: int, hold: int, fall: int, bend: float) -> np.ndarray:
    """(frames,) from 0 at `first` to 1 after `rise` frames, and after `hold` back in `fall`."""
    at = np.arange(frames) - first
    phase = np.interp(at, [0, rise, rise + hold, rise + hold + fall], [0, 1, 1, 2])
    return (((1 - np.cos(np.pi * phase)) / 2) ** bend).astype(np.float32)


def _express(
    rng: np.random.Generator,
    kind: str,
    busy: np.ndarray,
    actions: np.ndarray,
    columns: dict[str, int],
    life: Life,
) -> Event | None:
    """Add an expression where there is room; None where there is none."""
    frames = len(busy)
    if kind == "micro":
        length = round(rng.uniform(0.17, MICRO) * RATE)  # frames, both ends included
    else:
        length = round(MICRO * RATE * np.exp(rng.uniform(np.log(1.1), np.log(8))))
    gap = int(0.4 * RATE)
    for _ in range(20):
        first = int(rng.integers(gap, max(frames - length - gap, gap + 1)))
        if first + length < frames and not busy[first - gap : first + length + gap].any():
            break
    else:
        return None
    busy[first : first + length] = True
    span = length - 1
    hold = int(
        span * (rng.uniform(0, 0.5) if kind == "macro" else rng.choice([0, rng.uniform(0, 0.25)]))
    )
    rise = int(np.clip(round((span - hold) * rng.uniform(0.3, 0.65)), 2, span - hold - 2))
    course = _pulse(frames, first, rise, hold, span - hold - rise, rng.uniform(0.8, 1.4))
    label = int(rng.integers(3))
    patterns, odds = zip(*PATTERNS[label])
    weights = np.array(odds) ** 0.6
    pattern = patterns[rng.choice(len(patterns), p=weights / weights.sum())]
    level = rng.uniform(*(life.micro_strength if kind == "micro" else life.macro_strength))
    sides = np.ones(2)
    if rng.random() < life.one_sided:
        sides[rng.integers(2)] = rng.uniform(0, 0.4)
    units = np.zeros((len(UNIT_NUMBERS), 2), np.float32)
    for i, unit in enumerate(rng.permutation(pattern)):
        share = level * (1.0 if i == 0 else rng.uniform(0.5, 1.0))
        units[UNIT_NUMBERS.index(unit)] = share * sides
        for action, strength in UNITS[int(unit)].items():
            names = names_of(action)
            for name, side in zip(names, sides if len(names) == 2 else (sides.max(),)):
                amount = share * strength * side * rng.uniform(0.85, 1.15)
                actions[:, columns[name]] += amount * course
    if rng.random() < 0.5:  # lids follow
        for name in names_of("eyeBlink"):
            actions[:, columns[name]] += rng.normal(0, 0.1) * level * course
    return Event(kind, first, first + rise + hold // 2, first + span, label, units)


def _blink(rng: np.random.Generator, at: int, actions: np.ndarray, columns: dict[str, int]) -> int:
    rise, hold = int(rng.integers(2, 5)), int(rng.choice([0, 0, 0, 1, 3, 10]))
    fall = int(rng.integers(3, 9))
    course = _pulse(len(actions), at, rise, hold, fall, 1.0) * rng.uniform(0.4, 1.0)
    sides = rng.uniform(0.9, 1, 2)
    for name, side in zip(names_of("eyeBlink"), sides):
        actions[:, columns[name]] += course * side
    for action, most in (("eyeSquint", 0.25), ("browDown", 0.06), ("cheekSquint", 0.12)):
        share = rng.uniform(0, most)
        for name in names_of(action):
            actions[:, columns[name]] += course * share
    return rise + hold + fall


def _glance(rng: np.random.Generator, at: int, actions: np.ndarray, columns: dict[str, int]) -> int:
    length, jump = int(rng.uniform(0.2, 3) * RATE), int(rng.integers(1, 3))
    course = _pulse(len(actions), at, jump, length, jump, 1.0) * rng.uniform(0.05, 0.5)
    for way in rng.choice(list(GAZE), int(rng.integers(1, 3)), replace=False):
        for name in GAZE[str(way)]:
            actions[:, columns[name]] += course
        lids = {"down": 0.5, "up": -0.25}.get(str(way), 0.0) * rng.uniform(0.5, 1.2)
        for name in names_of("eyeBlink"):
            actions[:, columns[name]] += course * lids
    return length + 2 * jump


def _fidget(rng: np.random.Generator, at: int, actions: np.ndarray, columns: dict[str, int]) -> int:
    name, most = FIDGETS[rng.integers(len(FIDGETS))]
    length = int(rng.uniform(0.3, 2) * RATE)
    rise = max(2, length // 3)
    course = _pulse(len(actions), at, rise, max(length - 2 * rise, 0), rise, 1.0)
    actions[:, columns[name]] += course * rng.uniform(0.1, most)
    return length


def _speak(
    rng: np.random.Generator, at: int, length: int, actions: np.ndarray, columns: dict[str, int]
) -> None:
    frames = len(actions)
    part = np.s_[at : min(at + length, frames)]
    ends = np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.15 * RATE)
    fade = np.clip(ends, 0, 1)[: len(actions[part])]
    rate, loud = rng.uniform(2, 5.5), rng.uniform(0.3, 1.3)
    beat = 1 + np.sin(2 * np.pi * (rate * np.arange(length) / RATE + rng.random()))
    for action, most in SPEECH:
        course = np.abs(_smooth(rng, length, RATE / rate / 2.5, 1)[:, 0]) / 1.5
        if action == "jawOpen":
            course = 0.5 * course + 0.5 * beat * np.abs(_smooth(rng, length, RATE, 1)[:, 0])
        for name in names_of(action):
            share = most * loud * rng.uniform(0.8, 1.2)
            actions[part, columns[name]] += share * course[: len(fade)] * fade
    for name in (*names_of("browOuterUp"), "browInnerUp", *names_of("browDown")):
        course = _smooth(rng, length, 0.4 * RATE, 1)[: len(fade), 0] * fade
        actions[part, columns[name]] += 0.03 * rng.random() * course


def _turn(rng: np.random.Generator, at: int, turn: np.ndarray, life: Life) -> int:
    """A turn of the head to a side and back, a nod, or several."""
    frames = len(turn)
    size = rng.uniform(*life.turn_size)
    axis = rng.choice([0, 1, 2], p=[0.35, 0.5, 0.15])
    direction = rng.normal(0, 0.25, 3)
    direction[axis] = rng.choice([-1, 1])
    rise, fall = (int(rng.uniform(0.25, 1.2) * RATE) for _ in range(2))
    hold = int(rng.uniform(0, 2.5) * RATE)
    if axis == 0 and rng.random() < 0.5:  # nods
        times, period = int(rng.integers(1, 5)), int(rng.uniform(0.35, 0.9) * RATE)
        length = times * period
        phase = np.clip((np.arange(frames) - at) / period, 0, times)
        course = np.sin(np.pi * phase) ** 2 * 0.4
    else:
        length = rise + hold + fall
        course = _pulse(frames, at, rise, hold, fall, 1.0)
    turn += (course[:, None] * direction * size).astype(np.float32)
    return length


def _sway(rng: np.random.Generator, frames: int, life: Life) -> np.ndarray:
    size = np.exp(rng.uniform(*np.log(life.sway)))
    slow = _smooth(rng, frames, 2 * RATE, 3) + 0.15 * _smooth(rng, frames, 0.25 * RATE, 3)
    return (size * slow * [0.8, 1.0, 0.6]).astype(np.float32)


def _smooth(rng: np.random.Generator, frames: int, scale: float, channels: int) -> np.ndarray:
    """(frames, channels) noise of standard deviation about 1 that changes within `scale` frames."""
    knots = int(np.ceil(frames / scale)) + 4
    values = rng.standard_normal((knots, channels)).astype(np.float32)
    at = np.arange(frames) / scale + rng.random() + 1
    i, t = at.astype(int), (at % 1)[:, None].astype(np.float32)
    a, b, c, d = (values[i + k] for k in (-1, 0, 1, 2))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return curve.astype(np.float32)
