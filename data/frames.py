"""Clips and frames on disk, in any of the corpora's released layouts (spec: datasets.md)."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from .errors import UserError, warn

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


class UnreadableImageError(UserError):
    """A file that is no image, or is cut off."""


def name_key(name: str | int) -> str:
    """A folder name without what releases differ in: case and leading zeros (sub01 = Sub1)."""
    return re.sub(r"0+(?=\d)", "", str(name).strip().lower())


def frame_number(path: Path) -> int | None:
    """The last run of digits in a frame's file name: img46.jpg, reg_img46.jpg -> 46."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else None


def list_frames(folder: Path) -> dict[int, Path]:
    """The image files directly in a folder by frame number, in order of the number."""
    frames = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            number = frame_number(path)
            if number is not None:
                frames.setdefault(number, path)
    return dict(sorted(frames.items()))


class ClipFolders:
    """Every folder with images below a root, found once, to be asked for by subject and clip."""

    def __init__(self, root: Path | str) -> None:
        """Walk `root`; UserError if it is no folder."""
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"{root}: no such folder; --root names the one that holds the datasets")
        self._by_clip: dict[str, list[Path]] = {}
        for folder, subfolders, files in os.walk(self.root, followlinks=True):
            subfolders.sort()
            if any(Path(f).suffix.lower() in IMAGE_SUFFIXES for f in files):
                self._by_clip.setdefault(name_key(Path(folder).name), []).append(Path(folder))

    def clips(self) -> list[Path]:
        """All folders with images, in order of their path."""
        return sorted(folder for folders in self._by_clip.values() for folder in folders)

    def find(self, subject: str, clip: str, prefer: Iterable[str] = ()) -> Path | None:
        """The folder named `clip` somewhere below one named `subject`, or None.

        Of several (a raw and a cropped release), one whose path has a part out of `prefer`
        goes first, then the first by name; a warning says that there was a choice.
        """
        found = [
            folder
            for folder in self._by_clip.get(name_key(clip), [])
            if name_key(subject)
            in {name_key(part) for part in folder.relative_to(self.root).parts[:-1]}
        ]
        if not found:
            return None
        wanted = {part.lower() for part in prefer}
        found.sort(key=lambda f: (wanted.isdisjoint(p.lower() for p in f.parts), f.as_posix()))
        releases = [self._release(folder, clip) for folder in found]
        if len(set(releases)) > 1:
            warn(
                f"clips are in several folders below {self.root}: taking {releases[0]}, "
                f"not {', '.join(sorted(set(releases[1:])))}; a narrower --root decides"
            )
        return found[0]

    def _release(self, folder: Path, clip: str) -> str:
        parts = folder.relative_to(self.root).parts
        return parts[0] if len(parts) > 2 else "."


def nearest_frame(frames: dict[int, Path], number: int, within: int = 2) -> int | None:
    """`number` if that frame exists, else the nearest existing one at most `within` away."""
    if number in frames:
        return number
    near = [n for n in frames if abs(n - number) <= within]
    return min(near, key=lambda n: (abs(n - number), n)) if near else None


def read_image(path: Path | str, grey: bool = False) -> np.ndarray:
    """Read an image as uint8 (H, W, 3) RGB, whatever its depth, channels or file type.

    16-bit images keep their eight high bits, grey becomes three equal channels, alpha is
    dropped. With `grey` it is uint8 (H, W), which decodes faster. UnreadableImageError if the
    file is missing, empty, cut off or no image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UnreadableImageError(f"{path}: {error.strerror}") from error
    if _is_cut_off(data):
        raise UnreadableImageError(f"{path}: the image is cut off; copy it anew")
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise UnreadableImageError(f"{path}: empty or not an image")
    if grey:
        return image
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2RGB)


def _is_cut_off(data: np.ndarray) -> bool:
    # OpenCV decodes what is there of a truncated JPEG or PNG and fills up with grey.
    start, end = data[:8].tobytes(), data[-64:].tobytes()
    if start[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in end
    if start == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in end
    return False
