"""What the demo set shows: corpora, clips, expressions. All of it follows from a seed."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.corpora import known
from synthetic.motion.actions import SIDED

# Facial actions (ARKit names; a name without a side stands for both) at full strength, by the
# part of the face that moves most. The size is that of a clear but not exaggerated expression.
GROUPS: dict[str, dict[str, float]] = {
    "brows_down": {"browDown": 0.9, "noseSneer": 0.25, "eyeSquint": 0.2},
    "nose": {"noseSneer": 0.9, "browDown": 0.4, "mouthUpperUp": 0.12},
    "lip_corners_down": {"mouthFrown": 0.55, "mouthShrugLower": 0.25, "browDown": 0.2},
    "lips_pressed": {"mouthPress": 0.5, "mouthFrown": 0.35, "mouthRollLower": 0.2},
    "smile": {"mouthSmile": 0.36, "cheekSquint": 0.6, "eyeSquint": 0.15},
    "brows_up": {"browInnerUp": 0.9, "browOuterUp": 0.85, "eyeWide": 0.45, "jawOpen": 0.05},
    "eyes_wide": {"eyeWide": 0.75, "browInnerUp": 0.55, "browOuterUp": 0.4, "jawOpen": 0.09},
    "jaw_sideways": {"jawLeft": 0.35, "mouthPress": 0.35, "browOuterUpRight": 0.6},
    "brow_and_lips": {"browOuterUpLeft": 0.8, "mouthRollLower": 0.5, "mouthPucker": 0.3},
}
EMOTIONS: dict[str, tuple[int, tuple[str, ...]]] = {  # label, groups to draw from
    "negative": (0, ("brows_down", "nose", "lip_corners_down")),
    "disgust": (0, ("nose", "brows_down")),
    "repression": (0, ("lips_pressed", "lip_corners_down")),
    "anger": (0, ("brows_down",)),
    "contempt": (0, ("lip_corners_down",)),
    "fear": (0, ("brows_down", "lip_corners_down")),
    "sadness": (0, ("lip_corners_down",)),
    "positive": (1, ("smile",)),
    "happiness": (1, ("smile",)),
    "surprise": (2, ("brows_up", "eyes_wide")),
    "others": (-1, ("jaw_sideways", "brow_and_lips")),
}


@dataclass(frozen=True)
class Corpus:
    """One corpus's ways: ids, the order of emotions over a subject's clips, names of files."""

    subjects: tuple[str, ...]  # as the index names them; the first ones are drawn
    emotions: tuple[str, ...]
    clips_folder: str  # {subject}
    frame_name: str  # {subject}, {number}
    first_numbers: tuple[int, int]
    grey: bool = False


def bare_frame(root: Path, data: str, subject: str, clip: str, number: int) -> Path:
    """Where the demo set below `root` keeps a wearer's frame as it is without glasses."""
    return root / "truth" / "without_glasses" / f"{data}_{subject}_{clip}_{number}.jpg"


def _ids(text: str, prefix: str = "") -> tuple[str, ...]:
    return tuple(prefix + number for number in text.split())


