"""Still faces called an expression, and expressions called none, by strength and by picture.

python -m benchmarks.bench_still
"""

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd
import torch
from rich.progress import track

from common.cli import run_script
from data.faces import FaceFinder
from data.landmarks import DlibFinder
from data.motion.stillness import Evidence
from deca.anny.head import load_head
from loso.predict import find_expression, pick_frames
from synthetic.demo.corpora import act
from synthetic.demo.figure import Figure, build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import Clip, Size, generator, intensity, plan
from synthetic.demo.render import render
from synthetic.motion.actions import GAZE, names_of

# Statistic and thresholds of data/motion/stillness.py are chosen on the one, figures are reported
# on the other.
Split = Literal["choice", "report"]
SEEDS = {"choice": 11, "report": 13}
STILL = ("still", "blink", "glance")
STRENGTHS = {"1/1": 1.0, "1/2": 0.5, "1/4": 0.25, "1/8": 0.125}  # of the demo set's expressions
LIDS = ("eyeWide", "eyeSquint")  # AU 5, AU 7
KINDS = (*STILL, "lids", *STRENGTHS)
PICTURES = ("as drawn", "JPEG 20", "noise 8", "shake", "video", "every 3rd frame")
WAYS = ("given", "spotted", "two frames")
COVERED = 0.975  # of still clips, all pictures together: where a threshold lies


class KnownBox(DlibFinder):
    """Landmarks in a box that is known: the face of a clip is detected once, not 20 times."""

    box = (0, 0, 0, 0)

    def boxes(self, image: np.ndarray) -> list:
        """The box."""
        return [self.box]


@dataclass(frozen=True)
class Drawn:
    """A clip as a perfect camera sees it: float32 (T, H, W, 3) RGB, and what its own one adds."""

    frames: np.ndarray
    noise: float  # standard deviation in grey levels
    quality: int  # of JPEG


