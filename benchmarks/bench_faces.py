"""Faces in tight crops, glasses on, and pictures without a face: what is found, fitted, refused.

python -m benchmarks.bench_faces
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import skimage.data
import skimage.io
import torch
from rich.progress import track

from common.cli import run_script
from data.corpora import known
from data.face_search import FoundFace, find_faces
from data.landmarks import DlibFinder
from deca.anny.backend import EYES, AnnyBackend
from deca.anny.head import load_head
from deca.reconstruction import Face
from synthetic.demo.figure import build_figure
from synthetic.demo.people import sample_person, sample_setting
from synthetic.demo.plan import (
    CORPORA,
    EMOTIONS,
    generator,
    sample_actions,
)
from synthetic.demo.render import render

# Constants of data/faces.py are chosen on the one, figures are reported on the other.
Split = Literal["choice", "report"]
SEEDS = {"choice": 101, "report": 303}
CLOSE = 0.04  # of the distance between the outer corners of the eyes
WIDEST = 0.06  # of the landmarks' box: the most that a crop leaves around it
# scikit-image's pictures that show no human face, by split in turn.
FACELESS = (
    "chelsea.png", "coffee.png", "rocket.jpg", "brick.png", "grass.png", "gravel.png", "coins.png",
    "moon.png", "text.png", "page.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png",
    "motorcycle_left.png", "horse.png", "clock_motion.png", "logo.png", "phantom.png", "cell.png",
    "color.png",
)  # fmt: skip


@dataclass(frozen=True)
class Crop:
    """A crop of a wearer's frame, and the landmarks (68, 2) of the same frame without glasses."""

    image: np.ndarray
    truth: np.ndarray


def main(split: Split = "report", clips: int = 8, without: int = 500) -> None:
    """Print how many tight crops are found and fitted, and how many faceless pictures accepted.

    Args:
        split: report, or choice: what the thresholds were chosen on.
        clips: frames of each wearer of the synthetic SMIC and CASME II.
        without: pictures without a face.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    finder, backend = DlibFinder(), AnnyBackend()
    crops = list(draw_crops(SEEDS[split], clips, finder))
    plain = sum(bool(finder.boxes(crop.image)) for crop in crops)
    found = [_largest(find_faces(crop.image, finder)) for crop in crops]
    ways = Counter(face.found_by if face else "not found" for face in found)
    print(f"{len(crops)} tight crops of synthetic wearers of glasses ({split}): {dict(ways)}")
    print(f"  the detector by itself: {plain}")
    landmarks, fits = [], []
    for crop, face in zip(crops, found):
        if face is None:
            landmarks.append(np.inf)
            fits.append(np.inf)
            continue
        (head,) = backend.reconstruct([Face(crop.image, face.landmarks)])
        landmarks.append(_off(face.landmarks, crop.truth))
        fits.append(_off(head.projected, crop.truth))
    for what, off in (("landmarks", landmarks), ("fitted heads", fits)):
        share = np.mean(np.array(off) <= CLOSE)
        print(f"  {what} within {CLOSE:.0%} of the truth: {share:.1%}, median {np.median(off):.1%}")
    accepted = Counter()
    for name, image in track(list(faceless(SEEDS[split], without, split)), "without a face"):
        accepted.update((name, face.found_by) for face in find_faces(image, finder)[:1])
    count = sum(accepted.values())
    print(f"{without} pictures without a face: {count} accepted ({count / without:.1%})")
    for (name, way), number in accepted.items():
        print(f"  {name}, by {way}: {number}")


def _largest(faces: list[FoundFace]) -> FoundFace | None:
    return max(faces, key=lambda face: face.size, default=None)


def _off(points: np.ndarray, truth: np.ndarray) -> float:
    width = np.linalg.norm(np.subtract(*truth[EYES]))
    return float(np.linalg.norm(points - truth, axis=1).mean() / width)


def draw_crops(seed: int, clips: int, finder: DlibFinder) -> Iterator[Crop]:
    """Apex frames of people who wear glasses, cut from brows to chin and from ear to ear.

    The truth is what the landmark finder finds in the same frame without glasses, uncropped.
    """
    wearers = [
        (data, subject)
        for data in ("smic", "casme2")
        for subject in sorted(CORPORA[data].subjects)
        if known.CORPORA[data].wears_glasses(subject)
        for _ in range(clips)
    ]
    for i, (data, subject) in enumerate(track(wearers, "drawing")):
        rng = generator(seed, data, subject, f"crop {i}")
        person, setting = sample_person(seed, data, subject), sample_setting(rng)
        groups = EMOTIONS[rng.choice(["negative", "positive", "surprise"])][1]
        strengths = dict(sample_actions(rng, rng.choice(groups)))
        actions = load_head().action_vector(strengths).numpy()[None]
        turn = rng.normal(0, [[0.05, 0.07, 0.025]]).astype(np.float32)
        noise = rng.uniform(0.8, 2.6) * rng.standard_normal((280, 240, 3))
        worn, bare = (
            (255 * render(build_figure(person, glasses), setting, actions, turn)[0] + noise + 0.5)
            .clip(0, 255)
            .astype(np.uint8)
            for glasses in (True, False)
        )
        box = next(iter(finder.boxes(bare)), None)
        if box is None:
            continue
        truth = finder.in_box(bare, box)
        low, high = truth.min(0), truth.max(0)
        around = rng.uniform(0, WIDEST, (2, 2)) * (high - low)
        left, top = np.maximum(low - around[0], 0).astype(int)
        right, bottom = (high + around[1]).astype(int)
        yield Crop(np.ascontiguousarray(worn[top:bottom, left:right]), truth - (left, top))


def faceless(seed: int, count: int, split: Split) -> Iterator[tuple[str, np.ndarray]]:
    """Pictures without a human face and what they are of: photographs' parts, and patterns."""
    rng = np.random.default_rng(seed)
    folder = Path(skimage.data.__file__).parent
    names = FACELESS[("choice", "report").index(split) :: 2]
    pictures = {name: _rgb(skimage.io.imread(folder / name)) for name in names}
    for _ in range(count):
        if rng.random() < 0.35:
            yield "a pattern", _pattern(rng)
            continue
        name = str(rng.choice(names))
        image = pictures[name]
        if rng.random() < 0.1:
            yield name, image
            continue
        height = int(min(image.shape[0], rng.integers(60, 420)))
        width = int(min(image.shape[1], height * rng.uniform(0.7, 1.4)))
        top = rng.integers(image.shape[0] - height + 1)
        left = rng.integers(image.shape[1] - width + 1)
        yield name, np.ascontiguousarray(image[top : top + height, left : left + width])


