"""Films that the spotter learns from: drawn once, seen by worse cameras, with all that happens.

What the far look has, on which figures are reported, is left out: noise between 2.6 and 4.4 grey
levels, JPEG quality between 68 and 83, 0.3 to 0.6 of the fill light, 1.3 to 1.9 times the sway.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.files import write_whole
from data.disk.video_file import video_frames
from synthetic.demo.plan import generator
from synthetic.motion.timelines import Event, Timeline

from .acting import act_long
from .avi import as_jpeg, write_avi
from .film import Grain, draw_frames
from .looks import look_of
from .plan import EXPRESSIONS, LongSize, Video, plan_long

SECONDS = 40.0
CORPUS = "casme_sq"
BARE_FROM = 5124  # seeds of films: whom those before it show wears glasses


@dataclass(frozen=True)
class Camera:
    """scale: of the picture; noise: sd in grey levels; quality: of JPEG. Ranges are uniform."""

    scale: float
    noise: tuple[float, float]
    quality: tuple[int, int]


CAMERAS = {
    "near": Camera(1.0, (0.6, 2.4), (86, 96)),
    "small": Camera(0.78, (1.2, 2.6), (84, 94)),
    "noisy": Camera(0.85, (4.4, 6.0), (83, 92)),
    "tiny": Camera(0.55, (1.2, 2.6), (58, 68)),
    "poor": Camera(0.7, (4.6, 6.0), (58, 67)),
}


def plan_learning(seed: int) -> Video:
    """The film of a seed: SECONDS of somebody's life."""
    size = LongSize(2, 2, (SECONDS, SECONDS + 0.01))
    wearer, other = plan_long(seed, {CORPUS: size}, "learn")
    return other if seed >= BARE_FROM else wearer


def draw_learning(path: Path, seed: int) -> None:
    """Draw the film of a seed in grey, where it is not there yet."""
    if path.exists():
        return
    film = look_of("learn", seed).films[CORPUS]
    video = plan_learning(seed)
    with write_whole(path) as part:
        jpegs = (as_jpeg(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 97)
                 for image in draw_frames(seed, video))  # fmt: skip
        write_avi(part, jpegs, video.fps, (film.width, film.height))


def cameras_of(seed: int) -> tuple[str, str, str]:
    """Three of CAMERAS that see the film of a seed: the poor one and two others."""
    others = [name for name in CAMERAS if name != "poor"]
    return others[seed % 4], others[(seed + 1 + seed // 4 % 3) % 4], "poor"


def see(path: Path, seed: int, name: str) -> Iterator[np.ndarray]:
    """A film's frames, uint8 (H, W), as one of CAMERAS sees them."""
    camera = CAMERAS[name]
    rng = generator(seed, "camera", name)
    noise, dim = rng.uniform(*camera.noise), np.float32(rng.uniform(0.92, 1.1))
    quality = int(rng.integers(camera.quality[0], camera.quality[1] + 1))
    scale = camera.scale * rng.uniform(0.95, 1.05)
    grain = None
    for picture in video_frames(path, grey=True):
        grey = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if grain is None:
            sheet = rng.normal(0, noise, Grain.sheet_size(grey.shape))
            grain = Grain(rng, sheet.astype(np.float32))
        seen = grain.over(grey.astype(np.float32), float(dim))
        coded = np.frombuffer(as_jpeg(seen, quality), np.uint8)
        yield np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))


def what_happens(seed: int) -> Timeline:
    """The actions, turns and expressions of a film, frame by frame from 0."""
    video = plan_learning(seed)
    acting = act_long(seed, video, np.arange(1, video.frames + 1).astype(float))
    events = [
        Event(one.kind, one.onset - 1, one.apex - 1, one.offset - 1, one.label,
              np.zeros(0) if one.kind in EXPRESSIONS else None)
        for one in video.events
    ]  # fmt: skip
    return Timeline(acting.actions, acting.rotation, events)
