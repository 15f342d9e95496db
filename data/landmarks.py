"""68 facial landmarks (iBUG order), from FAN or from dlib, behind one interface."""

import functools
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol
from urllib.error import URLError

import numpy as np

from common.errors import UserError

FinderName = Literal["fan", "dlib"]
Box = Sequence[float]  # left, top, right, bottom in pixels

# What face-alignment fetches on first use, into torch hub's folder.
FAN_FILES = ("2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth")


class LandmarkFinder(Protocol):
    """A face detector and a landmark network. Images are uint8 (H, W, 3) RGB.

    Landmarks are float32 (68, 2), x to the right and y down, in pixels; they may lie outside
    the image.
    """

    name: FinderName

    def boxes(self, image: np.ndarray) -> list[Box]:
        """The faces that the detector sees."""
        ...

    def in_box(self, image: np.ndarray, box: Box) -> np.ndarray:
        """Landmarks of the face that fills `box`, whether there is one or not."""
        ...

    def box_of(self, landmarks: np.ndarray) -> Box:
        """The box that the detector draws around a face with these landmarks."""
        ...


def fan_is_here() -> bool:
    """Whether FAN's weights are on this machine. Does not touch the network."""
    return all((_hub_folder() / name).is_file() for name in FAN_FILES)


def choose_finder(name: FinderName | None = None) -> FinderName:
    """`name`, or FAN if its weights are here, else dlib; one line on stderr says which."""
    if name is None:
        name, why = ("fan", "are") if fan_is_here() else ("dlib", "are not")
        print(f"landmarks: {name} (FAN's weights {why} in {_hub_folder()})", file=sys.stderr)
    return name


@functools.cache
def load_landmark_finder(name: FinderName, device: str = "cpu") -> LandmarkFinder:
    """Load a finder, once a process. `device` is where FAN runs; dlib's models run on the CPU.

    UserError if the weights of FAN can be neither found nor fetched.
    """
    return FanFinder(device) if name == "fan" else DlibFinder()


def whole_image(image: np.ndarray) -> Box:
    """The box of the image itself."""
    height, width = image.shape[:2]
    return 0, 0, width, height


class DlibFinder:
    """HOG detector and regression trees (Kazemi & Sullivan 2014); works offline."""

    name: FinderName = "dlib"
    # Of the detector's square around the landmarks: how far its centre lies above theirs, and
    # its side, in root-mean-square distances from their centre. Measured on synthetic faces.
    ABOVE, SIDE = 0.09, 2.78

    def __init__(self) -> None:
        import dlib

        self._rectangle = dlib.rectangle
        self._detect = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(_dlib_model()))

    def boxes(self, image: np.ndarray) -> list[Box]:
        """See LandmarkFinder."""
        image = np.ascontiguousarray(image)
        # The detector knows faces of 80 pixels and more: doubling the image finds smaller ones.
        found = self._detect(image, 0) or self._detect(image, 1)
        return [(b.left(), b.top(), b.right(), b.bottom()) for b in found]

    def in_box(self, image: np.ndarray, box: Box) -> np.ndarray:
        """See LandmarkFinder."""
        shape = self._predict(np.ascontiguousarray(image), self._rectangle(*map(round, box)))
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)

    def box_of(self, landmarks: np.ndarray) -> Box:
        """See LandmarkFinder."""
        middle = landmarks.mean(0)
        size = np.sqrt(((landmarks - middle) ** 2).sum(1).mean())
        middle = middle - (0, self.ABOVE * size)
        half = self.SIDE / 2 * size
        return (*(middle - half), *(middle + half))


def _dlib_model() -> Path:
    # Found without importing its package, which needs pkg_resources, gone from new setuptools.
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("face_recognition_models (requirements.txt) is not installed")
    return Path(package.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"


class FanFinder:
    """S3FD detector and FAN (Bulat & Tzimiropoulos 2017), through face-alignment."""

    name: FinderName = "fan"

    def __init__(self, device: str = "cpu") -> None:
        import face_alignment

        try:
            self._fan = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D, flip_input=False, device=device, compile=False
            )
        except (URLError, OSError) as error:
            raise UserError(
                f"FAN's weights cannot be fetched ({error}): put {' and '.join(FAN_FILES)} into "
                f"{_hub_folder()}, or take the landmarks of dlib"
            ) from error

    def boxes(self, image: np.ndarray) -> list[Box]:
        """See LandmarkFinder."""
        return [tuple(box[:4]) for box in self._fan.face_detector.detect_from_image(image)]

    def in_box(self, image: np.ndarray, box: Box) -> np.ndarray:
        """See LandmarkFinder."""
        found = self._fan.get_landmarks_from_image(image, detected_faces=[np.asarray(box, float)])
        return np.asarray(found[0], np.float32)

    def box_of(self, landmarks: np.ndarray) -> Box:
        """See LandmarkFinder."""
        left, top = landmarks.min(0)
        right, bottom = landmarks.max(0)
        return left, top - 0.1 * (bottom - top), right, bottom


def _hub_folder() -> Path:
    # torch.hub.get_dir() without the seconds that importing torch takes.
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints"
