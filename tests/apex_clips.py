"""Clips with a known apex: a real, public-domain face, moved by hand. And SMIC's layout."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from skimage.data import astronaut

from data.faces import FaceFinder, load_face_finder

FRAMES, APEX = 15, 6


@cache
def finder() -> FaceFinder:
    return load_face_finder("dlib")


@cache
def face() -> tuple[np.ndarray, np.ndarray]:
    """The face, uint8 (250, 280, 3), and its landmarks."""
    image = astronaut()[20:270, 80:360].copy()
    return image, finder().find(image, "face").landmarks


@cache
def draw_clip(
    frames: int = FRAMES, apex: int = APEX, pixels: float = 1.5, head: float = 0.5, seed: int = 0
) -> np.ndarray:
    """Brows and mouth corners go up by `pixels` until `apex` and come back; uint8 (T, H, W, 3).

    The head sways and turns by about `head` pixels, the light flickers, the sensor is noisy.
    """
    image, landmarks = face()
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    centre = landmarks.mean(0)
    lift = sum(
        np.exp(-((x - landmarks[i, 0]) ** 2 + (y - landmarks[i, 1]) ** 2) / 450)
        for i in (19, 24, 48, 54)
    )
    phase, speed = random.uniform(0, 2 * np.pi, 4), random.uniform(1, 5, 4)
    clip = []
    for t in range(frames):
        part = t / apex if t <= apex else (frames - 1 - t) / (frames - 1 - apex)
        up = pixels * np.sin(np.pi / 2 * part) ** 2 * lift
        sway = head * np.sin(phase + speed * t / frames)
        dx = sway[0] + sway[2] * (y - centre[1]) / 100
        dy = sway[1] - sway[2] * (x - centre[0]) / 100 - up
        at = (x - dx).astype(np.float32), (y - dy).astype(np.float32)
        moved = cv2.remap(image, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        light = 1 + 0.01 * random.normal()
        noisy = moved * light + random.normal(0, 3, moved.shape)
        clip.append(noisy.round().clip(0, 255).astype(np.uint8))
    return np.stack(clip)


def write_frames(folder: Path, clip: np.ndarray, first: int = 100) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(clip, start=first):
        cv2.imwrite(str(folder / f"image{number}.png"), image[:, :, ::-1])


def write_spotted(root: Path, clips: list[tuple[int, int, int]]) -> Path:
    """Clips (subject, seed, apex) in SMIC's layout below `root`; the annotation's path.

    Every clip is in frames 100 to 114.
    """
    rows = []
    for subject, seed, apex in clips:
        name = f"s{subject}_ne_{seed:02d}"
        write_frames(root / "HS" / f"s{subject}" / name, draw_clip(apex=apex, seed=seed))
        rows.append((subject, name, None, 100, 100 + FRAMES - 1, "negative"))
    annotation = root / "SMIC-HS-E_annotation.xlsx"
    headers = ["Subject", "Filename", "", "OnsetF", "OffsetF", "Emotion"]
    pd.DataFrame(rows, columns=headers).to_excel(annotation, sheet_name="HS", index=False)
    return annotation