CORPORA = {
    "smic": Corpus(
        _ids("01 02 03 04 07 10 05 13 06 08 09 11 12 14 15 16 17 18 19 20"),
        ("negative", "positive", "surprise"),
        "SMIC/HS/s{subject}",
        "image{number:06d}.jpg",
        (100, 9000),
    ),
    "casme2": Corpus(
        tuple(f"sub{number:02d}" for number in range(1, 27)),
        (
            "happiness", "surprise", "disgust", "repression", "others", "happiness",
            "surprise", "disgust", "repression", "happiness", "surprise", "others",
        ),
        "CASME2/Cropped/{subject}",
        "reg_img{number}.jpg",
        (20, 160),
    ),
    "samm": Corpus(
        _ids(
            "006 007 010 011 020 014 009 012 013 015 016 017 018 019 021 022 023 024 025 026 028 "
            "030 031 032 033 034 035 036 037"
        ),
        (
            "anger", "happiness", "surprise", "contempt", "happiness", "surprise",
            "disgust", "happiness", "surprise", "fear", "happiness", "surprise",
            "sadness", "happiness", "surprise",
        ),
        "SAMM/{subject}",
        "{subject}_{number:05d}.jpg",
        (300, 9000),
        grey=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much of a corpus is drawn; `clips` in all, spread evenly over the subjects."""

    subjects: int
    clips: int


FULL_SIZE = {"smic": Size(8, 96), "casme2": Size(6, 72), "samm": Size(6, 54)}


@dataclass(frozen=True)
class Clip:
    """One clip to draw. Frame numbers run from first to last; actions are those of the apex."""

    data: str
    subject: str
    name: str
    emotion: str
    label: int
    group: str
    glasses: bool
    first: int
    onset: int
    apex: int
    offset: int
    last: int
    actions: tuple[tuple[str, float], ...]

    @property
    def folder(self) -> str:
        """Below the demo set's root."""
        return f"{CORPORA[self.data].clips_folder.format(subject=self.subject)}/{self.name}"

    def frame_name(self, number: int) -> str:
        """File name of a frame."""
        return CORPORA[self.data].frame_name.format(subject=self.subject, number=number)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that depend on the seed and what they are for, not on the order of drawing."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def plan(seed: int, sizes: dict[str, Size]) -> list[Clip]:
    """Every clip of the demo set, in order of corpus, subject, clip."""
    clips = []
    for data, size in sizes.items():
        subjects = CORPORA[data].subjects[: size.subjects]
        for i, subject in enumerate(subjects):
            count = size.clips // len(subjects) + (i < size.clips % len(subjects))
            clips += _subject_clips(seed, data, subject, count)
    return clips


def _subject_clips(seed: int, data: str, subject: str, count: int) -> list[Clip]:
    order = CORPORA[data].emotions
    emotions = [order[i % len(order)] for i in range(count)]
    names = _clip_names(generator(seed, data, subject, "names"), data, subject, emotions)
    return [
        _plan_clip(generator(seed, data, subject, "clip", str(i)), data, subject, name, emotion)
        for i, (name, emotion) in enumerate(zip(names, emotions, strict=True))
    ]


def _clip_names(
    rng: np.random.Generator, data: str, subject: str, emotions: list[str]
) -> list[str]:
    if data == "smic":
        seen: dict[str, int] = {}
        for emotion in emotions:
            seen[emotion] = seen.get(emotion, 0) + 1
        count = dict.fromkeys(seen, 0)
        names = []
        for emotion in emotions:
            count[emotion] += 1
            short = {"negative": "ne", "positive": "po", "surprise": "sur"}[emotion]
            names.append(f"s{subject}_{short}_{count[emotion]:02d}")
        return names
    if data == "samm":
        return [f"{subject}_{1 + i % 7}_{1 + i // 7}" for i in range(len(emotions))]
    films = rng.permutation(19) + 1
    names = []
    for i in range(len(emotions)):
        name = f"EP{films[i % 19]:02d}_{1 + i // 19:02d}{'f' if rng.random() < 0.5 else ''}"
        left_out = known.CORPORA[data].leaves_out(subject, name)
        names.append(name.rstrip("f") if left_out else name)
    return names


def _plan_clip(rng: np.random.Generator, data: str, subject: str, name: str, emotion: str) -> Clip:
    label, groups = EMOTIONS[emotion]
    group = groups[rng.integers(len(groups))]
    length = 11 + int(21 * rng.beta(1.0, 2.6))  # onset to offset
    rise = int(np.clip(round(length * rng.uniform(0.3, 0.7)), 4, length - 5))
    low, high = CORPORA[data].first_numbers
    first = 2 * int(rng.integers(low, high) // 2) + 1
    onset = first + int(rng.integers(0, 3))
    offset = onset + length - 1
    return Clip(
        data=data,
        subject=subject,
        name=name,
        emotion=emotion,
        label=label,
        group=group,
        glasses=known.CORPORA[data].wears_glasses(subject),
        first=first,
        onset=onset,
        apex=onset + rise,
        offset=offset,
        last=offset + int(rng.integers(0, 3)),
        actions=sample_actions(rng, group),
    )


def sample_actions(rng: np.random.Generator, group: str) -> tuple[tuple[str, float], ...]:
    """A group's actions with their strengths: whole, partial or one-sided, stronger or weaker."""
    size = rng.uniform(0.6, 1.1)
    tilt = rng.choice([0.0, 0.15, 0.75], p=[0.35, 0.4, 0.25])  # 0.75: nearly one-sided
    weak_side = rng.choice(["Left", "Right"])
    strengths = {}
    for i, (name, strength) in enumerate(GROUPS[group].items()):
        share = 1.0 if i == 0 else rng.choice([0.0, 0.6, 1.0], p=[0.25, 0.25, 0.5])
        strength = strength * size * share * rng.uniform(0.85, 1.15)
        for side in ("Left", "Right") if name in SIDED else ("",):
            strengths[name + side] = strength * (1 - tilt if side == weak_side else 1)
    return tuple((n, round(min(float(s), 1.0), 4)) for n, s in strengths.items() if s > 0)


def intensity(clip: Clip, bend: float) -> np.ndarray:
    """Strength by frame, first to last: 0 up to onset, 1 at the apex alone, 0 from offset on."""
    frames = np.arange(clip.first, clip.last + 1)
    phase = np.interp(frames, [clip.onset, clip.apex, clip.offset], [0, 1, 2])
    return ((1 - np.cos(np.pi * phase)) / 2) ** bend
