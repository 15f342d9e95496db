"""The demo set: synthetic faces in the layouts of SMIC-HS, CASME II and SAMM."""

import functools
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from common.errors import UserError
from common.parallel import as_done, cores
from common.progress import progress_bar
from deca.anny.head import load_head
from synthetic.claim import claim

from .figure import Figure, build_figure
from .people import Glasses, sample_person, sample_setting
from .plan import (
    CORPORA,
    FULL_SIZE,
    Clip,
    Size,
    bare_frame,
    generator,
    intensity,
    plan,
)
from .render import render
from .tables import TABLES, write_tables

VERSION = 1  # of what is drawn; a folder of another version is not completed but refused


def make_demo(
    out: Path,
    seed: int = 0,
    workers: int | None = None,
    sizes: dict[str, Size] | None = None,
    glasses: Glasses = "clear",
) -> None:
    """Draw the demo set below `out`, or what is missing of it.

    Clips are written whole, so a stopped run goes on where it was; one that finds everything
    does nothing. The same seed gives the same bytes, whatever the number of workers (default:
    one a CPU). `sizes` says how many subjects and clips each corpus gets, default FULL_SIZE;
    `glasses` what their wearers wear. UserError: `out` holds something else, or a demo set of
    another seed, size or glasses; a seed below 0, fewer than one worker; a disk that is full.
    """
    workers = cores() if workers is None else workers
    for name, value, least in (("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise UserError(f"--{name} {value}: must be {least} or more")
    out = Path(out)
    sizes = sizes or FULL_SIZE
    _claim(out, seed, sizes, glasses)
    clips = plan(seed, sizes)
    render_clips(out, seed, clips, workers, glasses)
    tables = [out / TABLES[data] for data in sizes] + [out / "truth.csv"]
    if not all(path.is_file() for path in tables):
        write_tables(out, clips)


def _claim(out: Path, seed: int, sizes: dict[str, Size], glasses: Glasses) -> None:
    """Leave a mark of what is drawn here; refuse a folder that holds anything else."""
    settings = {
        "demo set": VERSION,
        "seed": seed,
        "sizes": {data: asdict(size) for data, size in sizes.items()},
    }
    if glasses != "clear":
        settings["glasses"] = glasses
    claim(out / "demo.json", settings, "demo set")


def render_clips(
    out: Path, seed: int, clips: list[Clip], workers: int, glasses: Glasses = "clear"
) -> None:
    """Draw those of `clips` that are not below `out`, with a progress bar; see make_demo."""
    missing = [clip for clip in clips if not (out / clip.folder).is_dir()]
    if not missing:
        return
    load_head()  # built once, before workers ask for it
    with progress_bar("drawing the demo set, clips", len(missing)) as bar:
        draw = functools.partial(draw_clip, out, seed, glasses=glasses)
        for _ in as_done(draw, missing, workers, torch.set_num_threads, 1):
            bar.advance()


@functools.lru_cache(2)  # with and without glasses; clips come subject by subject
def _figure(seed: int, data: str, subject: str, glasses: Glasses | None) -> Figure:
    return build_figure(sample_person(seed, data, subject, glasses or "clear"), glasses is not None)


def draw_clip(out: Path, seed: int, clip: Clip, glasses: Glasses = "clear") -> None:
    """Draw one clip's frames into its folder, which is there only when it is whole.

    A clip with glasses also gets its onset and apex without them, under truth/without_glasses.
    """
    rng = generator(seed, clip.data, clip.subject, clip.name, "setting")
    actions, rotation = act(clip, rng, seed)
    setting = sample_setting(rng)
    noise = rng.uniform(0.8, 2.6)
    quality = int(rng.integers(86, 97))
    numbers = list(range(clip.first, clip.last + 1))

    if glasses == "hiding":  # a reflection is wherever the clip's light puts it
        place = generator(seed, clip.data, clip.subject, clip.name, "reflection")
        setting = replace(setting, reflection=place.uniform(-1.1, 0.5))
    figure = _figure(seed, clip.data, clip.subject, glasses)
    frames = render(figure, setting, actions, rotation)
    folder = out / clip.folder
    part = folder.with_name(f".{clip.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for number, frame in zip(numbers, frames, strict=True):
            _write_frame(part / clip.frame_name(number), frame, clip, number, noise, quality, seed)
        if clip.glasses:
            bare = _figure(seed, clip.data, clip.subject, None)
            shown = [numbers.index(clip.onset), numbers.index(clip.apex)]
            frames = render(bare, setting, actions[shown], rotation[shown])
            for i, frame in zip(shown, frames, strict=True):
                path = bare_frame(out, clip.data, clip.subject, clip.name, numbers[i])
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_frame(path, frame, clip, numbers[i], noise, quality, seed)
        part.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def act(clip: Clip, rng: np.random.Generator, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Facial actions (T, 52) and head rotations (T, 3) of a clip's frames, rest included."""
    head = load_head()
    curve = intensity(clip, rng.uniform(0.8, 1.3))
    actions = curve[:, None] * head.action_vector(dict(clip.actions)).numpy()
    rest = generator(seed, clip.data, clip.subject, "rest")
    resting = rest_actions(rest, rng)
    gaze_x, gaze_y = rng.normal(0, 0.08), rng.normal(0, 0.06)
    gaze = {
        "eyeLookOutLeft": gaze_x, "eyeLookInRight": gaze_x, "eyeLookInLeft": -gaze_x,
        "eyeLookOutRight": -gaze_x, "eyeLookUpLeft": gaze_y, "eyeLookUpRight": gaze_y,
        "eyeLookDownLeft": -gaze_y, "eyeLookDownRight": -gaze_y,
    }  # fmt: skip
    resting += head.action_vector({n: max(s, 0.0) for n, s in gaze.items()}).numpy()
    actions = np.clip(actions + resting, 0, 1).astype(np.float32)

    time = np.linspace(0, 1, len(curve))[:, None]
    base = rng.normal(0, [0.05, 0.07, 0.025])  # pitch, yaw, roll in radians
    drift = rng.normal(0, [0.008, 0.010, 0.005]) * time
    sway = rng.normal(0, [0.003, 0.004, 0.002]) * np.sin(
        2 * np.pi * (rng.uniform(0.5, 1.2, 3) * time + rng.uniform(0, 1, 3))
    )
    return actions, (base + drift + sway).astype(np.float32)


def rest_actions(subject: np.random.Generator, clip: np.random.Generator) -> np.ndarray:
    """Actions (52,) of a resting face, which is not empty: it differs by subject, a little by clip.

    Both are generators: what follows from one is the subject's, from the other the clip's.
    """
    actions = load_head().actions
    resting = np.clip(subject.normal(0, 0.035, len(actions)), 0, 0.09)
    resting += np.clip(clip.normal(0, 0.02, len(actions)), 0, 0.05)
    fixed = ("eye", "jaw", "tongue", "mouthLeft", "mouthRight", "mouthClose", "mouthFunnel")
    for i, name in enumerate(actions):
        if name.startswith(fixed):
            resting[i] = 0
    return resting


def _write_frame(
    path: Path, frame: np.ndarray, clip: Clip, number: int, noise: float, quality: int, seed: int
) -> None:
    # The sensor's noise belongs to the frame: it is the same with and without glasses.
    rng = generator(seed, clip.data, clip.subject, clip.name, str(number))
    grain = rng.standard_normal(frame.shape, dtype=np.float32)
    pixels = np.clip(frame * 255 + noise * grain + 0.5, 0, 255).astype(np.uint8)
    code = cv2.COLOR_RGB2GRAY if CORPORA[clip.data].grey else cv2.COLOR_RGB2BGR
    done, jpeg = cv2.imencode(
        path.suffix, cv2.cvtColor(pixels, code), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(jpeg.tobytes())
