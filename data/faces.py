"""Faces in a picture, and one face through the frames of a clip.

A picture's faces are what the detector sees; where it sees none, what it sees with more contrast,
more margin and at more scales; last, the picture as a whole, as crops of faces need it. Nothing
is taken for a face unless its landmarks have a face's shape and stay where they are when the box
that they were found in moves: in a picture without a face they go with the box.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import cv2
import numpy as np

from common.errors import UserError, warn
from common.files import write_whole

from .face_shape import face_shape
from .landmarks import Box, FinderName, LandmarkFinder, load_landmark_finder, whole_image

FoundBy = Literal["detector", "enhanced", "whole image", "followed"]
FOUND_BY: tuple[FoundBy, ...] = ("detector", "enhanced", "whole image", "followed")

VERSION = 1  # of what is found: another one is another cache entry
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


class NoFaceError(UserError):
    """Nothing in some pictures is a face, or not the one that is followed."""


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


class FaceFinder:
    """Finds faces, follows one, and remembers what it found in which picture.

    number: which face to take where there are several, counted from the left, from 1; the
    largest if None. cache: a folder that keeps what was found, by the pictures' content.
    """

    def __init__(
        self, finder: LandmarkFinder, number: int | None = None, cache: Path | None = None
    ) -> None:
        if number is not None and number < 1:
            raise UserError(f"--face {number}: faces are counted from 1")
        self.finder, self.number, self.cache = finder, number, cache
        self._seen: dict[str, list[FoundFace]] = {}

    @property
    def name(self) -> FinderName:
        """The landmark finder's name."""
        return self.finder.name

    def all(self, image: np.ndarray) -> list[FoundFace]:
        """Every face of a picture, uint8 (H, W, 3) RGB, from left to right."""
        key = self._key(image)
        if key not in self._seen:
            found = self._read(key)
            if found is None:
                found = find_faces(image, self.finder)
                self._write(key, found)
            if len(self._seen) > 1000:
                self._seen.clear()
            self._seen[key] = found
        return self._seen[key]

    def find(self, image: np.ndarray, where: str) -> FoundFace | None:
        """The face to take of a picture; `where` names the picture in messages.

        A warning if there are several and nothing says which. UserError if there are fewer than
        `number`.
        """
        return next(iter(self._in_order(image, where)), None)

    def again(self, image: np.ndarray, known: FoundFace) -> FoundFace | None:
        """The face that another frame of the clip has shown, in this frame; None if it is gone."""
        near = [face for face in self.all(image) if _may_be(face, known)]
        if near:
            return min(near, key=lambda face: float(np.linalg.norm(face.middle - known.middle)))
        box = self.finder.box_of(known.landmarks)
        face = _settle(image, [box], self.finder, "followed")
        return face if face is not None and _may_be(face, known) else None

    def pair(self, onset: np.ndarray, apex: np.ndarray, where: str) -> tuple[FoundFace, FoundFace]:
        """The same face in a clip's onset and apex. NoFaceError where it is not in both."""
        first, second = self.follow(onset, apex, where)
        if second is None:
            fault = f"no face found by {self.name}, neither in the onset nor in the apex frame"
            if first is not None:
                fault = "the face of the onset frame is not in the apex frame"
            raise NoFaceError(f"{where}: {fault}")
        if first is None:
            raise NoFaceError(f"{where}: no face in the onset frame; the apex frame has one")
        return first, second

    def follow(
        self, onset: np.ndarray, apex: np.ndarray, where: str
    ) -> tuple[FoundFace | None, FoundFace | None]:
        """A clip's face in its onset and in its apex, None where it is not: one face in both."""
        in_onset = self._in_order(onset, f"{where}, onset")
        for face in in_onset:
            other = self.again(apex, face)
            if other is not None:
                return face, other
        if in_onset:
            return in_onset[0], None
        face = self.find(apex, f"{where}, apex")
        return (None if face is None else self.again(onset, face)), face

    def _in_order(self, image: np.ndarray, where: str) -> list[FoundFace]:
        """The faces of a picture, the one to take first."""
        faces = self.all(image)
        if self.number is not None and faces:
            if self.number > len(faces):
                raise UserError(f"{where}: --face {self.number}, but {_count(len(faces))} in it")
            return [faces[self.number - 1]]
        order = sorted(faces, key=lambda face: -face.size)
        if len(faces) > 1:
            taken = next(i for i, face in enumerate(faces, 1) if face is order[0])
            warn(
                f"{where}: {len(faces)} faces; the largest is taken, number {taken} from the left; "
                "--face N takes another"
            )
        return order

    def _key(self, image: np.ndarray) -> str:
        digest = hashlib.blake2b(f"{VERSION} {self.name} {image.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()

    def _read(self, key: str) -> list[FoundFace] | None:
        path = self.cache and self.cache / f"{key}.npz"
        if not path or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as content:
                landmarks, found_by = content["landmarks"], content["found_by"].tolist()
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            warn(f"{path}: damaged; the picture is looked at again")
            return None
        return [FoundFace(points, by) for points, by in zip(landmarks, found_by, strict=True)]

    def _write(self, key: str, faces: list[FoundFace]) -> None:
        if self.cache:
            with write_whole(self.cache / f"{key}.npz") as part:
                np.savez(
                    part,
                    landmarks=np.array([f.landmarks for f in faces], np.float32),
                    found_by=np.array([f.found_by for f in faces], "U16"),
                )


def face_cache() -> Path:
    """The folder that scripts keep found faces in: below result/, or below DSNCA_CACHE."""
    return Path(os.environ.get("DSNCA_CACHE", "result")) / "face_cache"


def load_face_finder(
    name: FinderName,
    number: int | None = None,
    cache: Path | None = None,
    device: str = "cpu",
) -> FaceFinder:
    """A face finder with the landmark finder `name`; errors as load_landmark_finder."""
    return FaceFinder(load_landmark_finder(name, device), number, cache)


def find_faces(image: np.ndarray, finder: LandmarkFinder) -> list[FoundFace]:
    """Every face of a picture, uint8 (H, W, 3) RGB, from left to right."""
    shrink = min(1.0, LARGEST / max(image.shape[:2]))
    small = image
    if shrink < 1:
        size = [max(1, round(n * shrink)) for n in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    faces = _find(small, finder)
    if shrink < 1:
        scale = np.divide(image.shape[1::-1], small.shape[1::-1])
        faces = [
            FoundFace(((f.landmarks + 0.5) * scale - 0.5).astype(np.float32), f.found_by)
            for f in faces
        ]
    return sorted(faces, key=lambda face: face.middle[0])


def _find(image: np.ndarray, finder: LandmarkFinder) -> list[FoundFace]:
    if min(image.shape[:2]) < 16:  # pixels; below that no face can be told from noise
        return []
    seen = [_settle(image, [box], finder, "detector") for box in finder.boxes(image)]
    faces = [face for face in seen if face is not None]
    if faces:
        return faces
    boxes = list(_enhanced_boxes(image, finder))
    face = _settle(image, boxes, finder, "enhanced") if boxes else None
    face = face or _settle(image, [whole_image(image)], finder, "whole image")
    return [] if face is None else [face]


def _enhanced_boxes(image: np.ndarray, finder: LandmarkFinder) -> Iterator[Box]:
    """Where the detector sees a face in other versions of a picture, in the picture's pixels."""
    yield from finder.boxes(_equalised(image))
    border = round(MARGIN * max(image.shape[:2]))
    for kind in (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101):
        wide = cv2.copyMakeBorder(image, *[border] * 4, kind)
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


def _settle(
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


def _may_be(face: FoundFace, known: FoundFace) -> bool:
    """Whether two faces of one clip's frames can be one: near, and of similar size."""
    near = np.linalg.norm(face.middle - known.middle) < 0.6 * max(face.size, known.size)
    return bool(near and 0.6 < face.size / max(known.size, 1e-6) < 1.7)


def _count(faces: int) -> str:
    return "1 face is" if faces == 1 else f"{faces} faces are"
