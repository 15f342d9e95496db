"""One face through the frames of a clip, and what was found in which picture."""

import hashlib
import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from common.errors import UserError, warn
from common.files import write_whole

from .face_search import FoundFace, find_faces, settle
from .landmarks import FinderName, LandmarkFinder, load_landmark_finder

VERSION = 1  # of what is found: another one is another cache entry


class NoFaceError(UserError):
    """Nothing in some pictures is a face, or not the one that is followed."""


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
        face = settle(image, [box], self.finder, "followed")
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
        self, onset: np.ndarray | None, apex: np.ndarray, where: str
    ) -> tuple[FoundFace | None, FoundFace | None]:
        """A clip's face in its onset (None: there is no such picture) and in its apex.

        One face in both, None where it is not.
        """
        if onset is None:
            return None, self.find(apex, where)
        in_onset = self._in_order(onset, f"{where}, onset")
        for face in in_onset:
            other = self.again(apex, face)
            if other is not None:
                return face, other
        if in_onset:
            return in_onset[0], None
        later = self.find(apex, f"{where}, apex")
        return (None if later is None else self.again(onset, later)), later

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
        digest.update(np.ascontiguousarray(image).data)
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


def _may_be(face: FoundFace, known: FoundFace) -> bool:
    """Whether two faces of one clip's frames can be one: near, and of similar size."""
    near = np.linalg.norm(face.middle - known.middle) < 0.6 * max(face.size, known.size)
    return bool(near and 0.6 < face.size / max(known.size, 1e-6) < 1.7)


def _count(faces: int) -> str:
    return "1 face is" if faces == 1 else f"{faces} faces are"
