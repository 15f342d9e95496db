"""What a face does over the frames of a long video: events become curves of facial actions."""

from dataclasses import dataclass

import numpy as np

from deca.anny.head import load_head
from synthetic.demo.corpora import rest_actions
from synthetic.demo.plan import generator
from synthetic.motion.actions import GAZE, UNITS, names_of

from .looks import look_of
from .plan import EXPRESSIONS, LAYOUTS, Event, Video

SWAY = (0.012, 0.016, 0.006)  # sd of pitch, yaw, roll in radians
DRIFT = (0.0020, 0.0012, 0.0035)  # sd of the head's way, metres
NECK = np.array([0.0, -0.10, -0.03])  # metres from the head's origin: what it turns about
LIPS = {  # what lips do in speech, at the most
    "mouthFunnel": 0.25, "mouthPucker": 0.25, "mouthStretch": 0.2, "mouthLowerDown": 0.3,
    "mouthUpperUp": 0.12, "mouthClose": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class Acting:
    """T rendered moments: actions (T, 52) in [0, 1], rotation (T, 3) in radians, shift (T, 3) in
    metres, light (T, 2): logarithms of all light's factor and of the key light's."""

    actions: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray
    light: np.ndarray


def act_long(seed: int, video: Video, at: np.ndarray) -> Acting:
    """What happens at the frames `at` (T,), which may lie between whole numbers."""
    head = load_head()
    columns = {name: i for i, name in enumerate(head.actions)}
    person = LAYOUTS[video.corpus].person
    rng = generator(seed, "long acting", video.look, video.corpus, video.name)
    rest = rest_actions(generator(seed, person, video.subject, "rest"), rng)
    stirring = _stirring_time(video, at)
    drift = _noise(rng, stirring, 1.5, len(rest)) * 0.012
    actions = np.where(rest > 0, rest + drift, 0)
    for event in video.events:
        one = _own(seed, video, event)
        for name, values in _actions_of(one, event, at, video.fps).items():
            actions[:, columns[name]] += values
    for name, values in _gaze(video, at).items():
        actions[:, columns[name]] += values
    sway = look_of(video.look, seed).sway
    rotation, shift = _head(rng, video, at, stirring, sway)
    return Acting(np.clip(actions, 0, 1).astype(np.float32), rotation, shift, _light(video, at))


def strength(event: Event, at: np.ndarray) -> np.ndarray:
    """How far an expression or blink has gone at frames (T,): 0 to 1, 1 at its apex."""
    if event.kind == "macro":  # it is held for a while
        release = event.apex + 0.6 * (event.offset - event.apex)
        return _through(at, (event.onset, event.apex, release, event.offset), (0, 1, 0.85, 0))
    return _through(at, (event.onset, event.apex, event.offset), (0, 1, 0))


def millimetres(seed: int, video: Video, event: Event) -> float:
    """How far the point of the face that an expression moves most goes, at its apex.

    Of the average head, so that it can be compared; 0 for what is no expression.
    """
    if event.kind not in EXPRESSIONS:
        return 0.0
    head = load_head()
    moves = _expression(_own(seed, video, event), event, np.array([float(event.apex)]))
    offsets = head.action_offsets.numpy()
    way = sum(offsets[head.actions.index(name)] * amount[0] for name, amount in moves.items())
    return float(1000 * np.linalg.norm(way, axis=1).max())


def _own(seed: int, video: Video, event: Event) -> np.random.Generator:
    return generator(seed, "event", video.corpus, video.name, event.kind, str(event.onset))


def _through(at: np.ndarray, frames: tuple[float, ...], values: tuple[float, ...]) -> np.ndarray:
    """(T,) from value to value at their frames, slow at each; the first before, the last after."""
    place = np.interp(at, frames, np.arange(len(frames)))
    below = np.minimum(place.astype(int), len(frames) - 2)
    share = (1 - np.cos(np.pi * (place - below))) / 2
    known = np.array(values, float)
    return known[below] + share * (known[below + 1] - known[below])


def _noise(rng: np.random.Generator, seconds: np.ndarray, step: float, count: int) -> np.ndarray:
    """(T, count) smooth noise of about unit size that changes every `step` seconds."""
    length = int(seconds.max() / step) + 3
    values = rng.normal(0, 1, (length, count))
    place = seconds / step
    below = place.astype(int)
    share = ((1 - np.cos(np.pi * (place - below))) / 2)[:, None]
    return values[below] * (1 - share) + values[below + 1] * share


def _stirring_time(video: Video, at: np.ndarray) -> np.ndarray:
    """Seconds (T,) that do not pass while the face is still: what sways by them stops then."""
    awake = np.ones(len(at))
    for event in video.events:
        if event.kind == "still":
            ease = min(0.4 * video.fps, (event.offset - event.onset) / 3)
            frames = event.onset, event.onset + ease, event.offset - ease, event.offset
            awake -= _through(at, frames, (0, 1, 1, 0))
    steps = np.diff(at, prepend=at[0]) / video.fps
    return np.cumsum(np.clip(awake, 0, 1) * steps)


def _actions_of(
    rng: np.random.Generator, event: Event, at: np.ndarray, fps: int
) -> dict[str, np.ndarray]:
    """Facial actions (T,) of one event."""
    if event.kind in EXPRESSIONS:
        return _expression(rng, event, at)
    if event.kind == "blink":
        lids = strength(event, at) * event.amount[0]
        shares = {"eyeBlink": 1.0, "eyeSquint": 0.12}
        return {n: lids * share for name, share in shares.items() for n in names_of(name)}
    if event.kind == "speech":
        return _speech(rng, event, at, fps)
    return {}


def _expression(rng: np.random.Generator, event: Event, at: np.ndarray) -> dict[str, np.ndarray]:
    curve = strength(event, at) ** rng.uniform(0.8, 1.2)
    weak = rng.uniform(0, 0.35)
    change: dict[str, float] = {}
    for unit in event.units:
        for action, full in UNITS[unit.number].items():
            amount = unit.strength * full * rng.uniform(0.85, 1.15)
            for name in names_of(action):
                led = not unit.side or name.endswith(unit.side)
                change[name] = change.get(name, 0) + amount * (1 if led else weak)
    level = {unit.number: unit.strength for unit in event.units}
    lids = level.get(4, 0) * rng.uniform(0, 0.4)  # lowered brows press on the lids
    for name in names_of("eyeBlink"):
        change[name] = change.get(name, 0) + lids
    return {name: curve * amount for name, amount in change.items()}


def _speech(
    rng: np.random.Generator, event: Event, at: np.ndarray, fps: int
) -> dict[str, np.ndarray]:
    """A jaw that opens 3 to 6 times a second, lips that shape, words with pauses between."""
    seconds = np.clip(at - event.onset, 0, event.offset - event.onset) / fps
    ease = 0.15 * fps
    frames = event.onset, event.onset + ease, event.offset - ease, event.offset
    loud = _through(at, frames, (0, 1, 1, 0))
    loud *= np.clip(0.75 + 0.5 * _noise(rng, seconds, 0.5, 1)[:, 0], 0, 1.2)
    rate = rng.uniform(3, 6) * (1 + 0.25 * _noise(rng, seconds, 0.4, 1)[:, 0])
    phase = 2 * np.pi * np.cumsum(rate * np.diff(seconds, prepend=0))
    jaw = rng.uniform(0.06, 0.16) * loud * (1 - np.cos(phase)) / 2
    shapes = np.clip(_noise(rng, seconds, 0.16, len(LIPS)), 0, 2) / 2
    moves = {"jawOpen": jaw}
    for i, (name, most) in enumerate(LIPS.items()):
        for one in names_of(name):
            moves[one] = most * loud * shapes[:, i]
    return moves


def _gaze(video: Video, at: np.ndarray) -> dict[str, np.ndarray]:
    """Where the eyes look, as actions (T,); upper lids follow a look down."""
    way = _targets(video, at, "gaze")
    x, y = way[:, 0], way[:, 1]
    moves: dict[str, np.ndarray] = {}
    for direction, amount in (("left", x), ("right", -x), ("up", y), ("down", -y)):
        for name in GAZE[direction]:
            moves[name] = np.maximum(amount, 0)
    for name in names_of("eyeBlink"):
        moves[name] = 0.35 * np.maximum(-y, 0)
    return moves


def _targets(video: Video, at: np.ndarray, kind: str) -> np.ndarray:
    """(T, 2): the amounts of one kind's events, each reached at its offset and kept from there."""
    values, before = np.zeros((len(at), 2)), np.zeros(2)
    for event in video.events:
        if event.kind == kind:
            target = np.array(event.amount)
            share = _through(at, (event.onset - 1, event.offset), (0, 1))[:, None]
            values += share * (target - before)
            before = target
    return values


def _light(video: Video, at: np.ndarray) -> np.ndarray:
    return _targets(video, at, "light")


def _head(
    rng: np.random.Generator,
    video: Video,
    at: np.ndarray,
    stirring: np.ndarray,
    sway: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (T, 3) and shift (T, 3): where the head rests, sway, breath, turns and nods."""
    rotation = rng.normal(0, [0.04, 0.06, 0.02]) + _slow(rng, stirring, SWAY, sway)
    shift = _slow(rng, stirring, DRIFT, sway)
    shift[:, 1] += 0.0004 * np.sin(2 * np.pi * 0.27 * stirring)  # breath
    for event in video.events:
        length = event.offset - event.onset
        if event.kind == "turn":
            frames = event.onset, event.onset + 0.3 * length, event.offset - 0.35 * length
            turned = _through(at, (*frames, event.offset), (0, 1, 1, 0))
            rotation[:, :2] += turned[:, None] * np.array(event.amount)
        elif event.kind in ("nod", "speech"):
            within = np.clip((at - event.onset) / length, 0, 1)
            if event.kind == "nod":
                size, times = event.amount
            else:  # who speaks nods a little
                size, times = 0.015, 0.7 * length / video.fps
            rotation[:, 0] += size * np.sin(np.pi * within) * np.sin(2 * np.pi * times * within)
    return rotation.astype(np.float32), shift.astype(np.float32)


def _slow(
    rng: np.random.Generator, seconds: np.ndarray, sds: tuple[float, ...], factor: float
) -> np.ndarray:
    """(T, 3): three waves of 0.05 to 0.45 Hz an axis."""
    rates = rng.uniform(0.05, 0.45, (3, 3))
    phases = rng.uniform(0, 2 * np.pi, (3, 3))
    sizes = rng.normal(0, 1, (3, 3)) / np.sqrt(3) / (0.6 + 2 * rates)  # the slow ones go further
    waves = np.sin(2 * np.pi * rates * seconds[:, None, None] + phases)
    return factor * np.array(sds) * (sizes * waves).sum(1)
