"""The faces of one picture.

They are what the detector sees; where it sees none, what it sees with more contrast, more margin
and at more scales; last, the picture as a whole, as crops of faces need it. Nothing is taken for
a face unless its landmarks have a face's shape and stay where they are when the box that they
were found in moves: in a picture without a face they go with the box.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from .face_shape import face_shape
from .geometry import reduced
from .landmarks import Box, LandmarkFinder, whole_image

FoundBy = Literal["detector", "enhanced", "whole image", "followed", "file"]
FOUND_BY: tuple[FoundBy, ...] = get_args(FoundBy)

MIN_SIDE = 16  # pixels; below that no face can be told from noise
LARGEST = 1280  # pixels: greater pictures are reduced for looking
# Chosen with benchmarks/bench_faces.py --split choice: synthetic crops, pictures without faces.
FACE_LIKE = 0.6  # strangeness below which nothing else is tried
GAIN = 0.1  # of strangeness: what lines that are filled in must be worth
STRANGEST = {"detector": 2.6, "enhanced": 1.6, "whole image": 1.0, "followed": 2.2}
# In distances between the eyes.
UNSTEADIEST = {"enhanced": 0.15, "whole image": 0.06, "followed": 0.10}
LINE = 0.04  # of the box's side: lines thinner than this can be the rim of glasses
MARGIN = 0.35  # of a crop's longer side, added around it
SIDES = (120, 180, 260)  # pixels that a crop's longer side is brought to


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face of a picture: landmarks float32 (68, 2) in its pixels, and how it was found."""

    landmarks: np.ndarray
    found_by: FoundBy

    @property
    def middle(self) -> np.ndarray:
        """The landmarks' centre (2,)."""
        return self.landmarks.mean(0)

    @property
    def size(self) -> float:
        """The side of the landmarks' box, in pixels."""
        return float(np.ptp(self.landmarks, axis=0).mean())


def find_faces(image: np.ndarray, finder: LandmarkFinder) -> list[FoundFace]:
    """Every face of a picture, uint8 (H, W, 3) RGB, from left to right."""
    small = reduced(image, min(1, LARGEST / max(image.shape[:2])))
    faces = _find(small, finder)
    if small is not image:
        scale = np.divide(image.shape[1::-1], small.shape[1::-1])
        faces = [
            FoundFace(((f.landmarks + 0.5) * scale - 0.5).astype(np.float32), f.found_by)
            for f in faces
        ]
    return sorted(faces, key=lambda face: face.middle[0])


def _find(image: np.ndarray, finder: LandmarkFinder) -> list[FoundFace]:
    if min(image.shape[:2]) < MIN_SIDE:
        return []
    seen = [settle(image, [box], finder, "detector") for box in finder.boxes(image)]
    faces = [face for face in seen if face is not None]
    if faces:
        return faces
    boxes = list(_enhanced_boxes(image, finder))
    face = settle(image, boxes, finder, "enhanced") if boxes else None
    face = face or settle(image, [whole_image(image)], finder, "whole image")
    return [] if face is None else [face]


def _enhanced_boxes(image: np.ndarray, finder: LandmarkFinder) -> Iterator[Box]:
    """Where the detector sees a face in other versions of a picture, in the picture's pixels."""
    yield from finder.boxes(_equalised(image))
    border = round(MARGIN * max(image.shape[:2]))
    for kind in (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101):
        wide = cv2.copyMakeBorder(image, border, border, border, border, kind)
        for side in SIDES:
            scale = side / max(image.shape[:2])
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            scaled = cv2.resize(wide, None, fx=scale, fy=scale, interpolation=way)
            for version in (scaled, _equalised(scaled)):
                for box in finder.boxes(version):
                    yield tuple(np.asarray(box) / scale - border)


def _equalised(image: np.ndarray) -> np.ndarray:
    """The picture with its lightness spread over the whole range, locally."""
    lightness = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lightness[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(lightness[..., 0])
    return cv2.cvtColor(lightness, cv2.COLOR_LAB2RGB)


def settle(
    image: np.ndarray, boxes: list[Box], finder: LandmarkFinder, found_by: FoundBy
) -> FoundFace | None:
    """The most face-like landmarks near some boxes of one face, or None where that is no face.

    The rim of glasses can hold landmarks that belong to lids or brows: without thin dark lines
    they come free.
    """
    shape = face_shape()

    def most_face_like(tried: list[np.ndarray]) -> tuple[float, np.ndarray]:
        strange = [shape.strangeness(points) for points in tried]
        best = int(np.argmin(strange))
        return strange[best], tried[best]

    first = [finder.in_box(image, box) for box in boxes]
    strange, points = most_face_like(first)
    if strange > FACE_LIKE:
        again = [other for one in first for other in _without_thin_lines(image, one, finder)]
        strange_again, points_again = most_face_like(again)
        if strange_again < strange - GAIN:
            strange, points = strange_again, points_again
    if strange > STRANGEST[found_by] or not _lies_in(points, image):
        return None
    if found_by != "detector" and unsteadiness(image, points, finder) > UNSTEADIEST[found_by]:
        return None
    return FoundFace(points, found_by)


def _without_thin_lines(
    image: np.ndarray, points: np.ndarray, finder: LandmarkFinder
) -> list[np.ndarray]:
    """Landmarks found again, from `points` on, where thin dark lines are filled in."""
    left, top, right, bottom = finder.box_of(points)
    width = max(3, int(LINE * (right - left)) | 1)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    filled = cv2.morphologyEx(image, cv2.MORPH_CLOSE, brush)
    found = []
    for _ in range(2):
        points = finder.in_box(filled, finder.box_of(points))
        found.append(points)
    for shift in (-0.06, 0.06):
        left, top, right, bottom = finder.box_of(points)
        step = shift * (bottom - top)
        found.append(finder.in_box(filled, (left, top + step, right, bottom + step)))
    return found


def _lies_in(points: np.ndarray, image: np.ndarray) -> bool:
    """Whether eyes, nose and mouth are for the most part in the picture."""
    inner = points[27:]
    return bool(((inner >= 0) & (inner < image.shape[1::-1])).all(1).mean() > 0.75)


def unsteadiness(image: np.ndarray, landmarks: np.ndarray, finder: LandmarkFinder) -> float:
    """How far landmarks go along when their box moves by a twelfth, in distances of the eyes."""
    left, top, right, bottom = finder.box_of(landmarks)
    width, height = right - left, bottom - top
    found = []
    for across, down, grow in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)):
        dx, dy, half = across * width / 12, down * height / 12, grow / 24
        box = (
            left + dx - half * width,
            top + dy - half * height,
            right + dx + half * width,
            bottom + dy + half * height,
        )
        found.append(finder.in_box(image, box))
    moved = np.linalg.norm(np.stack(found) - landmarks, axis=2).mean()
    eyes = np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0))
    return float(moved / max(eyes, 1e-6))