def main(split: Split = "report", clips: int = 12) -> None:
    """Print how often still clips are called an expression, and expressions none.

    Args:
        split: report, or choice: what the thresholds were chosen on.
        clips: of each kind; each is seen in every way.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = pd.DataFrame(measure(SEEDS[split], clips))
    print(f"{split}: {clips} clips of each kind, seed {SEEDS[split]}\n")
    print(table(found))
    print()
    for way, rows in found[found["kind"] == "still"].groupby("way", sort=False):
        ratio = rows["ratio"].quantile(COVERED)
        print(f"{way}: {COVERED:.1%} of still clips lie below {ratio:.2f} times their noise")


def measure(seed: int, count: int, kinds: tuple[str, ...] = KINDS) -> Iterator[dict]:
    """A row for each clip, kind, picture and way: the ratio, and whether an expression is seen."""
    finder = KnownBox()
    faces = FaceFinder(finder)
    corpora = ("smic", "casme2", "samm")
    each = -(-count // len(corpora))
    drawn = plan(seed, dict.fromkeys(corpora, Size(subjects=min(5, each), clips=each)))
    order = np.random.default_rng(seed).permutation(len(drawn))[:count]
    for number in track(order.tolist(), "clips"):
        clip = drawn[number]
        for kind in kinds:
            shown = draw(clip, kind, seed)
            first = (255 * shown.frames[0]).clip(0, 255).astype(np.uint8)
            finder.box = DlibFinder.boxes(finder, first)[0]
            for picture in PICTURES:
                rng = generator(seed, clip.name, clip.subject, picture)
                for way, seen in look_at(shown, clip, picture, rng, faces):
                    yield {
                        "kind": kind, "picture": picture, "way": way, "ratio": seen.ratio,
                        "found": seen.found,
                    }  # fmt: skip


@functools.lru_cache(20)
def _figure(seed: int, data: str, subject: str, glasses: bool) -> Figure:
    return build_figure(sample_person(seed, data, subject), glasses)


def draw(clip: Clip, kind: str, seed: int) -> Drawn:
    """A clip of the demo set with its expression at a share of its strength, or none.

    blink: the lids close by a third to wholly, and open, as the expression would. glance: the
    eyes turn two frames before the apex, and stay. lids: they widen or tighten by a full unit.
    """
    rng = generator(seed, clip.data, clip.subject, clip.name, "setting")
    share = STRENGTHS.get(kind, 0)
    weaker = tuple((name, share * strength) for name, strength in clip.actions if share)
    actions, rotation = act(replace(clip, actions=weaker), rng, seed)
    setting, noise, quality = sample_setting(rng), rng.uniform(0.8, 2.6), rng.integers(86, 97)
    extra = generator(seed, clip.data, clip.subject, clip.name, kind)
    course = intensity(clip, 1)
    names: tuple[str, ...] = ()
    if kind == "blink":
        names, course = names_of("eyeBlink"), extra.uniform(0.3, 1) * course
    if kind == "lids":
        names, course = names_of(extra.choice(LIDS)), 0.8 * course
    if kind == "glance":
        names = GAZE[extra.choice(list(GAZE))]
        turned = np.arange(len(course)) >= clip.apex - clip.first - 2
        course = extra.uniform(0.1, 0.5) * turned
    moving = load_head().action_vector(dict.fromkeys(names, 1.0)).numpy()
    actions = np.clip(actions + course[:, None] * moving, 0, 1).astype(np.float32)
    figure = _figure(seed, clip.data, clip.subject, clip.glasses)
    frames = render(figure, setting, actions, rotation)
    return Drawn(frames, noise, int(quality))


def look_at(
    drawn: Drawn, clip: Clip, picture: str, rng: np.random.Generator, faces: FaceFinder
) -> Iterator[tuple[str, Evidence]]:
    """What is seen with onset and apex given, with the apex spotted, and in two frames alone."""
    frames = film(drawn, picture, rng)
    onset, apex = clip.onset - clip.first, clip.apex - clip.first
    if picture == "every 3rd frame":
        frames = frames[onset % 3 :: 3]
        onset, apex = onset // 3, round((apex - onset % 3) / 3)
    with tempfile.TemporaryDirectory() as folder:
        source = _write(Path(folder), frames, drawn, picture)
        picked = pick_frames(source, onset, apex, faces)
        if len(frames) > 3:
            yield "spotted", _seen(pick_frames(source, None, None, faces))
    yield "given", _seen(picked)
    yield "two frames", _seen(replace(picked, beside=((), ())))


def _seen(picked) -> Evidence:
    seen = find_expression(picked, "clip")
    assert seen is not None  # there are two frames
    return seen


def film(drawn: Drawn, picture: str, rng: np.random.Generator) -> list[np.ndarray]:
    """A clip's frames, uint8 (H, W, 3), with the sensor's noise.

    shake: the camera wanders by 0.2 pixels a frame and turns a little, exposure flickers by 2%,
    and the noise gets 5 grey levels more.
    """
    wander = rng.normal(0, 0.2, (len(drawn.frames), 3)).cumsum(0)
    noise = {"noise 8": 8.0, "shake": float(np.hypot(drawn.noise, 5))}.get(picture, drawn.noise)
    frames = []
    for image, (x, y, turn) in zip(drawn.frames, wander, strict=True):
        if picture == "shake":
            size = image.shape[1], image.shape[0]
            matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 0.3 * turn, 1)
            matrix[:, 2] += x, y
            image = cv2.warpAffine(image, matrix, size, None, cv2.INTER_CUBIC, cv2.BORDER_REFLECT)
            image = image * (1 + 0.02 * rng.normal())
        grain = noise * rng.standard_normal(image.shape, dtype=np.float32)
        frames.append((255 * image + grain + 0.5).clip(0, 255).astype(np.uint8))
    return frames


def _write(folder: Path, frames: list[np.ndarray], drawn: Drawn, picture: str) -> Path:
    """The frames as JPEG files numbered from 0, or as an MPEG-4 video; the clip's path."""
    if picture == "video":
        path = folder / "clip.mp4"
        size = frames[0].shape[1::-1]
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, size)
        for image in frames:
            video.write(image[:, :, ::-1])
        video.release()
        return path
    quality = 20 if picture == "JPEG 20" else drawn.quality
    for number, image in enumerate(frames):
        path = folder / f"image{number:03d}.jpg"
        cv2.imwrite(str(path), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return folder


def table(found: pd.DataFrame) -> str:
    """Markdown: the share of still clips called an expression, of expressions called none."""
    lines = [f"| | | {' | '.join(KINDS)} |", f"| --- | --- |{' --- |' * len(KINDS)}"]
    for way in WAYS:
        rows = found[found["way"] == way]
        for picture in (*PICTURES, "all"):
            some = rows if picture == "all" else rows[rows["picture"] == picture]
            shares = some.groupby("kind")["found"].mean()
            cells = (_share(shares, kind) for kind in KINDS)
            lines.append(f"| {way} | {picture} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(found: pd.Series, kind: str) -> str:
    """How often a kind is called what it is not, from how often an expression is seen."""
    if kind not in found:
        return "–"
    return f"{found[kind] if kind in STILL else 1 - found[kind]:.0%}"


if __name__ == "__main__":
    run_script(main)