def _rgb(image: np.ndarray) -> np.ndarray:
    image = image * np.uint8(255) if image.dtype == bool else image
    return np.ascontiguousarray(np.dstack([image] * 3) if image.ndim == 2 else image[..., :3])


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Noise, clouds, stripes, ellipses, a board or blobs, a little tinted."""
    height, width = rng.integers(80, 300, 2)
    y, x = np.mgrid[:height, :width]
    kind = rng.integers(6)
    if kind == 0:
        grey = rng.normal(128, 50, (height, width))
    elif kind == 1:
        clouds = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), rng.uniform(2, 20))
        grey = 128 + 50 * clouds / clouds.std()
    elif kind == 2:
        angle = rng.uniform(0, np.pi)
        grey = 128 + 80 * np.sin((x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(2, 20))
    elif kind == 3:
        grey = np.full((height, width), rng.uniform(60, 200))
        for _ in range(rng.integers(1, 12)):
            centre = int(rng.integers(width)), int(rng.integers(height))
            axes = int(rng.integers(3, width // 3)), int(rng.integers(3, height // 3))
            shade = float(rng.uniform(0, 255))
            cv2.ellipse(grey, centre, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
    elif kind == 4:
        side = rng.integers(5, 40)
        grey = (x // side + y // side) % 2 * 200.0 + 20
    else:
        grey = np.full((height, width), rng.uniform(80, 180))
        for _ in range(rng.integers(1, 4)):
            distance = (x - rng.integers(width)) ** 2 + (y - rng.integers(height)) ** 2
            grey += rng.uniform(-100, 100) * np.exp(-distance / (2 * rng.uniform(5, 40) ** 2))
    grey = grey + rng.normal(0, rng.uniform(0, 6), (height, width))
    return np.dstack([grey * rng.uniform(0.7, 1.1) for _ in range(3)]).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    run_script(main)
